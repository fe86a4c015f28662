//! Every operation of Lambda's API, and which of them a method and a path name.
//!
//! All 91 operations of botocore 1.44's model are here, so that one we do not have yet is refused
//! by name. Where a fixed query member tells two operations apart, the row with it comes first.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::query::QueryString;

/// Segments the longest template has. A longer path names nothing.
const SEGMENTS: usize = 7;

macro_rules! operations {
    ($($group:ident $about:literal {
        $($name:ident $method:ident $path:literal $query:literal $status:literal;)*
    })*) => {
        /// An operation of Lambda.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[doc = concat!("`", stringify!($method), " ", $path, "`")] $name,)*)*
        }

        /// What operations are about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Group {
            $(#[doc = $about] $group,)*
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$($(Self::$name),*),*];

            /// AWS's name for it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)*)* }
            }

            /// What it is about.
            #[must_use]
            pub fn group(self) -> Group {
                match self { $($(Self::$name => Group::$group,)*)* }
            }

            /// The HTTP method.
            #[must_use]
            pub fn method(self) -> Method {
                match self { $($(Self::$name => Method::$method,)*)* }
            }

            /// The path with its labels in braces.
            #[must_use]
            pub fn template(self) -> &'static str {
                match self { $($(Self::$name => $path,)*)* }
            }

            /// The query member that tells it from another operation on the same path.
            fn query(self) -> Option<(&'static str, &'static str)> {
                match self { $($(Self::$name => $query.split_once('='),)*)* }
            }

            /// The status of success. `DeleteFunction` is 204 on the wire, 200 in the model;
            /// `Invoke`'s depends on its type.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $($(Self::$name => $status,)*)* }
            }
        }
    };
}

