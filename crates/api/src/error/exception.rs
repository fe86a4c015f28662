//! The table of exceptions: status, code, casing of the text's key, `Type`, whose fault.

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller asked for something wrong.
    Client,
    /// The function's code or configuration cannot do it.
    Function,
    /// We could not do it.
    Platform,
}

/// How the member with the text is spelt: AWS does both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKey {
    /// `message`
    Lower,
    /// `Message`
    Upper,
}

impl MessageKey {
    /// The member's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lower => "message",
            Self::Upper => "Message",
        }
    }
}

/// What the member `Type` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `"User"`
    User,
    /// `"Service"`
    Service,
    /// There is no such member.
    Unsaid,
}

/// What there is to know about an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The HTTP status.
    pub status: u16,
    /// The code in JSON protocols.
    pub code: &'static str,
    /// The code in the query protocols and in S3's XML.
    pub query_code: &'static str,
    /// The spelling of the text's key.
    pub key: MessageKey,
    /// The member `Type`.
    pub kind: Kind,
    /// Whose fault it is.
    pub fault: Fault,
}

macro_rules! exceptions {
    ($($variant:ident $code:literal $query:literal $status:literal $kind:ident $key:ident $fault:ident;)*) => {
        /// Everything that can go wrong, over all services.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Exception {
            $(#[doc = concat!("`", $code, "`")] $variant,)*
        }

        impl Exception {
            /// Every exception.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What there is to know about it.
            #[must_use]
            pub fn facts(self) -> Facts {
                match self {
                    $(Self::$variant => Facts {
                        status: $status,
                        code: $code,
                        query_code: $query,
                        key: MessageKey::$key,
                        kind: Kind::$kind,
                        fault: Fault::$fault,
                    },)*
                }
            }
        }
    };
}

