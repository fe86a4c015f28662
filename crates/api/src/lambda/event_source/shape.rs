//! The bodies of `CreateEventSourceMapping` and `UpdateEventSourceMapping` as a table.

use crate::lambda::event_invoke::DESTINATION;
use crate::lambda::name::EXISTING_NAME;
use crate::lambda::pattern::{ARN, ARN_OR_EMPTY, is_one_line};
use crate::lambda::shape::{ANY, Member, Shape, may, must};
use crate::lambda::tag::TAGS;
use crate::validate::{Text, is_word};

use Shape::{Boolean, Integer, List, Map, Object, OneOf, Text as Is, Timestamp};

const URI: Text = Text {
    min: 1,
    max: 200,
    pattern: r"[ a-zA-Z0-9-\/*:_+=.@-]*",
    fits: |text| text.bytes().all(|b| b == b' ' || is_uri(b)),
};

const REGISTRY: Text = Text {
    min: 1,
    max: 10_000,
    pattern: r"[a-zA-Z0-9-\/*:_+=.@-]*",
    fits: |text| text.bytes().all(is_uri),
};

const TOPIC: Text = Text {
    min: 1,
    max: 249,
    pattern: r"[^.]([a-zA-Z0-9\-_.]+)",
    fits: |text| {
        let mut letters = text.chars();
        letters.next().is_some_and(|first| first != '.')
            && is_word(&letters.as_str().replace('.', "_"))
    },
};

const QUEUE: Text = Text { min: 1, max: 1_000, pattern: r"[\s\S]*", fits: |_| true };

const PATTERN: Text = Text { min: 0, max: 4_096, pattern: r"[\s\S]*", fits: |_| true };

const BROKER: Text = Text {
    min: 1,
    max: 300,
    pattern: r"(([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9])\.)*([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9\-]*[A-Za-z0-9]):[0-9]{1,5}",
    fits: is_address,
};

const DATABASE: Text = Text {
    min: 1,
    max: 63,
    pattern: r"[^ /\.$\x22]*",
    fits: |text| !text.contains([' ', '/', '.', '$', '"']),
};

const COLLECTION: Text = Text {
    min: 1,
    max: 57,
    pattern: r"(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)",
    fits: |text| {
        !text.starts_with("system.")
            && text.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric())
            && !text.contains('$')
    },
};

const POLLER_GROUP: Text = Text {
    min: 0,
    max: 128,
    pattern: "[a-zA-Z0-9-_]*",
    fits: |text| text.is_empty() || is_word(text),
};

const ACCESS: &[Member] = &[
    may(
        "Type",
        OneOf(&[
            "BASIC_AUTH",
            "VPC_SUBNET",
            "VPC_SECURITY_GROUP",
            "SASL_SCRAM_512_AUTH",
            "SASL_SCRAM_256_AUTH",
            "VIRTUAL_HOST",
            "CLIENT_CERTIFICATE_TLS_AUTH",
            "SERVER_ROOT_CA_CERTIFICATE",
            "OAUTHBEARER_AUTH",
            "OAUTHBEARER_SCOPE",
            "OAUTHBEARER_AUDIENCE",
            "OAUTHBEARER_LOGICAL_CLUSTER",
            "OAUTHBEARER_IDENTITY_POOL",
            "IAM_AUTH",
            "IAM_OAUTHBEARER_AUTH",
        ]),
    ),
    may("URI", Is(&URI)),
];

const REGISTRY_ACCESS: &[Member] = &[
    may(
        "Type",
        OneOf(&[
            "BASIC_AUTH",
            "CLIENT_CERTIFICATE_TLS_AUTH",
            "SERVER_ROOT_CA_CERTIFICATE",
            "OAUTHBEARER_AUTH",
        ]),
    ),
    may("URI", Is(&ARN)),
];

const SCHEMA_REGISTRY: &[Member] = &[
    may("SchemaRegistryURI", Is(&REGISTRY)),
    may("EventRecordFormat", OneOf(&["JSON", "SOURCE"])),
    may("AccessConfigs", List(&Object(REGISTRY_ACCESS), ANY)),
    may(
        "SchemaValidationConfigs",
        List(&Object(&[may("Attribute", OneOf(&["KEY", "VALUE"]))]), ANY),
    ),
];

const MANAGED_KAFKA: &[Member] =
    &[may("ConsumerGroupId", Is(&URI)), may("SchemaRegistryConfig", Object(SCHEMA_REGISTRY))];

const SELF_MANAGED_KAFKA: &[Member] = &[
    may("ConsumerGroupId", Is(&URI)),
    may("SchemaRegistryConfig", Object(SCHEMA_REGISTRY)),
    may("ConsumptionMode", OneOf(&["Stream", "Queue"])),
];

