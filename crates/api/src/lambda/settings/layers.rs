//! `Layers`: names of layer versions. Whether they exist is not known here.

use dormouse_model::layer::LayerVersionKey;
use dormouse_model::limits;
use dormouse_model::names::Scope;

use super::member_rule;
use crate::error::ApiError;
use crate::lambda::layer::does_not_exist;
use crate::validate::{Violations, is_word};

pub(crate) const PATTERN: &str = r"(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)";

pub(super) fn check(violations: &mut Violations, names: &[String]) {
    if names.iter().any(|name| name.len() > 140 || parse(name).is_none()) {
        let shown = format!("[{}]", names.join(", "));
        violations.add(shown, "layers", member_rule(1, 140, PATTERN));
    }
}

pub(super) fn resolve(scope: &Scope, names: &[String]) -> Result<Vec<LayerVersionKey>, ApiError> {
    if names.len() > limits::LAYERS {
        let text = format!("Cannot reference more than {} layers.", limits::LAYERS);
        return Err(ApiError::invalid_parameter(text));
    }
    for (i, name) in names.iter().enumerate() {
        let Some((layer, region)) = parse(name) else {
            continue;
        };
        if region != scope.region.as_str() {
            return Err(ApiError::invalid_parameter(format!(
                "Layers are not in the same region as the function. \
                 Layers are expected to be in region {}.",
                scope.region
            )));
        }
        let twin = names[..i].iter().find(|other| parse(other).is_some_and(|o| o.0 == layer));
        if let Some(twin) = twin {
            return Err(ApiError::invalid_parameter(format!(
                "Two different versions of the same layer are not allowed to be referenced in the \
                 same function. {twin} and {name} are versions of the same layer."
            )));
        }
    }
    // What the pattern lets through and we cannot read, such as another partition, names nothing.
    names.iter().map(|name| name.parse().map_err(|_| does_not_exist(name))).collect()
}

/// Whether a text is the ARN of a layer version by the pattern.
pub(crate) fn is_version_arn(text: &str) -> bool {
    parse(text).is_some()
}

/// The layer without its version, and its region.
fn parse(name: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = name.split(':').collect();
    let ["arn", partition, "lambda", region, account, "layer", layer, version] = parts.as_slice()
    else {
        return None;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let fits = [partition, region, layer].into_iter().all(|text| is_word(text))
        && account.len() == 12
        && digits(account)
        && digits(version);
    fits.then(|| (&name[..name.len() - version.len() - 1], *region))
}
