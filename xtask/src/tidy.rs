//! `cargo xtask tidy`: the house rules that no lint knows.
//!
//! Text in, findings out; only [`main`] touches files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::{promises, shell};

/// Lines a file may have before its tests.
const FILE_LINES: usize = 500;

/// What is never written outside tests, and why. In two parts, so that this file does not hold them.
const FORBIDDEN: [(&str, &str, &str); 6] = [
    ("to", "do!", "finish it or leave it out"),
    ("db", "g!", "a left-over of looking for something"),
    (".unw", "rap()", "expect() with the reason it holds"),
    ("Arc<", "Mutex", "one owner per thing: send it a message"),
    ("unbounded_", "channel", "every queue has a limit"),
    ("#[al", "low(", "#[expect(.., reason = \"..\")]"),
];

/// Paths of a place of work: they mean nothing to who reads the tree.
const WORKPLACES: [(&str, &str); 3] = [("/work/", "main"), ("/work/", "shared"), ("/tmp/", "h/")];

/// Directories that hold nothing of ours.
const SKIPPED: [&str; 8] =
    [".git", ".venv", ".venv-sam", "artifacts", "corpus", "node_modules", "target", "__pycache__"];
/// Kinds of files whose lines are looked at for [`WORKPLACES`].
const TEXTS: [&str; 10] = ["cjs", "js", "json", "md", "mjs", "py", "rs", "sh", "toml", "txt"];

pub(crate) fn main() -> anyhow::Result<()> {
    let mut files = Vec::new();
    walk(shell::root(), &mut files)?;
    files.sort();
    let mut findings = Vec::new();
    for file in &files {
        let bytes = fs::read(file).with_context(|| file.display().to_string())?;
        let path = file.strip_prefix(shell::root()).unwrap_or(file);
        findings.extend(look(path, &String::from_utf8_lossy(&bytes)));
    }
    let specification = fs::read_to_string(shell::root().join("SPECIFICATION.md"))?;
    let read = |file: &str| fs::read_to_string(shell::root().join(file)).ok();
    findings.extend(promises::missing(&specification, read));
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings; the rules are in STYLE.md", findings.len());
    }
    shell::good(&format!("{} files are tidy", files.len()));
    Ok(())
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let skipped = SKIPPED.iter().any(|skipped| name == *skipped);
        if entry.file_type()?.is_dir() && !skipped {
            walk(&path, files)?;
        } else if TEXTS.iter().any(|text| path.extension().is_some_and(|found| found == *text)) {
            files.push(path);
        }
    }
    Ok(())
}

/// All that is wrong with a file, each as `path:line: what`.
fn look(path: &Path, text: &str) -> Vec<String> {
    let mut findings = workplaces(text);
    if path.extension().is_some_and(|extension| extension == "rs") {
        findings.extend(rust(path, text));
    }
    findings.sort();
    findings.into_iter().map(|(line, what)| format!("{}:{line}: {what}", path.display())).collect()
}

type Finding = (usize, String);

fn workplaces(text: &str) -> Vec<Finding> {
    let is_workplace = |line: &str| {
        WORKPLACES.iter().any(|(first, second)| line.contains(&format!("{first}{second}")))
    };
    numbered(text)
        .filter(|(_, line)| is_workplace(line))
        .map(|(number, _)| (number, "names the place where somebody worked".to_owned()))
        .collect()
}

fn rust(path: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push((1, "does not begin with //! docs".to_owned()));
    }
    if text.lines().take(3).any(|line| line.trim() == "//! placeholder") {
        findings.push((1, "is a placeholder".to_owned()));
    }
    if is_test(path) {
        return findings;
    }
    let code = before_tests(text);
    let lines = code.lines().count();
    if lines > FILE_LINES {
        findings.push((FILE_LINES, format!("{lines} lines before the tests: split it")));
    }
    findings.extend(forbidden(code));
    findings
}

