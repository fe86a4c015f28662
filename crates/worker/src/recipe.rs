//! What an environment is made of, as values: the sandbox and the runtime's process.
//!
//! Decides from the resolved version, the interpreter and where things lie; touches nothing.

use std::path::{Path, PathBuf};

use dormouse_model::environment::InitializationType;
use dormouse_model::function::{Code, Configuration, Program, ResolvedVersion};
use dormouse_model::limits;
use dormouse_model::runtime::Runtime;
use dormouse_runtimes::{
    BYTECODE_DIR, Interpreter, Launch, PROVIDED_BOOTSTRAPS, host_trees, launch, launch_ahead,
};
use dormouse_sandbox::{
    CreateError, Links, Network, ProcessId, ProcessSpec, RUNTIME_API_ADDRESS, Root, SandboxSpec,
    Tree,
};

use crate::standby::Kind;
use crate::variables::{Surroundings, extension_variables, variables};
use crate::worker::CpuModel;

/// The runtime's process, the only one that a sandbox starts with.
pub(crate) const RUNTIME: ProcessId = ProcessId(1);

/// Where the content of an environment lies on this host.
#[derive(Debug)]
pub(crate) enum Content {
    /// Code beside the host's own programs.
    Code(Parts),
    /// The layers of an image, in order.
    Image(Vec<PathBuf>),
}

/// Where the parts of an environment lie on this host.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The unpacked package, or a directory in its place.
    pub(crate) code: PathBuf,
    /// What a link on the way to it does.
    pub(crate) links: Links,
    /// The unpacked layers, in order.
    pub(crate) layers: Vec<PathBuf>,
    /// The directory with one subdirectory of bootstraps per language.
    pub(crate) bootstraps: PathBuf,
    /// The interpreter, for a managed runtime.
    pub(crate) interpreter: Option<Interpreter>,
    /// Directories with its bytecode, as far as it was compiled ahead.
    pub(crate) bytecode: Vec<PathBuf>,
}

/// What the processes of one environment are told of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    /// The log stream's name.
    pub(crate) log_stream: &'a str,
    /// The secret of the credentials handed to the function.
    pub(crate) secret: &'a str,
    /// What the environment is made for.
    pub(crate) initialization: InitializationType,
}

/// The sandbox for a version.
pub(crate) fn sandbox(
    id: &str,
    version: &ResolvedVersion,
    content: &Content,
    network: Network,
) -> SandboxSpec {
    let configuration = &version.deployment.configuration;
    SandboxSpec {
        id: id.to_owned(),
        memory_bytes: u64::from(configuration.memory_mb) << 20,
        // Init has the whole machine; the share begins when it is over.
        cpu_millis: None,
        pids_max: limits::PROCESSES,
        tmp_bytes: u64::from(configuration.ephemeral_mb) << 20,
        root: match content {
            Content::Code(_) => Root::Host,
            Content::Image(layers) => Root::Layers(layers.clone()),
        },
        trees: match content {
            Content::Code(parts) => trees(parts),
            Content::Image(_) => Vec::new(),
        },
        network,
        snapshots: false,
    }
}

fn trees(parts: &Parts) -> Vec<Tree> {
    let mut trees = vec![Tree { links: parts.links, ..one(parts.code.clone(), "/var/task") }];
    if !parts.layers.is_empty() {
        trees.push(Tree {
            hosts: parts.layers.clone(),
            at: "/opt".to_owned(),
            links: Links::Followed,
        });
    }
    if let Some(interpreter) = &parts.interpreter {
        trees.extend(language_trees(interpreter, &parts.bootstraps));
    }
    if !parts.bytecode.is_empty() {
        // In what the one before has brought.
        trees.push(Tree {
            hosts: parts.bytecode.clone(),
            at: BYTECODE_DIR.to_owned(),
            links: Links::Followed,
        });
    }
    trees
}

/// What a managed runtime needs, whatever its function.
fn language_trees(interpreter: &Interpreter, bootstraps: &Path) -> Vec<Tree> {
    let bootstrap = one(bootstraps.join(interpreter.language.directory()), "/var/runtime");
    let hosts = host_trees(interpreter).into_iter().map(|host| {
        let at = host.to_string_lossy().into_owned();
        one(host, &at)
    });
    std::iter::once(bootstrap).chain(hosts).collect()
}

