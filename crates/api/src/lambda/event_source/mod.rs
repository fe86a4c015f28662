//! Event source mappings: what is asked of them, and how they are shown.
//!
//! `shape` is what the framework checks, `rules` what the service does, `filter` what a pattern is.
//! Whether functions and sources are there is not known here.

mod filter;
mod rules;
mod shape;

use std::collections::BTreeMap;

use dormouse_model::event_source::{EventSourceMapping, Settings, SourceKind, State};
use dormouse_model::limits;
use dormouse_model::names::{MappingId, Scope};
use http::Uri;
use serde::Serialize;
use serde_json::{Value, json};

use super::event_invoke::seconds;
use super::list::items_of;
use super::name::{EXISTING_NAME, NameShape, Target};
use super::pattern::{ARN, UUID};
use super::shape::{Members, check, read, typed};
use super::tag;
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::validate::Violations;

/// A mapping to be made, once function and source are found to be there.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMapping {
    /// The function that is to get the records.
    pub function: Target,
    kind: SourceKind,
    source_arn: Option<String>,
    enabled: bool,
    settings: Settings,
    tags: BTreeMap<String, String>,
}

impl NewMapping {
    /// Reads the body of `CreateEventSourceMapping`.
    ///
    /// # Errors
    /// A body that is none; every violation of the framework in one text; then the service's first
    /// objection.
    pub fn read(scope: &Scope, body: &[u8], now_ms: u64) -> Result<Self, ApiError> {
        let mut members = read(body, shape::CREATE)?;
        let mut violations = Violations::default();
        check(&mut violations, shape::CREATE, &members);
        violations.finish()?;
        rules::check_any(&members)?;
        let name = text(&mut members, "FunctionName").unwrap_or_default();
        let source_arn = text(&mut members, "EventSourceArn");
        let kind = match &source_arn {
            Some(arn) => SourceKind::of_arn(arn),
            None => members
                .contains_key("SelfManagedEventSource")
                .then_some(SourceKind::SelfManagedKafka),
        };
        let kind = kind.ok_or_else(|| ApiError::invalid_parameter("Unrecognized event source."))?;
        rules::check_members(kind, &members)?;
        let enabled = members.remove("Enabled").is_none_or(|enabled| enabled == json!(true));
        let tags = members.remove("Tags").map(serde_json::from_value).and_then(Result::ok);
        let settings = Settings::default().overlaid(typed(members)?);
        rules::check_new(kind, (source_arn.as_deref().unwrap_or_default(), &settings), now_ms)?;
        rules::check_settings(kind, &settings)?;
        let tags = tag::given(tags.unwrap_or_default())?;
        let function = Target::resolve(scope, &name, None, NameShape::Existing)?;
        Ok(Self { function, kind, source_arn, enabled, settings, tags })
    }

    /// The queue that is to be read, if it is one: whose, where, and its name.
    #[must_use]
    pub fn queue(&self) -> Option<(Scope, String)> {
        let arn = self.source_arn.as_deref().filter(|_| self.kind.is_sqs())?;
        let mut parts = arn.splitn(6, ':').skip(3);
        let (region, account, name) = (parts.next()?, parts.next()?, parts.next()?);
        let scope = Scope { account: account.parse().ok()?, region: region.parse().ok()? };
        Some((scope, name.to_owned()))
    }

    /// Whether the source is a queue.
    #[must_use]
    pub fn is_of_queue(&self) -> bool {
        self.kind.is_sqs()
    }

    /// The mapping.
    #[must_use]
    pub fn named(self, id: MappingId, now_ms: u64) -> EventSourceMapping {
        let settings = self.kind.defaults(&id).overlaid(self.settings);
        EventSourceMapping {
            id,
            function: self.function.key,
            qualifier: self.function.qualifier,
            kind: self.kind,
            source_arn: self.source_arn,
            enabled: self.enabled,
            settings: self.kind.completed(settings),
            modified_ms: now_ms,
            tags: self.tags,
        }
    }
}