operations! {
    Invocation "Functions are run." {
        Invoke POST "/2015-03-31/functions/{FunctionName}/invocations" "" 200;
        InvokeWithResponseStream POST "/2021-11-15/functions/{FunctionName}/response-streaming-invocations" "" 200;
        InvokeAsync POST "/2014-11-13/functions/{FunctionName}/invoke-async" "" 202;
    }
    Function "Functions themselves, and the account's settings." {
        CreateFunction POST "/2015-03-31/functions" "" 201;
        GetFunction GET "/2015-03-31/functions/{FunctionName}" "" 200;
        GetFunctionConfiguration GET "/2015-03-31/functions/{FunctionName}/configuration" "" 200;
        UpdateFunctionCode PUT "/2015-03-31/functions/{FunctionName}/code" "" 200;
        UpdateFunctionConfiguration PUT "/2015-03-31/functions/{FunctionName}/configuration" "" 200;
        DeleteFunction DELETE "/2015-03-31/functions/{FunctionName}" "" 204;
        ListFunctions GET "/2015-03-31/functions" "" 200;
        GetAccountSettings GET "/2016-08-19/account-settings" "" 200;
    }
    Version "Published versions." {
        PublishVersion POST "/2015-03-31/functions/{FunctionName}/versions" "" 201;
        ListVersionsByFunction GET "/2015-03-31/functions/{FunctionName}/versions" "" 200;
    }
    Alias "Aliases." {
        CreateAlias POST "/2015-03-31/functions/{FunctionName}/aliases" "" 201;
        GetAlias GET "/2015-03-31/functions/{FunctionName}/aliases/{Name}" "" 200;
        UpdateAlias PUT "/2015-03-31/functions/{FunctionName}/aliases/{Name}" "" 200;
        DeleteAlias DELETE "/2015-03-31/functions/{FunctionName}/aliases/{Name}" "" 204;
        ListAliases GET "/2015-03-31/functions/{FunctionName}/aliases" "" 200;
    }
    Layer "Layers." {
        PublishLayerVersion POST "/2018-10-31/layers/{LayerName}/versions" "" 201;
        GetLayerVersion GET "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}" "" 200;
        ListLayerVersions GET "/2018-10-31/layers/{LayerName}/versions" "" 200;
        GetLayerVersionByArn GET "/2018-10-31/layers" "find=LayerVersion" 200;
        ListLayers GET "/2018-10-31/layers" "" 200;
        DeleteLayerVersion DELETE "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}" "" 204;
        AddLayerVersionPermission POST "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy" "" 201;
        RemoveLayerVersionPermission DELETE "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy/{StatementId}" "" 204;
        GetLayerVersionPolicy GET "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy" "" 200;
    }
    Permission "Statements of functions' policies." {
        AddPermission POST "/2015-03-31/functions/{FunctionName}/policy" "" 201;
        GetPolicy GET "/2015-03-31/functions/{FunctionName}/policy" "" 200;
        RemovePermission DELETE "/2015-03-31/functions/{FunctionName}/policy/{StatementId}" "" 204;
    }
    ResourcePolicy "Policies as whole documents." {
        PutResourcePolicy PUT "/2026-07-09/resource-policy/{ResourceArn}" "" 200;
        GetResourcePolicy GET "/2026-07-09/resource-policy/{ResourceArn}" "" 200;
        DeleteResourcePolicy DELETE "/2026-07-09/resource-policy/{ResourceArn}" "" 204;
    }
    ReservedConcurrency "Reserved concurrency." {
        PutFunctionConcurrency PUT "/2017-10-31/functions/{FunctionName}/concurrency" "" 200;
        GetFunctionConcurrency GET "/2019-09-30/functions/{FunctionName}/concurrency" "" 200;
        DeleteFunctionConcurrency DELETE "/2017-10-31/functions/{FunctionName}/concurrency" "" 204;
    }
    ProvisionedConcurrency "Provisioned concurrency." {
        PutProvisionedConcurrencyConfig PUT "/2019-09-30/functions/{FunctionName}/provisioned-concurrency" "" 202;
        ListProvisionedConcurrencyConfigs GET "/2019-09-30/functions/{FunctionName}/provisioned-concurrency" "List=ALL" 200;
        GetProvisionedConcurrencyConfig GET "/2019-09-30/functions/{FunctionName}/provisioned-concurrency" "" 200;
        DeleteProvisionedConcurrencyConfig DELETE "/2019-09-30/functions/{FunctionName}/provisioned-concurrency" "" 204;
    }
    EventInvoke "What becomes of asynchronous invocations." {
        PutFunctionEventInvokeConfig PUT "/2019-09-25/functions/{FunctionName}/event-invoke-config" "" 200;
        UpdateFunctionEventInvokeConfig POST "/2019-09-25/functions/{FunctionName}/event-invoke-config" "" 200;
        GetFunctionEventInvokeConfig GET "/2019-09-25/functions/{FunctionName}/event-invoke-config" "" 200;
        ListFunctionEventInvokeConfigs GET "/2019-09-25/functions/{FunctionName}/event-invoke-config/list" "" 200;
        DeleteFunctionEventInvokeConfig DELETE "/2019-09-25/functions/{FunctionName}/event-invoke-config" "" 204;
    }
    EventSource "Event source mappings." {
        CreateEventSourceMapping POST "/2015-03-31/event-source-mappings" "" 202;
        GetEventSourceMapping GET "/2015-03-31/event-source-mappings/{UUID}" "" 200;
        ListEventSourceMappings GET "/2015-03-31/event-source-mappings" "" 200;
        UpdateEventSourceMapping PUT "/2015-03-31/event-source-mappings/{UUID}" "" 202;
        DeleteEventSourceMapping DELETE "/2015-03-31/event-source-mappings/{UUID}" "" 202;
    }
    Url "Function URLs." {
        CreateFunctionUrlConfig POST "/2021-10-31/functions/{FunctionName}/url" "" 201;
        GetFunctionUrlConfig GET "/2021-10-31/functions/{FunctionName}/url" "" 200;
        UpdateFunctionUrlConfig PUT "/2021-10-31/functions/{FunctionName}/url" "" 200;
        DeleteFunctionUrlConfig DELETE "/2021-10-31/functions/{FunctionName}/url" "" 204;
        ListFunctionUrlConfigs GET "/2021-10-31/functions/{FunctionName}/urls" "" 200;
    }
    Tag "Tags." {
        TagResource POST "/2017-03-31/tags/{Resource}" "" 204;
        UntagResource DELETE "/2017-03-31/tags/{Resource}" "" 204;
        ListTags GET "/2017-03-31/tags/{Resource}" "" 200;
    }
    Behaviour "Runtime management and recursion." {
        GetRuntimeManagementConfig GET "/2021-07-20/functions/{FunctionName}/runtime-management-config" "" 200;
        PutRuntimeManagementConfig PUT "/2021-07-20/functions/{FunctionName}/runtime-management-config" "" 200;
        GetFunctionRecursionConfig GET "/2024-08-31/functions/{FunctionName}/recursion-config" "" 200;
        PutFunctionRecursionConfig PUT "/2024-08-31/functions/{FunctionName}/recursion-config" "" 200;
    }
    CodeSigning "Code signing." {
        GetFunctionCodeSigningConfig GET "/2020-06-30/functions/{FunctionName}/code-signing-config" "" 200;
        PutFunctionCodeSigningConfig PUT "/2020-06-30/functions/{FunctionName}/code-signing-config" "" 200;
        DeleteFunctionCodeSigningConfig DELETE "/2020-06-30/functions/{FunctionName}/code-signing-config" "" 204;
        CreateCodeSigningConfig POST "/2020-04-22/code-signing-configs" "" 201;
        GetCodeSigningConfig GET "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}" "" 200;
        UpdateCodeSigningConfig PUT "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}" "" 200;
        DeleteCodeSigningConfig DELETE "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}" "" 204;
        ListCodeSigningConfigs GET "/2020-04-22/code-signing-configs" "" 200;
        ListFunctionsByCodeSigningConfig GET "/2020-04-22/code-signing-configs/{CodeSigningConfigArn}/functions" "" 200;
    }
    DurableExecution "Durable executions." {
        CheckpointDurableExecution POST "/2025-12-01/durable-executions/{DurableExecutionArn}/checkpoint" "" 200;
        GetDurableExecution GET "/2025-12-01/durable-executions/{DurableExecutionArn}" "" 200;
        GetDurableExecutionHistory GET "/2025-12-01/durable-executions/{DurableExecutionArn}/history" "" 200;
        GetDurableExecutionState GET "/2025-12-01/durable-executions/{DurableExecutionArn}/state" "" 200;
        ListDurableExecutionsByFunction GET "/2025-12-01/functions/{FunctionName}/durable-executions" "" 200;
        StopDurableExecution POST "/2025-12-01/durable-executions/{DurableExecutionArn}/stop" "" 200;
        DeleteDurableExecution DELETE "/2025-12-01/durable-executions/{DurableExecutionArn}" "" 202;
        PauseDurableExecution POST "/2025-12-01/durable-executions/{DurableExecutionArn}/pause" "" 202;
        ResumeDurableExecution POST "/2025-12-01/durable-executions/{DurableExecutionArn}/resume" "" 202;
        SendDurableExecutionCallbackSuccess POST "/2025-12-01/durable-execution-callbacks/{CallbackId}/succeed" "" 200;
        SendDurableExecutionCallbackFailure POST "/2025-12-01/durable-execution-callbacks/{CallbackId}/fail" "" 200;
        SendDurableExecutionCallbackHeartbeat POST "/2025-12-01/durable-execution-callbacks/{CallbackId}/heartbeat" "" 200;
    }
    CapacityProvider "Capacity providers and how functions scale on them." {
        CreateCapacityProvider POST "/2025-11-30/capacity-providers" "" 202;
        GetCapacityProvider GET "/2025-11-30/capacity-providers/{CapacityProviderName}" "" 200;
        UpdateCapacityProvider PUT "/2025-11-30/capacity-providers/{CapacityProviderName}" "" 202;
        DeleteCapacityProvider DELETE "/2025-11-30/capacity-providers/{CapacityProviderName}" "" 202;
        ListCapacityProviders GET "/2025-11-30/capacity-providers" "" 200;
        ListFunctionVersionsByCapacityProvider GET "/2025-11-30/capacity-providers/{CapacityProviderName}/function-versions" "" 200;
        GetFunctionScalingConfig GET "/2025-11-30/functions/{FunctionName}/function-scaling-config" "" 200;
        PutFunctionScalingConfig PUT "/2025-11-30/functions/{FunctionName}/function-scaling-config" "" 202;
    }
}