/// A sandbox that is made before it is known for which function: of the smallest size, which is also the
/// most frequent, and without content of its own.
pub(crate) fn ahead(
    id: &str,
    kind: Kind,
    (interpreter, bootstraps): (Option<&Interpreter>, &Path),
    network: Network,
) -> SandboxSpec {
    let memory_mb = match kind {
        Kind::Interpreter { memory_mb: Some(memory_mb), .. } => memory_mb,
        _ => *limits::MEMORY_MB.start(),
    };
    SandboxSpec {
        id: id.to_owned(),
        memory_bytes: u64::from(memory_mb) << 20,
        cpu_millis: None,
        pids_max: limits::PROCESSES,
        tmp_bytes: u64::from(*limits::EPHEMERAL_MB.start()) << 20,
        root: Root::Host,
        trees: interpreter.map(|it| language_trees(it, bootstraps)).unwrap_or_default(),
        network,
        snapshots: matches!(kind, Kind::Restored { .. }),
    }
}

/// The process that waits in such a sandbox, if one does.
pub(crate) fn waiting(kind: Kind, interpreter: Option<&Interpreter>) -> Option<ProcessSpec> {
    let Kind::Interpreter { runtime, memory_mb } = kind else { return None };
    let memory_mb = memory_mb.unwrap_or(*limits::MEMORY_MB.start());
    let Launch { argv, mut variables } = launch_ahead(runtime, interpreter?, memory_mb)?;
    let (program, args) = argv.split_first()?;
    variables.push(("AWS_LAMBDA_RUNTIME_API".to_owned(), RUNTIME_API_ADDRESS.to_owned()));
    Some(ProcessSpec {
        id: RUNTIME,
        programs: vec![program.clone()],
        args: args.to_vec(),
        variables,
        cwd: "/".to_owned(),
        records: true,
        briefed: true,
    })
}

/// The sandbox and the process in which a command compiles ahead what lies in these directories of the host and is
/// seen at a place inside.
pub(crate) fn compiler(
    id: &str,
    command: &[String],
    (hosts, at): (Vec<PathBuf>, &str),
    (interpreter, bootstraps): (&Interpreter, &Path),
) -> (SandboxSpec, ProcessSpec) {
    let mut trees = vec![Tree { hosts, at: at.to_owned(), links: Links::Followed }];
    trees.extend(language_trees(interpreter, bootstraps));
    let spec = SandboxSpec {
        id: id.to_owned(),
        memory_bytes: u64::from(limits::BYTECODE_MEMORY_MB) << 20,
        cpu_millis: Some(limits::BYTECODE_CPU_MILLIS),
        pids_max: limits::PROCESSES,
        tmp_bytes: u64::from(*limits::EPHEMERAL_MB.start()) << 20,
        root: Root::Host,
        trees,
        network: Network::None,
        snapshots: false,
    };
    let process = ProcessSpec {
        id: RUNTIME,
        programs: command.iter().take(1).cloned().collect(),
        args: command.iter().skip(1).cloned().collect(),
        variables: Vec::new(),
        cwd: "/".to_owned(),
        records: false,
        briefed: false,
    };
    (spec, process)
}

/// Why there is no sandbox.
pub(crate) fn in_words(error: &CreateError) -> String {
    match error {
        CreateError::Step { step, source } => format!("sandbox step {step}: {source}"),
        CreateError::ShutDown => error.to_string(),
    }
}

fn one(host: PathBuf, at: &str) -> Tree {
    Tree { hosts: vec![host], at: at.to_owned(), links: Links::Followed }
}

/// The runtime's process.
pub(crate) fn runtime(
    version: &ResolvedVersion,
    interpreter: Option<&Interpreter>,
    told: Told<'_>,
) -> ProcessSpec {
    let configuration = &version.deployment.configuration;
    let wrapper = configuration
        .variables
        .as_ref()
        .and_then(|variables| variables.get("AWS_LAMBDA_EXEC_WRAPPER"))
        .map(String::as_str);
    let started = started(version);
    let Launch { argv, variables: language } = match &started {
        Some((launch, _)) => launch.clone(),
        None => launched(configuration, interpreter, wrapper),
    };
    let around = Surroundings { told, language: &language };
    let cwd = started.map_or_else(|| "/var/task".to_owned(), |(_, directory)| directory);
    let variables = variables(version, &around);
    let (programs, args) = match argv.split_first() {
        Some((program, args)) if configuration.runtime().is_none() => {
            (found_as(program, &cwd, &variables), args.to_vec())
        }
        Some((program, args)) => (vec![program.clone()], args.to_vec()),
        None => (PROVIDED_BOOTSTRAPS.map(str::to_owned).to_vec(), vec![]),
    };
    ProcessSpec {
        id: RUNTIME,
        programs,
        args,
        variables,
        cwd,
        // Descriptor and variable belong together, and only the managed runtimes know of them.
        records: configuration.runtime().is_some_and(Runtime::is_managed),
        briefed: false,
    }
}