/// A change of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct MappingChange {
    /// The function that is to get the records from now on.
    pub function: Option<Target>,
    enabled: Option<bool>,
    members: Members,
}

impl MappingChange {
    /// Reads the label and the body of `UpdateEventSourceMapping`; absent members stay as they are.
    ///
    /// # Errors
    /// A body that is none; every violation of the framework in one text; a function nobody has.
    pub fn read(
        scope: &Scope,
        uuid: &str,
        body: &[u8],
    ) -> Result<(Option<MappingId>, Self), ApiError> {
        let mut members = read(body, shape::UPDATE)?;
        let mut violations = Violations::default();
        violations.text(uuid, "uUID", &UUID);
        check(&mut violations, shape::UPDATE, &members);
        violations.finish()?;
        rules::check_any(&members)?;
        members.remove("KMSKeyArn");
        let enabled = members.remove("Enabled").and_then(|enabled| enabled.as_bool());
        let function = text(&mut members, "FunctionName")
            .map(|name| Target::resolve(scope, &name, None, NameShape::Existing));
        let function = function.transpose()?;
        Ok((uuid.parse().ok(), Self { function, enabled, members }))
    }

    /// A mapping after the change.
    ///
    /// # Errors
    /// The service's first objection.
    pub fn applied_to(
        self,
        mapping: &EventSourceMapping,
        now_ms: u64,
    ) -> Result<EventSourceMapping, ApiError> {
        let kind = mapping.kind;
        rules::check_members(kind, &self.members)?;
        let settings = mapping.settings.clone().overlaid(typed(self.members)?);
        rules::check_settings(kind, &settings)?;
        let (function, qualifier) = match self.function {
            Some(target) => (target.key, target.qualifier),
            None => (mapping.function.clone(), mapping.qualifier.clone()),
        };
        Ok(EventSourceMapping {
            function,
            qualifier,
            enabled: self.enabled.unwrap_or(mapping.enabled),
            settings: kind.completed(settings),
            modified_ms: now_ms,
            ..mapping.clone()
        })
    }
}

fn text(members: &mut Members, name: &str) -> Option<String> {
    match members.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The mapping that a label names; none when no mapping can have that id.
///
/// # Errors
/// When the label is not as long as an id.
pub fn labelled(uuid: &str) -> Result<Option<MappingId>, ApiError> {
    let mut violations = Violations::default();
    violations.text(uuid, "uUID", &UUID);
    violations.finish()?;
    Ok(uuid.parse().ok())
}

/// A page asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEventSourceMappingsRequest {
    /// Only those of this function.
    pub function: Option<Target>,
    /// Only those of this source.
    pub source_arn: Option<String>,
    /// Only what comes after this one.
    pub after: Option<MappingId>,
    /// How many at most.
    pub items: usize,
}

impl ListEventSourceMappingsRequest {
    /// Reads the query string.
    ///
    /// # Errors
    /// Every violation in one text; a function nobody has; a marker that we did not make.
    pub fn read(scope: &Scope, uri: &Uri) -> Result<Self, ApiError> {
        let query = QueryString::of(uri);
        let given = |name| query.get(name).map(String::from);
        let (name, source_arn) = (given("FunctionName"), given("EventSourceArn"));
        let mut violations = Violations::default();
        violations.optional(source_arn.as_ref(), "eventSourceArn", &ARN);
        violations.optional(name.as_ref(), "functionName", &EXISTING_NAME);
        let items = items_of(query, &mut violations, (10_000, limits::MAPPING_PAGE_ITEMS));
        violations.finish()?;
        let function = name
            .map(|name| Target::resolve(scope, &name, None, NameShape::Existing))
            .transpose()?;
        let after = given("Marker").filter(|marker| !marker.is_empty());
        let after = after.map(|marker| marker.parse()).transpose();
        let after = after.map_err(|_| ApiError::invalid_parameter("Invalid marker."))?;
        Ok(Self { function, source_arn, after, items })
    }
}

/// A page of mappings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListEventSourceMappingsResponse {
    /// The mappings, by id.
    pub event_source_mappings: Vec<Value>,
    /// What to pass as `Marker` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

