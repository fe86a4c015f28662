//! How a runtime is started inside the sandbox: argv and the variables that belong to its language.
//!
//! Owns: flags and values. Pure: must never look at the machine. The platform's own variables
//! (function name, credentials, `_HANDLER`) are the worker's.

use std::path::{Path, PathBuf};

use dormouse_model::runtime::Runtime;

use crate::interpreter::{Interpreter, Language, Version, host_trees};

/// Where the bootstrap's directory is mounted in the sandbox.
pub const RUNTIME_DIR: &str = "/var/runtime";

/// Where the bootstraps look for bytecode that was compiled ahead, as [`compiler`]'s commands write it.
pub const BYTECODE_DIR: &str = "/var/runtime/bytecode";

/// Where the program of a `provided.*` runtime is looked for, in this order.
pub const PROVIDED_BOOTSTRAPS: [&str; 3] =
    ["/var/task/bootstrap", "/opt/bootstrap", "/var/runtime/bootstrap"];

/// What to execute and with which language specific variables (the user may override them).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments inside the sandbox; empty for `provided.*`.
    pub argv: Vec<String>,
    /// Name and value, in AWS's order.
    pub variables: Vec<(String, String)>,
}

/// Says how `runtime` is launched with this interpreter.
///
/// `exec_wrapper` is the function's `AWS_LAMBDA_EXEC_WRAPPER`: it gets the original command line as
/// its arguments. Without an interpreter (and for `provided.*`) argv is empty.
#[must_use]
pub fn launch(
    runtime: Runtime,
    interpreter: Option<&Interpreter>,
    memory_mb: u32,
    exec_wrapper: Option<&str>,
) -> Launch {
    let mut argv = match interpreter {
        Some(interpreter) => command(runtime, interpreter, memory_mb),
        None => Vec::new(),
    };
    if let Some(wrapper) = exec_wrapper.filter(|wrapper| !wrapper.is_empty() && !argv.is_empty()) {
        argv.insert(0, wrapper.to_owned());
    }
    Launch { argv, variables: variables(runtime, interpreter) }
}

fn command(runtime: Runtime, interpreter: &Interpreter, memory_mb: u32) -> Vec<String> {
    let program = interpreter.program.to_string_lossy().into_owned();
    match Language::of(runtime) {
        // -S: `site` would show the host's packages to the function, and costs 2 ms.
        Some(Language::Python) => {
            vec![program, "-S".to_owned(), format!("{RUNTIME_DIR}/bootstrap.py")]
        }
        Some(Language::Node) => {
            let mut argv = vec![program];
            argv.extend(node_flags(runtime, interpreter, memory_mb));
            argv.push(format!("{RUNTIME_DIR}/bootstrap.cjs"));
            argv
        }
        None => Vec::new(),
    }
}

/// The first Node.js that says when its compile cache is written (`module.flushCompileCache`).
const FIRST_CACHING_NODE: Version = Version { major: 22, minor: 10, patch: 0 };

/// The command that compiles all source below `root` ahead, for functions with so much memory, and writes the
/// bytecode to its standard output: that of Python as a file for [`BYTECODE_DIR`], that of Node.js as a tar of
/// such files. None where the interpreter cannot keep bytecode. It needs no variables.
#[must_use]
pub fn compiler(
    runtime: Runtime,
    interpreter: &Interpreter,
    memory_mb: u32,
    root: &str,
) -> Option<Vec<String>> {
    let mut argv = vec![interpreter.program.to_string_lossy().into_owned()];
    match interpreter.language {
        Language::Python => {
            argv.extend(["-S".to_owned(), format!("{RUNTIME_DIR}/dormouse_compile.py")]);
        }
        Language::Node if interpreter.version < FIRST_CACHING_NODE => return None,
        Language::Node => {
            // V8 takes bytecode only from a process with the same flags.
            argv.extend(node_flags(runtime, interpreter, memory_mb));
            argv.extend(["--expose-internals", "--no-warnings"].map(str::to_owned));
            argv.push(format!("{RUNTIME_DIR}/compile.cjs"));
        }
    }
    argv.push(root.to_owned());
    Some(argv)
}

/// AWS gives a tenth of the memory to the young generation and the rest to the old one.
fn node_flags(runtime: Runtime, interpreter: &Interpreter, memory_mb: u32) -> Vec<String> {
    let young = memory_mb / 10;
    let mut flags = vec![
        "--expose-gc".to_owned(),
        "--max-http-header-size=81920".to_owned(),
        format!("--max-semi-space-size={}", (young / 2).max(1)),
        format!("--max-old-space-size={}", (memory_mb - young).max(1)),
    ];
    // AWS turns these experiments of Node.js 22 off; other releases may not know the flags.
    if runtime == (Runtime::Node { major: 22 }) && interpreter.version.major == 22 {
        flags.push("--no-experimental-require-module".to_owned());
        flags.push("--no-experimental-detect-module".to_owned());
    }
    flags
}

