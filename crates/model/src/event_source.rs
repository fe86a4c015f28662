//! Event source mappings: which source feeds which function, and in which portions.
//!
//! Only what a mapping is. Nothing polls here, and whether a source exists is not known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::{FunctionKey, MappingId, Qualifier};

/// What a source is, which decides what can be said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SourceKind {
    /// An SQS queue without an order.
    Sqs,
    /// An SQS queue that keeps the order of each group.
    SqsFifo,
    /// A Kinesis stream or a consumer of one.
    Kinesis,
    /// The stream of a DynamoDB table.
    DynamoDb,
    /// An Amazon MSK cluster.
    Msk,
    /// A Kafka cluster of the user's own.
    SelfManagedKafka,
    /// An Amazon MQ broker.
    Mq,
    /// A DocumentDB cluster.
    DocumentDb,
}

impl SourceKind {
    /// The kind of the source that an ARN names; none when no source has such an ARN.
    #[must_use]
    pub fn of_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':').skip(2);
        let (service, resource) = (parts.next()?, parts.nth(2)?);
        Some(match service {
            "sqs" if resource.ends_with(".fifo") => Self::SqsFifo,
            "sqs" => Self::Sqs,
            "kinesis" if resource.starts_with("stream/") => Self::Kinesis,
            "dynamodb" if resource.contains("/stream/") => Self::DynamoDb,
            "kafka" => Self::Msk,
            "mq" => Self::Mq,
            "rds" | "docdb-elastic" if resource.starts_with("cluster") => Self::DocumentDb,
            _ => return None,
        })
    }

    /// A queue of SQS.
    #[must_use]
    pub fn is_sqs(self) -> bool {
        matches!(self, Self::Sqs | Self::SqsFifo)
    }

    /// A stream of shards.
    #[must_use]
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Kinesis | Self::DynamoDb)
    }

    /// Kafka, whoever runs it.
    #[must_use]
    pub fn is_kafka(self) -> bool {
        matches!(self, Self::Msk | Self::SelfManagedKafka)
    }

    /// What holds unless it is said. Kafka's consumers are a group named after the mapping.
    #[must_use]
    pub fn defaults(self, id: &MappingId) -> Settings {
        let batch_size = Some(if self.is_sqs() { 10 } else { 100 });
        let group = || Some(serde_json::json!({"ConsumerGroupId": id}));
        let responses = self.is_sqs() || self.is_stream() || self.is_kafka();
        let stream = self.is_stream();
        Settings {
            batch_size,
            maximum_batching_window_in_seconds: Some(0),
            function_response_types: responses.then(Vec::new),
            parallelization_factor: stream.then_some(1),
            maximum_record_age_in_seconds: stream.then_some(-1),
            maximum_retry_attempts: stream.then_some(-1),
            bisect_batch_on_function_error: stream.then_some(false),
            tumbling_window_in_seconds: stream.then_some(0),
            destination_config: stream.then(DestinationConfig::default),
            amazon_managed_kafka_event_source_config: group().filter(|_| self == Self::Msk),
            self_managed_kafka_event_source_config: group()
                .filter(|_| self == Self::SelfManagedKafka),
            ..Settings::default()
        }
    }
}

impl SourceKind {
    /// Settings with what follows from those that were said.
    #[must_use]
    pub fn completed(self, mut settings: Settings) -> Settings {
        if let Some(pollers) = &mut settings.provisioned_poller_config {
            pollers.minimum_pollers.get_or_insert(if self.is_sqs() { 2 } else { 1 });
            pollers.maximum_pollers.get_or_insert(200);
        }
        let database = settings.document_db_event_source_config.as_mut();
        if let Some(database) = database.and_then(Value::as_object_mut) {
            database.entry("FullDocument").or_insert_with(|| "Default".into());
        }
        settings
    }
}

