//! Puts a refusal in bytes, one function per protocol. Decides nothing: the table does.

use bytes::Bytes;
use dormouse_model::names::RequestId;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::Value;

use super::exception::Kind;
use super::{ApiError, Detail};
use crate::service::{Dialect, Protocol, Service};
use crate::xml::Xml;

/// S3's second id of a request, which says which of its hosts answered: we are one.
const HOST_ID: &str = "dormouse";

impl ApiError {
    /// The whole HTTP answer in the dialect of the service that was asked.
    #[must_use]
    pub fn answer(&self, dialect: Dialect, request_id: &RequestId) -> Response<Bytes> {
        let facts = self.exception.facts();
        let (content_type, body) = self.body(dialect, request_id);
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(facts.status).expect("the table holds valid statuses");
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let id = HeaderValue::from_str(request_id.as_str()).expect("a UUID is a header value");
        match dialect.protocol {
            Protocol::RestXml => headers.insert("x-amz-request-id", id),
            _ => headers.insert("x-amzn-requestid", id),
        };
        if dialect.protocol == Protocol::RpcV2Cbor {
            headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
        }
        if dialect.protocol == Protocol::RestJson {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(facts.code));
        }
        if once_spoke_query(dialect) {
            // Clients that knew the query protocol go on by its codes.
            let fault = if facts.status < 500 { "Sender" } else { "Receiver" };
            let code = format!("{};{fault}", facts.query_code);
            let code = HeaderValue::from_str(&code).expect("codes are header values");
            headers.insert("x-amzn-query-error", code);
        }
        if let Detail::Throttle { retry_after_s, .. } = self.detail {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        response
    }

    fn body(&self, dialect: Dialect, request_id: &RequestId) -> (&'static str, Bytes) {
        let (content_type, text) = match dialect.protocol {
            Protocol::RestJson => ("application/json", self.rest_json()),
            Protocol::Json10 => ("application/x-amz-json-1.0", self.json_of(dialect)),
            Protocol::Json11 => ("application/x-amz-json-1.1", self.json()),
            Protocol::RpcV2Cbor => return ("application/cbor", self.cbor().into()),
            Protocol::Query => ("text/xml", self.query(dialect, request_id)),
            Protocol::Ec2Query => ("text/xml;charset=UTF-8", self.ec2(request_id)),
            Protocol::RestXml => match dialect.service {
                Some(Service::S3) | None => ("application/xml", self.s3(request_id)),
                Some(_) => ("text/xml", self.query(dialect, request_id)),
            },
        };
        (content_type, text.into())
    }

    fn rest_json(&self) -> String {
        let facts = self.exception.facts();
        let detail = match &self.detail {
            Detail::None | Detail::Elements(_) | Detail::Untyped => None,
            Detail::Throttle { reason, .. } => Some(("Reason", reason.as_str())),
            Detail::Ec2(code) => Some(("EC2ErrorCode", code.as_str())),
        };
        let kind = match facts.kind {
            _ if self.detail == Detail::Untyped => None,
            Kind::User => Some(("Type", "User")),
            Kind::Service => Some(("Type", "Service")),
            Kind::Unsaid => None,
        };
        let message = (facts.key.as_str(), self.message.as_str());
        object(detail.into_iter().chain(kind).chain([message]))
    }

    /// SQS and CloudWatch write the whole shape's id.
    fn json_of(&self, dialect: Dialect) -> String {
        let namespace = match dialect.service {
            Some(Service::Sqs) => "com.amazonaws.sqs",
            Some(Service::Monitoring) => "com.amazonaws.cloudwatch",
            _ => return self.json(),
        };
        let shape = format!("{namespace}#{}", self.exception.facts().code);
        object([("__type", shape.as_str()), ("message", self.message.as_str())])
    }

    fn json(&self) -> String {
        let facts = self.exception.facts();
        object([("__type", facts.code), (facts.key.as_str(), self.message.as_str())])
    }

    /// A map of two texts.
    fn cbor(&self) -> Vec<u8> {
        let facts = self.exception.facts();
        let mut out = vec![0xa2];
        for text in ["__type", facts.code, facts.key.as_str(), &self.message] {
            cbor_text(&mut out, text);
        }
        out
    }

