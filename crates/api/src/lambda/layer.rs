//! Layers: what the operations ask, what they answer, and the paths that name a layer or a version.

pub mod answer;
pub mod list;
pub mod permission;
pub mod publish;

use dormouse_model::layer::{LayerKey, LayerVersionKey};
use dormouse_model::limits;
use dormouse_model::names::Scope;
use http::Uri;

use super::pattern::of_lambda;
use super::settings::layers::VERSION_ARN;
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::validate::{Text, Violations, is_word};

/// A layer: its name or its ARN.
const NAME: Text = Text {
    min: 1,
    max: 2_048,
    pattern: r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]{1,140}|[a-zA-Z0-9-_]{1,140})",
    fits: |text| {
        let name = of_lambda(text, "layer").unwrap_or(text);
        is_word(name) && name.len() <= limits::LAYER_NAME_CHARS
    },
};

/// The layer that the path label `LayerName` means: a bare name of the caller's, or an ARN.
///
/// # Errors
/// Every violation in one text; a layer that cannot be in this region.
pub fn layer(scope: &Scope, name: &str) -> Result<LayerKey, ApiError> {
    let mut violations = Violations::default();
    check_name(&mut violations, name);
    violations.finish()?;
    resolve(scope, name)
}

/// The version that the path labels `LayerName` and `VersionNumber` mean.
///
/// # Errors
/// Every violation in one text; a number below 1; a layer that cannot be in this region.
pub fn version(scope: &Scope, name: &str, number: &str) -> Result<LayerVersionKey, ApiError> {
    let mut violations = Violations::default();
    check_name(&mut violations, name);
    let number = check_number(&mut violations, number);
    violations.finish()?;
    let number = positive(number)?;
    Ok(LayerVersionKey { layer: resolve(scope, name)?, number })
}

/// The version that the query of `GetLayerVersionByArn` names.
///
/// # Errors
/// When it is missing, no ARN of a layer version, or of another region.
pub fn version_by_arn(scope: &Scope, uri: &Uri) -> Result<LayerVersionKey, ApiError> {
    let mut violations = Violations::default();
    let arn = QueryString::of(uri).get("Arn");
    match &arn {
        None => violations.null("arn"),
        Some(arn) => violations.text(arn, "arn", &VERSION_ARN),
    }
    violations.finish()?;
    let key = arn.and_then(|arn| arn.parse::<LayerVersionKey>().ok()).ok_or_else(not_found)?;
    positive(i64::try_from(key.number).unwrap_or(i64::MAX))?;
    if key.layer.scope.region != scope.region {
        return Err(not_found());
    }
    Ok(key)
}

/// 404 for a version that is not there.
#[must_use]
pub fn not_found() -> ApiError {
    ApiError::new(Exception::ResourceNotFound, "The resource you requested does not exist.")
}

/// 400 for a function that names a version that is not there.
#[must_use]
pub fn does_not_exist(arn: &str) -> ApiError {
    ApiError::invalid_parameter(format!("Layer version {arn} does not exist."))
}

/// 403 for a version that its policy does not open to the caller.
#[must_use]
pub fn not_open(scope: &Scope, key: &LayerVersionKey) -> ApiError {
    let text = format!(
        "User: arn:aws:iam::{}:root is not authorized to perform: lambda:GetLayerVersion on \
         resource: {} because no resource-based policy allows the lambda:GetLayerVersion action",
        scope.account,
        key.arn()
    );
    ApiError::new(Exception::AccessDenied, text)
}

/// 403 for a layer of another account, which only that account may change.
///
/// # Errors
/// When the layer is of another account than the caller.
pub fn owned(scope: &Scope, layer: &LayerKey, action: &str) -> Result<(), ApiError> {
    if layer.scope.account == scope.account {
        return Ok(());
    }
    let text = format!(
        "User: arn:aws:iam::{}:root is not authorized to perform: lambda:{action} on resource: {}",
        scope.account,
        layer.arn()
    );
    Err(ApiError::new(Exception::AccessDenied, text))
}

fn check_name(violations: &mut Violations, name: &str) {
    violations.text(name, "layerName", &NAME);
}

fn check_number(violations: &mut Violations, number: &str) -> i64 {
    number.parse().unwrap_or_else(|_| {
        violations.add(number, "versionNumber", "Member must be a long");
        0
    })
}

fn positive(number: i64) -> Result<u64, ApiError> {
    let positive = u64::try_from(number).ok().filter(|number| *number > 0);
    positive.ok_or_else(|| ApiError::invalid_parameter("Layer Version Cannot be less than 1"))
}

fn resolve(scope: &Scope, name: &str) -> Result<LayerKey, ApiError> {
    if let Ok(name) = name.parse() {
        return Ok(LayerKey { scope: scope.clone(), name });
    }
    let key: LayerKey = name.parse().map_err(|_| not_found())?;
    if key.scope.region != scope.region {
        return Err(not_found());
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::validate::tests::fits_what_it_makes;

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn check(name: &str, number: &str, expected: &str) {
        let got = version(&scope(), name, number);
        let got = got.map_or_else(|error| error.to_string(), |key| key.arn());
        assert_eq!(got.replace("arn:aws:lambda:us-east-1:", ""), expected, "{name} {number}");
    }

    #[test]
    fn a_layer_is_named_by_its_name_or_its_arn() {
        check("tools", "3", "123456789012:layer:tools:3");
        let arn = "arn:aws:lambda:us-east-1:111111111111:layer:tools";
        check(arn, "3", "111111111111:layer:tools:3");
        let abroad = "arn:aws:lambda:eu-west-1:111111111111:layer:tools";
        let missing = "ResourceNotFoundException: The resource you requested does not exist.";
        check(abroad, "3", missing);
        for number in ["0", "-1"] {
            let text = "InvalidParameterValueException: Layer Version Cannot be less than 1";
            check("tools", number, text);
        }
    }

    #[test]
    fn what_is_no_layer_is_told_with_the_pattern() {
        check(
            "a b",
            "x",
            r"ValidationException: 2 validation errors detected: Value 'a b' at 'layerName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]{1,140}|[a-zA-Z0-9-_]{1,140}); Value 'x' at 'versionNumber' failed to satisfy constraint: Member must be a long",
        );
        let by_arn = |query: &str| {
            let uri: Uri = format!("/2018-10-31/layers?find=LayerVersion{query}").parse().unwrap();
            version_by_arn(&scope(), &uri).map_or_else(|error| error.to_string(), |key| key.arn())
        };
        let arn = "arn:aws:lambda:us-east-1:111111111111:layer:tools:3";
        assert_eq!(by_arn(&format!("&Arn={arn}")), arn);
        assert!(by_arn("").ends_with(
            "Value null at 'arn' failed to satisfy constraint: Member must not be null"
        ));
        assert!(by_arn("&Arn=tools").contains("Value 'tools' at 'arn' failed to satisfy constraint: Member must satisfy regular expression pattern: ((arn:"));
        let zero = "arn:aws:lambda:us-east-1:111111111111:layer:tools:0";
        assert!(by_arn(&format!("&Arn={zero}")).ends_with("Layer Version Cannot be less than 1"));
    }

    #[test]
    fn whatever_a_pattern_makes_is_let_through() {
        for rule in [&NAME, &VERSION_ARN] {
            fits_what_it_makes(rule.pattern, rule.fits);
        }
    }

    proptest! {
        #[test]
        fn no_path_panics_the_reader(name in ".{0,160}", number in ".{0,30}") {
            let _ = version(&scope(), &name, &number);
        }
    }
}