/// A mapping as it is shown. Nothing is said of what it has processed where AWS says nothing.
///
/// # Panics
/// Never: settings hold nothing that JSON cannot say.
#[must_use]
pub fn shown(mapping: &EventSourceMapping, state: State) -> Value {
    let settings = serde_json::to_value(&mapping.settings);
    let mut shown = settings.expect("settings hold nothing that JSON cannot say");
    let stream = mapping.kind.is_stream();
    let said = [
        ("UUID", json!(mapping.id)),
        ("EventSourceMappingArn", json!(mapping.arn())),
        ("EventSourceArn", json!(mapping.source_arn)),
        ("FunctionArn", json!(mapping.function_arn())),
        ("LastModified", json!(seconds(mapping.modified_ms))),
        ("State", json!(state.as_str())),
        ("StateTransitionReason", json!(if stream { "User action" } else { "USER_INITIATED" })),
    ];
    if let Some(members) = shown.as_object_mut() {
        members.extend(said.map(|(name, value)| (name.to_owned(), value)));
        if !mapping.kind.is_sqs() {
            members.insert("LastProcessingResult".to_owned(), json!("No records processed"));
        }
        members.retain(|_, value| !value.is_null());
    }
    shown
}

/// 404 for a mapping that is not there.
#[must_use]
pub fn not_found() -> ApiError {
    ApiError::new(Exception::ResourceNotFound, "The resource you requested does not exist.")
}

/// 400 for a function that is not there.
#[must_use]
pub fn no_function() -> ApiError {
    ApiError::invalid_parameter("Function does not exist")
}

/// 400 for a queue that is not there.
#[must_use]
pub fn no_queue() -> ApiError {
    ApiError::invalid_parameter(
        "Error occurred while ReceiveMessage. SQS Error Code: \
         AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not \
         exist.",
    )
}

