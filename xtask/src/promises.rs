//! The promises of `SPECIFICATION.md` against the tree: a file or test it names must be there.
//!
//! Text in, findings out; reading is handed in.

/// The names that are not there. A name is `` `file` `` or `` `file: test` ``, in a table.
pub(crate) fn missing(text: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut missing = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with('|')) {
        for name in line.split('`').skip(1).step_by(2).filter(|name| is_name(name)) {
            let (file, test) = name.split_once(": ").unwrap_or((name, ""));
            let found = read(file).is_some_and(|text| test.is_empty() || defines(&text, test));
            if !found {
                missing.push(format!("SPECIFICATION.md:{}: {name} is not there", at + 1));
            }
        }
    }
    missing
}

/// A path in this tree that leads to a source file, not a command or an address.
fn is_name(name: &str) -> bool {
    let file = name.split(": ").next().unwrap_or(name);
    file.contains('/') && (file.ends_with(".rs") || file.ends_with(".py"))
}

fn defines(text: &str, test: &str) -> bool {
    ["fn", "def"].iter().any(|word| {
        text.contains(&format!("{word} {test}(")) || text.contains(&format!("{word} {test}<"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let read = |file: &str| (file == "a/b.rs").then(|| "async fn it_holds() {}".to_owned());
        assert_eq!(missing(line, read), expected);
    }

    #[test]
    fn what_is_there_and_what_is_no_name_pass() {
        check("| it holds | `a/b.rs: it_holds`, `a/b.rs`, `make demo`, `/healthz` |", &[]);
        check("In words `c/d.rs: may_be_anything`.", &[]);
    }

    #[test]
    fn a_test_or_a_file_that_is_not_there_is_named() {
        check(
            "| it holds | `a/b.rs: it`, `c/d.py` |",
            &[
                "SPECIFICATION.md:1: a/b.rs: it is not there",
                "SPECIFICATION.md:1: c/d.py is not there",
            ],
        );
    }
}
