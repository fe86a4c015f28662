//! What the service says of a mapping that the framework let through: which members belong to which
//! kind of source, and what they may be together.

use dormouse_model::event_source::{Settings, SourceKind, StartingPosition};
use dormouse_model::limits;
use serde_json::Value;

use super::filter::is_pattern;
use crate::error::ApiError;
use crate::lambda::no_key;
use crate::lambda::shape::Members;

/// The members that not every kind of source takes.
fn takes(kind: SourceKind, member: &str) -> bool {
    use SourceKind::{DocumentDb, Mq, Msk, SelfManagedKafka};
    match member {
        "ParallelizationFactor" | "TumblingWindowInSeconds" => kind.is_stream(),
        "BisectBatchOnFunctionError"
        | "MaximumRecordAgeInSeconds"
        | "MaximumRetryAttempts"
        | "DestinationConfig" => kind.is_stream() || kind.is_kafka(),
        "StartingPosition" | "StartingPositionTimestamp" => {
            kind.is_stream() || kind.is_kafka() || kind == DocumentDb
        }
        "FunctionResponseTypes" => kind.is_sqs() || kind.is_stream() || kind.is_kafka(),
        "SourceAccessConfigurations" => kind.is_kafka() || matches!(kind, Mq | DocumentDb),
        "ProvisionedPollerConfig" => kind.is_sqs() || kind.is_kafka(),
        "ScalingConfig" => kind.is_sqs(),
        "Topics" | "LoggingConfig" => kind.is_kafka(),
        "Queues" => kind == Mq,
        "AmazonManagedKafkaEventSourceConfig" => kind == Msk,
        "SelfManagedEventSource" | "SelfManagedKafkaEventSourceConfig" => kind == SelfManagedKafka,
        "DocumentDBEventSourceConfig" => kind == DocumentDb,
        _ => true,
    }
}