    fn query(&self, dialect: Dialect, request_id: &RequestId) -> String {
        let facts = self.exception.facts();
        let namespace = dialect.service.and_then(Service::namespace);
        let sender = if facts.status < 500 { "Sender" } else { "Receiver" };
        let mut xml = Xml::new();
        xml.element_with("ErrorResponse", namespace.as_deref(), |xml| {
            xml.element("Error", |xml| {
                xml.leaf("Type", sender)
                    .leaf("Code", facts.query_code)
                    .leaf("Message", &self.message);
            });
            xml.leaf("RequestId", request_id.as_str());
        });
        xml.finish()
    }

    fn ec2(&self, request_id: &RequestId) -> String {
        let mut xml = Xml::declared();
        xml.element("Response", |xml| {
            xml.element("Errors", |xml| {
                xml.element("Error", |xml| {
                    xml.leaf("Code", self.exception.facts().query_code)
                        .leaf("Message", &self.message);
                });
            });
            xml.leaf("RequestID", request_id.as_str());
        });
        xml.finish()
    }

    fn s3(&self, request_id: &RequestId) -> String {
        let mut xml = Xml::declared();
        xml.element("Error", |xml| {
            xml.leaf("Code", self.exception.facts().query_code).leaf("Message", &self.message);
            if let Detail::Elements(elements) = &self.detail {
                for (name, value) in elements {
                    xml.leaf(name, value);
                }
            }
            xml.leaf("RequestId", request_id.as_str()).leaf("HostId", HOST_ID);
        });
        xml.finish()
    }
}

/// Whether the clients of a service may know its errors by the codes of the query protocol although
/// they speak another.
fn once_spoke_query(dialect: Dialect) -> bool {
    matches!(dialect.service, Some(Service::Sqs | Service::Monitoring))
        && matches!(dialect.protocol, Protocol::Json10 | Protocol::RpcV2Cbor)
}

/// A text in CBOR: major type 3 with its length in the fewest bytes of one, two or four.
fn cbor_text(out: &mut Vec<u8>, text: &str) {
    if let Ok(length) = u8::try_from(text.len()) {
        match length {
            0..24 => out.push(0x60 | length),
            _ => out.extend([0x78, length]),
        }
    } else if let Ok(length) = u16::try_from(text.len()) {
        out.push(0x79);
        out.extend(length.to_be_bytes());
    } else {
        out.push(0x7a);
        out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    }
    out.extend(text.as_bytes());
}

