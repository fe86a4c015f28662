//! The error cause for X-Ray: checked, and cropped to what an X-Ray document may hold. Pure.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::limits::XRAY_CAUSE_BYTES;

/// How much of the lists is kept, in tenths, until it fits (RIE). At none the texts are cut too.
const TENTHS_KEPT: [usize; 6] = [10, 8, 6, 4, 2, 0];
/// Bytes each of the two texts keeps in the worst case: half, less what field names take (RIE).
const TEXT_BYTES: usize = (XRAY_CAUSE_BYTES - 4_096) / 2;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Cause {
    exceptions: Option<Vec<Exception>>,
    working_directory: String,
    paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Exception {
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stack: Vec<Frame>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Frame {
    #[serde(skip_serializing_if = "String::is_empty")]
    path: String,
    #[serde(skip_serializing_if = "is_zero")]
    line: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    label: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(line: &i64) -> bool {
    *line == 0
}

/// The cause as JSON that X-Ray takes; `None` if it is none or says nothing.
pub(crate) fn crop(json: &[u8]) -> Option<Bytes> {
    let mut cause: Cause = serde_json::from_slice(json).ok()?;
    if cause.says_nothing() {
        return None;
    }
    let (exceptions, paths) = (cause.exceptions_len(), cause.paths_len());
    for tenths in TENTHS_KEPT {
        cause.keep(exceptions * tenths / 10, paths * tenths / 10);
        if tenths == 0 {
            cut(&mut cause.message);
            cut(&mut cause.working_directory);
        }
        let cropped = serde_json::to_vec(&cause).ok()?;
        if cropped.len() <= XRAY_CAUSE_BYTES {
            return Some(cropped.into());
        }
    }
    // Only texts full of characters that JSON escapes are still too long.
    None
}

impl Cause {
    fn exceptions_len(&self) -> usize {
        self.exceptions.as_ref().map_or(0, Vec::len)
    }

    fn paths_len(&self) -> usize {
        self.paths.as_ref().map_or(0, Vec::len)
    }

    fn says_nothing(&self) -> bool {
        self.exceptions_len() == 0
            && self.paths_len() == 0
            && self.working_directory.is_empty()
            && self.message.is_empty()
    }

    fn keep(&mut self, exceptions: usize, paths: usize) {
        if let Some(list) = &mut self.exceptions {
            list.truncate(exceptions);
        }
        if let Some(list) = &mut self.paths {
            list.truncate(paths);
        }
    }
}

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_BYTES - 3));
        text.push_str("...");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(json: &str, expected: &str) {
        let got = crop(json.as_bytes())
            .map_or("none".to_owned(), |bytes| String::from_utf8(bytes.to_vec()).unwrap());
        assert_eq!(got, expected, "{json}");
    }

    #[test]
    fn a_cause_is_kept_in_its_known_fields() {
        check(
            r#"{"working_directory":"/var/task","exceptions":[{"type":"T","message":"m",
                "stack":[{"path":"f.py","line":3,"label":"h"}],"x":1}],"paths":["f.py"],"y":2}"#,
            r#"{"exceptions":[{"message":"m","type":"T","stack":[{"path":"f.py","line":3,"label":"h"}]}],"working_directory":"/var/task","paths":["f.py"]}"#,
        );
        check(
            r#"{"message":"m"}"#,
            r#"{"exceptions":null,"working_directory":"","paths":null,"message":"m"}"#,
        );
    }

    #[test]
    fn what_is_no_cause_or_says_nothing_is_dropped() {
        for json in [
            "",
            "{}",
            "{foo: 1}",
            r#"{"arbitrary":"field"}"#,
            r#"{"paths":"","exceptions":[]}"#,
            r#"{"paths":[],"working_directory":"","exceptions":[]}"#,
            r#"{"message":1}"#,
        ] {
            check(json, "none");
        }
        check(&format!(r#"{{"message":"{}"}}"#, "\\u0001".repeat(60_000)), "none");
    }

    #[test]
    fn a_long_cause_loses_its_tail_of_paths_first() {
        let paths = vec!["x".repeat(97); 1_000];
        let json = serde_json::json!({ "paths": paths, "message": "m" }).to_string();
        let cropped: Cause = serde_json::from_slice(&crop(json.as_bytes()).unwrap()).unwrap();
        assert_eq!(cropped.paths_len(), 600);
        assert_eq!(cropped.message, "m");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let json = serde_json::json!({
            "message": "é".repeat(60_000), "working_directory": "x".repeat(60_000),
        });
        let cropped = crop(json.to_string().as_bytes()).unwrap();
        assert!(cropped.len() <= XRAY_CAUSE_BYTES);
        let cause: Cause = serde_json::from_slice(&cropped).unwrap();
        assert!(cause.message.ends_with("é..."));
        assert_eq!(cause.working_directory.len(), TEXT_BYTES);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_cause_is_longer_than_x_ray_takes(
            paths in proptest::collection::vec("[\\x00-\\x7fé]{0,4000}", 0..60),
            message in "[\\x00-\\x7fé]{0,20000}",
        ) {
            let json = serde_json::json!({ "paths": paths, "message": message }).to_string();
            if let Some(cropped) = crop(json.as_bytes()) {
                prop_assert!(cropped.len() <= XRAY_CAUSE_BYTES);
                prop_assert!(serde_json::from_slice::<Cause>(&cropped).is_ok());
            }
        }
    }
}