const DOCUMENT_DB: &[Member] = &[
    may("DatabaseName", Is(&DATABASE)),
    may("CollectionName", Is(&COLLECTION)),
    may("FullDocument", OneOf(&["UpdateLookup", "Default"])),
];

const POLLERS: &[Member] = &[
    may("MinimumPollers", Integer(1, 200)),
    may("MaximumPollers", Integer(1, 10_000)),
    may("PollerGroupName", Is(&POLLER_GROUP)),
];

const DESTINATIONS: &[Member] = &[
    may("OnSuccess", Object(&[may("Destination", Is(&DESTINATION))])),
    may("OnFailure", Object(&[may("Destination", Is(&DESTINATION))])),
];

const ENDPOINTS: Shape =
    Map((&OneOf(&["KAFKA_BOOTSTRAP_SERVERS"]), &List(&Is(&BROKER), (1, 10))), (1, 2));

/// What both operations take.
macro_rules! with_common {
    ($($member:expr),* $(,)?) => {
        &[
            $($member,)*
            may("Enabled", Boolean),
            may("BatchSize", Integer(1, 10_000)),
            may(
                "FilterCriteria",
                Object(&[may("Filters", List(&Object(&[may("Pattern", Is(&PATTERN))]), ANY))]),
            ),
            may("KMSKeyArn", Is(&ARN_OR_EMPTY)),
            may(
                "MetricsConfig",
                Object(&[may(
                    "Metrics",
                    List(&OneOf(&["EventCount", "ErrorCount", "KafkaMetrics"]), (0, 3)),
                )]),
            ),
            may(
                "LoggingConfig",
                Object(&[may("SystemLogLevel", OneOf(&["DEBUG", "INFO", "WARN"]))]),
            ),
            may("ScalingConfig", Object(&[may("MaximumConcurrency", Integer(2, 1_000))])),
            may("MaximumBatchingWindowInSeconds", Integer(0, 300)),
            may("ParallelizationFactor", Integer(1, 10)),
            may("DestinationConfig", Object(DESTINATIONS)),
            may("MaximumRecordAgeInSeconds", Integer(-1, 604_800)),
            may("BisectBatchOnFunctionError", Boolean),
            may("MaximumRetryAttempts", Integer(-1, 10_000)),
            may("TumblingWindowInSeconds", Integer(0, 900)),
            may("SourceAccessConfigurations", List(&Object(ACCESS), (0, 23))),
            may("FunctionResponseTypes", List(&OneOf(&["ReportBatchItemFailures"]), (0, 1))),
            may("AmazonManagedKafkaEventSourceConfig", Object(MANAGED_KAFKA)),
            may("SelfManagedKafkaEventSourceConfig", Object(SELF_MANAGED_KAFKA)),
            may("DocumentDBEventSourceConfig", Object(DOCUMENT_DB)),
            may("ProvisionedPollerConfig", Object(POLLERS)),
        ]
    };
}

/// The body of `CreateEventSourceMapping`.
pub(super) const CREATE: &[Member] = with_common![
    must("FunctionName", Is(&EXISTING_NAME)),
    may("EventSourceArn", Is(&ARN)),
    may("StartingPosition", OneOf(&["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"])),
    may("StartingPositionTimestamp", Timestamp),
    may("Tags", TAGS),
    may("Topics", List(&Is(&TOPIC), (1, 1))),
    may("Queues", List(&Is(&QUEUE), (1, 1))),
    may("SelfManagedEventSource", Object(&[may("Endpoints", ENDPOINTS)])),
];

/// The body of `UpdateEventSourceMapping`.
pub(super) const UPDATE: &[Member] = with_common![may("FunctionName", Is(&EXISTING_NAME))];

fn is_uri(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-/*:_+=.@".contains(&byte)
}

/// A host of a broker and its port.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(is_label)
        && (1..=5).contains(&port.len())
        && port.bytes().all(|b| b.is_ascii_digit())
        && is_one_line(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::tests::fits_what_it_makes;

    #[test]
    fn whatever_a_pattern_makes_is_let_through() {
        for rule in [&URI, &REGISTRY, &TOPIC, &BROKER, &DATABASE, &POLLER_GROUP] {
            fits_what_it_makes(rule.pattern, rule.fits);
        }
    }

    #[test]
    fn what_no_pattern_makes_is_not() {
        for (rule, texts) in [
            (&URI, vec!["a!", "\u{fc}"]),
            (&TOPIC, vec![".a", "a", "a b", ""]),
            (&BROKER, vec!["a", "a:", "a:123456", "-a:1", "a..b:1", "a b:1", ":1"]),
            (&DATABASE, vec!["a b", "a.b", "a$", "\""]),
            (&COLLECTION, vec!["system.x", "-a", "a$", ""]),
            (&POLLER_GROUP, vec!["a b"]),
        ] {
            for text in texts {
                assert!(!(rule.fits)(text), "{text}");
            }
        }
    }
}
