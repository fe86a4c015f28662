//! All entries of a package as the tree they will be. Pure.

use std::collections::HashMap;
use std::rc::Rc;

use dormouse_model::limits;

use crate::package::PackageError;
use crate::package::walk::{Kind, Plan, text};

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(usize);

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A directory; `declared` if an entry names it, not only others below it.
    Directory {
        /// See above.
        declared: bool,
    },
    /// A file.
    File,
    /// A symbolic link and its target.
    Link {
        /// Where it leads.
        target: Box<[u8]>,
    },
}

#[derive(Debug)]
struct Node {
    parent: NodeId,
    name: Rc<[u8]>,
    what: What,
    mtime: Option<i64>,
    children: HashMap<Rc<[u8]>, NodeId>,
}

/// The tree. Parents always come before their children.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// The package itself.
    pub(super) const ROOT: NodeId = NodeId(0);

    /// An empty package.
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node {
                parent: Self::ROOT,
                name: Rc::from(&b""[..]),
                what: What::Directory { declared: true },
                mtime: None,
                children: HashMap::new(),
            }],
        }
    }

    /// Puts an entry in its place, with the directories above it.
    pub(super) fn insert(&mut self, plan: &Plan<'_>, mtime: i64) -> Result<NodeId, PackageError> {
        let what = match plan.kind {
            Kind::Directory => What::Directory { declared: true },
            Kind::File { .. } => What::File,
            Kind::Link => What::Link { target: Box::default() },
        };
        let Some((name, above)) = plan.components.split_last() else {
            return Ok(Self::ROOT);
        };
        let mut parent = Self::ROOT;
        for name in above {
            parent = match self.child(parent, name) {
                Some(child) => child,
                None => self.add(parent, name, What::Directory { declared: false })?,
            };
            if !self.is_directory(parent) {
                return Err(PackageError::NotADirectory { path: text(&self.path(parent)) });
            }
        }
        let node = match self.child(parent, name) {
            None => self.add(parent, name, what)?,
            Some(node) => self.declare(node, &what)?,
        };
        self.nodes[node.0].mtime = Some(mtime);
        Ok(node)
    }

    /// A second entry for a place is only right if the first were entries below it.
    fn declare(&mut self, node: NodeId, what: &What) -> Result<NodeId, PackageError> {
        let path = text(&self.path(node));
        match (&mut self.nodes[node.0].what, what) {
            (What::Directory { declared }, What::Directory { .. }) if !*declared => {
                *declared = true;
                Ok(node)
            }
            (What::Directory { .. }, What::Directory { .. }) => {
                Err(PackageError::Duplicate { path })
            }
            (What::Directory { .. }, _) | (_, What::Directory { .. }) => {
                Err(PackageError::NotADirectory { path })
            }
            _ => Err(PackageError::Duplicate { path }),
        }
    }

    fn add(&mut self, parent: NodeId, name: &[u8], what: What) -> Result<NodeId, PackageError> {
        let limit = limits::PACKAGE_ENTRIES;
        // The package itself is no entry.
        if self.nodes.len() > limit {
            return Err(PackageError::TooManyEntries { limit });
        }
        let node = NodeId(self.nodes.len());
        let name: Rc<[u8]> = Rc::from(name);
        self.nodes[parent.0].children.insert(Rc::clone(&name), node);
        self.nodes.push(Node { parent, name, what, mtime: None, children: HashMap::new() });
        Ok(node)
    }

    /// Says where a link leads.
    pub(super) fn set_target(&mut self, node: NodeId, bytes: Vec<u8>) {
        debug_assert!(matches!(self.what(node), What::Link { .. }));
        self.nodes[node.0].what = What::Link { target: bytes.into_boxed_slice() };
    }

    /// Every place but the package itself, parents first.
    pub(super) fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (1..self.nodes.len()).map(NodeId)
    }

    /// The place of that name in a directory.
    pub(super) fn child(&self, node: NodeId, name: &[u8]) -> Option<NodeId> {
        self.nodes[node.0].children.get(name).copied()
    }

    /// The directory a place is in; the package is in itself.
    pub(super) fn parent(&self, node: NodeId) -> NodeId {
        self.nodes[node.0].parent
    }

    /// The last name of its path.
    pub(super) fn name(&self, node: NodeId) -> &[u8] {
        &self.nodes[node.0].name
    }

    /// What stands there.
    pub(super) fn what(&self, node: NodeId) -> &What {
        &self.nodes[node.0].what
    }

    /// When it was last changed, in seconds, if an entry names it.
    pub(super) fn mtime(&self, node: NodeId) -> Option<i64> {
        self.nodes[node.0].mtime
    }

    /// Whether a directory stands there.
    pub(super) fn is_directory(&self, node: NodeId) -> bool {
        matches!(self.what(node), What::Directory { .. })
    }

    /// The path from the package.
    pub(super) fn path(&self, node: NodeId) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = node;
        while at != Self::ROOT {
            names.push(self.name(at));
            at = self.parent(at);
        }
        names.reverse();
        names.join(&b'/')
    }
}
