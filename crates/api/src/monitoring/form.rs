//! A form of the query protocol as the JSON it stands for: `Dimensions.member.1.Name=…` is a member of
//! the first item of a list.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::form::Form;

/// Dots in the name of a member (ours; none has more than nine). Deeper ones are left out.
const DEPTH: usize = 12;

/// A form's members by the parts of their names.
#[derive(Debug)]
enum Part {
    Text(String),
    Branch(BTreeMap<String, Part>),
}

/// The JSON a form stands for.
pub(super) fn value(form: &Form) -> Value {
    let mut root = BTreeMap::new();
    for (name, text) in form.members() {
        let parts: Vec<&str> = name.splitn(DEPTH + 1, '.').collect();
        if parts.len() <= DEPTH {
            plant(&mut root, &parts, text);
        }
    }
    structure(root)
}

fn plant(branch: &mut BTreeMap<String, Part>, parts: &[&str], text: &str) {
    match parts {
        [] => {}
        [leaf] => {
            branch.entry((*leaf).to_owned()).or_insert_with(|| Part::Text(text.to_owned()));
        }
        [first, rest @ ..] => {
            let next = branch.entry((*first).to_owned());
            if let Part::Branch(next) = next.or_insert_with(|| Part::Branch(BTreeMap::new())) {
                plant(next, rest, text);
            }
        }
    }
}

fn structure(branch: BTreeMap<String, Part>) -> Value {
    Value::Object(branch.into_iter().map(|(name, part)| (name, json(part))).collect())
}

fn json(part: Part) -> Value {
    match part {
        Part::Text(text) => Value::from(text),
        Part::Branch(mut inner) => match (inner.len(), inner.remove("member")) {
            (1, Some(Part::Branch(items))) => list(items),
            // An empty list is a name without a number.
            (1, Some(Part::Text(_))) => Value::Array(vec![]),
            _ => structure(inner),
        },
    }
}

fn list(items: BTreeMap<String, Part>) -> Value {
    let numbered =
        items.into_iter().filter_map(|(number, part)| Some((number.parse::<u32>().ok()?, part)));
    let in_order: BTreeMap<u32, Part> = numbered.collect();
    Value::Array(in_order.into_values().map(json).collect())
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