/// A JSON object of texts, in this order.
fn object<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let members = members.into_iter();
    let texts: Vec<String> =
        members.map(|(key, value)| format!("\"{key}\":{}", Value::from(value))).collect();
    format!("{{{}}}", texts.join(","))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::error::{Exception, Fault, ThrottleReason};

    fn id() -> RequestId {
        "11111111-2222-4333-8444-555555555555".parse().unwrap()
    }

    fn text(error: &ApiError, service: Service, protocol: Protocol) -> String {
        let answer = error.answer(Dialect { service: Some(service), protocol }, &id());
        let mut text = format!("{}\n", answer.status().as_u16());
        for (name, value) in answer.headers() {
            let _ = writeln!(text, "{name}: {}", value.to_str().unwrap());
        }
        text + std::str::from_utf8(answer.body()).unwrap()
    }

    #[test]
    fn a_refusal_takes_the_shape_of_the_service_asked() {
        let error = ApiError::new(Exception::NotImplemented, "no <such>");
        insta::assert_snapshot!(text(&error, Service::Lambda, Protocol::RestJson), @r#"
        501
        content-type: application/json
        x-amzn-requestid: 11111111-2222-4333-8444-555555555555
        x-amzn-errortype: NotImplementedException
        {"Type":"User","message":"no <such>"}
        "#);
        insta::assert_snapshot!(text(&error, Service::Logs, Protocol::Json11), @r#"
        501
        content-type: application/x-amz-json-1.1
        x-amzn-requestid: 11111111-2222-4333-8444-555555555555
        {"__type":"NotImplementedException","message":"no <such>"}
        "#);
        insta::assert_snapshot!(text(&error, Service::Sqs, Protocol::Json10), @r#"
        501
        content-type: application/x-amz-json-1.0
        x-amzn-requestid: 11111111-2222-4333-8444-555555555555
        x-amzn-query-error: NotImplemented;Receiver
        {"__type":"com.amazonaws.sqs#NotImplementedException","message":"no <such>"}
        "#);
        insta::assert_snapshot!(text(&error, Service::Iam, Protocol::Query), @r#"
        501
        content-type: text/xml
        x-amzn-requestid: 11111111-2222-4333-8444-555555555555
        <ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Receiver</Type><Code>NotImplemented</Code><Message>no &lt;such&gt;</Message></Error><RequestId>11111111-2222-4333-8444-555555555555</RequestId></ErrorResponse>
        "#);
        insta::assert_snapshot!(text(&error, Service::S3, Protocol::RestXml), @r#"
        501
        content-type: application/xml
        x-amz-request-id: 11111111-2222-4333-8444-555555555555
        <?xml version="1.0" encoding="UTF-8"?>
        <Error><Code>NotImplemented</Code><Message>no &lt;such&gt;</Message><RequestId>11111111-2222-4333-8444-555555555555</RequestId><HostId>dormouse</HostId></Error>
        "#);
        insta::assert_snapshot!(text(&error, Service::Ec2, Protocol::Ec2Query), @r#"
        501
        content-type: text/xml;charset=UTF-8
        x-amzn-requestid: 11111111-2222-4333-8444-555555555555
        <?xml version="1.0" encoding="UTF-8"?>
        <Response><Errors><Error><Code>NotImplemented</Code><Message>no &lt;such&gt;</Message></Error></Errors><RequestID>11111111-2222-4333-8444-555555555555</RequestID></Response>
        "#);
    }

    #[test]
    fn a_client_that_speaks_cbor_is_answered_in_it() {
        let error = ApiError::new(Exception::NotImplemented, "x".repeat(300));
        let mut expected = b"\xa2\x66__type\x77NotImplementedException\x67message".to_vec();
        expected.extend([0x79, 1, 44]);
        expected.extend([b'x'; 300]);
        assert_eq!(error.cbor(), expected);
    }

    #[test]
    fn a_throttled_caller_is_told_why_and_when_to_come_back() {
        let reason = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
        let error = ApiError::throttled(reason, 1);
        insta::assert_snapshot!(text(&error, Service::Lambda, Protocol::RestJson), @r#"
        429
        content-type: application/json
        x-amzn-requestid: 11111111-2222-4333-8444-555555555555
        x-amzn-errortype: TooManyRequestsException
        retry-after: 1
        {"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}
        "#);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "the expected text is the test")]
    fn each_exception_has_its_status_type_and_casing() {
        let mut table = String::new();
        for exception in Exception::ALL {
            let error = ApiError::new(*exception, "m");
            let facts = exception.facts();
            let fault = match facts.fault {
                Fault::Client => "client",
                Fault::Function => "function",
                Fault::Platform => "platform",
            };
            let _ = writeln!(
                table,
                "{} {} {} {} {fault}",
                facts.status,
                facts.code,
                facts.query_code,
                error.rest_json(),
            );
        }
        insta::assert_snapshot!(table, @r#"
        400 AliasLimitExceededException AliasLimitExceededException {"Type":"User","message":"m"} client
        400 CapacityProviderLimitExceededException CapacityProviderLimitExceededException {"Type":"User","message":"m"} client
        400 CodeStorageExceededException CodeStorageExceededException {"Type":"User","message":"m"} client
        400 FunctionVersionsPerCapacityProviderLimitExceededException FunctionVersionsPerCapacityProviderLimitExceededException {"Type":"User","message":"m"} client
        400 InvalidParameterValueException InvalidParameterValueException {"Type":"User","message":"m"} client
        400 InvalidRequestContentException InvalidRequestContentException {"Type":"User","message":"m"} client
        400 ModeNotSupportedException ModeNotSupportedException {"Type":"User","message":"m"} client
        400 PolicyLengthExceededException PolicyLengthExceededException {"Type":"User","message":"m"} client
        400 CallbackTimeoutException CallbackTimeoutException {"Type":"User","Message":"m"} client
        400 CodeVerificationFailedException CodeVerificationFailedException {"Type":"User","Message":"m"} client
        400 InvalidCodeSignatureException InvalidCodeSignatureException {"Type":"User","Message":"m"} client
        400 NoPublishedVersionException NoPublishedVersionException {"Type":"User","Message":"m"} client
        400 PublicPolicyException PublicPolicyException {"Type":"User","Message":"m"} client
        400 ResourceInUseException ResourceInUseException {"Type":"User","Message":"m"} client
        400 RecursiveInvocationException RecursiveInvocationException {"Type":"User","Message":"m"} function
        400 SnapStartException SnapStartException {"Type":"User","Message":"m"} function
        402 ServiceQuotaExceededException ServiceQuotaExceededException {"Type":"User","Message":"m"} client
        403 EFSMountFailureException EFSMountFailureException {"Type":"User","Message":"m"} function
        403 S3FilesMountFailureException S3FilesMountFailureException {"Type":"User","Message":"m"} function
        404 CodeSigningConfigNotFoundException CodeSigningConfigNotFoundException {"Type":"User","Message":"m"} client
        404 ResourceNotFoundException ResourceNotFoundException {"Type":"User","Message":"m"} client
        404 ProvisionedConcurrencyConfigNotFoundException ProvisionedConcurrencyConfigNotFoundException {"Type":"User","message":"m"} client
        408 EFSMountConnectivityException EFSMountConnectivityException {"Type":"User","Message":"m"} function
        408 EFSMountTimeoutException EFSMountTimeoutException {"Type":"User","Message":"m"} function
        408 S3FilesMountConnectivityException S3FilesMountConnectivityException {"Type":"User","Message":"m"} function
        408 S3FilesMountTimeoutException S3FilesMountTimeoutException {"Type":"User","Message":"m"} function
        408 SnapStartTimeoutException SnapStartTimeoutException {"Type":"User","Message":"m"} function
        409 DurableExecutionAlreadyStartedException DurableExecutionAlreadyStartedException {"Type":"User","Message":"m"} client
        409 SnapStartNotReadyException SnapStartNotReadyException {"Type":"User","Message":"m"} function
        409 SnapStartRegenerationFailureException SnapStartRegenerationFailureException {"Type":"User","Message":"m"} function
        409 ResourceConflictException ResourceConflictException {"Type":"User","message":"m"} client
        409 CodeArtifactUserDeletedException CodeArtifactUserDeletedException {"Type":"User","message":"m"} function
        409 CodeArtifactUserFailedException CodeArtifactUserFailedException {"Type":"User","message":"m"} function
        409 CodeArtifactUserPendingException CodeArtifactUserPendingException {"Type":"User","message":"m"} function
        409 RuntimeAliasDeletedException RuntimeAliasDeletedException {"Type":"User","message":"m"} function
        409 RuntimeVersionDeletedException RuntimeVersionDeletedException {"Type":"User","message":"m"} function
        410 EFSIOException EFSIOException {"Type":"User","Message":"m"} function
        412 PreconditionFailedException PreconditionFailedException {"Type":"User","message":"m"} client
        413 RequestTooLargeException RequestTooLargeException {"Type":"User","message":"m"} client
        413 SerializedRequestEntityTooLargeException SerializedRequestEntityTooLargeException {"Type":"User","message":"m"} client
        415 UnsupportedMediaTypeException UnsupportedMediaTypeException {"Type":"User","message":"m"} client
        429 TooManyRequestsException TooManyRequestsException {"Type":"User","message":"m"} client
        500 ServiceException ServiceException {"Type":"Service","Message":"m"} platform
        502 EC2AccessDeniedException EC2AccessDeniedException {"Type":"Service","Message":"m"} platform
        502 EC2ThrottledException EC2ThrottledException {"Type":"Service","Message":"m"} platform
        502 EC2UnexpectedException EC2UnexpectedException {"Type":"Service","Message":"m"} platform
        502 ENILimitReachedException ENILimitReachedException {"Type":"Service","Message":"m"} platform
        502 ENINotReadyException ENINotReadyException {"Type":"Service","Message":"m"} platform
        502 InvalidSecurityGroupIDException InvalidSecurityGroupIDException {"Type":"Service","Message":"m"} platform
        502 InvalidSubnetIDException InvalidSubnetIDException {"Type":"Service","Message":"m"} platform
        502 SubnetIPAddressLimitReachedException SubnetIPAddressLimitReachedException {"Type":"Service","Message":"m"} platform
        502 InvalidRuntimeException InvalidRuntimeException {"Type":"Service","Message":"m"} function
        502 InvalidZipFileException InvalidZipFileException {"Type":"Service","Message":"m"} function
        502 KMSAccessDeniedException KMSAccessDeniedException {"Type":"Service","Message":"m"} function
        502 KMSDisabledException KMSDisabledException {"Type":"Service","Message":"m"} function
        502 KMSInvalidStateException KMSInvalidStateException {"Type":"Service","Message":"m"} function
        502 KMSNotFoundException KMSNotFoundException {"Type":"Service","Message":"m"} function
        502 ResourceNotReadyException ResourceNotReadyException {"Type":"Service","message":"m"} platform
        400 ValidationException ValidationError {"message":"m"} client
        400 SerializationException MalformedInput {"message":"m"} client
        413 RequestEntityTooLargeException RequestEntityTooLarge {"message":"m"} client
        403 AccessDeniedException AccessDenied {"Message":"m"} client
        403 UnrecognizedClientException InvalidClientTokenId {"message":"m"} client
        403 InvalidSignatureException SignatureDoesNotMatch {"message":"m"} client
        403 ExpiredTokenException ExpiredToken {"message":"m"} client
        403 MissingAuthenticationTokenException MissingAuthenticationToken {"message":"m"} client
        400 IncompleteSignatureException IncompleteSignature {"message":"m"} client
        400 MissingAction MissingAction {"message":"m"} client
        400 UnknownOperationException InvalidAction {"message":"m"} client
        404 UnknownOperationException MethodNotAllowed {"message":"m"} client
        501 NotImplementedException NotImplemented {"Type":"User","message":"m"} client
        400 ThrottlingException Throttling {"message":"m"} client
        500 InternalFailure InternalFailure {"message":"m"} platform
        503 ServiceUnavailableException ServiceUnavailable {"message":"m"} platform
        400 ResourceNotFoundException ResourceNotFoundException {"message":"m"} client
        400 ResourceAlreadyExistsException ResourceAlreadyExistsException {"message":"m"} client
        400 InvalidParameterException InvalidParameterException {"message":"m"} client
        400 LimitExceededException LimitExceededException {"message":"m"} client
        400 InvalidOperationException InvalidOperationException {"message":"m"} client
        400 TooManyTagsException TooManyTagsException {"message":"m"} client
        400 OperationAbortedException OperationAbortedException {"message":"m"} platform
        500 ServiceUnavailableException ServiceUnavailableException {"message":"m"} platform
        400 InvalidParameterValueException InvalidParameterValue {"message":"m"} client
        400 MissingRequiredParameterException MissingParameter {"message":"m"} client
        400 InvalidParameterCombinationException InvalidParameterCombination {"message":"m"} client
        400 InvalidNextToken InvalidNextToken {"message":"m"} client
        500 InternalServiceFault InternalServiceError {"Message":"m"} platform
        404 NoSuchEntityException NoSuchEntity {"message":"m"} client
        409 EntityAlreadyExistsException EntityAlreadyExists {"message":"m"} client
        400 MalformedPolicyDocumentException MalformedPolicyDocument {"message":"m"} client
        409 DeleteConflictException DeleteConflict {"message":"m"} client
        409 LimitExceededException LimitExceeded {"message":"m"} client
        400 InvalidInputException InvalidInput {"message":"m"} client
        409 ConcurrentModificationException ConcurrentModification {"message":"m"} client
        500 ServiceFailureException ServiceFailure {"message":"m"} platform
        400 QueueDoesNotExist AWS.SimpleQueueService.NonExistentQueue {"message":"m"} client
        400 QueueNameExists QueueAlreadyExists {"message":"m"} client
        400 QueueDeletedRecently AWS.SimpleQueueService.QueueDeletedRecently {"message":"m"} client
        400 InvalidAttributeName InvalidAttributeName {"message":"m"} client
        400 InvalidAttributeValue InvalidAttributeValue {"message":"m"} client
        404 ReceiptHandleIsInvalid ReceiptHandleIsInvalid {"message":"m"} client
        400 MessageNotInflight AWS.SimpleQueueService.MessageNotInflight {"message":"m"} client
        400 TooManyEntriesInBatchRequest AWS.SimpleQueueService.TooManyEntriesInBatchRequest {"message":"m"} client
        400 EmptyBatchRequest AWS.SimpleQueueService.EmptyBatchRequest {"message":"m"} client
        400 BatchEntryIdsNotDistinct AWS.SimpleQueueService.BatchEntryIdsNotDistinct {"message":"m"} client
        400 BatchRequestTooLong AWS.SimpleQueueService.BatchRequestTooLong {"message":"m"} client
        400 InvalidBatchEntryId AWS.SimpleQueueService.InvalidBatchEntryId {"message":"m"} client
        400 InvalidMessageContents InvalidMessageContents {"message":"m"} client
        403 PurgeQueueInProgress AWS.SimpleQueueService.PurgeQueueInProgress {"message":"m"} client
        400 InvalidParameterValue InvalidParameterValue {"message":"m"} client
        400 MissingParameter MissingParameter {"message":"m"} client
        404 InvalidAddress InvalidAddress {"message":"m"} client
        404 NoSuchBucket NoSuchBucket {"message":"m"} client
        404 NoSuchKey NoSuchKey {"message":"m"} client
        404 NoSuchVersion NoSuchVersion {"message":"m"} client
        404 NoSuchUpload NoSuchUpload {"message":"m"} client
        301 PermanentRedirect PermanentRedirect {"message":"m"} client
        409 BucketAlreadyOwnedByYou BucketAlreadyOwnedByYou {"message":"m"} client
        409 BucketNotEmpty BucketNotEmpty {"message":"m"} client
        400 TooManyBuckets TooManyBuckets {"message":"m"} client
        400 InvalidBucketName InvalidBucketName {"message":"m"} client
        400 InvalidLocationConstraint InvalidLocationConstraint {"message":"m"} client
        400 IllegalLocationConstraintException IllegalLocationConstraintException {"message":"m"} client
        400 InvalidArgument InvalidArgument {"message":"m"} client
        400 InvalidRequest InvalidRequest {"message":"m"} client
        400 InvalidURI InvalidURI {"message":"m"} client
        400 KeyTooLongError KeyTooLongError {"message":"m"} client
        400 MalformedXML MalformedXML {"message":"m"} client
        400 MalformedPolicy MalformedPolicy {"message":"m"} client
        400 InvalidTag InvalidTag {"message":"m"} client
        400 BadRequest BadRequest {"message":"m"} client
        400 MetadataTooLarge MetadataTooLarge {"message":"m"} client
        400 BadDigest BadDigest {"message":"m"} client
        400 InvalidDigest InvalidDigest {"message":"m"} client
        400 XAmzContentSHA256Mismatch XAmzContentSHA256Mismatch {"message":"m"} client
        400 IncompleteBody IncompleteBody {"message":"m"} client
        400 MalformedTrailerError MalformedTrailerError {"message":"m"} client
        411 MissingContentLength MissingContentLength {"message":"m"} client
        400 RequestTimeout RequestTimeout {"message":"m"} client
        400 EntityTooLarge EntityTooLarge {"message":"m"} client
        400 EntityTooSmall EntityTooSmall {"message":"m"} client
        400 MaxMessageLengthExceeded MaxMessageLengthExceeded {"message":"m"} client
        400 InvalidPart InvalidPart {"message":"m"} client
        400 InvalidPartOrder InvalidPartOrder {"message":"m"} client
        416 InvalidRange InvalidRange {"message":"m"} client
        416 InvalidPartNumber InvalidPartNumber {"message":"m"} client
        412 PreconditionFailed PreconditionFailed {"message":"m"} client
        405 MethodNotAllowed MethodNotAllowed {"message":"m"} client
        400 InvalidStorageClass InvalidStorageClass {"message":"m"} client
        400 AccessControlListNotSupported AccessControlListNotSupported {"message":"m"} client
        403 AccessForbidden AccessForbidden {"message":"m"} client
        404 NoSuchTagSet NoSuchTagSet {"message":"m"} client
        404 NoSuchBucketPolicy NoSuchBucketPolicy {"message":"m"} client
        404 NoSuchLifecycleConfiguration NoSuchLifecycleConfiguration {"message":"m"} client
        404 NoSuchCORSConfiguration NoSuchCORSConfiguration {"message":"m"} client
        404 NoSuchWebsiteConfiguration NoSuchWebsiteConfiguration {"message":"m"} client
        404 ServerSideEncryptionConfigurationNotFoundError ServerSideEncryptionConfigurationNotFoundError {"message":"m"} client
        404 OwnershipControlsNotFoundError OwnershipControlsNotFoundError {"message":"m"} client
        404 NoSuchPublicAccessBlockConfiguration NoSuchPublicAccessBlockConfiguration {"message":"m"} client
        404 ReplicationConfigurationNotFoundError ReplicationConfigurationNotFoundError {"message":"m"} client
        404 ObjectLockConfigurationNotFoundError ObjectLockConfigurationNotFoundError {"message":"m"} client
        400 AuthorizationHeaderMalformed AuthorizationHeaderMalformed {"message":"m"} client
        500 InternalError InternalError {"message":"m"} platform
        "#);
    }

    #[test]
    fn statuses_and_faults_agree() {
        for exception in Exception::ALL {
            let facts = exception.facts();
            assert!(StatusCode::from_u16(facts.status).is_ok(), "{exception:?}");
            assert!(
                facts.fault != Fault::Platform || facts.status >= 400,
                "{exception:?} is ours but looks like success"
            );
            if facts.kind == Kind::Service {
                assert!(facts.status >= 500, "{exception:?}");
            }
        }
    }
}
