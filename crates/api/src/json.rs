//! JSON bodies of the protocols that have them: always an object.

use serde::de::DeserializeOwned;

/// Reads an object; an empty body stands for one without members, as at AWS. The error is why it
/// is none, in words.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body = if body.is_empty() { b"{}" } else { body };
    // A list would be taken for the members in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("expected an object at line 1 column 1".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Shape {
        name: Option<String>,
    }

    #[test]
    fn only_objects_are_objects() {
        assert_eq!(object::<Shape>(b""), Ok(Shape::default()));
        assert_eq!(object::<Shape>(b" {\"name\":\"a\"}"), Ok(Shape { name: Some("a".into()) }));
        for body in [&b"[]"[..], b"[\"a\"]", b"1", b"null", b"{", b"\xff"] {
            assert!(object::<Shape>(body).is_err(), "{body:?}");
        }
    }
}