/// The members of a request belong to its kind of source.
pub(super) fn check_members(kind: SourceKind, members: &Members) -> Result<(), ApiError> {
    let foreign = members.iter().find(|(name, value)| !is_empty(value) && !takes(kind, name));
    if let Some((name, _)) = foreign {
        let (first, rest) = name.split_at(1);
        let name = format!("{}{rest}", first.to_ascii_lowercase());
        let text = format!("Unsupported '{name}' parameter for given event source mapping type.");
        return Err(ApiError::invalid_parameter(text));
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// What no kind of source takes.
pub(super) fn check_any(members: &Members) -> Result<(), ApiError> {
    if members.get("DestinationConfig").is_some_and(|config| config.get("OnSuccess").is_some()) {
        return refused(
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        );
    }
    // There is no KMS here, so that no key can be found.
    match members.get("KMSKeyArn").and_then(Value::as_str).filter(|arn| !arn.is_empty()) {
        Some(arn) => Err(no_key(arn)),
        None => Ok(()),
    }
}

/// What a new mapping has to say.
pub(super) fn check_new(
    kind: SourceKind,
    (source, settings): (&str, &Settings),
    now_ms: u64,
) -> Result<(), ApiError> {
    use SourceKind::{DocumentDb, Mq};
    let missing = |name: &str| refused(format!("Required '{name}' parameter is missing."));
    let logs_in = kind == SourceKind::SelfManagedKafka || matches!(kind, Mq | DocumentDb);
    if logs_in && settings.source_access_configurations.is_none() {
        return missing("sourceAccessConfigurations");
    }
    if kind.is_kafka() && settings.topics.is_none() {
        return missing("topics");
    }
    if kind == Mq && settings.queues.is_none() {
        return missing("queues");
    }
    let database = settings.document_db_event_source_config.as_ref();
    if kind == DocumentDb && database.is_none_or(|config| config.get("DatabaseName").is_none()) {
        return missing("databaseName");
    }
    check_start(kind, (source, settings), now_ms)
}

/// Where reading begins.
fn check_start(
    kind: SourceKind,
    (source, settings): (&str, &Settings),
    now_ms: u64,
) -> Result<(), ApiError> {
    let begins = kind.is_stream() || kind.is_kafka() || kind == SourceKind::DocumentDb;
    match (settings.starting_position, settings.starting_position_timestamp) {
        (None, _) if begins => refused(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy \
             constraint: Member must not be null.",
        ),
        (Some(StartingPosition::AtTimestamp), _) if kind == SourceKind::DynamoDb => {
            refused(format!("Unsupported starting position for arn type: {source}"))
        }
        (Some(StartingPosition::AtTimestamp), None) => refused("Need to specify a timestamp"),
        (Some(StartingPosition::AtTimestamp), Some(at)) => {
            if at * 1_000.0 > crate::lambda::event_invoke::seconds(now_ms) * 1_000.0 {
                return refused("StartingPositionTimestamp cannot be in the future.");
            }
            Ok(())
        }
        (_, Some(_)) => refused(
            "StartingPositionTimestamp is valid only when StartingPosition is AT_TIMESTAMP.",
        ),
        _ => Ok(()),
    }
}

/// What the settings of a mapping may be together, whether it is new or changed.
pub(super) fn check_settings(kind: SourceKind, settings: &Settings) -> Result<(), ApiError> {
    if kind.is_sqs() {
        check_queue(kind, settings)?;
    }
    if settings.maximum_record_age_in_seconds.is_some_and(|age| (0..60).contains(&age)) {
        return refused("MaximumRecordAgeInSeconds must be -1 or at least 60.");
    }
    check_pollers(kind, settings)?;
    let filters = settings.filter_criteria.iter().flat_map(|of| &of.filters);
    if filters.clone().count() > limits::EVENT_FILTERS {
        let most = limits::EVENT_FILTERS;
        return refused(format!("An event source mapping has at most {most} filters."));
    }
    if filters.clone().any(|filter| !filter.pattern.as_deref().is_some_and(is_pattern)) {
        return refused("Invalid filter pattern definition.");
    }
    Ok(())
}

fn check_queue(kind: SourceKind, settings: &Settings) -> Result<(), ApiError> {
    let window = settings.maximum_batching_window_in_seconds.unwrap_or(0);
    let batch = settings.batch_size.unwrap_or(10);
    if kind == SourceKind::SqsFifo && window > 0 {
        return refused("Batching window is not supported for FIFO queues");
    }
    if kind == SourceKind::SqsFifo && batch > 10 {
        return refused("Batch size for FIFO queues must be less than or equal to 10");
    }
    if batch > 10 && window == 0 {
        return refused(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is \
             greater than 10",
        );
    }
    if settings.scaling_config.is_some() && settings.provisioned_poller_config.is_some() {
        return refused("ScalingConfig and ProvisionedPollerConfig exclude each other.");
    }
    Ok(())
}

fn check_pollers(kind: SourceKind, settings: &Settings) -> Result<(), ApiError> {
    let Some(pollers) = &settings.provisioned_poller_config else { return Ok(()) };
    let (least, most) = if kind.is_sqs() { (2, 10_000) } else { (1, 2_000) };
    let given = [pollers.minimum_pollers, pollers.maximum_pollers];
    if given.iter().flatten().any(|count| !(least..=most).contains(count)) {
        return refused(format!(
            "Pollers of this event source must be between {least} and {most}."
        ));
    }
    if let [Some(minimum), Some(maximum)] = given
        && minimum > maximum
    {
        return refused("MinimumPollers cannot be greater than MaximumPollers.");
    }
    if pollers.poller_group_name.is_some() && !kind.is_kafka() {
        return refused(
            "Unsupported 'pollerGroupName' parameter for given event source mapping type.",
        );
    }
    Ok(())
}

fn refused(text: impl Into<String>) -> Result<(), ApiError> {
    Err(ApiError::invalid_parameter(text))
}
