//! `Layers`: names of layer versions. Whether they exist is not known here.

use dormouse_model::layer::LayerVersionKey;
use dormouse_model::limits;
use dormouse_model::names::Scope;

use crate::error::ApiError;
use crate::lambda::layer::does_not_exist;
use crate::lambda::pattern::of_lambda;
use crate::validate::{Text, Violations, is_word};

/// The ARN of a layer version.
pub(crate) const VERSION_ARN: Text = Text {
    min: 1,
    max: 2_048,
    pattern: r"((arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+))",
    fits: |name| parse(name).is_some() || is_awslayer(name),
};

pub(super) fn check(violations: &mut Violations, names: &[String]) {
    violations.members(names, "layers", &VERSION_ARN);
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

/// The layer without its version, and its region.
fn parse(name: &str) -> Option<(&str, &str)> {
    let (layer, version) = of_lambda(name, "layer")?.split_once(':')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let fits = is_word(layer) && digits(version);
    let region = name.split(':').nth(3)?;
    fits.then(|| (&name[..name.len() - version.len() - 1], region))
}

/// Layers of AWS itself have names without region, account and version; we have none of them.
fn is_awslayer(name: &str) -> bool {
    let Some((partition, layer)) =
        name.strip_prefix("arn:").and_then(|rest| rest.split_once(":lambda:::awslayer:"))
    else {
        return false;
    };
    is_word(layer)
        && !partition.is_empty()
        && partition.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