/// 409 for a mapping that would do what another one does.
#[must_use]
pub fn exists(new: &EventSourceMapping, other: &MappingId) -> ApiError {
    let advice = format!("Please update or delete the existing mapping with UUID {other}");
    let source = new.source_arn.as_deref().unwrap_or_default();
    let name = &new.function.name;
    let text = if new.kind.is_sqs() {
        format!(
            "An event source mapping with SQS arn (\" {source} \") and function (\" {name} \") \
             already exists. {advice}"
        )
    } else if new.kind.is_kafka() {
        let brokers = new.settings.brokers().collect::<Vec<_>>().join(",");
        let source = if source.is_empty() { &brokers } else { source };
        let topics = new.settings.topics.iter().flatten().cloned().collect::<Vec<_>>().join(",");
        let function = new.function_arn();
        format!(
            "An event source mapping with event source (\"{source}\"), function (\"{function}\"), \
             topics (\"{topics}\") already exists. {advice}"
        )
    } else {
        format!(
            "The event source arn (\" {source} \") and function (\" {name} \") provided mapping \
             already exists. {advice}"
        )
    };
    ApiError::new(Exception::ResourceConflict, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::shape::tests::any_json;
    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:123456789012:q";
    const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/s";
    const NOW_MS: u64 = 1_800_000_000_000;

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn id() -> MappingId {
        "00000000-0000-4000-8000-000000000001".parse().unwrap()
    }

    /// A request for a queue with these members changed; null removes.
    fn create(changes: &Value) -> Result<EventSourceMapping, ApiError> {
        let mut body = json!({"FunctionName": "f", "EventSourceArn": QUEUE});
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        let new = NewMapping::read(&scope(), body.to_string().as_bytes(), NOW_MS)?;
        Ok(new.named(id(), 1_500))
    }

    fn refused(changes: &Value, expected: &str) {
        let text = create(changes).unwrap_err().to_string();
        assert_eq!(text, format!("InvalidParameterValueException: {expected}"), "{changes}");
    }

    fn updated(mapping: &EventSourceMapping, body: &Value) -> Result<EventSourceMapping, ApiError> {
        let read = MappingChange::read(&scope(), id().as_str(), body.to_string().as_bytes());
        read?.1.applied_to(mapping, 2_000)
    }

    fn kafka(changes: &Value) -> Value {
        let mut body = json!({
            "EventSourceArn": null, "StartingPosition": "LATEST", "Topics": ["topic"],
            "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["k:9092"]}},
            "SourceAccessConfigurations": [{"Type": "BASIC_AUTH", "URI": "arn:x"}],
        });
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    }

    #[test]
    fn a_queue_has_the_defaults_of_queues() {
        let mapping = create(&json!({})).unwrap();
        assert_eq!(
            shown(&mapping, State::Creating),
            json!({
                "UUID": id(), "EventSourceArn": QUEUE, "BatchSize": 10,
                "EventSourceMappingArn": format!("arn:aws:lambda:us-east-1:123456789012:event-source-mapping:{}", id()),
                "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
                "FunctionResponseTypes": [], "LastModified": 1.5,
                "MaximumBatchingWindowInSeconds": 0, "State": "Creating",
                "StateTransitionReason": "USER_INITIATED",
            })
        );
    }

    #[test]
    fn a_stream_has_the_defaults_of_streams() {
        let mapping = create(&json!({"EventSourceArn": STREAM, "StartingPosition": "LATEST"}));
        let shown = shown(&mapping.unwrap(), State::Enabled);
        let expected = json!({
            "BatchSize": 100, "BisectBatchOnFunctionError": false,
            "DestinationConfig": {"OnFailure": {}}, "FunctionResponseTypes": [],
            "LastProcessingResult": "No records processed", "MaximumBatchingWindowInSeconds": 0,
            "MaximumRecordAgeInSeconds": -1, "MaximumRetryAttempts": -1,
            "ParallelizationFactor": 1, "StartingPosition": "LATEST", "State": "Enabled",
            "StateTransitionReason": "User action", "TumblingWindowInSeconds": 0,
        });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(shown[name], *value, "{name}");
        }
        assert_eq!(shown.as_object().unwrap().len(), expected.as_object().unwrap().len() + 5);
    }

    #[test]
    fn kafka_brokers_and_documents_have_theirs() {
        let own = create(&kafka(&json!({}))).unwrap();
        assert_eq!((own.kind, own.source_arn.as_ref()), (SourceKind::SelfManagedKafka, None));
        let own = shown(&own, State::Creating);
        assert_eq!(own["SelfManagedKafkaEventSourceConfig"], json!({"ConsumerGroupId": id()}));
        assert_eq!(
            own["SelfManagedEventSource"]["Endpoints"]["KAFKA_BOOTSTRAP_SERVERS"][0],
            "k:9092"
        );
        let msk = create(&json!({
            "EventSourceArn": "arn:aws:kafka:us-east-1:123456789012:cluster/c/u",
            "Topics": ["topic"], "StartingPosition": "TRIM_HORIZON",
        }));
        let msk = shown(&msk.unwrap(), State::Creating);
        assert_eq!(msk["AmazonManagedKafkaEventSourceConfig"], json!({"ConsumerGroupId": id()}));
        assert_eq!((&msk["BatchSize"], msk.get("ParallelizationFactor")), (&json!(100), None));
        let access = json!([{"Type": "BASIC_AUTH", "URI": "arn:x"}]);
        let broker = create(&json!({
            "EventSourceArn": "arn:aws:mq:us-east-1:123456789012:broker:b:b-1", "Queues": ["q"],
            "SourceAccessConfigurations": access,
        }));
        let broker = shown(&broker.unwrap(), State::Creating);
        assert_eq!((&broker["Queues"], broker.get("FunctionResponseTypes")), (&json!(["q"]), None));
        let documents = create(&json!({
            "EventSourceArn": "arn:aws:rds:us-east-1:123456789012:cluster:c",
            "StartingPosition": "LATEST", "SourceAccessConfigurations": access,
            "DocumentDBEventSourceConfig": {"DatabaseName": "d"},
        }));
        let documents = shown(&documents.unwrap(), State::Creating);
        let config = json!({"DatabaseName": "d", "FullDocument": "Default"});
        assert_eq!(documents["DocumentDBEventSourceConfig"], config);
    }

    #[test]
    fn the_framework_tells_everything_at_once() {
        let error = create(&json!({
            "FunctionName": null, "BatchSize": 0, "StartingPosition": "x", "Topics": [],
            "SourceAccessConfigurations": [{"Type": "x"}],
            "SelfManagedEventSource": {"Endpoints": {"x": ["k:1"]}},
            "FilterCriteria": {"Filters": [{"Pattern": "x".repeat(4_097)}]},
        }))
        .unwrap_err()
        .to_string();
        assert!(
            error.starts_with("ValidationException: 7 validation errors detected: "),
            "{error}"
        );
        for path in [
            "Value null at 'functionName'",
            "at 'sourceAccessConfigurations.1.member.type'",
            "at 'selfManagedEventSource.endpoints'",
            "at 'filterCriteria.filters.1.member.pattern'",
        ] {
            assert!(error.contains(path), "{error}");
        }
    }

    #[test]
    fn the_service_refuses_in_its_own_words() {
        let unsupported = |name: &str| {
            format!("Unsupported '{name}' parameter for given event source mapping type.")
        };
        refused(&json!({"EventSourceArn": null}), "Unrecognized event source.");
        refused(
            &json!({"EventSourceArn": "arn:aws:sns:us-east-1:123456789012:t"}),
            "Unrecognized event source.",
        );
        refused(
            &json!({"BatchSize": 11}),
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        );
        assert!(create(&json!({"BatchSize": 11, "MaximumBatchingWindowInSeconds": 1})).is_ok());
        let fifo =
            json!({"EventSourceArn": format!("{QUEUE}.fifo"), "MaximumBatchingWindowInSeconds": 1});
        refused(&fifo, "Batching window is not supported for FIFO queues");
        let filters =
            |pattern: &str| json!({"FilterCriteria": {"Filters": [{"Pattern": pattern}]}});
        refused(&filters("simple string"), "Invalid filter pattern definition.");
        refused(
            &json!({"FilterCriteria": {"Filters": [{}]}}),
            "Invalid filter pattern definition.",
        );
        assert!(create(&filters(r#"{"body": {"a": ["b"]}}"#)).is_ok());
        refused(&json!({"ParallelizationFactor": 2}), &unsupported("parallelizationFactor"));
        refused(&json!({"StartingPosition": "LATEST"}), &unsupported("startingPosition"));
        refused(&json!({"MaximumRetryAttempts": 1}), &unsupported("maximumRetryAttempts"));
        refused(
            &json!({"DestinationConfig": {"OnSuccess": {"Destination": QUEUE}}}),
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        );
        refused(
            &json!({"EventSourceArn": STREAM}),
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null.",
        );
        let at = json!({"EventSourceArn": STREAM, "StartingPosition": "AT_TIMESTAMP"});
        refused(&at, "Need to specify a timestamp");
        let table = "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/x";
        let at = json!({"EventSourceArn": table, "StartingPosition": "AT_TIMESTAMP"});
        refused(&at, &format!("Unsupported starting position for arn type: {table}"));
        let parameter = |name: &str| format!("Required '{name}' parameter is missing.");
        let without = |name: &str| kafka(&json!({name: null}));
        refused(&without("SourceAccessConfigurations"), &parameter("sourceAccessConfigurations"));
        refused(&without("Topics"), &parameter("topics"));
    }

    #[test]
    fn moments_to_begin_at_are_in_the_past() {
        let at = |seconds: u64| {
            create(&json!({
                "EventSourceArn": STREAM, "StartingPosition": "AT_TIMESTAMP",
                "StartingPositionTimestamp": seconds,
            }))
        };
        assert_eq!(at(5).unwrap().settings.starting_position_timestamp, Some(5.0));
        assert!(at(NOW_MS / 1_000 + 1).is_err());
    }

    #[test]
    fn pollers_and_concurrency_have_their_rules() {
        let pollers = |min: u32, max: u32| json!({"ProvisionedPollerConfig": {"MinimumPollers": min, "MaximumPollers": max}});
        assert!(create(&pollers(2, 10)).is_ok());
        for wrong in [pollers(1, 10), pollers(9, 3)] {
            assert!(create(&wrong).is_err(), "{wrong}");
        }
        let both = json!({
            "ProvisionedPollerConfig": {"MinimumPollers": 2},
            "ScalingConfig": {"MaximumConcurrency": 2},
        });
        assert!(create(&both).is_err());
        let alone = create(&json!({"ScalingConfig": {"MaximumConcurrency": 2}})).unwrap();
        let both = updated(&alone, &json!({"ProvisionedPollerConfig": {"MinimumPollers": 2}}));
        assert!(both.is_err());
    }

    #[test]
    fn a_change_obeys_the_rules_of_what_it_changes() {
        let mapping = create(&json!({"BatchSize": 5})).unwrap();
        assert_eq!(updated(&mapping, &json!({})).unwrap().settings, mapping.settings);
        let after = updated(&mapping, &json!({"Enabled": false, "FunctionName": "g:live"}));
        let after = after.unwrap();
        assert_eq!((after.enabled, after.settings.batch_size), (false, Some(5)));
        assert!(after.function_arn().ends_with(":function:g:live") && after.modified_ms == 2_000);
        assert!(updated(&mapping, &json!({"BatchSize": 11})).is_err());
        assert!(updated(&mapping, &json!({"BisectBatchOnFunctionError": true})).is_err());
        let text = MappingChange::read(&scope(), "x", br#"{"BatchSize": 0}"#).unwrap_err().message;
        assert!(text.starts_with("2 validation errors detected: Value 'x' at 'uUID' "), "{text}");
    }

    #[test]
    fn a_double_is_refused_with_the_id_of_the_first() {
        let text = |changes: &Value| exists(&create(changes).unwrap(), &id()).message;
        let advice = format!(
            "already exists. Please update or delete the existing mapping with UUID {}",
            id()
        );
        assert_eq!(
            text(&json!({})),
            format!(
                "An event source mapping with SQS arn (\" {QUEUE} \") and function (\" f \") {advice}"
            )
        );
        assert_eq!(
            text(&json!({"EventSourceArn": STREAM, "StartingPosition": "LATEST"})),
            format!(
                "The event source arn (\" {STREAM} \") and function (\" f \") provided mapping {advice}"
            )
        );
        let function = "arn:aws:lambda:us-east-1:123456789012:function:f";
        assert_eq!(
            text(&kafka(&json!({}))),
            format!(
                "An event source mapping with event source (\"k:9092\"), function (\"{function}\"), topics (\"topic\") {advice}"
            )
        );
    }

    #[test]
    fn a_page_is_narrowed_and_bounded() {
        let read = |query: &str| {
            ListEventSourceMappingsRequest::read(&scope(), &format!("/x?{query}").parse().unwrap())
        };
        assert_eq!(read("").unwrap().items, 100);
        let page =
            read(&format!("FunctionName=f:1&EventSourceArn={QUEUE}&MaxItems=2&Marker={}", id()));
        let page = page.unwrap();
        assert_eq!((page.items, page.after, page.source_arn), (2, Some(id()), Some(QUEUE.into())));
        assert!(page.function.unwrap().arn().ends_with(":f:1"));
        let text = read("FunctionName=a%20b&EventSourceArn=x&MaxItems=0").unwrap_err().message;
        assert!(text.starts_with("3 validation errors"), "{text}");
        assert_eq!(read("Marker=x").unwrap_err().message, "Invalid marker.");
    }

    proptest! {
        #[test]
        fn no_body_panics(name in "[A-Z][A-Za-z]{0,30}", value in any_json(), text in ".{0,60}") {
            for name in [name.as_str(), "FilterCriteria", "SelfManagedEventSource", "Tags", "Topics"] {
                let _ = create(&json!({name: value}));
            }
            let _ = create(&json!({"EventSourceArn": text, "FunctionName": text, "KMSKeyArn": text}));
            let _ = labelled(&text);
        }
    }
}