/// Forbidden words outside comments. Two of them may be excused where they stand: an unwrap by
/// clippy's own `expect`, and a lock by a comment above it on why it is needed.
fn forbidden(code: &str) -> Vec<Finding> {
    let unwraps = code.contains("clippy::unwrap_used");
    let mut findings = Vec::new();
    let mut above = "";
    for (number, line) in numbered(code) {
        let has_reason = above.trim_start().starts_with("//");
        above = line;
        for (first, second, instead) in FORBIDDEN {
            let excused = match first {
                ".unw" => unwraps,
                "Arc<" => has_reason,
                _ => false,
            };
            let is_comment = line.trim_start().starts_with("//");
            if !is_comment && !excused && line.contains(&format!("{first}{second}")) {
                findings.push((number, format!("{first}{second}: {instead}")));
            }
        }
    }
    findings
}

/// Tests, and benches, which fail as tests do.
fn is_test(path: &Path) -> bool {
    let under = |part: &str| path.components().any(|component| component.as_os_str() == part);
    under("tests") || under("benches") || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// The text up to `#[cfg(test)] mod tests {`; tests in a file of their own do not end this one.
fn before_tests(text: &str) -> &str {
    let mut offset = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let opens = |next: &&str| next.contains("mod ") && next.trim_end().ends_with('{');
        if line.trim_end() == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
            return &text[..offset];
        }
        offset += line.len();
    }
    text
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(look(Path::new(path), text), expected);
    }

    #[test]
    fn a_tidy_file_has_no_findings() {
        check("src/a.rs", "//! What this is.\n// .unwrap() in words is fine.\nfn a() {}\n", &[]);
    }

    #[test]
    fn a_file_says_what_it_is() {
        check("src/a.rs", "fn a() {}\n", &["src/a.rs:1: does not begin with //! docs"]);
        check("src/a.rs", "//! placeholder\n", &["src/a.rs:1: is a placeholder"]);
    }

    #[test]
    fn forbidden_words_are_named_with_their_line_and_the_way_out() {
        check(
            "src/a.rs",
            "//! A.\nfn a() {\n    b.unwrap();\n}\n#[allow(dead_code)]\nfn c() {}\n",
            &[
                "src/a.rs:3: .unwrap(): expect() with the reason it holds",
                "src/a.rs:5: #[allow(: #[expect(.., reason = \"..\")]",
            ],
        );
    }

    #[test]
    fn a_lock_needs_a_comment_on_why() {
        let lock = concat!("a: Arc<", "Mutex<B>>,\n");
        check("src/a.rs", &format!("//! A.\n\n// Held only to take one out.\n{lock}"), &[]);
        check(
            "src/a.rs",
            &format!("//! A.\n\n{lock}"),
            &[concat!("src/a.rs:3: Arc<", "Mutex: one owner per thing: send it a message")],
        );
    }

    #[test]
    fn tests_may_unwrap() {
        let code = "b.unwrap();\n";
        check("crates/a/tests/b.rs", &format!("//! B.\n{code}"), &[]);
        check("src/a/tests.rs", &format!("//! B.\n{code}"), &[]);
        check("a/benches/b.rs", &format!("//! B.\n{code}"), &[]);
        check("src/a.rs", &format!("//! B.\n#[cfg(test)]\nmod tests {{\n{code}}}\n"), &[]);
    }

    #[test]
    fn tests_in_their_own_file_do_not_end_this_one() {
        check(
            "src/a.rs",
            "//! A.\n#[cfg(test)]\nmod tests;\nfn a() { b.unwrap() }\n",
            &["src/a.rs:4: .unwrap(): expect() with the reason it holds"],
        );
    }

    #[test]
    fn a_long_file_is_to_be_split_and_its_tests_do_not_count() {
        let long = format!("//! A.\n{}", "fn a() {}\n".repeat(500));
        check("src/a.rs", &long, &["src/a.rs:500: 501 lines before the tests: split it"]);
        let tests = "fn a() {}\n".repeat(500);
        check("src/a.rs", &format!("//! A.\n#[cfg(test)]\nmod tests {{\n{tests}}}\n"), &[]);
    }

    #[test]
    fn no_file_names_a_place_of_work() {
        check(
            "a.md",
            &format!("fine\nsee {}main/x\n", "/work/"),
            &["a.md:2: names the place where somebody worked"],
        );
    }
}
