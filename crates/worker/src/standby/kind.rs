//! What a sandbox is made ahead for. Pure.

use std::fmt;

use dormouse_model::function::{Code, Configuration};
use dormouse_model::runtime::Runtime;
use dormouse_runtimes::{Interpreter, Language, may_be_briefed};

/// Sandboxes of one kind will do for the same functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing runs in it: for functions that bring their own runtime.
    Bare,
    /// Nothing runs in it: processes of a managed runtime will be brought there from a snapshot.
    Restored {
        /// Which.
        runtime: Runtime,
    },
    /// The interpreter of a managed runtime waits in it.
    Interpreter {
        /// Which.
        runtime: Runtime,
        /// The memory of the function, where the interpreter has to know it when it starts, as Node
        /// does: a heap's limit cannot be changed afterwards (measured; `--max-old-space-size`).
        memory_mb: Option<u32>,
    },
}

impl Kind {
    /// The kind that will do for a function, if any: an image is a root of its own, some variables have to
    /// be there when an interpreter starts, and a directory of the host's may lie on a file system that does
    /// not answer, for which the one process that attaches content must not wait.
    pub(crate) fn of(
        code: &Code,
        configuration: &Configuration,
        interpreter: Option<&Interpreter>,
    ) -> Option<Self> {
        if !matches!(code, Code::Zip(_)) {
            return None;
        }
        let runtime = configuration.runtime()?;
        let Some(language) = Language::of(runtime) else {
            return Some(Self::Bare);
        };
        let variables = configuration.variables.as_ref();
        may_be_briefed(runtime, interpreter?, variables).then(|| Self::Interpreter {
            runtime,
            memory_mb: (language == Language::Node).then_some(configuration.memory_mb),
        })
    }

    /// The kind that will do for what goes on from a snapshot, if any. Whatever its interpreter had to know
    /// when it started, it knows.
    pub(crate) fn of_restored(code: &Code, configuration: &Configuration) -> Option<Self> {
        let runtime = configuration.runtime().filter(|_| matches!(code, Code::Zip(_)))?;
        Some(Self::Restored { runtime })
    }

    /// The managed runtime whose files it has.
    pub(crate) fn runtime(self) -> Option<Runtime> {
        match self {
            Self::Bare => None,
            Self::Restored { runtime } | Self::Interpreter { runtime, .. } => Some(runtime),
        }
    }
}

/// As in `bare`, `python3.12`, `nodejs22.x/512`, `python3.12/restored`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare => f.write_str("bare"),
            Self::Restored { runtime } => write!(f, "{runtime}/restored"),
            Self::Interpreter { runtime, memory_mb: None } => runtime.fmt(f),
            Self::Interpreter { runtime, memory_mb: Some(memory_mb) } => {
                write!(f, "{runtime}/{memory_mb}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use dormouse_model::function::Program;
    use dormouse_runtimes::Version;

    use super::*;
    use crate::environment::tests::resolved;

    fn check(runtime: Runtime, variable: Option<&str>, expected: Option<&str>) {
        let language = Language::of(runtime);
        let interpreter = language.map(|language| Interpreter {
            language,
            version: Version { major: 20, minor: 0, patch: 0 },
            program: PathBuf::from("/usr/bin/it"),
            root: PathBuf::from("/usr"),
        });
        let deployment = resolved().deployment;
        let mut configuration = deployment.configuration.clone();
        configuration.program = Program::Zip { runtime, handler: "h".into() };
        configuration.memory_mb = 512;
        configuration.variables = variable.map(|name| [(name.into(), "x".into())].into());
        let kind = Kind::of(&deployment.code, &configuration, interpreter.as_ref());
        assert_eq!(
            kind.map(|kind| kind.to_string()).as_deref(),
            expected,
            "{runtime} {variable:?}"
        );
    }

    #[test]
    fn functions_of_a_runtime_share_a_kind_unless_their_process_must_know_more_at_its_start() {
        let (python, node) = (Runtime::Python { minor: 12 }, Runtime::Node { major: 20 });
        check(Runtime::ProvidedAl2023, Some("PATH"), Some("bare"));
        check(python, Some("TABLE"), Some("python3.12"));
        check(python, Some("PYTHONPATH"), None);
        check(node, None, Some("nodejs20.x/512"));
        check(node, Some("NODE_OPTIONS"), None);
        check(node, Some("AWS_LAMBDA_EXEC_WRAPPER"), None);
    }

    #[test]
    fn what_is_restored_knows_its_variables_already() {
        let deployment = resolved().deployment;
        let mut configuration = deployment.configuration.clone();
        let runtime = Runtime::Python { minor: 13 };
        configuration.program = Program::Zip { runtime, handler: "h".into() };
        configuration.variables = Some([("PYTHONPATH".into(), "x".into())].into());
        let kind = |code| Kind::of_restored(code, &configuration).map(|kind| kind.to_string());
        assert_eq!(kind(&deployment.code).as_deref(), Some("python3.13/restored"));
        assert_eq!(kind(&Code::Directory { directory: "/src".into() }), None);
    }

    #[test]
    fn a_directory_of_the_host_has_none() {
        let deployment = resolved().deployment;
        let kind = |code| Kind::of(code, &deployment.configuration, None);
        assert_eq!(kind(&deployment.code), Some(Kind::Bare));
        assert_eq!(kind(&Code::Directory { directory: "/src".into() }), None);
    }
}
