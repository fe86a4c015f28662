//! Requests as they are on the wire: the members of every operation, none of them checked.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::error::{ApiError, Exception};
use crate::json;

/// All members there are. An operation looks at its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Wire {
    pub(super) namespace: Option<String>,
    pub(super) metric_name: Option<String>,
    #[serde(deserialize_with = "members")]
    pub(super) dimensions: Option<Vec<WireDimension>>,
    pub(super) next_token: Option<String>,
    pub(super) recently_active: Option<String>,
    #[serde(deserialize_with = "flag")]
    pub(super) include_linked_accounts: Option<bool>,
    pub(super) owning_account: Option<String>,
    #[serde(deserialize_with = "time")]
    pub(super) start_time: Option<u64>,
    #[serde(deserialize_with = "time")]
    pub(super) end_time: Option<u64>,
    #[serde(deserialize_with = "whole")]
    pub(super) period: Option<i64>,
    #[serde(deserialize_with = "texts")]
    pub(super) statistics: Option<Vec<String>>,
    #[serde(deserialize_with = "texts")]
    pub(super) extended_statistics: Option<Vec<String>>,
    pub(super) unit: Option<String>,
    #[serde(deserialize_with = "members")]
    pub(super) metric_data_queries: Option<Vec<WireQuery>>,
    pub(super) scan_by: Option<String>,
    #[serde(deserialize_with = "whole")]
    pub(super) max_datapoints: Option<i64>,
    #[serde(deserialize_with = "members")]
    pub(super) metric_data: Option<Vec<WireDatum>>,
    #[serde(deserialize_with = "members")]
    pub(super) entity_metric_data: Option<Vec<WireEntityData>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireDimension {
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireQuery {
    pub(super) id: Option<String>,
    #[serde(deserialize_with = "json::member")]
    pub(super) metric_stat: Option<WireStat>,
    pub(super) expression: Option<String>,
    pub(super) label: Option<String>,
    #[serde(deserialize_with = "flag")]
    pub(super) return_data: Option<bool>,
    pub(super) account_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireStat {
    #[serde(deserialize_with = "json::member")]
    pub(super) metric: Option<WireMetric>,
    #[serde(deserialize_with = "whole")]
    pub(super) period: Option<i64>,
    pub(super) stat: Option<String>,
    pub(super) unit: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireMetric {
    pub(super) namespace: Option<String>,
    pub(super) metric_name: Option<String>,
    #[serde(deserialize_with = "members")]
    pub(super) dimensions: Option<Vec<WireDimension>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireEntityData {
    #[serde(deserialize_with = "members")]
    pub(super) metric_data: Option<Vec<WireDatum>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireDatum {
    pub(super) metric_name: Option<String>,
    #[serde(deserialize_with = "members")]
    pub(super) dimensions: Option<Vec<WireDimension>>,
    #[serde(deserialize_with = "time")]
    pub(super) timestamp: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub(super) value: Option<f64>,
    #[serde(deserialize_with = "json::member")]
    pub(super) statistic_values: Option<WireSet>,
    #[serde(deserialize_with = "numbers")]
    pub(super) values: Option<Vec<f64>>,
    #[serde(deserialize_with = "numbers")]
    pub(super) counts: Option<Vec<f64>>,
    pub(super) unit: Option<String>,
    #[serde(deserialize_with = "whole")]
    pub(super) storage_resolution: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireSet {
    #[serde(deserialize_with = "number")]
    pub(super) sample_count: Option<f64>,
    #[serde(deserialize_with = "number")]
    pub(super) sum: Option<f64>,
    #[serde(deserialize_with = "number")]
    pub(super) minimum: Option<f64>,
    #[serde(deserialize_with = "number")]
    pub(super) maximum: Option<f64>,
}

impl Wire {
    pub(super) fn of_json(body: &[u8]) -> Result<Self, ApiError> {
        json::object(body).map_err(|why| ApiError::new(Exception::Serialization, why))
    }

    /// Reads a form or CBOR that was made JSON.
    pub(super) fn of_value(value: Value) -> Result<Self, ApiError> {
        let malformed =
            |why: serde_json::Error| ApiError::new(Exception::Serialization, why.to_string());
        serde_json::from_value(value).map_err(malformed)
    }
}

/// A list of structures; an empty one is an empty text in a form.
fn members<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    match Option::<Value>::deserialize(deserializer)? {
        Some(Value::String(text)) if text.is_empty() => Ok(Some(vec![])),
        Some(value) => json::members(value).map_err(de::Error::custom),
        None => Ok(None),
    }
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    match Option::<Value>::deserialize(deserializer)? {
        Some(Value::String(text)) if text.is_empty() => Ok(Some(vec![])),
        Some(value) => serde_json::from_value(value).map(Some).map_err(de::Error::custom),
        None => Ok(None),
    }
}

/// Forms have texts where the other protocols have numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Number(f64),
    Text(String),
}

impl Either {
    fn number<E: de::Error>(self) -> Result<f64, E> {
        let number = match self {
            Self::Number(number) => number,
            Self::Text(text) => text.parse().map_err(E::custom)?,
        };
        if number.is_finite() { Ok(number) } else { Err(E::custom("not a finite number")) }
    }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Option::<Either>::deserialize(deserializer)?.map(Either::number).transpose()
}

fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<f64>>, D::Error> {
    let Some(items) = Option::<Vec<Either>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    items.into_iter().map(Either::number).collect::<Result<_, _>>().map(Some)
}

fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Whole {
        Number(i64),
        Text(String),
    }
    match Option::<Whole>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Whole::Number(number)) => Ok(Some(number)),
        Some(Whole::Text(text)) => text.parse().map(Some).map_err(de::Error::custom),
    }
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Option::<Value>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(Value::String(text)) => text.parse().map(Some).map_err(de::Error::custom),
        Some(_) => Err(de::Error::custom("expected true or false")),
    }
}