/// How an image is started, and where; nothing for other code.
fn started(version: &ResolvedVersion) -> Option<(Launch, String)> {
    let Code::Image(image) = &version.deployment.code else {
        return None;
    };
    let Program::Image { image_config } = &version.deployment.configuration.program else {
        return None;
    };
    let started = image.defaults.started(image_config);
    let mut variables = image.defaults.variables.clone();
    if !variables.iter().any(|(name, _)| name == "PATH") {
        variables.insert(0, ("PATH".to_owned(), SEARCH_PATH.to_owned()));
    }
    Some((Launch { argv: started.argv, variables }, started.working_directory))
}

/// The paths under which a program of an image may lie, as a shell would look for it.
fn found_as(program: &str, cwd: &str, variables: &[(String, String)]) -> Vec<String> {
    if program.starts_with('/') {
        return vec![program.to_owned()];
    }
    if program.contains('/') {
        return vec![format!("{}/{program}", cwd.trim_end_matches('/'))];
    }
    let path = variables.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let places = path.unwrap_or(SEARCH_PATH).split(':').filter(|place| place.starts_with('/'));
    places.map(|place| format!("{place}/{program}")).collect()
}

/// `PATH` of images that have none, as where containers come from.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a runtime's language says; an image speaks for itself.
fn launched(
    configuration: &Configuration,
    interpreter: Option<&Interpreter>,
    wrapper: Option<&str>,
) -> Launch {
    match configuration.runtime() {
        Some(runtime) => launch(runtime, interpreter, configuration.memory_mb, wrapper),
        None => Launch { argv: Vec::new(), variables: Vec::new() },
    }
}

/// The process of an external extension.
pub(crate) fn extension(
    version: &ResolvedVersion,
    interpreter: Option<&Interpreter>,
    (id, name): (ProcessId, &str),
    told: Told<'_>,
) -> ProcessSpec {
    let configuration = &version.deployment.configuration;
    let (language, cwd) = match started(version) {
        Some((launch, cwd)) => (launch.variables, cwd),
        None => (launched(configuration, interpreter, None).variables, "/var/task".to_owned()),
    };
    let around = Surroundings { told, language: &language };
    ProcessSpec {
        id,
        programs: vec![format!("/opt/extensions/{name}")],
        args: vec![],
        variables: extension_variables(version, &around),
        cwd,
        records: false,
        briefed: false,
    }
}

/// The CPU share of a function outside Init, in thousandths of a core.
pub(crate) fn cpu_millis(model: CpuModel, memory_mb: u32) -> Option<u32> {
    match model {
        CpuModel::Full => None,
        CpuModel::Lambda => Some((memory_mb * 1_000 / limits::MEMORY_PER_VCPU_MB).max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_lie_together_under_opt_in_their_order() {
        let mut parts = Parts {
            code: "/code".into(),
            links: Links::Followed,
            layers: vec![],
            bootstraps: "/bootstraps".into(),
            interpreter: None,
            bytecode: vec![],
        };
        let task = one("/code".into(), "/var/task");
        assert_eq!(trees(&parts), vec![task.clone()]);
        parts.layers = vec!["/first".into(), "/last".into()];
        let opt = Tree { hosts: parts.layers.clone(), ..one("/".into(), "/opt") };
        assert_eq!(trees(&parts), vec![task, opt]);
    }

    #[test]
    fn the_cpu_share_follows_memory() {
        assert_eq!(cpu_millis(CpuModel::Lambda, 128), Some(72));
        assert_eq!(cpu_millis(CpuModel::Lambda, 1_769), Some(1_000));
        assert_eq!(cpu_millis(CpuModel::Lambda, 10_240), Some(5_788));
        assert_eq!(cpu_millis(CpuModel::Full, 128), None);
    }
}