/// An operation and what its path says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub operation: Operation,
    /// The labels of its path by name, decoded.
    pub labels: Vec<(&'static str, String)>,
}

impl Call {
    /// A label of the path; empty when the operation has no such label.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| *label == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// Why a method and a path name no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCall {
    /// No template fits.
    #[error("no operation has this method and path")]
    Unknown,
    /// A label is no UTF-8 once it is decoded.
    #[error("a label of the path is no text")]
    NotText,
}

/// Which operation a request asks for.
///
/// # Errors
/// When there is none, or when a label of the path is no text.
pub fn call(method: &Method, path: &str, query: QueryString<'_>) -> Result<Call, NoCall> {
    let mut buffer = [""; SEGMENTS];
    let segments = split(path, &mut buffer).ok_or(NoCall::Unknown)?;
    let operation = Operation::ALL.iter().copied().find(|operation| {
        operation.method() == *method
            && fits(operation.template(), segments)
            && operation
                .query()
                .is_none_or(|(name, value)| query.get(name).is_some_and(|got| got == value))
    });
    let operation = operation.ok_or(NoCall::Unknown)?;
    let labels = labels(operation.template(), segments)?;
    Ok(Call { operation, labels })
}

/// Whether a path looks like one of Lambda's, whatever the method.
#[must_use]
pub fn is_lambda_path(path: &str) -> bool {
    let mut buffer = [""; SEGMENTS];
    split(path, &mut buffer).is_some_and(|segments| {
        Operation::ALL.iter().any(|operation| fits(operation.template(), segments))
    })
}