/// What can be said of a mapping, named as on the wire. What does not belong to the kind of its
/// source is absent; what no poller of ours understands is kept as it was written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Settings {
    /// Records of one batch at most.
    pub batch_size: Option<u32>,
    /// Seconds for which a batch is gathered.
    pub maximum_batching_window_in_seconds: Option<u32>,
    /// Batches of one shard that are processed at once.
    pub parallelization_factor: Option<u32>,
    /// Where in a stream reading begins.
    pub starting_position: Option<StartingPosition>,
    /// When it begins, in seconds since 1970.
    pub starting_position_timestamp: Option<f64>,
    /// Seconds after which a record is given up; -1 is never.
    pub maximum_record_age_in_seconds: Option<i64>,
    /// How often a batch is tried again; -1 is without end.
    pub maximum_retry_attempts: Option<i64>,
    /// Whether a failed batch is split in two.
    pub bisect_batch_on_function_error: Option<bool>,
    /// Seconds of a tumbling window; 0 is none.
    pub tumbling_window_in_seconds: Option<u32>,
    /// What the function may answer with.
    pub function_response_types: Option<Vec<String>>,
    /// Which records the function gets.
    pub filter_criteria: Option<FilterCriteria>,
    /// Where records of failures go.
    pub destination_config: Option<DestinationConfig>,
    /// How many invocations a queue may cause at once.
    pub scaling_config: Option<ScalingConfig>,
    /// Pollers that are kept ready.
    pub provisioned_poller_config: Option<ProvisionedPollerConfig>,
    /// The topic of Kafka.
    pub topics: Option<Vec<String>>,
    /// The queue of a broker.
    pub queues: Option<Vec<String>>,
    /// Where the brokers of a Kafka cluster listen, by the kind of address.
    pub self_managed_event_source: Option<SelfManagedEventSource>,
    /// How to log in at the source.
    pub source_access_configurations: Option<Value>,
    /// Kafka of MSK: the consumer group and the schema registry.
    pub amazon_managed_kafka_event_source_config: Option<Value>,
    /// Kafka of one's own: the same.
    pub self_managed_kafka_event_source_config: Option<Value>,
    /// The collection of DocumentDB.
    #[serde(rename = "DocumentDBEventSourceConfig")]
    pub document_db_event_source_config: Option<Value>,
    /// Which metrics are kept.
    pub metrics_config: Option<Value>,
    /// How much a poller logs.
    pub logging_config: Option<Value>,
}

/// Where in a stream reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StartingPosition {
    /// At the oldest record.
    TrimHorizon,
    /// Behind the newest record.
    Latest,
    /// At a moment.
    AtTimestamp,
}

/// Filters of which a record has to match one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FilterCriteria {
    /// The filters.
    pub filters: Vec<Filter>,
}

/// One filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Filter {
    /// A pattern as EventBridge has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// Where records of failures go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DestinationConfig {
    /// Empty when they go nowhere.
    pub on_failure: Destination,
}

/// One destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Destination {
    /// Its ARN, or the address of a topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

/// How many invocations a queue may cause at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ScalingConfig {
    /// The most; without it as many as the account allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_concurrency: Option<u32>,
}

/// Pollers that are kept ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ProvisionedPollerConfig {
    /// The fewest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_pollers: Option<u32>,
    /// The most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_pollers: Option<u32>,
    /// Which other mappings share them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poller_group_name: Option<String>,
}

/// The addresses of a cluster of one's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SelfManagedEventSource {
    /// Addresses by their kind.
    pub endpoints: BTreeMap<String, Vec<String>>,
}

