//! Which hierarchies this machine has, and what each of them is used for.
//!
//! Pure but for [`Layout::of`], which reads three kinds of text files. Must never change anything:
//! the doctor asks too.

use std::io;
use std::path::{Path, PathBuf};

use crate::namespace::doctor::Guarantee;

use super::files::Root;

/// A resource that the kernel can limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
    /// The number of processes and threads.
    Pids,
}

impl Controller {
    pub(super) const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Pids];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }

    fn guarantee(self) -> Guarantee {
        match self {
            Self::Cpu => Guarantee::CpuShare,
            Self::Memory => Guarantee::MemoryLimit,
            Self::Pids => Guarantee::ProcessLimit,
        }
    }
}

/// How this machine's control groups are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One hierarchy for everything.
    V2 {
        /// That hierarchy.
        unified: Unified,
    },
    /// Limits by v1 hierarchies; entering, freezing and killing by the v2 one.
    Hybrid {
        /// The v2 hierarchy; it may carry some controllers too.
        unified: Unified,
        /// The v1 hierarchies; freezer and cpuacct are not needed.
        v1: V1,
    },
    /// Only v1 hierarchies. A frozen process dies only when thawed.
    V1 {
        /// Those.
        v1: V1,
    },
    /// Nothing that may be written.
    None,
}

/// The v2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unified {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The group below which ours are made: the daemon's own, or the mount's root.
    pub home: PathBuf,
    /// The limits it gives.
    pub controllers: Vec<Controller>,
}

/// The daemon's own group in each v1 hierarchy that is used. Co-mounted controllers name the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct V1 {
    /// CPU quota.
    pub cpu: Option<PathBuf>,
    /// CPU time used.
    pub cpuacct: Option<PathBuf>,
    /// Memory limit.
    pub memory: Option<PathBuf>,
    /// Process limit.
    pub pids: Option<PathBuf>,
    /// Freezing.
    pub freezer: Option<PathBuf>,
}

/// Which kind of control files limit a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Unified(&'a Path),
    V1(&'a Path),
}

impl Layout {
    /// Reads what the kernel says and chooses.
    pub(super) fn of(root: &Root) -> io::Result<Self> {
        let mounts = root.read(Path::new("/proc/self/mountinfo"))?;
        let own = match root.read(Path::new("/proc/self/cgroup")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        // A group whose list cannot be read gives nothing.
        let controllers =
            |group: &Path| root.read(&group.join("cgroup.controllers")).unwrap_or_default();
        Ok(Self::choose(&mounts, &own, controllers))
    }

    /// Chooses from the text of `mountinfo`, of `/proc/self/cgroup` and, for a v2 group, of its
    /// `cgroup.controllers`.
    pub(super) fn choose(
        mountinfo: &str,
        own: &str,
        controllers: impl Fn(&Path) -> String,
    ) -> Self {
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
        let mut v1 = V1::of(&mounts, own);
        let unified = mounts.iter().find(|mount| mount.is_unified()).map(|mount| {
            let wanted: Vec<Controller> =
                Controller::ALL.into_iter().filter(|it| v1.limit(*it).is_none()).collect();
            Unified::of(mount, own, &wanted, controllers)
        });
        match unified {
            Some(unified) if v1.has_limits() => {
                // v2 freezes and counts CPU time without any controller.
                v1.freezer = None;
                v1.cpuacct = None;
                Self::Hybrid { unified, v1 }
            }
            Some(unified) => Self::V2 { unified },
            None if v1 == V1::default() => Self::None,
            None => Self::V1 { v1 },
        }
    }

    /// Where hierarchies are mounted, ours or not.
    pub(super) fn mounts(root: &Root) -> Vec<PathBuf> {
        let mountinfo = root.read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
        mountinfo.lines().filter_map(Mount::parse).map(|mount| mount.point).collect()
    }

    /// What this layout cannot give.
    pub fn missing(&self) -> Vec<Guarantee> {
        let mut missing: Vec<Guarantee> = Controller::ALL
            .into_iter()
            .filter(|it| self.place(*it).is_none())
            .map(Controller::guarantee)
            .collect();
        if self.unified().is_none() && self.v1().is_none_or(|v1| v1.freezer.is_none()) {
            missing.push(Guarantee::Freeze);
        }
        missing
    }

    /// In words, for people.
    pub fn words(&self) -> String {
        match self {
            Self::V2 { unified } => {
                format!("v2 at {}, limits: {}", unified.home.display(), unified.list())
            }
            Self::Hybrid { unified, .. } => format!(
                "limits by v1 hierarchies, freeze and kill by v2 at {}",
                unified.home.display()
            ),
            Self::V1 { .. } => "v1 hierarchies only".to_owned(),
            Self::None => "no writable control group hierarchy".to_owned(),
        }
    }

    pub(super) fn unified(&self) -> Option<&Unified> {
        match self {
            Self::V2 { unified } | Self::Hybrid { unified, .. } => Some(unified),
            Self::V1 { .. } | Self::None => None,
        }
    }

    pub(super) fn v1(&self) -> Option<&V1> {
        match self {
            Self::Hybrid { v1, .. } | Self::V1 { v1 } => Some(v1),
            Self::V2 { .. } | Self::None => None,
        }
    }

    /// Where a resource is limited: the home directory of that hierarchy.
    pub(super) fn place(&self, controller: Controller) -> Option<Place<'_>> {
        if let Some(home) = self.v1().and_then(|v1| v1.limit(controller)) {
            return Some(Place::V1(home));
        }
        let unified = self.unified().filter(|it| it.controllers.contains(&controller))?;
        Some(Place::Unified(&unified.home))
    }

