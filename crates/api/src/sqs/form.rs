//! A form of the query protocol as the JSON it stands for: `Attribute.1.Name=…` is a member of a map.

use serde_json::{Map, Value};

use crate::form::{Branch, Form, Node, numbered};

/// How members that come by number are gathered.
#[derive(Clone, Copy)]
enum Gather {
    List,
    Map { key: &'static str },
}

/// The prefix in a form, the member in JSON.
const GATHERED: [(&str, &str, Gather); 13] = [
    ("Attribute", "Attributes", Gather::Map { key: "Name" }),
    ("Tag", "Tags", Gather::Map { key: "Key" }),
    ("MessageAttribute", "MessageAttributes", Gather::Map { key: "Name" }),
    ("MessageSystemAttribute", "MessageSystemAttributes", Gather::Map { key: "Name" }),
    ("AttributeName", "AttributeNames", Gather::List),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames", Gather::List),
    ("MessageAttributeName", "MessageAttributeNames", Gather::List),
    ("TagKey", "TagKeys", Gather::List),
    ("AWSAccountId", "AWSAccountIds", Gather::List),
    ("ActionName", "Actions", Gather::List),
    ("SendMessageBatchRequestEntry", "Entries", Gather::List),
    ("DeleteMessageBatchRequestEntry", "Entries", Gather::List),
    ("ChangeMessageVisibilityBatchRequestEntry", "Entries", Gather::List),
];

/// The JSON a form stands for.
pub(super) fn value(form: &Form) -> Value {
    object(form.tree())
}

fn object(branch: Branch) -> Value {
    let members = branch.into_iter().map(|(name, node)| match node {
        Node::Text(text) => (name, Value::from(text)),
        Node::Branch(inner) => match GATHERED.iter().find(|(prefix, ..)| *prefix == name) {
            Some((_, member, gather)) => ((*member).to_owned(), gathered(inner, *gather)),
            None => (name, object(inner)),
        },
    });
    Value::Object(members.collect())
}

fn gathered(branch: Branch, gather: Gather) -> Value {
    let mut values = numbered(branch).map(|node| match node {
        Node::Text(text) => Value::from(text),
        Node::Branch(inner) => object(inner),
    });
    match gather {
        Gather::List => Value::Array(values.collect()),
        Gather::Map { key } => {
            let mut map = Map::new();
            while let Some(Value::Object(mut pair)) = values.next() {
                if let (Some(Value::String(name)), Some(value)) =
                    (pair.remove(key), pair.remove("Value"))
                {
                    map.insert(name, value);
                }
            }
            Value::Object(map)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(form: &str, expected: &str) {
        let form = Form::parse(form.as_bytes()).unwrap();
        assert_eq!(value(&form).to_string(), expected);
    }

    #[test]
    fn numbered_members_are_lists_and_maps() {
        check(
            "QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5&Tag.1.Key=a&Tag.1.Value=b",
            r#"{"Attributes":{"DelaySeconds":"5"},"QueueName":"q","Tags":{"a":"b"}}"#,
        );
        check(
            "AttributeName.2=b&AttributeName.10=c&AttributeName.1=a",
            r#"{"AttributeNames":["a","b","c"]}"#,
        );
        let entry = "SendMessageBatchRequestEntry.1";
        check(
            &format!(
                "{entry}.Id=x&{entry}.MessageAttribute.1.Name=n&{entry}.MessageAttribute.1.Value.StringValue=v"
            ),
            r#"{"Entries":[{"Id":"x","MessageAttributes":{"n":{"StringValue":"v"}}}]}"#,
        );
    }

    proptest! {
        #[test]
        fn no_form_panics(form in "[A-Za-z0-9.&=]{0,200}") {
            let _ = value(&Form::parse(form.as_bytes()).unwrap());
        }
    }
}