impl Settings {
    /// These settings with what a change says laid over them.
    #[must_use]
    pub fn overlaid(self, change: Self) -> Self {
        Self {
            batch_size: change.batch_size.or(self.batch_size),
            maximum_batching_window_in_seconds: change
                .maximum_batching_window_in_seconds
                .or(self.maximum_batching_window_in_seconds),
            parallelization_factor: change.parallelization_factor.or(self.parallelization_factor),
            starting_position: change.starting_position.or(self.starting_position),
            starting_position_timestamp: change
                .starting_position_timestamp
                .or(self.starting_position_timestamp),
            maximum_record_age_in_seconds: change
                .maximum_record_age_in_seconds
                .or(self.maximum_record_age_in_seconds),
            maximum_retry_attempts: change.maximum_retry_attempts.or(self.maximum_retry_attempts),
            bisect_batch_on_function_error: change
                .bisect_batch_on_function_error
                .or(self.bisect_batch_on_function_error),
            tumbling_window_in_seconds: change
                .tumbling_window_in_seconds
                .or(self.tumbling_window_in_seconds),
            function_response_types: change
                .function_response_types
                .or(self.function_response_types),
            filter_criteria: change.filter_criteria.or(self.filter_criteria),
            destination_config: change.destination_config.or(self.destination_config),
            scaling_config: change.scaling_config.or(self.scaling_config),
            provisioned_poller_config: change
                .provisioned_poller_config
                .or(self.provisioned_poller_config),
            topics: change.topics.or(self.topics),
            queues: change.queues.or(self.queues),
            self_managed_event_source: change
                .self_managed_event_source
                .or(self.self_managed_event_source),
            source_access_configurations: change
                .source_access_configurations
                .or(self.source_access_configurations),
            amazon_managed_kafka_event_source_config: grouped(
                change.amazon_managed_kafka_event_source_config,
                self.amazon_managed_kafka_event_source_config,
            ),
            self_managed_kafka_event_source_config: grouped(
                change.self_managed_kafka_event_source_config,
                self.self_managed_kafka_event_source_config,
            ),
            document_db_event_source_config: change
                .document_db_event_source_config
                .or(self.document_db_event_source_config),
            metrics_config: change.metrics_config.or(self.metrics_config),
            logging_config: change.logging_config.or(self.logging_config),
        }
        .tidied()
    }

    /// What was said to be nothing is absent.
    fn tidied(mut self) -> Self {
        self.filter_criteria = self.filter_criteria.filter(|of| !of.filters.is_empty());
        self.scaling_config = self.scaling_config.filter(|of| of.maximum_concurrency.is_some());
        let pollers = |of: &ProvisionedPollerConfig| *of != ProvisionedPollerConfig::default();
        self.provisioned_poller_config = self.provisioned_poller_config.filter(pollers);
        let said = |value: &Value| match value {
            Value::Object(members) => {
                members.values().any(|v| !v.as_array().is_some_and(Vec::is_empty))
            }
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        self.metrics_config = self.metrics_config.filter(said);
        self.logging_config = self.logging_config.filter(said);
        self.source_access_configurations = self.source_access_configurations.filter(said);
        if let Some(config) = &mut self.destination_config {
            let destination = &mut config.on_failure.destination;
            *destination = destination.take().filter(|arn| !arn.is_empty());
        }
        self
    }

    /// The addresses of a cluster's brokers.
    pub fn brokers(&self) -> impl Iterator<Item = &str> {
        let endpoints = self.self_managed_event_source.iter().flat_map(|of| of.endpoints.values());
        endpoints.flatten().map(String::as_str)
    }
}

/// The consumer group outlives a change that does not name one.
fn grouped(change: Option<Value>, before: Option<Value>) -> Option<Value> {
    const GROUP: &str = "ConsumerGroupId";
    let Some(mut change) = change else { return before };
    let group = before.and_then(|before| before.get(GROUP).cloned());
    if let (Some(members), Some(group)) = (change.as_object_mut(), group) {
        members.entry(GROUP).or_insert(group);
    }
    Some(change)
}

/// A mapping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventSourceMapping {
    /// Which.
    pub id: MappingId,
    /// The function that gets the records, in whose account and region the mapping is.
    pub function: FunctionKey,
    /// Its version or alias, if one was named.
    pub qualifier: Option<Qualifier>,
    /// What the source is.
    pub kind: SourceKind,
    /// The source; a Kafka cluster of one's own has none, but brokers.
    pub source_arn: Option<String>,
    /// Whether the source is to be read.
    pub enabled: bool,
    /// What was said of it, and what holds unless it is said.
    pub settings: Settings,
    /// When it was last changed, in milliseconds since 1970.
    pub modified_ms: u64,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

/// What a mapping does, or is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was just made.
    Creating,
    /// It is being switched on.
    Enabling,
    /// It is on.
    Enabled,
    /// It is being switched off.
    Disabling,
    /// It is off.
    Disabled,
    /// It was just changed.
    Updating,
    /// It is about to be gone.
    Deleting,
}

