//! Where a package's symbolic links lead: each must end inside, and must not pass outside on its
//! way, whatever other links it goes through. Pure.
//!
//! A target is walked as the kernel would walk it. What is not in the package may come to exist
//! there only as a directory, so a target's rest after a missing name is counted in levels. Each
//! link is walked once and its end remembered, so the time is that of reading all targets once.

use std::collections::HashMap;

use crate::package::tree::{NodeId, Tree, What};
use crate::package::walk::text;
use crate::package::{LinkRule, PackageError};

/// Links that may be passed on one way (Linux `MAXSYMLINKS`).
const LINKS: u32 = 40;

/// Where a walk has come to.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The last place of the way that the package has.
    node: NodeId,
    /// Levels below it.
    missing: usize,
    /// Links passed so far.
    links: u32,
}

/// Checks every link of the tree.
pub(super) fn check(tree: &Tree) -> Result<(), PackageError> {
    let mut ends = HashMap::new();
    for node in tree.ids() {
        if matches!(tree.what(node), What::Link { .. }) {
            follow(tree, node, 1, &mut ends)?;
        }
    }
    Ok(())
}

fn follow(
    tree: &Tree,
    link: NodeId,
    depth: u32,
    ends: &mut HashMap<NodeId, Place>,
) -> Result<Place, PackageError> {
    if let Some(end) = ends.get(&link) {
        return Ok(*end);
    }
    let What::Link { target } = tree.what(link) else {
        return Ok(Place { node: link, missing: 0, links: 0 });
    };
    let refuse = |rule| PackageError::UnsafeLink {
        path: text(&tree.path(link)),
        target: text(target),
        rule,
    };
    if target.is_empty() || target.contains(&0) {
        return Err(refuse(LinkRule::Malformed));
    }
    if target.starts_with(b"/") {
        return Err(refuse(LinkRule::Absolute));
    }
    let mut at = Place { node: tree.parent(link), missing: 0, links: 1 };
    for name in target.split(|byte| *byte == b'/') {
        at = match name {
            b"" | b"." => at,
            b".." => up(tree, at).ok_or_else(|| refuse(LinkRule::Outside))?,
            _ => {
                // A chain too long for the kernel, or a circle, ends here.
                if depth > LINKS || at.links > LINKS {
                    return Err(refuse(LinkRule::Loop));
                }
                down(tree, at, name, depth, ends)?
            }
        };
    }
    if at.links > LINKS {
        return Err(refuse(LinkRule::Loop));
    }
    ends.insert(link, at);
    Ok(at)
}

fn up(tree: &Tree, at: Place) -> Option<Place> {
    match at {
        Place { missing: 0, .. } if at.node == Tree::ROOT => None,
        Place { missing: 0, .. } => Some(Place { node: tree.parent(at.node), ..at }),
        Place { missing, .. } => Some(Place { missing: missing - 1, ..at }),
    }
}

fn down(
    tree: &Tree,
    at: Place,
    name: &[u8],
    depth: u32,
    ends: &mut HashMap<NodeId, Place>,
) -> Result<Place, PackageError> {
    let child = match at.missing {
        0 => tree.child(at.node, name),
        _ => None,
    };
    let Some(child) = child else {
        return Ok(Place { missing: at.missing + 1, ..at });
    };
    let end = follow(tree, child, depth + 1, ends)?;
    Ok(Place { links: at.links + end.links, ..end })
}
