"""What the model does not say: values that only the living service takes, what has to be there first,
what AWS always sends, and where it is known to differ from its own model. One table each."""

from harness.code import ECHO, ROLE, package

ZIP = package({"app.py": ECHO})
HERE = "arn:aws:lambda:us-east-1:000000000000:"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/model"
NOWHERE = "00000000-0000-4000-8000-000000000000"


def examples(runtime, architecture, layer):
    """Values by the name of their shape."""
    names = ("FunctionName", "NamespacedFunctionName", "FunctionUrlFunctionName", "UnqualifiedFunctionName")
    return {name: "absent" for name in names} | {
        "Architecture": architecture,
        "ArchitecturesList": [architecture],
        "CodeSigningConfigArn": HERE + "code-signing-config:csc-" + "0" * 17,
        "FunctionCode": {"ZipFile": ZIP},
        "FunctionUrlQualifier": "live",
        "Handler": "app.handler",
        "LayerNameOrArn": "absent",
        "LayerVersionArn": layer,
        "LayerVersionContentInput": {"ZipFile": ZIP},
        "MasterRegion": "ALL",
        "Pattern": '{"a": ["b"]}',
        "ResourcePolicy": '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "lambda:*"}]}',
        "RoleArn": ROLE,
        "Runtime": runtime,
        "SourceOwner": "123456789012",
        "StatementId": "model",
        "NamespacedStatementId": "model",
        "TagKey": "k",
        "TagValue": "v",
        "TaggableResource": HERE + "function:absent",
        "PolicyResourceArn": HERE + "function:absent",
        "UUIDString": NOWHERE,
    }


# Where the living service is stricter than its model: what is above is for managed instances only.
LIVE = {
    "EphemeralStorageSize": {"max": 10_240},
    "MemorySize": {"max": 10_240},
    "Timeout": {"max": 900},
}

# Values of single members; None leaves a member out, since another test has it or it needs others.
VALUES = {
    "CreateFunction.DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"},
    "UpdateFunctionConfiguration.DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"},
    "AddPermission.Action": "lambda:InvokeFunction",
    "AddPermission.FunctionUrlAuthType": None,
    "AddPermission.InvokedViaFunctionUrl": None,
    "AddPermission.Principal": "s3.amazonaws.com",
    "CreateAlias.FunctionVersion": "1",
    "CreateAlias.RoutingConfig": None,
    "CreateEventSourceMapping.EventSourceArn": STREAM,
    "CreateEventSourceMapping.StartingPositionTimestamp": None,
    "CreateFunction.Handler": "app.handler",
    "CreateFunction.SnapStart": {"ApplyOn": "None"},
    "DeleteFunction.Qualifier": "$LATEST",
    "GetFunction.Qualifier": "$LATEST",
    "GetFunctionConfiguration.Qualifier": "$LATEST",
    "Invoke.ClientContext": "e30=",
    "Invoke.Payload": b"{}",
    "Invoke.Qualifier": "$LATEST",
    "InvokeAsync.InvokeArgs": b"{}",
    "InvokeWithResponseStream.ClientContext": "e30=",
    "InvokeWithResponseStream.Payload": b"{}",
    "InvokeWithResponseStream.Qualifier": "$LATEST",
    "ListAliases.FunctionVersion": "1",
    "PutFunctionConcurrency.ReservedConcurrentExecutions": 1,
    "PutRuntimeManagementConfig.RuntimeVersionArn": None,
    "UpdateAlias.FunctionVersion": "1",
    "UpdateAlias.RoutingConfig": None,
    "UpdateFunctionCode.ImageUri": None,
    "UpdateFunctionCode.S3Bucket": None,
    "UpdateFunctionCode.S3Key": None,
    "UpdateFunctionCode.S3ObjectVersion": None,
    "UpdateFunctionCode.ZipFile": ZIP,
}