impl State {
    /// AWS's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Enabling => "Enabling",
            Self::Enabled => "Enabled",
            Self::Disabling => "Disabling",
            Self::Disabled => "Disabled",
            Self::Updating => "Updating",
            Self::Deleting => "Deleting",
        }
    }
}

impl EventSourceMapping {
    /// The function, version or alias that gets the records.
    #[must_use]
    pub fn function_arn(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => self.function.qualified_arn(qualifier),
            None => self.function.arn(),
        }
    }

    /// The mapping's own ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        self.function.scope.arn("lambda", format_args!("event-source-mapping:{}", self.id))
    }

    /// What it does once nothing is under way.
    #[must_use]
    pub fn settled(&self) -> State {
        if self.enabled { State::Enabled } else { State::Disabled }
    }

    /// What it does at first after `before` was changed into it.
    #[must_use]
    pub fn changed_from(&self, before: &Self) -> State {
        match (before.enabled, self.enabled) {
            (false, true) => State::Enabling,
            (true, false) => State::Disabling,
            _ => State::Updating,
        }
    }

    /// Whether another mapping would give the same records to the same function.
    #[must_use]
    pub fn doubles(&self, other: &Self) -> bool {
        let source = match (&self.source_arn, &other.source_arn) {
            (Some(one), Some(two)) => one == two,
            (None, None) => {
                self.settings.brokers().any(|one| other.settings.brokers().any(|two| one == two))
            }
            _ => false,
        };
        source
            && self.function_arn() == other.function_arn()
            && overlap(self.settings.topics.as_ref(), other.settings.topics.as_ref())
            && overlap(self.settings.queues.as_ref(), other.settings.queues.as_ref())
    }
}

