//! A form of the query protocol as the JSON it stands for: `Dimensions.member.1.Name=…` is a member of
//! the first item of a list.

use serde_json::Value;

use crate::form::{Branch, Form, Node, numbered};

/// The JSON a form stands for.
pub(super) fn value(form: &Form) -> Value {
    structure(form.tree())
}

fn structure(branch: Branch) -> Value {
    Value::Object(branch.into_iter().map(|(name, part)| (name, json(part))).collect())
}

fn json(part: Node) -> Value {
    match part {
        Node::Text(text) => Value::from(text),
        Node::Branch(mut inner) => match (inner.len(), inner.remove("member")) {
            (1, Some(Node::Branch(items))) => list(items),
            // An empty list is a name without a number.
            (1, Some(Node::Text(_))) => Value::Array(vec![]),
            _ => structure(inner),
        },
    }
}

fn list(items: Branch) -> Value {
    Value::Array(numbered(items).map(json).collect())
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
    fn numbered_members_are_lists() {
        check(
            "MetricName=m&Dimensions.member.1.Name=a&Dimensions.member.1.Value=b",
            r#"{"Dimensions":[{"Name":"a","Value":"b"}],"MetricName":"m"}"#,
        );
        check(
            "Statistics.member.2=b&Statistics.member.10=c&Statistics.member.1=a",
            r#"{"Statistics":["a","b","c"]}"#,
        );
        let query = "MetricDataQueries.member.1.MetricStat.Metric";
        check(
            &format!("{query}.MetricName=m&{query}.Dimensions.member.1.Name=a"),
            r#"{"MetricDataQueries":[{"MetricStat":{"Metric":{"Dimensions":[{"Name":"a"}],"MetricName":"m"}}}]}"#,
        );
        check("Dimensions=&Statistics.member=", r#"{"Dimensions":"","Statistics":[]}"#);
    }

    proptest! {
        #[test]
        fn no_form_panics(form in "[a-z0-9.&=member]{0,200}") {
            let _ = value(&Form::parse(form.as_bytes()).unwrap());
        }
    }
}