fn variables(runtime: Runtime, interpreter: Option<&Interpreter>) -> Vec<(String, String)> {
    let mut variables = vec![
        ("LANG", "en_US.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("PATH", search_path(interpreter)),
        (
            "LD_LIBRARY_PATH",
            "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:\
             /var/task:/var/task/lib:/opt/lib"
                .to_owned(),
        ),
    ];
    match runtime {
        Runtime::Python { .. } => variables.push(("PYTHONPATH", RUNTIME_DIR.to_owned())),
        Runtime::Node { major } => variables.push((
            "NODE_PATH",
            format!(
                "/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules:\
                 /var/runtime/node_modules:/var/runtime:/var/task"
            ),
        )),
        Runtime::ProvidedAl2 | Runtime::ProvidedAl2023 => {}
    }
    variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// AWS's `PATH`; an interpreter from elsewhere comes first, so that `node` in a child process is the
/// one that runs the function.
fn search_path(interpreter: Option<&Interpreter>) -> String {
    const AWS: &str = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin";
    match interpreter {
        Some(interpreter) if !host_trees(interpreter).is_empty() => {
            let bin: PathBuf = interpreter.program.parent().unwrap_or(Path::new("/")).to_owned();
            format!("{}:{AWS}", bin.display())
        }
        _ => AWS.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(language: Language, version: &str, root: &str, program: &str) -> Interpreter {
        Interpreter {
            language,
            version: Version::parse(version).unwrap(),
            program: PathBuf::from(root).join(program),
            root: PathBuf::from(root),
        }
    }

    fn value<'a>(launch: &'a Launch, name: &str) -> Option<&'a str> {
        launch.variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn python_starts_without_the_hosts_packages() {
        let found = interpreter(Language::Python, "3.12.1", "/usr", "bin/python3.12");
        let launch = launch(Runtime::Python { minor: 12 }, Some(&found), 128, None);
        assert_eq!(launch.argv, ["/usr/bin/python3.12", "-S", "/var/runtime/bootstrap.py"]);
        assert_eq!(value(&launch, "PYTHONPATH"), Some("/var/runtime"));
        let libraries = value(&launch, "LD_LIBRARY_PATH").unwrap();
        assert!(libraries.ends_with(":/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"));
        assert_eq!(value(&launch, "NODE_PATH"), None);
    }

    #[test]
    fn code_is_compiled_ahead_with_the_flags_of_who_will_run_it() {
        let python = interpreter(Language::Python, "3.12.1", "/usr", "bin/python3.12");
        let argv = compiler(Runtime::Python { minor: 12 }, &python, 128, "/opt").unwrap();
        assert_eq!(argv, ["/usr/bin/python3.12", "-S", "/var/runtime/dormouse_compile.py", "/opt"]);
        let runtime = Runtime::Node { major: 22 };
        let node = |version| interpreter(Language::Node, version, "/usr", "bin/node");
        let argv = compiler(runtime, &node("22.10.0"), 512, "/opt").unwrap();
        let run = launch(runtime, Some(&node("22.10.0")), 512, None).argv;
        let (_, flags) = run.split_last().unwrap();
        assert_eq!(argv[..flags.len()], *flags);
        assert_eq!(argv[argv.len() - 2..], ["/var/runtime/compile.cjs", "/opt"]);
        assert_eq!(compiler(runtime, &node("22.9.0"), 512, "/opt"), None);
        let inside = BYTECODE_DIR.strip_prefix(RUNTIME_DIR).unwrap();
        assert_eq!(inside.trim_start_matches('/'), crate::bootstraps::BYTECODE);
    }

    #[test]
    fn node_gets_its_heap_from_the_memory_of_the_function() {
        let found = interpreter(Language::Node, "20.1.0", "/usr", "bin/node");
        let launch = launch(Runtime::Node { major: 20 }, Some(&found), 1024, None);
        let text = launch.argv.join(" ");
        assert!(text.contains("--max-semi-space-size=51 --max-old-space-size=922 "), "{text}");
        assert!(!text.contains("experimental"), "{text}");
        assert!(
            value(&launch, "NODE_PATH").unwrap().starts_with("/opt/nodejs/node20/node_modules:")
        );
    }

    #[test]
    fn the_experiments_of_node_22_are_off_only_where_the_flags_exist() {
        let flags = |version| {
            let found = interpreter(Language::Node, version, "/usr", "bin/node");
            launch(Runtime::Node { major: 22 }, Some(&found), 512, None).argv.join(" ")
        };
        assert!(flags("22.11.0").contains("--no-experimental-require-module"));
        assert!(!flags("20.11.0").contains("--no-experimental-require-module"));
    }

    #[test]
    fn a_wrapper_gets_the_command_line_as_its_arguments() {
        let found = interpreter(Language::Python, "3.12.1", "/usr", "bin/python3.12");
        let runtime = Runtime::Python { minor: 12 };
        let wrapped = launch(runtime, Some(&found), 128, Some("/opt/wrap"));
        assert_eq!(wrapped.argv[..2], ["/opt/wrap", "/usr/bin/python3.12"]);
        let empty = launch(runtime, Some(&found), 128, Some(""));
        assert_eq!(empty.argv[0], "/usr/bin/python3.12");
    }

    #[test]
    fn an_interpreter_from_elsewhere_comes_first_in_the_path() {
        let found = interpreter(Language::Node, "22.1.0", "/home/a/.nvm/v22", "bin/node");
        let launch = launch(Runtime::Node { major: 22 }, Some(&found), 128, None);
        assert!(value(&launch, "PATH").unwrap().starts_with("/home/a/.nvm/v22/bin:/var/lang/bin:"));
    }

    #[test]
    fn a_provided_runtime_has_no_argv_but_the_common_variables() {
        let launch = launch(Runtime::ProvidedAl2023, None, 128, Some("/opt/wrap"));
        assert_eq!(launch.argv, Vec::<String>::new());
        assert_eq!(value(&launch, "TZ"), Some(":UTC"));
        assert_eq!(value(&launch, "PYTHONPATH"), None);
    }
}