/// The segments of a path. Older SDKs end `/functions/` in a slash, which says nothing.
fn split<'a, 'b>(path: &'a str, buffer: &'b mut [&'a str; SEGMENTS]) -> Option<&'b [&'a str]> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut count = 0;
    for segment in path.split('/') {
        *buffer.get_mut(count)? = segment;
        count += 1;
    }
    Some(&buffer[..count])
}

fn template_segments(template: &'static str) -> impl Iterator<Item = &'static str> {
    template.split('/').skip(1)
}

fn label_name(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn fits(template: &'static str, segments: &[&str]) -> bool {
    // Nearly all differ in their first segment, the date of their version.
    if !segments.first().is_some_and(|first| template[1..].starts_with(first)) {
        return false;
    }
    let mut wanted = template_segments(template);
    segments.iter().all(|segment| {
        wanted.next().is_some_and(|wanted| label_name(wanted).is_some() || wanted == *segment)
    }) && wanted.next().is_none()
}

fn labels(
    template: &'static str,
    segments: &[&str],
) -> Result<Vec<(&'static str, String)>, NoCall> {
    template_segments(template)
        .zip(segments)
        .filter_map(|(wanted, segment)| Some((label_name(wanted)?, segment)))
        .map(|(name, segment)| {
            let value = percent_decode_str(segment).decode_utf8().map_err(|_| NoCall::NotText)?;
            Ok((name, value.into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use http::Uri;
    use proptest::prelude::*;

    use super::*;

    fn routed(method: &str, uri: &str) -> String {
        let uri: Uri = uri.parse().unwrap();
        let method: Method = method.parse().unwrap();
        match call(&method, uri.path(), QueryString::of(&uri)) {
            Ok(call) => {
                let labels: Vec<_> = call.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("{} {}", call.operation.name(), labels.join(" "))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_operation_is_found_by_its_own_template() {
        assert_eq!(Operation::ALL.len(), 91);
        for operation in Operation::ALL {
            let mut path = operation.template().to_owned();
            if let Some((name, value)) = operation.query() {
                path = format!("{path}?{name}={value}");
            }
            let path = path.replace('{', "%7B").replace('}', "%7D");
            let found = routed(operation.method().as_str(), &path);
            assert_eq!(found.split(' ').next(), Some(operation.name()));
        }
    }

    #[test]
    fn labels_are_decoded_and_siblings_are_told_apart() {
        let check =
            |method, uri, expected: &str| assert_eq!(routed(method, uri), expected, "{uri}");
        check("POST", "/2015-03-31/functions", "CreateFunction ");
        check("GET", "/2015-03-31/functions/", "ListFunctions ");
        check("GET", "/2015-03-31/functions/f%3A1", "GetFunction FunctionName=f:1");
        check(
            "POST",
            "/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations?Qualifier=1",
            "Invoke FunctionName=arn:aws:lambda:us-east-1:000000000000:function:f",
        );
        check(
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency?List=ALL",
            "ListProvisionedConcurrencyConfigs FunctionName=f",
        );
        check(
            "GET",
            "/2019-09-30/functions/f/provisioned-concurrency?Qualifier=1",
            "GetProvisionedConcurrencyConfig FunctionName=f",
        );
        check("GET", "/2018-10-31/layers?find=LayerVersion&Arn=x", "GetLayerVersionByArn ");
        check("GET", "/2018-10-31/layers", "ListLayers ");
        check(
            "GET",
            "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af",
            "ListTags Resource=arn:aws:lambda:us-east-1:000000000000:function:f",
        );
        check(
            "DELETE",
            "/2018-10-31/layers/l/versions/1/policy/s",
            "RemoveLayerVersionPermission LayerName=l VersionNumber=1 StatementId=s",
        );
        check(
            "GET",
            "/2025-12-01/durable-executions/a%2Fb/history",
            "GetDurableExecutionHistory DurableExecutionArn=a/b",
        );
    }

    #[test]
    fn what_is_no_operation_is_refused() {
        let unknown = NoCall::Unknown.to_string();
        for (method, uri) in [
            ("PATCH", "/2015-03-31/functions"),
            ("GET", "/2015-03-30/functions"),
            ("GET", "/"),
            ("GET", "//"),
            ("GET", "/2015-03-31/functions/a/b/c/d/e/f/g/h/i"),
            ("POST", "/2015-03-31/functions/a%2Finvocations"),
        ] {
            assert_eq!(routed(method, uri), unknown, "{uri}");
        }
        assert_eq!(routed("GET", "/2015-03-31/functions/%ff"), NoCall::NotText.to_string());
    }

    proptest! {
        #[test]
        fn every_operation_gets_back_the_labels_that_were_encoded(
            which in 0..Operation::ALL.len(),
            labels in proptest::collection::vec(any::<String>().prop_filter("a label", |l| !l.is_empty()), 3),
        ) {
            let operation = Operation::ALL[which];
            let mut given = labels.iter();
            let segments = template_segments(operation.template());
            let path: String = segments
                .map(|segment| match label_name(segment) {
                    Some(_) => given.next().map_or(String::new(), |label| {
                        format!("/{}", percent_encoding::utf8_percent_encode(label, percent_encoding::NON_ALPHANUMERIC))
                    }),
                    None => format!("/{segment}"),
                })
                .collect();
            let query = operation.query().map(|(name, value)| format!("?{name}={value}"));
            let uri: Uri = format!("{path}{}", query.unwrap_or_default()).parse().unwrap();
            let called = call(&operation.method(), uri.path(), QueryString::of(&uri)).unwrap();
            prop_assert_eq!(called.operation, operation);
            let got: Vec<&String> = called.labels.iter().map(|(_, label)| label).collect();
            let expected: Vec<&String> = labels.iter().take(got.len()).collect();
            prop_assert_eq!(got, expected);
            prop_assert!(is_lambda_path(uri.path()));
        }

        #[test]
        fn no_path_panics_the_router(path in "(/[ -~]{0,12}){0,10}", query in "[a-zA-Z=&%0-9]{0,20}") {
            let uri: Uri = format!("/?{query}").parse().unwrap();
            let _ = call(&Method::GET, &path, QueryString::of(&uri));
            let _ = is_lambda_path(&path);
        }
    }
}
