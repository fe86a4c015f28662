//! CBOR bodies: read into the JSON they stand for, written from an answer's [`Node`].
//!
//! Bytes of clients are hostile: nesting is bounded, nothing is reserved on a length's word, and what
//! JSON cannot say is refused.

use std::convert::Infallible;

use minicbor::data::{Tag, Type};
use minicbor::decode::Error;
use minicbor::{Decoder, Encoder, encode};
use serde_json::{Map, Number, Value};

use super::answer::Node;
use crate::error::{ApiError, Exception};

/// How deep a body may be nested (ours; none needs more than eight levels). Past it it is refused.
const DEPTH: usize = 16;
/// The tag of a time in seconds since 1970 (RFC 8949 §3.4.2).
const TIME: u64 = 1;

/// The JSON of a body; an empty one stands for an empty structure.
pub(super) fn value(body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let mut decoder = Decoder::new(body);
    let read = item(&mut decoder, DEPTH);
    let value = read.map_err(|error| ApiError::new(Exception::Serialization, error.to_string()))?;
    if decoder.position() != body.len() || !value.is_object() {
        return Err(ApiError::new(Exception::Serialization, "The body is not one structure."));
    }
    Ok(value)
}

fn item(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, Error> {
    let deeper = || depth.checked_sub(1).ok_or(Error::message("The body is nested too deeply."));
    Ok(match decoder.datatype()? {
        Type::Bool => Value::Bool(decoder.bool()?),
        Type::Null => {
            decoder.null()?;
            Value::Null
        }
        Type::Undefined => {
            decoder.undefined()?;
            Value::Null
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => Value::from(decoder.u64()?),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => Value::from(decoder.i64()?),
        Type::F16 => number(half(decoder)?)?,
        Type::F32 => number(f64::from(decoder.f32()?))?,
        Type::F64 => number(decoder.f64()?)?,
        Type::String | Type::StringIndef => Value::String(text(decoder)?),
        Type::Array | Type::ArrayIndef => list(decoder, deeper()?)?,
        Type::Map | Type::MapIndef => structure(decoder, deeper()?)?,
        Type::Tag => {
            decoder.tag()?;
            item(decoder, deeper()?)?
        }
        Type::Bytes | Type::BytesIndef | Type::Simple | Type::Break | Type::Unknown(_) => {
            return Err(Error::message("The body holds what no parameter can be."));
        }
    })
}

fn number(number: f64) -> Result<Value, Error> {
    let refused = Error::message("Not a number and infinity are not supported.");
    Number::from_f64(number).map(Value::Number).ok_or(refused)
}

/// Half a float: a sign, five bits of exponent, ten of fraction.
fn half(decoder: &mut Decoder<'_>) -> Result<f64, Error> {
    let at = decoder.position() + 1;
    let Some(&[high, low]) = decoder.input().get(at..at + 2) else {
        return Err(Error::end_of_input());
    };
    decoder.set_position(at + 2);
    let bits = u16::from_be_bytes([high, low]);
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1_024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    Ok(if bits >> 15 == 1 { -magnitude } else { magnitude })
}

fn text(decoder: &mut Decoder<'_>) -> Result<String, Error> {
    decoder.str_iter()?.collect()
}

fn list(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, Error> {
    let length = decoder.array()?;
    let mut items = Vec::new();
    while more(decoder, length, items.len())? {
        items.push(item(decoder, depth)?);
    }
    Ok(Value::Array(items))
}

fn structure(decoder: &mut Decoder<'_>, depth: usize) -> Result<Value, Error> {
    let length = decoder.map()?;
    let (mut members, mut count) = (Map::new(), 0);
    while more(decoder, length, count)? {
        let name = text(decoder)?;
        members.insert(name, item(decoder, depth)?);
        count += 1;
    }
    Ok(Value::Object(members))
}

/// Whether another item follows: the length says so, or there is no mark of the end.
fn more(decoder: &mut Decoder<'_>, length: Option<u64>, count: usize) -> Result<bool, Error> {
    match length {
        Some(length) => Ok(u64::try_from(count).unwrap_or(u64::MAX) < length),
        None if decoder.datatype()? == Type::Break => {
            decoder.set_position(decoder.position() + 1);
            Ok(false)
        }
        None => Ok(true),
    }
}

/// An answer's bytes.
pub(super) fn bytes(node: &Node) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder, node).expect("a vector takes all that is written");
    encoder.into_writer()
}

fn write(encoder: &mut Encoder<Vec<u8>>, node: &Node) -> Result<(), encode::Error<Infallible>> {
    match node {
        Node::Text(text) => encoder.str(text)?.ok(),
        Node::Number(number) => encoder.f64(*number)?.ok(),
        Node::Time(seconds) => encoder.tag(Tag::new(TIME))?.u64(*seconds)?.ok(),
        Node::List(items) => {
            encoder.array(items.len() as u64)?;
            items.iter().try_for_each(|item| write(encoder, item))
        }
        Node::Structure(members) => {
            encoder.map(members.len() as u64)?;
            members.iter().try_for_each(|(name, member)| {
                encoder.str(name)?;
                write(encoder, member)
            })
        }
        Node::Map(entries) => {
            encoder.map(entries.len() as u64)?;
            entries.iter().try_for_each(|(name, value)| encoder.str(name)?.f64(*value)?.ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &[u8], expected: &str) {
        let shown = match value(body) {
            Ok(value) => value.to_string(),
            Err(error) => format!("{:?}", error.exception),
        };
        assert_eq!(shown, expected, "{body:02x?}");
    }

    #[test]
    fn every_way_to_say_a_value_is_understood() {
        check(b"", "{}");
        check(b"\xa1\x61a\x01", r#"{"a":1}"#);
        check(b"\xa1\x61a\x20", r#"{"a":-1}"#);
        check(b"\xa1\x61a\x19\x01\x00", r#"{"a":256}"#);
        check(b"\xa1\x61a\xf9\x3e\x00", r#"{"a":1.5}"#);
        check(b"\xa1\x61a\xf9\x80\x01", r#"{"a":-5.960464477539063e-8}"#);
        check(b"\xa1\x61a\xfa\x3f\xc0\x00\x00", r#"{"a":1.5}"#);
        check(b"\xa1\x61a\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00", r#"{"a":1.5}"#);
        check(b"\xa1\x61a\xc1\x1a\x65\x00\x00\x00", r#"{"a":1694498816}"#);
        check(b"\xa2\x61a\xf5\x61b\xf6", r#"{"a":true,"b":null}"#);
        // Without lengths: marks of the end instead.
        check(b"\xbf\x61a\x9f\x01\x02\xff\xff", r#"{"a":[1,2]}"#);
        check(b"\xa1\x7f\x61a\x61b\xff\x82\x01\x61c", r#"{"ab":[1,"c"]}"#);
    }

    #[test]
    fn what_is_no_body_is_refused() {
        for body in [
            &b"\x01"[..],
            b"\x80",
            b"\xa1",
            b"\xa1\x61a",
            b"\xa0\xa0",
            b"\xa1\x01\x01",
            b"\xa1\x61a\x41x",
            b"\xa1\x61a\xf9\x7c\x00",
            b"\xa1\x61a\xf9\x7e\x00",
            b"\xa1\x61a\xf9\x00",
            b"\xa1\x61\xff\x01",
            b"\xa1\x61a\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
            &[b"\xa1\x61a".as_slice(), &[0x81; 10_000]].concat(),
            &[b"\xa1\x61a".as_slice(), &[0xc1; 10_000]].concat(),
        ] {
            check(body, "Serialization");
        }
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let node = Node::Structure(vec![
            ("Label", Node::Text("Errors".into())),
            ("Times", Node::List(vec![Node::Time(60), Node::Time(1 << 33)])),
            ("Value", Node::Number(0.1)),
            ("Percentiles", Node::Map([("p99".to_owned(), 2.5)].into())),
        ]);
        let expected =
            r#"{"Label":"Errors","Percentiles":{"p99":2.5},"Times":[60,8589934592],"Value":0.1}"#;
        check(&bytes(&node), expected);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = value(&body);
            let _ = value(&[b"\xa1\x61a".as_slice(), &body].concat());
        }
    }
}