exceptions! {
    // Lambda's own, all that botocore 1.44's model has.
    AliasLimitExceeded "AliasLimitExceededException" "AliasLimitExceededException" 400 User Lower Client;
    CapacityProviderLimitExceeded "CapacityProviderLimitExceededException" "CapacityProviderLimitExceededException" 400 User Lower Client;
    CodeStorageExceeded "CodeStorageExceededException" "CodeStorageExceededException" 400 User Lower Client;
    FunctionVersionsPerCapacityProviderLimitExceeded "FunctionVersionsPerCapacityProviderLimitExceededException" "FunctionVersionsPerCapacityProviderLimitExceededException" 400 User Lower Client;
    InvalidParameterValue "InvalidParameterValueException" "InvalidParameterValueException" 400 User Lower Client;
    InvalidRequestContent "InvalidRequestContentException" "InvalidRequestContentException" 400 User Lower Client;
    ModeNotSupported "ModeNotSupportedException" "ModeNotSupportedException" 400 User Lower Client;
    PolicyLengthExceeded "PolicyLengthExceededException" "PolicyLengthExceededException" 400 User Lower Client;
    CallbackTimeout "CallbackTimeoutException" "CallbackTimeoutException" 400 User Upper Client;
    CodeVerificationFailed "CodeVerificationFailedException" "CodeVerificationFailedException" 400 User Upper Client;
    InvalidCodeSignature "InvalidCodeSignatureException" "InvalidCodeSignatureException" 400 User Upper Client;
    NoPublishedVersion "NoPublishedVersionException" "NoPublishedVersionException" 400 User Upper Client;
    PublicPolicy "PublicPolicyException" "PublicPolicyException" 400 User Upper Client;
    ResourceInUse "ResourceInUseException" "ResourceInUseException" 400 User Upper Client;
    RecursiveInvocation "RecursiveInvocationException" "RecursiveInvocationException" 400 User Upper Function;
    SnapStart "SnapStartException" "SnapStartException" 400 User Upper Function;
    ServiceQuotaExceeded "ServiceQuotaExceededException" "ServiceQuotaExceededException" 402 User Upper Client;
    EfsMountFailure "EFSMountFailureException" "EFSMountFailureException" 403 User Upper Function;
    S3FilesMountFailure "S3FilesMountFailureException" "S3FilesMountFailureException" 403 User Upper Function;
    CodeSigningConfigNotFound "CodeSigningConfigNotFoundException" "CodeSigningConfigNotFoundException" 404 User Upper Client;
    ResourceNotFound "ResourceNotFoundException" "ResourceNotFoundException" 404 User Upper Client;
    ProvisionedConcurrencyConfigNotFound "ProvisionedConcurrencyConfigNotFoundException" "ProvisionedConcurrencyConfigNotFoundException" 404 User Lower Client;
    EfsMountConnectivity "EFSMountConnectivityException" "EFSMountConnectivityException" 408 User Upper Function;
    EfsMountTimeout "EFSMountTimeoutException" "EFSMountTimeoutException" 408 User Upper Function;
    S3FilesMountConnectivity "S3FilesMountConnectivityException" "S3FilesMountConnectivityException" 408 User Upper Function;
    S3FilesMountTimeout "S3FilesMountTimeoutException" "S3FilesMountTimeoutException" 408 User Upper Function;
    SnapStartTimeout "SnapStartTimeoutException" "SnapStartTimeoutException" 408 User Upper Function;
    DurableExecutionAlreadyStarted "DurableExecutionAlreadyStartedException" "DurableExecutionAlreadyStartedException" 409 User Upper Client;
    SnapStartNotReady "SnapStartNotReadyException" "SnapStartNotReadyException" 409 User Upper Function;
    SnapStartRegenerationFailure "SnapStartRegenerationFailureException" "SnapStartRegenerationFailureException" 409 User Upper Function;
    ResourceConflict "ResourceConflictException" "ResourceConflictException" 409 User Lower Client;
    CodeArtifactUserDeleted "CodeArtifactUserDeletedException" "CodeArtifactUserDeletedException" 409 User Lower Function;
    CodeArtifactUserFailed "CodeArtifactUserFailedException" "CodeArtifactUserFailedException" 409 User Lower Function;
    CodeArtifactUserPending "CodeArtifactUserPendingException" "CodeArtifactUserPendingException" 409 User Lower Function;
    RuntimeAliasDeleted "RuntimeAliasDeletedException" "RuntimeAliasDeletedException" 409 User Lower Function;
    RuntimeVersionDeleted "RuntimeVersionDeletedException" "RuntimeVersionDeletedException" 409 User Lower Function;
    EfsIo "EFSIOException" "EFSIOException" 410 User Upper Function;
    PreconditionFailed "PreconditionFailedException" "PreconditionFailedException" 412 User Lower Client;
    RequestTooLarge "RequestTooLargeException" "RequestTooLargeException" 413 User Lower Client;
    SerializedRequestEntityTooLarge "SerializedRequestEntityTooLargeException" "SerializedRequestEntityTooLargeException" 413 User Lower Client;
    UnsupportedMediaType "UnsupportedMediaTypeException" "UnsupportedMediaTypeException" 415 User Lower Client;
    TooManyRequests "TooManyRequestsException" "TooManyRequestsException" 429 User Lower Client;
    Service "ServiceException" "ServiceException" 500 Service Upper Platform;
    Ec2AccessDenied "EC2AccessDeniedException" "EC2AccessDeniedException" 502 Service Upper Platform;
    Ec2Throttled "EC2ThrottledException" "EC2ThrottledException" 502 Service Upper Platform;
    Ec2Unexpected "EC2UnexpectedException" "EC2UnexpectedException" 502 Service Upper Platform;
    EniLimitReached "ENILimitReachedException" "ENILimitReachedException" 502 Service Upper Platform;
    EniNotReady "ENINotReadyException" "ENINotReadyException" 502 Service Upper Platform;
    InvalidSecurityGroupId "InvalidSecurityGroupIDException" "InvalidSecurityGroupIDException" 502 Service Upper Platform;
    InvalidSubnetId "InvalidSubnetIDException" "InvalidSubnetIDException" 502 Service Upper Platform;
    SubnetIpAddressLimitReached "SubnetIPAddressLimitReachedException" "SubnetIPAddressLimitReachedException" 502 Service Upper Platform;
    InvalidRuntime "InvalidRuntimeException" "InvalidRuntimeException" 502 Service Upper Function;
    InvalidZipFile "InvalidZipFileException" "InvalidZipFileException" 502 Service Upper Function;
    KmsAccessDenied "KMSAccessDeniedException" "KMSAccessDeniedException" 502 Service Upper Function;
    KmsDisabled "KMSDisabledException" "KMSDisabledException" 502 Service Upper Function;
    KmsInvalidState "KMSInvalidStateException" "KMSInvalidStateException" 502 Service Upper Function;
    KmsNotFound "KMSNotFoundException" "KMSNotFoundException" 502 Service Upper Function;
    ResourceNotReady "ResourceNotReadyException" "ResourceNotReadyException" 502 Service Lower Platform;
    // Of any service; the second code is what the query protocol and S3 call it.
    Validation "ValidationException" "ValidationError" 400 Unsaid Lower Client;
    Serialization "SerializationException" "MalformedInput" 400 Unsaid Lower Client;
    RequestEntityTooLarge "RequestEntityTooLargeException" "RequestEntityTooLarge" 413 Unsaid Lower Client;
    AccessDenied "AccessDeniedException" "AccessDenied" 403 Unsaid Upper Client;
    UnrecognizedClient "UnrecognizedClientException" "InvalidClientTokenId" 403 Unsaid Lower Client;
    InvalidSignature "InvalidSignatureException" "SignatureDoesNotMatch" 403 Unsaid Lower Client;
    ExpiredToken "ExpiredTokenException" "ExpiredToken" 403 Unsaid Lower Client;
    MissingAuthenticationToken "MissingAuthenticationTokenException" "MissingAuthenticationToken" 403 Unsaid Lower Client;
    IncompleteSignature "IncompleteSignatureException" "IncompleteSignature" 400 Unsaid Lower Client;
    MissingAction "MissingAction" "MissingAction" 400 Unsaid Lower Client;
    UnknownOperation "UnknownOperationException" "InvalidAction" 400 Unsaid Lower Client;
    UnknownPath "UnknownOperationException" "MethodNotAllowed" 404 Unsaid Lower Client;
    NotImplemented "NotImplementedException" "NotImplemented" 501 User Lower Client;
    Throttling "ThrottlingException" "Throttling" 400 Unsaid Lower Client;
    InternalFailure "InternalFailure" "InternalFailure" 500 Unsaid Lower Platform;
    ServiceUnavailable "ServiceUnavailableException" "ServiceUnavailable" 503 Unsaid Lower Platform;
    // CloudWatch Logs: JSON 1.1, every client error is a 400.
    LogsResourceNotFound "ResourceNotFoundException" "ResourceNotFoundException" 400 Unsaid Lower Client;
    LogsResourceAlreadyExists "ResourceAlreadyExistsException" "ResourceAlreadyExistsException" 400 Unsaid Lower Client;
    LogsInvalidParameter "InvalidParameterException" "InvalidParameterException" 400 Unsaid Lower Client;
    LogsLimitExceeded "LimitExceededException" "LimitExceededException" 400 Unsaid Lower Client;
    LogsInvalidOperation "InvalidOperationException" "InvalidOperationException" 400 Unsaid Lower Client;
    LogsTooManyTags "TooManyTagsException" "TooManyTagsException" 400 Unsaid Lower Client;
    LogsOperationAborted "OperationAbortedException" "OperationAbortedException" 400 Unsaid Lower Platform;
    LogsServiceUnavailable "ServiceUnavailableException" "ServiceUnavailableException" 500 Unsaid Lower Platform;
    // CloudWatch: the second code is what the query protocol says, and the header of the others.
    CloudWatchInvalidParameterValue "InvalidParameterValueException" "InvalidParameterValue" 400 Unsaid Lower Client;
    CloudWatchMissingParameter "MissingRequiredParameterException" "MissingParameter" 400 Unsaid Lower Client;
    CloudWatchInvalidParameterCombination "InvalidParameterCombinationException" "InvalidParameterCombination" 400 Unsaid Lower Client;
    CloudWatchInvalidNextToken "InvalidNextToken" "InvalidNextToken" 400 Unsaid Lower Client;
    CloudWatchInternalServiceFault "InternalServiceFault" "InternalServiceError" 500 Unsaid Upper Platform;
    // IAM: query protocol.
    IamNoSuchEntity "NoSuchEntityException" "NoSuchEntity" 404 Unsaid Lower Client;
    IamEntityAlreadyExists "EntityAlreadyExistsException" "EntityAlreadyExists" 409 Unsaid Lower Client;
    IamMalformedPolicyDocument "MalformedPolicyDocumentException" "MalformedPolicyDocument" 400 Unsaid Lower Client;
    IamDeleteConflict "DeleteConflictException" "DeleteConflict" 409 Unsaid Lower Client;
    IamLimitExceeded "LimitExceededException" "LimitExceeded" 409 Unsaid Lower Client;
    IamInvalidInput "InvalidInputException" "InvalidInput" 400 Unsaid Lower Client;
    IamConcurrentModification "ConcurrentModificationException" "ConcurrentModification" 409 Unsaid Lower Client;
    IamServiceFailure "ServiceFailureException" "ServiceFailure" 500 Unsaid Lower Platform;
    // SQS: the second code is what the query protocol says, and the header of JSON answers.
    SqsQueueDoesNotExist "QueueDoesNotExist" "AWS.SimpleQueueService.NonExistentQueue" 400 Unsaid Lower Client;
    SqsQueueNameExists "QueueNameExists" "QueueAlreadyExists" 400 Unsaid Lower Client;
    SqsQueueDeletedRecently "QueueDeletedRecently" "AWS.SimpleQueueService.QueueDeletedRecently" 400 Unsaid Lower Client;
    SqsInvalidAttributeName "InvalidAttributeName" "InvalidAttributeName" 400 Unsaid Lower Client;
    SqsInvalidAttributeValue "InvalidAttributeValue" "InvalidAttributeValue" 400 Unsaid Lower Client;
    SqsReceiptHandleIsInvalid "ReceiptHandleIsInvalid" "ReceiptHandleIsInvalid" 404 Unsaid Lower Client;
    SqsMessageNotInflight "MessageNotInflight" "AWS.SimpleQueueService.MessageNotInflight" 400 Unsaid Lower Client;
    SqsTooManyEntriesInBatchRequest "TooManyEntriesInBatchRequest" "AWS.SimpleQueueService.TooManyEntriesInBatchRequest" 400 Unsaid Lower Client;
    SqsEmptyBatchRequest "EmptyBatchRequest" "AWS.SimpleQueueService.EmptyBatchRequest" 400 Unsaid Lower Client;
    SqsBatchEntryIdsNotDistinct "BatchEntryIdsNotDistinct" "AWS.SimpleQueueService.BatchEntryIdsNotDistinct" 400 Unsaid Lower Client;
    SqsBatchRequestTooLong "BatchRequestTooLong" "AWS.SimpleQueueService.BatchRequestTooLong" 400 Unsaid Lower Client;
    SqsInvalidBatchEntryId "InvalidBatchEntryId" "AWS.SimpleQueueService.InvalidBatchEntryId" 400 Unsaid Lower Client;
    SqsInvalidMessageContents "InvalidMessageContents" "InvalidMessageContents" 400 Unsaid Lower Client;
    SqsPurgeQueueInProgress "PurgeQueueInProgress" "AWS.SimpleQueueService.PurgeQueueInProgress" 403 Unsaid Lower Client;
    SqsInvalidParameterValue "InvalidParameterValue" "InvalidParameterValue" 400 Unsaid Lower Client;
    SqsMissingParameter "MissingParameter" "MissingParameter" 400 Unsaid Lower Client;
    SqsInvalidAddress "InvalidAddress" "InvalidAddress" 404 Unsaid Lower Client;
    // S3: the same code in every place; client errors without a shape of their own.
    S3NoSuchBucket "NoSuchBucket" "NoSuchBucket" 404 Unsaid Lower Client;
    S3NoSuchKey "NoSuchKey" "NoSuchKey" 404 Unsaid Lower Client;
    S3NoSuchVersion "NoSuchVersion" "NoSuchVersion" 404 Unsaid Lower Client;
    S3NoSuchUpload "NoSuchUpload" "NoSuchUpload" 404 Unsaid Lower Client;
    S3PermanentRedirect "PermanentRedirect" "PermanentRedirect" 301 Unsaid Lower Client;
    S3BucketAlreadyOwnedByYou "BucketAlreadyOwnedByYou" "BucketAlreadyOwnedByYou" 409 Unsaid Lower Client;
    S3BucketNotEmpty "BucketNotEmpty" "BucketNotEmpty" 409 Unsaid Lower Client;
    S3TooManyBuckets "TooManyBuckets" "TooManyBuckets" 400 Unsaid Lower Client;
    S3InvalidBucketName "InvalidBucketName" "InvalidBucketName" 400 Unsaid Lower Client;
    S3InvalidLocationConstraint "InvalidLocationConstraint" "InvalidLocationConstraint" 400 Unsaid Lower Client;
    S3IllegalLocationConstraint "IllegalLocationConstraintException" "IllegalLocationConstraintException" 400 Unsaid Lower Client;
    S3InvalidArgument "InvalidArgument" "InvalidArgument" 400 Unsaid Lower Client;
    S3InvalidRequest "InvalidRequest" "InvalidRequest" 400 Unsaid Lower Client;
    S3InvalidUri "InvalidURI" "InvalidURI" 400 Unsaid Lower Client;
    S3KeyTooLong "KeyTooLongError" "KeyTooLongError" 400 Unsaid Lower Client;
    S3MalformedXml "MalformedXML" "MalformedXML" 400 Unsaid Lower Client;
    S3MalformedPolicy "MalformedPolicy" "MalformedPolicy" 400 Unsaid Lower Client;
    S3InvalidTag "InvalidTag" "InvalidTag" 400 Unsaid Lower Client;
    S3BadRequest "BadRequest" "BadRequest" 400 Unsaid Lower Client;
    S3MetadataTooLarge "MetadataTooLarge" "MetadataTooLarge" 400 Unsaid Lower Client;
    S3BadDigest "BadDigest" "BadDigest" 400 Unsaid Lower Client;
    S3InvalidDigest "InvalidDigest" "InvalidDigest" 400 Unsaid Lower Client;
    S3ContentSha256Mismatch "XAmzContentSHA256Mismatch" "XAmzContentSHA256Mismatch" 400 Unsaid Lower Client;
    S3IncompleteBody "IncompleteBody" "IncompleteBody" 400 Unsaid Lower Client;
    S3MalformedTrailer "MalformedTrailerError" "MalformedTrailerError" 400 Unsaid Lower Client;
    S3MissingContentLength "MissingContentLength" "MissingContentLength" 411 Unsaid Lower Client;
    S3RequestTimeout "RequestTimeout" "RequestTimeout" 400 Unsaid Lower Client;
    S3EntityTooLarge "EntityTooLarge" "EntityTooLarge" 400 Unsaid Lower Client;
    S3EntityTooSmall "EntityTooSmall" "EntityTooSmall" 400 Unsaid Lower Client;
    S3MaxMessageLengthExceeded "MaxMessageLengthExceeded" "MaxMessageLengthExceeded" 400 Unsaid Lower Client;
    S3InvalidPart "InvalidPart" "InvalidPart" 400 Unsaid Lower Client;
    S3InvalidPartOrder "InvalidPartOrder" "InvalidPartOrder" 400 Unsaid Lower Client;
    S3InvalidRange "InvalidRange" "InvalidRange" 416 Unsaid Lower Client;
    S3InvalidPartNumber "InvalidPartNumber" "InvalidPartNumber" 416 Unsaid Lower Client;
    S3PreconditionFailed "PreconditionFailed" "PreconditionFailed" 412 Unsaid Lower Client;
    S3MethodNotAllowed "MethodNotAllowed" "MethodNotAllowed" 405 Unsaid Lower Client;
    S3InvalidStorageClass "InvalidStorageClass" "InvalidStorageClass" 400 Unsaid Lower Client;
    S3AccessControlListNotSupported "AccessControlListNotSupported" "AccessControlListNotSupported" 400 Unsaid Lower Client;
    S3AccessForbidden "AccessForbidden" "AccessForbidden" 403 Unsaid Lower Client;
    S3NoSuchTagSet "NoSuchTagSet" "NoSuchTagSet" 404 Unsaid Lower Client;
    S3NoSuchBucketPolicy "NoSuchBucketPolicy" "NoSuchBucketPolicy" 404 Unsaid Lower Client;
    S3NoSuchLifecycleConfiguration "NoSuchLifecycleConfiguration" "NoSuchLifecycleConfiguration" 404 Unsaid Lower Client;
    S3NoSuchCorsConfiguration "NoSuchCORSConfiguration" "NoSuchCORSConfiguration" 404 Unsaid Lower Client;
    S3NoSuchWebsiteConfiguration "NoSuchWebsiteConfiguration" "NoSuchWebsiteConfiguration" 404 Unsaid Lower Client;
    S3EncryptionNotFound "ServerSideEncryptionConfigurationNotFoundError" "ServerSideEncryptionConfigurationNotFoundError" 404 Unsaid Lower Client;
    S3OwnershipControlsNotFound "OwnershipControlsNotFoundError" "OwnershipControlsNotFoundError" 404 Unsaid Lower Client;
    S3NoSuchPublicAccessBlock "NoSuchPublicAccessBlockConfiguration" "NoSuchPublicAccessBlockConfiguration" 404 Unsaid Lower Client;
    S3ReplicationNotFound "ReplicationConfigurationNotFoundError" "ReplicationConfigurationNotFoundError" 404 Unsaid Lower Client;
    S3ObjectLockNotFound "ObjectLockConfigurationNotFoundError" "ObjectLockConfigurationNotFoundError" 404 Unsaid Lower Client;
    S3AuthorizationMalformed "AuthorizationHeaderMalformed" "AuthorizationHeaderMalformed" 400 Unsaid Lower Client;
    S3InternalError "InternalError" "InternalError" 500 Unsaid Lower Platform;
}
