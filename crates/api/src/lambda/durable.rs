//! Durable executions: what is asked of them, checked as AWS checks it. No function here can have any,
//! so that a list of them is empty, and every execution and callback that is named is not there.

use dormouse_model::names::Scope;
use http::Uri;
use serde_json::{Value, json};

use super::name::{EXISTING_NAME, NameShape, Target};
use super::operation::Operation;
use super::shape::{ANY, Member, Shape, asked, check, may, must, read};
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::validate::{Text, Violations, is_word};

use Shape::{Boolean, Integer, List, Object, OneOf, Private, Text as Is, Timestamp};

const EXECUTION: Text = Text {
    min: 1,
    max: 1_024,
    pattern: r"arn:([a-zA-Z0-9-]+):lambda:([a-zA-Z0-9-]+):(\d{12}):function:([a-zA-Z0-9_-]+):(\$LATEST(?:\.PUBLISHED)?|[0-9]+)/durable-execution/([a-zA-Z0-9_-]+)/([a-zA-Z0-9_-]+)",
    fits: is_execution,
};
const TOKEN: Text = Text { min: 1, max: 2_048, pattern: "[A-Za-z0-9+/]+={0,2}", fits: is_token };
const CALLBACK: Text = Text { max: 1_024, ..TOKEN };
const CLIENT_TOKEN: Text = Text {
    min: 1,
    max: 64,
    pattern: r"[\x21-\x7E]+",
    fits: |text| !text.is_empty() && text.bytes().all(|b| (0x21..=0x7e).contains(&b)),
};
const NAME: Text = Text { min: 1, max: 64, pattern: "[a-zA-Z0-9-_]+", fits: is_word };
const SUB_TYPE: Text = Text { max: 32, ..NAME };
const OPERATION_NAME: Text = Text {
    min: 1,
    max: 256,
    pattern: r"[\x20-\x7E]+",
    fits: |text| !text.is_empty() && text.bytes().all(|b| (0x20..=0x7e).contains(&b)),
};
const TENANT: Text = Text {
    min: 1,
    max: 256,
    pattern: r"[a-zA-Z0-9\._:\/=+\-@ ]+",
    fits: |text| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/=+-@ ".contains(&b))
    },
};
const TRACE: Text = Text { min: 0, max: 8_192, pattern: ".*", fits: |_| true };

const ERROR: &[Member] = &[
    may("ErrorMessage", Private(usize::MAX)),
    may("ErrorType", Private(usize::MAX)),
    may("ErrorData", Private(usize::MAX)),
    may("StackTrace", List(&Private(usize::MAX), ANY)),
];
const UPDATE: &[Member] = &[
    must("Id", Is(&NAME)),
    may("ParentId", Is(&NAME)),
    may("Name", Is(&OPERATION_NAME)),
    must("Type", OneOf(&["EXECUTION", "CONTEXT", "STEP", "WAIT", "CALLBACK", "CHAINED_INVOKE"])),
    may("SubType", Is(&SUB_TYPE)),
    must("Action", OneOf(&["START", "SUCCEED", "FAIL", "RETRY", "CANCEL"])),
    may("Payload", Private(6_291_456)),
    may("Error", Object(ERROR)),
    may("ContextOptions", Object(&[may("ReplayChildren", Boolean)])),
    may("StepOptions", Object(&[may("NextAttemptDelaySeconds", Integer(1, 31_622_400))])),
    may("WaitOptions", Object(&[may("WaitSeconds", Integer(1, 31_622_400))])),
    may(
        "CallbackOptions",
        Object(&[
            may("TimeoutSeconds", Integer(0, 99_999_999)),
            may("HeartbeatTimeoutSeconds", Integer(0, 99_999_999)),
        ]),
    ),
    may(
        "ChainedInvokeOptions",
        Object(&[
            must("FunctionName", Is(&EXISTING_NAME)),
            may("TenantId", Is(&TENANT)),
            may("XAmznTraceId", Is(&TRACE)),
        ]),
    ),
];
const CHECKPOINT: &[Member] = &[
    must("CheckpointToken", Is(&TOKEN)),
    may("Updates", List(&Object(UPDATE), ANY)),
    may("ClientToken", Is(&CLIENT_TOKEN)),
];
const RESUME: &[Member] = &[may("ClientToken", Is(&CLIENT_TOKEN)), may("Reason", Private(1_024))];
const PAUSE: &[Member] = &[
    may("ClientToken", Is(&CLIENT_TOKEN)),
    may("Reason", Private(1_024)),
    may("ExecutionTimeoutPaused", Boolean),
];
const GET: &[Member] = &[may("IncludeExecutionData", Boolean)];
const HISTORY: &[Member] = &[
    may("IncludeExecutionData", Boolean),
    may("MaxItems", Integer(0, 1_000)),
    may("ReverseOrder", Boolean),
];
const STATE: &[Member] = &[must("CheckpointToken", Is(&TOKEN)), may("MaxItems", Integer(0, 1_000))];
const LIST: &[Member] = &[
    may("DurableExecutionName", Is(&NAME)),
    may(
        "Statuses",
        List(
            &OneOf(&[
                "RUNNING",
                "SUCCEEDED",
                "FAILED",
                "TIMED_OUT",
                "STOPPED",
                "DELETING",
                "PAUSING",
                "PAUSED",
            ]),
            (1, 10),
        ),
    ),
    may("StartedAfter", Timestamp),
    may("StartedBefore", Timestamp),
    may("ReverseOrder", Boolean),
    may("MaxItems", Integer(0, 1_000)),
];