/// A time in milliseconds since 1970: from seconds, or from one of the forms of ISO 8601.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let ms = match Option::<Either>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Either::Number(seconds)) => milliseconds(seconds),
        Some(Either::Text(text)) => instant(&text),
    };
    ms.map(Some).ok_or_else(|| de::Error::custom("not a time after 1970"))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be within the range of whole floats"
)]
fn milliseconds(seconds: f64) -> Option<u64> {
    let ms = (seconds * 1_000.0).round();
    (0.0..9e15).contains(&ms).then_some(ms as u64)
}

fn instant(text: &str) -> Option<u64> {
    let with_zone = text.parse::<Timestamp>().ok();
    // Without a zone it is UTC; a date alone is its first moment.
    let without =
        || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp());
    let found = with_zone.or_else(without)?;
    u64::try_from(found.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_texts() {
        let time = |value: Value| {
            let wire = Wire::of_value(serde_json::json!({ "StartTime": value }));
            wire.map(|wire| wire.start_time.unwrap_or(0))
        };
        assert_eq!(time(1_767_323_045.into()).unwrap(), 1_767_323_045_000);
        assert_eq!(time(1_767_323_045.678.into()).unwrap(), 1_767_323_045_678);
        for text in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T05:04:05+02:00"] {
            assert_eq!(time(text.into()).unwrap(), 1_767_323_045_000, "{text}");
        }
        assert_eq!(time("2026-01-02".into()).unwrap(), 1_767_312_000_000);
        for text in ["", "yesterday", "1960-01-01"] {
            assert!(time(text.into()).is_err(), "{text}");
        }
        assert!(time((-1).into()).is_err());
        assert!(time(1e300.into()).is_err());
    }

    #[test]
    fn forms_have_texts_for_everything() {
        let value = serde_json::json!({
            "Period": "60", "MaxDatapoints": 5, "Dimensions": "", "Statistics": ["Sum"],
            "MetricData": [{"Value": "1.5", "Values": ["1", 2]}],
            "MetricDataQueries": [{"ReturnData": "false"}, {"ReturnData": true}],
        });
        let wire = Wire::of_value(value).unwrap();
        assert_eq!((wire.period, wire.max_datapoints), (Some(60), Some(5)));
        assert!(wire.dimensions.is_some_and(|dimensions| dimensions.is_empty()));
        let datum = &wire.metric_data.unwrap()[0];
        assert_eq!((datum.value, datum.values.clone()), (Some(1.5), Some(vec![1.0, 2.0])));
        let queries = wire.metric_data_queries.unwrap();
        assert_eq!((queries[0].return_data, queries[1].return_data), (Some(false), Some(true)));
        for value in [
            serde_json::json!({"Period": "x"}),
            serde_json::json!({"MetricData": [{"Value": "inf"}]}),
            serde_json::json!({"Dimensions": [["a", "b"]]}),
            serde_json::json!({"Namespace": 1}),
        ] {
            assert!(Wire::of_value(value.clone()).is_err(), "{value}");
        }
    }
}