/// Whether two lists share something; both absent stand for all there is.
fn overlap(one: Option<&Vec<String>>, two: Option<&Vec<String>>) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => one.iter().any(|item| two.contains(item)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::names::Scope;

    fn id() -> MappingId {
        "00000000-0000-4000-8000-000000000001".parse().unwrap()
    }

    fn settings(said: Value) -> Settings {
        serde_json::from_value(said).unwrap()
    }

    fn mapping(kind: SourceKind, arn: Option<&str>, said: Value) -> EventSourceMapping {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        EventSourceMapping {
            id: id(),
            function: FunctionKey { scope, name: "f".parse().unwrap() },
            qualifier: None,
            kind,
            source_arn: arn.map(str::to_owned),
            enabled: true,
            settings: kind.defaults(&id()).overlaid(settings(said)),
            modified_ms: 1,
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn an_arn_says_what_a_source_is() {
        let kind = |rest: &str| SourceKind::of_arn(&format!("arn:aws:{rest}"));
        assert_eq!(kind("sqs:us-east-1:1:q"), Some(SourceKind::Sqs));
        assert_eq!(kind("sqs:us-east-1:1:q.fifo"), Some(SourceKind::SqsFifo));
        assert_eq!(kind("kinesis:us-east-1:1:stream/s/consumer/c:1"), Some(SourceKind::Kinesis));
        assert_eq!(kind("dynamodb:us-east-1:1:table/t/stream/x"), Some(SourceKind::DynamoDb));
        assert_eq!(kind("kafka:us-east-1:1:cluster/c/u"), Some(SourceKind::Msk));
        assert_eq!(kind("mq:us-east-1:1:broker:b:b-1"), Some(SourceKind::Mq));
        assert_eq!(kind("rds:us-east-1:1:cluster:c"), Some(SourceKind::DocumentDb));
        for rest in
            ["dynamodb:us-east-1:1:table/t", "sns:us-east-1:1:t", "rds:us-east-1:1:db:d", ""]
        {
            assert_eq!(kind(rest), None, "{rest}");
        }
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name_and_drops_what_it_empties() {
        let before = settings(json!({
            "BatchSize": 5, "FilterCriteria": {"Filters": [{"Pattern": "{}"}]},
            "ScalingConfig": {"MaximumConcurrency": 2}, "MetricsConfig": {"Metrics": ["EventCount"]},
            "DestinationConfig": {"OnFailure": {"Destination": "a"}},
        }));
        assert_eq!(before.clone().overlaid(Settings::default()), before);
        let after = before.overlaid(settings(json!({
            "FilterCriteria": {}, "ScalingConfig": {}, "MetricsConfig": {"Metrics": []},
            "DestinationConfig": {"OnFailure": {"Destination": ""}},
        })));
        let expected = settings(json!({"BatchSize": 5, "DestinationConfig": {"OnFailure": {}}}));
        assert_eq!(after, expected);
    }

    #[test]
    fn a_consumer_group_outlives_a_change_that_names_none() {
        let before = SourceKind::Msk.defaults(&id());
        let registry = json!({"SchemaRegistryConfig": {"SchemaRegistryURI": "u"}});
        let after =
            before.overlaid(settings(json!({"AmazonManagedKafkaEventSourceConfig": registry})));
        let config = after.amazon_managed_kafka_event_source_config.unwrap();
        assert_eq!(config["ConsumerGroupId"], id().as_str());
        assert_eq!(config["SchemaRegistryConfig"]["SchemaRegistryURI"], "u");
    }

    #[test]
    fn what_follows_is_filled_in() {
        let said = settings(json!({"ProvisionedPollerConfig": {"MaximumPollers": 5}}));
        let pollers = SourceKind::Sqs.completed(said).provisioned_poller_config.unwrap();
        assert_eq!((pollers.minimum_pollers, pollers.maximum_pollers), (Some(2), Some(5)));
        let said = settings(json!({"DocumentDBEventSourceConfig": {"DatabaseName": "d"}}));
        let database = SourceKind::DocumentDb.completed(said).document_db_event_source_config;
        assert_eq!(database.unwrap()["FullDocument"], "Default");
    }

    #[test]
    fn doubles_share_function_source_and_topic() {
        let arn = Some("arn:aws:kafka:us-east-1:1:cluster/c/u");
        let kafka = |topic: &str| mapping(SourceKind::Msk, arn, json!({"Topics": [topic]}));
        assert!(kafka("a").doubles(&kafka("a")) && !kafka("a").doubles(&kafka("b")));
        let own = |host: &str| {
            let brokers = json!({"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [host, "x:1"]}});
            let said = json!({"SelfManagedEventSource": brokers, "Topics": ["t"]});
            mapping(SourceKind::SelfManagedKafka, None, said)
        };
        assert!(own("a:1").doubles(&own("b:1")));
        let queue = |name: &str| mapping(SourceKind::Sqs, Some(name), json!({}));
        assert!(queue("q").doubles(&queue("q")) && !queue("q").doubles(&queue("r")));
        let other = EventSourceMapping { qualifier: Some("1".parse().unwrap()), ..queue("q") };
        assert!(!queue("q").doubles(&other) && !queue("q").doubles(&own("q:1")));
    }

    #[test]
    fn a_switch_is_told_from_another_change() {
        let on = mapping(SourceKind::Sqs, Some("q"), json!({}));
        let off = EventSourceMapping { enabled: false, ..on.clone() };
        let told = |after: &EventSourceMapping, before| after.changed_from(before).as_str();
        assert_eq!(told(&on, &off), "Enabling");
        assert_eq!(told(&off, &on), "Disabling");
        assert_eq!(told(&off, &off), "Updating");
        assert_eq!((on.settled(), off.settled()), (State::Enabled, State::Disabled));
    }
}
