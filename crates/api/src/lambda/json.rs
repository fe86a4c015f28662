//! A quick look at whether bytes are JSON, for payloads of megabytes.
//!
//! Only ever a quick yes: what it does not call JSON may still be some, nested deeper than it counts.
//! Then, and for the words of a refusal, serde_json decides. Reads each byte once, makes nothing of
//! what it reads, and leaves the encoding of texts to others.

/// How deep arrays and objects may lie in each other here: a bit for each.
const DEPTH: u32 = 128;
/// Bytes of a text that are looked at together; the compiler makes one comparison of them.
const BLOCK: usize = 16;

/// Whether these bytes are surely one JSON value and nothing else.
pub(super) fn is_surely_json(bytes: &[u8]) -> bool {
    Scan { rest: bytes, depth: 0, objects: 0 }.document().is_some()
}

/// What has not been read, and what is open before it.
struct Scan<'a> {
    rest: &'a [u8],
    depth: u32,
    /// A bit for each that is open, the innermost last: set for an object, clear for an array.
    objects: u128,
}

/// Each step takes what it is called after; `None` ends the scan.
impl Scan<'_> {
    fn document(&mut self) -> Option<()> {
        loop {
            if !self.value()? {
                continue;
            }
            loop {
                let next = self.token();
                if self.depth == 0 {
                    return next.is_none().then_some(());
                }
                let in_object = self.objects & 1 == 1;
                match next? {
                    b',' => break,
                    b'}' if in_object => self.close(),
                    b']' if !in_object => self.close(),
                    _ => return None,
                }
            }
            self.step();
            if self.objects & 1 == 1 {
                self.key()?;
            }
        }
    }

    /// A value, or the beginning of one that holds others; whether it is a whole one.
    fn value(&mut self) -> Option<bool> {
        match self.token()? {
            b'"' => self.text()?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            b'[' => {
                self.open(0)?;
                if self.token()? != b']' {
                    return Some(false);
                }
                self.close();
            }
            b'{' => {
                self.open(1)?;
                if self.token()? != b'}' {
                    self.key()?;
                    return Some(false);
                }
                self.close();
            }
            _ => return None,
        }
        Some(true)
    }

    fn open(&mut self, kind: u128) -> Option<()> {
        self.step();
        self.depth += 1;
        self.objects = self.objects << 1 | kind;
        (self.depth <= DEPTH).then_some(())
    }

    fn close(&mut self) {
        self.step();
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn key(&mut self) -> Option<()> {
        if self.token()? != b'"' {
            return None;
        }
        self.text()?;
        if self.token()? != b':' {
            return None;
        }
        self.step();
        Some(())
    }

    fn text(&mut self) -> Option<()> {
        self.step();
        loop {
            let plain = |block: &&[u8]| block.iter().fold(true, |all, byte| all & is_plain(*byte));
            let blocks = self.rest.chunks_exact(BLOCK).take_while(plain).count();
            self.rest = &self.rest[blocks * BLOCK..];
            let end = self.rest.iter().position(|byte| !is_plain(*byte))?;
            let found = self.rest[end];
            self.rest = &self.rest[end + 1..];
            match found {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let (kind, rest) = self.rest.split_first()?;
        self.rest = rest;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let (digits, rest) = self.rest.split_at_checked(4)?;
                self.rest = rest;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<()> {
        self.take(|byte| byte == b'-');
        match self.rest.first()? {
            b'0' => self.step(),
            _ => self.digits()?,
        }
        if self.take(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.take(|byte| matches!(byte, b'e' | b'E')) {
            self.take(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[count..];
        (count > 0).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let is_there = self.rest.first().is_some_and(|byte| wanted(*byte));
        if is_there {
            self.step();
        }
        is_there
    }

    /// The next byte that is no white space; it stays.
    fn token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.rest.first() {
            self.step();
        }
        self.rest.first().copied()
    }

    fn step(&mut self) {
        self.rest = &self.rest[1..];
    }
}

/// Whether a byte means nothing but itself in a text.
fn is_plain(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_json(bytes: &[u8]) -> bool {
        serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
    }

    #[test]
    fn it_is_sure_of_json_and_of_nothing_else() {
        let sixteen = "\"0123456789abcdef0123456789abcd\"";
        for json in [
            "1",
            "-0.5e+7",
            "0",
            "\"\"",
            "true",
            " [ ] ",
            "{}",
            "[1,[2,{\"a\":null}],\"\\u00fF\\n\"]",
            "{\"a\" : 1 ,\"b\":[]}\n",
            "\"\u{fc}\"",
            sixteen,
        ] {
            assert!(is_json(json.as_bytes()) && is_surely_json(json.as_bytes()), "{json}");
        }
        for other in [
            "",
            " ",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "tru",
            "truex",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u00g0\"",
            "\"\n\"",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1",
            "[1}",
            "{\"a\":1]",
            "{\"a\"}",
            "{1:2}",
            "{\"a\":1,}",
            "{,}",
            "1 2",
            "]",
            "}",
            "nul",
            "NaN",
            "'a'",
        ] {
            assert!(!is_json(other.as_bytes()) && !is_surely_json(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_is_nested_deeper_than_it_counts_it_is_not_sure_of() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_surely_json(nested(128).as_bytes()));
        assert!(!is_surely_json(nested(129).as_bytes()) && is_json(nested(129).as_bytes()));
        let objects = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
        assert!(is_surely_json(objects.as_bytes()));
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(|number| serde_json::json!(number)),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..5)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_says_what_serde_json_says_of_json_with_a_byte_changed(
            json in any_json(),
            pretty in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), "[ -~\n]"), 0..3),
        ) {
            let text = if pretty { format!("{json:#}") } else { json.to_string() };
            let mut bytes = text.into_bytes();
            prop_assert!(is_surely_json(&bytes));
            for (place, with) in changes {
                let at = place.index(bytes.len());
                bytes[at] = with.as_bytes()[0];
            }
            prop_assert_eq!(is_surely_json(&bytes), is_json(&bytes));
        }

        #[test]
        fn it_says_what_serde_json_says_of_signs_in_any_order(
            text in "([\\[\\]{}:,\"\\\\eu0-9.+ -]|true|null|\"a\"|\"[ -~]{14,40}\"){0,24}",
        ) {
            prop_assert_eq!(is_surely_json(text.as_bytes()), is_json(text.as_bytes()));
        }
    }
}
