//! `cargo xtask`: the one tool of this tree. Each command is a file of that name.
//!
//! It calls other programs and says what it calls. It must never be needed to use Dormouse, and no
//! crate of the product may depend on it.
#![expect(clippy::print_stdout, reason = "a command line tool talks on standard output")]

mod bench;
mod build;
mod check;
mod clients;
mod counts;
mod criu;
mod demo;
mod deps;
mod fuzz;
mod install;
mod promises;
mod rivals;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  check   everything that must hold before a push: fmt, tidy, deps, clippy, doc, deny,
          counts where that is installed
  deps    the arrows between crates against the table of those allowed
  tidy    the house rules no lint knows: file size, module docs, forbidden words
  test    installs what the tests need, then runs all of them
  build   the release binary: one static file where musl is there
  demo    a Python, a Node and a Rust function: cold, warm, frozen, gone
          (--binary PATH: with this binary instead of a release build)
  bench   what Dormouse costs on this machine, beside its floor, and which goals that meets
          (--quick: in under a minute; --rivals: beside other servers, too;
          --json FILE: appends the figures)
  counts  instructions of the warm path against those recorded (--record: records them)
  criu    compiles CRIU, which takes snapshots, below target/ where none is installed
  fuzz    each fuzz target for a minute, where cargo-fuzz and nightly are there
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let result = match (command.as_str(), rest.as_slice()) {
        ("bench", rest) => bench::main(rest),
        ("counts", []) => counts::main(false),
        ("counts", [option]) if option == "--record" => counts::main(true),
        ("check", []) => check::main(),
        ("deps", []) => deps::main(),
        ("tidy", []) => tidy::main(),
        ("test", []) => test::main(),
        ("build", []) => build::main(),
        ("demo", []) => demo::main(None),
        ("demo", [option, binary]) if option == "--binary" => demo::main(Some(binary.into())),
        ("criu", []) => criu::main(),
        ("fuzz", []) => fuzz::main(),
        ("" | "help" | "--help" | "-h", []) => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", shell::red(&format!("xtask: {error:#}")));
            ExitCode::FAILURE
        }
    }
}