# Members that a request needs although the model does not require them.
NEEDED = {
    "CreateEventSourceMapping": ["EventSourceArn", "StartingPosition"],
    "CreateFunction": ["Runtime", "Handler"],
    "PutFunctionEventInvokeConfig": ["MaximumRetryAttempts"],
    "UpdateFunctionCode": ["ZipFile"],
    "UpdateFunctionEventInvokeConfig": ["MaximumRetryAttempts"],
}

VERSION = ("PublishVersion", {})
ALIAS = ("CreateAlias", {"Name": "live", "FunctionVersion": "1"})
URL = ("CreateFunctionUrlConfig", {"AuthType": "NONE"})
ASYNC = ("PutFunctionEventInvokeConfig", {"MaximumRetryAttempts": 1})
MAPPING = ("CreateEventSourceMapping", {})
SIGNING = ("CreateCodeSigningConfig", {})
PROVIDER = ("CreateCapacityProvider", {})
DOCUMENT = ("PutResourcePolicy", {})
PROVISION = ("PutProvisionedConcurrencyConfig", {"Qualifier": "1", "ProvisionedConcurrentExecutions": 1})
LAYER_GRANT = ("AddLayerVersionPermission", {"Action": "lambda:GetLayerVersion", "Principal": "*"})
GRANT = ("AddPermission", {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"})

# What has to be done first, and which values name it then.
PREPARED = {
    "CreateAlias": ([VERSION], {}),
    "DeleteAlias": ([VERSION, ALIAS], {"Name": "live"}),
    "DeleteCapacityProvider": ([PROVIDER], {}),
    "DeleteCodeSigningConfig": ([SIGNING], {}),
    "DeleteEventSourceMapping": ([MAPPING], {}),
    "DeleteFunctionEventInvokeConfig": ([ASYNC], {}),
    "DeleteFunctionUrlConfig": ([URL], {}),
    "DeleteResourcePolicy": ([DOCUMENT], {}),
    "DeleteProvisionedConcurrencyConfig": ([VERSION, PROVISION], {"Qualifier": "1"}),
    "GetAlias": ([VERSION, ALIAS], {"Name": "live"}),
    "GetCapacityProvider": ([PROVIDER], {}),
    "GetCodeSigningConfig": ([SIGNING], {}),
    "GetEventSourceMapping": ([MAPPING], {}),
    "GetFunctionEventInvokeConfig": ([ASYNC], {}),
    "GetFunctionUrlConfig": ([URL], {}),
    "GetFunctionScalingConfig": ([VERSION], {"Qualifier": "1"}),
    "GetLayerVersionPolicy": ([LAYER_GRANT], {}),
    "GetPolicy": ([GRANT], {}),
    "GetProvisionedConcurrencyConfig": ([VERSION, PROVISION], {"Qualifier": "1"}),
    "GetResourcePolicy": ([DOCUMENT], {}),
    "ListFunctionVersionsByCapacityProvider": ([PROVIDER], {}),
    "ListFunctionsByCodeSigningConfig": ([SIGNING], {}),
    "PutFunctionCodeSigningConfig": ([SIGNING], {}),
    "PutFunctionScalingConfig": ([VERSION], {"Qualifier": "1"}),
    "PutProvisionedConcurrencyConfig": ([VERSION], {"Qualifier": "1"}),
    "RemoveLayerVersionPermission": ([LAYER_GRANT], {}),
    "RemovePermission": ([GRANT], {}),
    "UpdateAlias": ([VERSION, ALIAS], {"Name": "live"}),
    "UpdateCapacityProvider": ([PROVIDER], {}),
    "UpdateCodeSigningConfig": ([SIGNING], {}),
    "UpdateEventSourceMapping": ([MAPPING], {}),
    "UpdateFunctionEventInvokeConfig": ([ASYNC], {}),
    "UpdateFunctionUrlConfig": ([URL], {}),
}

# Operations that nothing can be done for here, and the only right refusal of a valid request.
NO_EXECUTION = "The resource you requested does not exist"
NEVER = {
    "CheckpointDurableExecution": "Invalid checkpoint token",
    "DeleteDurableExecution": NO_EXECUTION,
    "GetDurableExecution": NO_EXECUTION,
    "GetDurableExecutionHistory": NO_EXECUTION,
    "GetDurableExecutionState": "Invalid checkpoint token",
    "PauseDurableExecution": NO_EXECUTION,
    "PutFunctionScalingConfig": "This server has no managed instances",
    "ResumeDurableExecution": NO_EXECUTION,
    "SendDurableExecutionCallbackFailure": NO_EXECUTION,
    "SendDurableExecutionCallbackHeartbeat": NO_EXECUTION,
    "SendDurableExecutionCallbackSuccess": NO_EXECUTION,
    "StopDurableExecution": NO_EXECUTION,
}

# What a step makes and its answer names: the member that names it then, and where the name stands.
MADE = {
    "CreateCodeSigningConfig": {"CodeSigningConfigArn": "CodeSigningConfig.CodeSigningConfigArn"},
    "CreateEventSourceMapping": {"UUID": "UUID"},
}

# Members that not every event source has.
NOT_OF_STREAMS = "Unsupported '.*' parameter for given event source mapping type"
OF_OTHER_SOURCES = """
    AmazonManagedKafkaEventSourceConfig DocumentDBEventSourceConfig LoggingConfig
    ProvisionedPollerConfig Queues ScalingConfig SelfManagedEventSource
    SelfManagedKafkaEventSourceConfig SourceAccessConfigurations Topics
""".split()

# Members whose only right answer to a generated value is this refusal.
REASONS = {
    "AcceleratorConfig": "This server has no accelerators",
    "CapacityProviderConfig": "This server has no managed instances",
    "CodeSha256": "CodeSHA256 .* is different from current CodeSHA256",
    "CodeSigningConfigArn": "code signing configuration cannot be found",
    "DestinationConfig": "(?i)destination",
    "DurableConfig": "This server has no durable executions",
    "FileSystemConfigs": "(?i)vpc|access point",
    "ImageConfig": "(?i)image",
    "KMSKeyArn": "KMS Exception: NotFoundException",
    "Marker": "(?i)marker|nextmarker",
    # A made one names no version and no alias.
    "Qualifier": "(?i)not found|cannot find|does not exist|no policy",
    "PublishTo": "This server has no managed instances",
    "RuntimeConfig": "This server has no customer-managed runtimes",
    "TenantId": "is not enabled with tenancy configuration",
    "SourceKMSKeyArn": "KMS Exception: NotFoundException",
    "RevisionId": "The Revision Id provided does not match the latest Revision Id",
    "VpcConfig": r"Error occurred while Describe(Subnets|SecurityGroups)\. EC2 Error Code: Invalid",
    "AddPermission.Qualifier": r"We currently do not support adding policies for \$LATEST",
    "CreateCapacityProvider.KmsKeyArn": "KMS Error Code: NotFoundException",
    "CreateEventSourceMapping.KMSKeyArn": "KMS Error Code: NotFoundException",
    "UpdateEventSourceMapping.KMSKeyArn": "KMS Error Code: NotFoundException",
    "DeleteFunction.Qualifier": r"\$LATEST version cannot be deleted without deleting the function",
}
REASONS |= {f"CreateEventSourceMapping.{name}": NOT_OF_STREAMS for name in OF_OTHER_SOURCES}
REASONS |= {f"UpdateEventSourceMapping.{name}": NOT_OF_STREAMS for name in OF_OTHER_SOURCES}

IMAGE = {"ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/x:1"}
S3 = {"S3Bucket": "nowhere-model", "S3Key": "key"}
NO_BUCKET = "Error occurred while GetObject. S3 Error Code: NoSuchBucket"
# Further requests that are valid, by what they ask for: what they add, and their only right refusal.
ACCESS = {"SourceAccessConfigurations": [{"Type": "BASIC_AUTH", "URI": "arn:aws:secretsmanager:x"}]}
KAFKA = {"Topics": ["topic"], "ProvisionedPollerConfig": {"MinimumPollers": 1}}
BROKERS = {"SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["k.example:9092"]}}}
BROKER = {"EventSourceArn": "arn:aws:mq:us-east-1:000000000000:broker:b:b-1", "Queues": ["q"]}
CLUSTER = "arn:aws:rds:us-east-1:000000000000:cluster:c"
TAKEN = "^$"
FURTHER = {
    "CreateEventSourceMapping": {
        "AT_TIMESTAMP": (
            {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1_700_000_000},
            TAKEN,
        ),
        "MSK": ({"EventSourceArn": "arn:aws:kafka:us-east-1:000000000000:cluster/c/u"} | KAFKA, TAKEN),
        "self-managed Kafka": ({"EventSourceArn": None} | BROKERS | KAFKA | ACCESS, TAKEN),
        "MQ": (BROKER | {"StartingPosition": None} | ACCESS, TAKEN),
        "DocumentDB": (
            {"EventSourceArn": CLUSTER, "DocumentDBEventSourceConfig": {"DatabaseName": "d"}} | ACCESS,
            TAKEN,
        ),
    },
    "CreateFunction": {
        "Code from S3": ({"Code": S3}, NO_BUCKET),
        "PackageType Image": (
            {"PackageType": "Image", "Code": IMAGE, "Runtime": None, "Handler": None},
            "(?i)source image|image .* does not exist",
        ),
    },
    "PublishLayerVersion": {"Content from S3": ({"Content": S3}, NO_BUCKET)},
    "UpdateFunctionCode": {"code from S3": ({"ZipFile": None} | S3, NO_BUCKET)},
}

# Said by the service in its own words instead of by the framework.
NO_RUNTIME = "Value .* at 'runtime' failed to satisfy constraint: Member must satisfy enum value set"
SERVICE = {
    ("CreateFunction", "runtime"): NO_RUNTIME,
    ("UpdateFunctionConfiguration", "runtime"): NO_RUNTIME,
}

STATUS = {"DeleteFunction": 204}
INVOCATION_STATUS = {"RequestResponse": 200, "Event": 202, "DryRun": 204}

# Of every operation, whether its model declares them or not.
COMMON = {
    "AccessDeniedException",
    "RequestEntityTooLargeException",
    "SerializationException",
    "ValidationException",
}

# Members that AWS always sends, by the name of the shape.
CONFIGURATION = """
    FunctionName FunctionArn Runtime Role Handler CodeSize Description Timeout MemorySize LastModified
    CodeSha256 Version TracingConfig RevisionId PackageType Architectures EphemeralStorage SnapStart
    LoggingConfig
""".split()
EVENT_SOURCE_MAPPING = """
    UUID BatchSize MaximumBatchingWindowInSeconds FunctionArn LastModified State StateTransitionReason
    EventSourceMappingArn
""".split()
ALWAYS = {
    "AccountLimit": "TotalCodeSize CodeSizeUnzipped CodeSizeZipped ConcurrentExecutions UnreservedConcurrentExecutions".split(),
    "AccountUsage": ["TotalCodeSize", "FunctionCount"],
    "AddLayerVersionPermissionResponse": ["Statement", "RevisionId"],
    "AddPermissionResponse": ["Statement"],
    "AliasConfiguration": ["AliasArn", "Name", "FunctionVersion", "Description", "RevisionId"],
    "Concurrency": ["ReservedConcurrentExecutions"],
    "CreateFunctionUrlConfigResponse": ["FunctionUrl", "FunctionArn", "AuthType", "CreationTime"],
    "CapacityProvider": "CapacityProviderArn State VpcConfig PermissionsConfig LastModified".split(),
    "CodeSigningConfig": "CodeSigningConfigId CodeSigningConfigArn AllowedPublishers CodeSigningPolicies LastModified".split(),
    "EventSourceMappingConfiguration": EVENT_SOURCE_MAPPING,
    "FunctionCodeLocation": ["RepositoryType", "Location"],
    "FunctionConfiguration": CONFIGURATION,
    "FunctionEventInvokeConfig": ["LastModified", "FunctionArn", "DestinationConfig"],
    "GetAccountSettingsResponse": ["AccountLimit", "AccountUsage"],
    "GetFunctionCodeSigningConfigResponse": ["FunctionName"],
    "GetFunctionRecursionConfigResponse": ["RecursiveLoop"],
    "GetFunctionResponse": ["Configuration", "Code"],
    "GetFunctionUrlConfigResponse": "FunctionUrl FunctionArn AuthType CreationTime LastModifiedTime InvokeMode".split(),
    "GetLayerVersionPolicyResponse": ["Policy", "RevisionId"],
    "GetLayerVersionResponse": ["Content", "LayerArn", "LayerVersionArn", "Description", "CreatedDate", "Version"],
    "GetPolicyResponse": ["Policy", "RevisionId"],
    "GetProvisionedConcurrencyConfigResponse": "RequestedProvisionedConcurrentExecutions AllocatedProvisionedConcurrentExecutions AvailableProvisionedConcurrentExecutions Status LastModified".split(),
    "GetResourcePolicyResponse": ["Policy", "RevisionId"],
    "GetRuntimeManagementConfigResponse": ["UpdateRuntimeOn", "FunctionArn"],
    "LayersListItem": ["LayerName", "LayerArn", "LatestMatchingVersion"],
    "LayerVersionContentOutput": ["Location", "CodeSha256", "CodeSize"],
    "LayerVersionsListItem": ["LayerVersionArn", "Version", "Description", "CreatedDate"],
    "ListAliasesResponse": ["Aliases"],
    "ListCapacityProvidersResponse": ["CapacityProviders"],
    "ListCodeSigningConfigsResponse": ["CodeSigningConfigs"],
    "ListDurableExecutionsByFunctionResponse": ["DurableExecutions"],
    "ListEventSourceMappingsResponse": ["EventSourceMappings"],
    "ListFunctionEventInvokeConfigsResponse": ["FunctionEventInvokeConfigs"],
    "ListFunctionVersionsByCapacityProviderResponse": ["CapacityProviderArn", "FunctionVersions"],
    "ListFunctionsByCodeSigningConfigResponse": ["FunctionArns"],
    "ListFunctionsResponse": ["Functions"],
    "ListFunctionUrlConfigsResponse": ["FunctionUrlConfigs"],
    "ListLayersResponse": ["Layers"],
    "ListLayerVersionsResponse": ["LayerVersions"],
    "ListProvisionedConcurrencyConfigsResponse": ["ProvisionedConcurrencyConfigs"],
    "ListTagsResponse": ["Tags"],
    "ListVersionsByFunctionResponse": ["Versions"],
    "LoggingConfig": ["LogFormat", "LogGroup"],
    "PublishLayerVersionResponse": ["Content", "LayerArn", "LayerVersionArn", "Description", "CreatedDate", "Version"],
    "PutFunctionCodeSigningConfigResponse": ["CodeSigningConfigArn", "FunctionName"],
    "PutResourcePolicyResponse": ["Policy", "RevisionId"],
    "PutProvisionedConcurrencyConfigResponse": ["RequestedProvisionedConcurrentExecutions", "Status", "LastModified"],
    "SnapStartResponse": ["ApplyOn", "OptimizationStatus"],
}
# Beside those of the shape, of operations that answer with one function.
ONE_FUNCTION = ["State", "RuntimeVersionConfig"]
