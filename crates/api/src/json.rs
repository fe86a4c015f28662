//! JSON bodies of the protocols that have them: always an object.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

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

/// A member that is an object. Derived shapes would take a list for their members in their order.
pub(crate) fn member<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|object| object.0))
}

/// A member that is a list of objects.
pub(crate) fn members<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let objects = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(objects.map(|objects| objects.into_iter().map(|object| object.0).collect()))
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OnlyObjects(PhantomData))
    }
}

struct OnlyObjects<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyObjects<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
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

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Outer {
        #[serde(deserialize_with = "member")]
        one: Option<Shape>,
        #[serde(deserialize_with = "members")]
        many: Option<Vec<Shape>>,
    }

    #[test]
    fn members_are_objects_too() {
        let one = || Some(Shape { name: Some("a".into()) });
        let outer = |body: &str| object::<Outer>(body.as_bytes());
        assert_eq!(outer("{}"), Ok(Outer::default()));
        assert_eq!(outer("{\"one\":null,\"many\":null}"), Ok(Outer::default()));
        let expected = Outer { one: one(), many: Some(vec![one().unwrap_or_default()]) };
        assert_eq!(outer("{\"one\":{\"name\":\"a\"},\"many\":[{\"name\":\"a\"}]}"), Ok(expected));
        for body in ["{\"one\":[\"a\"]}", "{\"one\":1}", "{\"many\":[[\"a\"]]}", "{\"many\":{}}"] {
            assert!(outer(body).is_err(), "{body}");
        }
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
