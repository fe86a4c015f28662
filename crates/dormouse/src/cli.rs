//! The command line: what was typed, and where it goes.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Typed;
use crate::{doctor, runtimes, serve, top};

/// AWS Lambda on your own machines.
///
/// Point the AWS CLI, an SDK, Terraform, SAM or CDK at it by changing one endpoint:
///
///   dormouse serve &
///   export AWS_ENDPOINT_URL=http://127.0.0.1:9000 AWS_REGION=us-east-1
///   export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
///   aws lambda list-functions
#[derive(Debug, Parser)]
#[command(name = "dormouse", version, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server until SIGTERM or SIGINT; a second signal stops it at once.
    ///
    /// Every option can also be given as an environment variable (in brackets) or in the file named
    /// by --config, under the same name with underscores. Flags win over variables, variables over
    /// the file.
    Serve(Box<Typed>),
    /// Says what this machine can and cannot give to functions, each line with its remedy.
    Doctor,
    /// Lists the runtimes and which interpreter of this machine runs each.
    Runtimes,
    /// Shows the environments of a running server, live
    ///
    /// What each does, how often it ran and how fast, why it was cold, and what happened in it.
    /// Press ? for the keys and for what the words mean. For scripts:
    ///
    ///   dormouse top --once
    ///   dormouse top --output json | jq '.[] | select(.phase == "running") | .functionName'
    ///
    /// One look ends with 1 when the server does not answer; the live view waits for it.
    #[command(verbatim_doc_comment)]
    Top(top::Typed),
}

/// Runs the command and turns its end into an exit code: 0 fine, 1 failed, 2 wrong usage.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(typed) => serve::main(*typed),
        Command::Doctor => {
            let (report, well) = doctor::report();
            print(&report);
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Runtimes => {
            print(&runtimes::list());
            Ok(ExitCode::SUCCESS)
        }
        Command::Top(typed) => top::main(&typed).map(|text| {
            print(&text);
            ExitCode::SUCCESS
        }),
    };
    result.unwrap_or_else(|error| {
        #[expect(clippy::print_stderr, reason = "the end of a command line program")]
        {
            eprintln!("dormouse: {error:#}");
        }
        ExitCode::FAILURE
    })
}

/// Prints what a command has to say. Whoever reads only the first lines is right to.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