    /// Every hierarchy's home once, the v2 one first.
    pub(super) fn homes(&self) -> Vec<&Path> {
        let mut homes: Vec<&Path> = Vec::new();
        homes.extend(self.unified().map(|unified| unified.home.as_path()));
        for home in self.v1().into_iter().flat_map(V1::homes) {
            if !homes.contains(&home) {
                homes.push(home);
            }
        }
        homes
    }
}

impl Unified {
    fn of(
        mount: &Mount,
        own: &str,
        wanted: &[Controller],
        controllers: impl Fn(&Path) -> String,
    ) -> Self {
        let given = |group: &Path| -> Vec<Controller> {
            let text = controllers(group);
            let has = |it: &Controller| text.split_whitespace().any(|name| name == it.name());
            wanted.iter().copied().filter(has).collect()
        };
        let own = without_leaf(mount.group(own_path(own, |it| it.is_empty())));
        let at_own = given(&own);
        let at_root = given(&mount.point);
        // A login session is often not given `cpu`; the root is, and root may make groups there.
        let (home, controllers) = if at_root.len() > at_own.len() {
            (mount.point.clone(), at_root)
        } else {
            (own, at_own)
        };
        Self { mount: mount.point.clone(), home, controllers }
    }

    fn list(&self) -> String {
        let names: Vec<&str> = self.controllers.iter().map(|it| it.name()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl V1 {
    fn of(mounts: &[Mount], own: &str) -> Self {
        let home = |controller: &str| {
            let mount = mounts.iter().find(|mount| mount.has(controller))?;
            Some(mount.group(own_path(own, |list| list.split(',').any(|it| it == controller))))
        };
        Self {
            cpu: home("cpu"),
            cpuacct: home("cpuacct"),
            memory: home("memory"),
            pids: home("pids"),
            freezer: home("freezer"),
        }
    }

    fn limit(&self, controller: Controller) -> Option<&Path> {
        match controller {
            Controller::Cpu => self.cpu.as_deref(),
            Controller::Memory => self.memory.as_deref(),
            Controller::Pids => self.pids.as_deref(),
        }
    }

    fn has_limits(&self) -> bool {
        Controller::ALL.into_iter().any(|it| self.limit(it).is_some())
    }

    fn homes(&self) -> impl Iterator<Item = &Path> {
        [&self.memory, &self.cpu, &self.pids, &self.cpuacct, &self.freezer]
            .into_iter()
            .filter_map(|home| home.as_deref())
    }

    /// Forgets a hierarchy that turned out not to be ours to use.
    pub(super) fn forget(&mut self, home: &Path) {
        let all =
            [&mut self.memory, &mut self.cpu, &mut self.pids, &mut self.cpuacct, &mut self.freezer];
        for slot in all {
            if slot.as_deref() == Some(home) {
                *slot = None;
            }
        }
    }
}

/// The name of the group into which the daemon itself goes; see `prepare`.
pub(super) const LEAF_PREFIX: &str = "daemon.dormouse-";

/// A daemon that has moved itself into its leaf already still counts as living above it.
fn without_leaf(group: PathBuf) -> PathBuf {
    let is_leaf = group
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(LEAF_PREFIX));
    match group.parent() {
        Some(parent) if is_leaf => parent.to_owned(),
        _ => group,
    }
}

/// The path in the line of `/proc/self/cgroup` whose controller list is the wanted one.
fn own_path(own: &str, wanted: impl Fn(&str) -> bool) -> &str {
    own.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        })
        .find(|(controllers, _)| wanted(controllers))
        .map_or("/", |(_, path)| path)
}

/// One writable control group mount.
#[derive(Debug)]
struct Mount {
    point: PathBuf,
    /// Which group of the hierarchy the mount shows; not `/` inside some containers.
    shows: PathBuf,
    /// Empty for v2.
    controllers: Vec<String>,
}

impl Mount {
    /// `31 23 0:28 /root /point rw,relatime [optional ...] - type source rw,options`
    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (shows, point, flags) = (left.next()?, left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, _source, options) = (right.next()?, right.next()?, right.next()?);
        let writable = flags.split(',').chain(options.split(',')).all(|flag| flag != "ro");
        let controllers = match kind {
            "cgroup" => options.split(',').map(str::to_owned).collect(),
            "cgroup2" => Vec::new(),
            _ => return None,
        };
        let (point, shows) = (unescape(point), unescape(shows));
        writable.then_some(Self { point, shows, controllers })
    }

    fn is_unified(&self) -> bool {
        self.controllers.is_empty()
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|it| it == controller)
    }

    /// The directory of a group, given its path in the hierarchy. One that the mount does not show
    /// (`/../x`, or a mount of another subtree) can only be answered with what the mount shows.
    fn group(&self, path: &str) -> PathBuf {
        match Path::new(path).strip_prefix(&self.shows) {
            Ok(below) if !path.contains("..") && below != Path::new("") => self.point.join(below),
            _ => self.point.clone(),
        }
    }
}

/// `mountinfo` writes blank, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut out = text.to_owned();
    for (code, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(code, plain);
    }
    PathBuf::from(out)
}