/// Checks a request about an execution or a callback and says why it cannot be granted.
///
/// # Errors
/// Always: a body that is none, every violation in one text, or that what is named is not there.
pub fn refuse(operation: Operation, label: &str, uri: &Uri, body: &[u8]) -> Result<(), ApiError> {
    let (query, body_shape) = match operation {
        Operation::GetDurableExecution => (GET, None),
        Operation::GetDurableExecutionHistory => (HISTORY, None),
        Operation::GetDurableExecutionState => (STATE, None),
        Operation::CheckpointDurableExecution => (NONE, Some(CHECKPOINT)),
        Operation::PauseDurableExecution => (NONE, Some(PAUSE)),
        Operation::ResumeDurableExecution => (NONE, Some(RESUME)),
        Operation::StopDurableExecution | Operation::SendDurableExecutionCallbackFailure => {
            (NONE, Some(ERROR))
        }
        _ => (NONE, None),
    };
    let members = body_shape.map(|shape| Ok((shape, read(body, shape)?))).transpose()?;
    let mut violations = Violations::default();
    let is_callback = matches!(
        operation,
        Operation::SendDurableExecutionCallbackSuccess
            | Operation::SendDurableExecutionCallbackFailure
            | Operation::SendDurableExecutionCallbackHeartbeat
    );
    if is_callback {
        violations.text(label, "callbackId", &CALLBACK);
    } else {
        violations.text(label, "durableExecutionArn", &EXECUTION);
    }
    asked(&mut violations, query, QueryString::of(uri));
    if let Some((shape, members)) = &members {
        check(&mut violations, shape, members);
    }
    if operation == Operation::SendDurableExecutionCallbackSuccess && body.len() > RESULT_BYTES {
        let rule = format!("{} {RESULT_BYTES}", crate::validate::LONGEST);
        violations.add_hidden("result", rule);
    }
    violations.finish()?;
    Err(match operation {
        // These have no word for what is not there but that its token is none.
        Operation::CheckpointDurableExecution | Operation::GetDurableExecutionState => {
            ApiError::invalid_parameter("Invalid checkpoint token")
        }
        _ => {
            ApiError::new(Exception::ResourceNotFound, "The resource you requested does not exist.")
        }
    })
}

const NONE: &[Member] = &[];
/// What a callback may bring (API model).
const RESULT_BYTES: usize = 1_048_576;

/// The function whose executions are listed.
///
/// # Errors
/// Every violation in one text; a name nobody has; a marker, since there is no second page.
pub fn listed(scope: &Scope, name: &str, uri: &Uri) -> Result<Target, ApiError> {
    let query = QueryString::of(uri);
    let mut violations = Violations::default();
    asked(&mut violations, LIST, query);
    let qualifier = query.get("Qualifier");
    let about = (name, qualifier.as_deref());
    let target = Target::resolve_with(scope, about, NameShape::Existing, violations)?;
    if query.get("Marker").is_some_and(|marker| !marker.is_empty()) {
        return Err(ApiError::invalid_parameter("Invalid marker."));
    }
    Ok(target)
}

/// The executions of a function: none.
#[must_use]
pub fn no_executions() -> Value {
    json!({"DurableExecutions": []})
}

fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len() - body.len() <= 2
        && !body.is_empty()
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

fn is_execution(text: &str) -> bool {
    let words = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let parts: Vec<&str> = text.split(':').collect();
    let ["arn", partition, "lambda", region, account, "function", name, rest] = parts.as_slice()
    else {
        return false;
    };
    let rest: Vec<&str> = rest.split('/').collect();
    let [version, "durable-execution", execution, id] = rest.as_slice() else { return false };
    let is_version = matches!(*version, "$LATEST" | "$LATEST.PUBLISHED")
        || (!version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()));
    words(partition)
        && words(region)
        && super::pattern::is_account(account)
        && is_version
        && [*name, *execution, *id].into_iter().all(is_word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::shape::tests::any_json;
    use super::*;
    use crate::validate::tests::fits_what_it_makes;

    const ARN: &str =
        "arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST/durable-execution/e/i";

    fn told(operation: Operation, label: &str, query: &str, body: &Value) -> String {
        let uri = format!("/x?{query}").parse().unwrap();
        refuse(operation, label, &uri, body.to_string().as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_named_is_not_there() {
        let missing = "ResourceNotFoundException: The resource you requested does not exist.";
        for operation in [
            Operation::GetDurableExecution,
            Operation::GetDurableExecutionHistory,
            Operation::StopDurableExecution,
            Operation::DeleteDurableExecution,
            Operation::PauseDurableExecution,
            Operation::ResumeDurableExecution,
        ] {
            assert_eq!(told(operation, ARN, "", &json!({})), missing, "{operation:?}");
            let text = told(operation, "x", "", &json!({}));
            assert!(text.starts_with("ValidationException: 1 "), "{text}");
        }
        let heartbeat = Operation::SendDurableExecutionCallbackHeartbeat;
        assert_eq!(told(heartbeat, "YQ==", "", &json!({})), missing);
        assert!(told(heartbeat, "a b", "", &json!({})).contains("at 'callbackId'"));
        let token = "InvalidParameterValueException: Invalid checkpoint token";
        let body = json!({"CheckpointToken": "YQ=="});
        assert_eq!(told(Operation::CheckpointDurableExecution, ARN, "", &body), token);
        let state = Operation::GetDurableExecutionState;
        assert_eq!(told(state, ARN, "CheckpointToken=YQ%3D%3D", &json!({})), token);
    }

    #[test]
    fn what_is_wrong_is_told_at_once() {
        let body = json!({"Updates": [{"Id": "a b", "Type": "x"}], "ClientToken": ""});
        let text = told(Operation::CheckpointDurableExecution, "x", "", &body);
        assert!(text.starts_with("ValidationException: 7 validation errors detected: "), "{text}");
        assert!(text.contains("Value null at 'updates.1.member.action'"), "{text}");
        let text = told(Operation::GetDurableExecutionState, "x", "MaxItems=1001", &json!({}));
        assert!(text.starts_with("ValidationException: 3 "), "{text}");
        let private = json!({"Reason": "secret".repeat(400)});
        let text = told(Operation::PauseDurableExecution, ARN, "", &private);
        assert!(text.contains("Value at 'reason'") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn a_list_is_of_one_function() {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        let listed = |name: &str, query: &str| {
            let read = listed(&scope, name, &format!("/x?{query}").parse().unwrap());
            read.map_or_else(|error| error.to_string(), |target| target.arn())
        };
        let query = "Qualifier=1&Statuses=RUNNING&Statuses=FAILED&StartedAfter=2026-01-02T03:04:05Z&MaxItems=0";
        assert!(listed("f", query).ends_with(":function:f:1"));
        let wrong = "Qualifier=a%20b&Statuses=x&StartedAfter=x&MaxItems=x&ReverseOrder=x&DurableExecutionName=a%20b";
        assert!(
            listed("a b", wrong).starts_with("ValidationException: 7 "),
            "{}",
            listed("a b", wrong)
        );
        assert!(listed("f", "Marker=x").ends_with("Invalid marker."));
    }

    #[test]
    fn whatever_a_pattern_makes_is_let_through() {
        for rule in [&TOKEN, &CLIENT_TOKEN, &NAME, &OPERATION_NAME, &TENANT] {
            fits_what_it_makes(rule.pattern, rule.fits);
        }
        fits_what_it_makes(&EXECUTION.pattern.replace("(?:", "("), EXECUTION.fits);
    }

    proptest! {
        #[test]
        fn no_request_panics(body in any_json(), label in ".{0,60}", query in "[A-Za-z=&%0-9]{0,40}") {
            for operation in Operation::ALL {
                let _ = told(*operation, &label, &query, &body);
            }
            let _ = told(Operation::CheckpointDurableExecution, ARN, "", &json!({"Updates": [body]}));
        }
    }
}
