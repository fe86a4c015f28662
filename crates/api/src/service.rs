//! The services that may be asked for on our one port, and the protocol each of them speaks.
//!
//! A service is listed so that a request for it is answered in its own shape, even when all we can
//! say is that we do not have it. Never add behaviour here.

use http::header::CONTENT_TYPE;
use http::request::Parts;

/// How a service puts requests, answers and errors in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Method and path name the operation, bodies are JSON.
    RestJson,
    /// Method and path name the operation, bodies are XML.
    RestXml,
    /// `X-Amz-Target` names the operation, JSON 1.0.
    Json10,
    /// `X-Amz-Target` names the operation, JSON 1.1.
    Json11,
    /// The form member `Action` names the operation, answers are XML.
    Query,
    /// As `Query`, with the error body of EC2.
    Ec2Query,
    /// The path names the operation, bodies are CBOR.
    RpcV2Cbor,
}

macro_rules! services {
    ($($variant:ident $name:literal $protocol:ident $targets:tt $version:literal;)*) => {
        /// An AWS service by its signing name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Service {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Service {
            /// Every service we know by name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in the credential scope.
            #[must_use]
            pub fn signing_name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What the service speaks when the request does not say otherwise.
            #[must_use]
            pub fn protocol(self) -> Protocol {
                match self { $(Self::$variant => Protocol::$protocol,)* }
            }

            /// The prefixes of `X-Amz-Target` that are this service's.
            fn targets(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &$targets,)* }
            }

            /// The form member `Version` that is this service's; empty when it speaks no query.
            fn version(self) -> &'static str {
                match self { $(Self::$variant => $version,)* }
            }
        }
    };
}

// Names, protocols, target prefixes and versions are those of botocore 1.44's service models.
services! {
    Lambda "lambda" RestJson [] "";
    Sts "sts" Query [] "2011-06-15";
    Iam "iam" Query [] "2010-05-08";
    Logs "logs" Json11 ["Logs_20140328"] "";
    S3 "s3" RestXml [] "";
    Sqs "sqs" Json10 ["AmazonSQS"] "2012-11-05";
    Monitoring "monitoring" RpcV2Cbor ["GraniteServiceVersion20100801"] "2010-08-01";
    Events "events" Json11 ["AWSEvents"] "";
    Sns "sns" Query [] "2010-03-31";
    Kinesis "kinesis" Json11 ["Kinesis_20131202"] "";
    DynamoDb "dynamodb" Json10 ["DynamoDB_20120810", "DynamoDBStreams_20120810"] "";
    Ecr "ecr" Json11 ["AmazonEC2ContainerRegistry_V20150921"] "";
    Ssm "ssm" Json11 ["AmazonSSM"] "";
    SecretsManager "secretsmanager" Json11 ["secretsmanager"] "";
    Kms "kms" Json11 ["TrentService"] "";
    ApiGateway "apigateway" RestJson [] "";
    ExecuteApi "execute-api" RestJson [] "";
    ApplicationAutoscaling "application-autoscaling" Json11 ["AnyScaleFrontendService"] "";
    CloudFormation "cloudformation" Query [] "2010-05-15";
    States "states" Json10 ["AWSStepFunctions"] "";
    Xray "xray" RestJson [] "";
    Ec2 "ec2" Ec2Query [] "2016-11-15";
    Scheduler "scheduler" RestJson [] "";
    Pipes "pipes" RestJson [] "";
    CognitoIdp "cognito-idp" Json11 ["AWSCognitoIdentityProviderService"] "";
    ElastiCache "elasticache" Query [] "2015-02-02";
    Rds "rds" Query [] "2014-10-31";
    Ecs "ecs" Json11 ["AmazonEC2ContainerServiceV20141113"] "";
    Efs "elasticfilesystem" RestJson [] "";
    AppConfig "appconfig" RestJson [] "";
    CodeDeploy "codedeploy" Json11 ["CodeDeploy_20141006"] "";
    Signer "signer" RestJson [] "";
    ServiceDiscovery "servicediscovery" Json11 ["Route53AutoNaming_v20170314"] "";
    Athena "athena" Json11 ["AmazonAthena"] "";
    Glue "glue" Json11 ["AWSGlue"] "";
    Firehose "firehose" Json11 ["Firehose_20150804"] "";
    Wafv2 "wafv2" Json11 ["AWSWAF_20190729"] "";
    Route53 "route53" RestXml [] "";
    CloudFront "cloudfront" RestXml [] "";
    Acm "acm" Json11 ["CertificateManager"] "";
    Tagging "tagging" Json11 ["ResourceGroupsTaggingAPI_20170126"] "";
    Bedrock "bedrock" RestJson [] "";
    ServiceQuotas "servicequotas" Json11 ["ServiceQuotasV20190624"] "";
    Organizations "organizations" Json11 ["AWSOrganizationsV20161128"] "";
    Autoscaling "autoscaling" Query [] "2011-01-01";
    ElasticLoadBalancing "elasticloadbalancing" Query [] "2015-12-01";
}

impl Service {
    /// The service of a credential scope.
    #[must_use]
    pub fn of_signing_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|service| service.signing_name() == name)
    }

    /// The service of an `X-Amz-Target` such as `Logs_20140328.GetLogEvents`.
    #[must_use]
    pub fn of_target(target: &str) -> Option<Self> {
        let prefix = target.split_once('.')?.0;
        Self::ALL.iter().copied().find(|service| service.targets().contains(&prefix))
    }

    /// The service of a form's `Version`.
    #[must_use]
    pub fn of_version(version: &str) -> Option<Self> {
        if version.is_empty() {
            return None;
        }
        Self::ALL.iter().copied().find(|service| service.version() == version)
    }

    /// The XML namespace of answers, for services that speak the query protocol.
    #[must_use]
    pub fn namespace(self) -> Option<String> {
        let scheme = match self {
            Self::Sts | Self::Iam => "https",
            _ => "http",
        };
        let host = if self == Self::Sqs { "queue" } else { self.signing_name() };
        let version = self.version();
        (!version.is_empty()).then(|| format!("{scheme}://{host}.amazonaws.com/doc/{version}/"))
    }

    /// What this request speaks: several services have more than one protocol.
    #[must_use]
    pub fn protocol_of(self, parts: &Parts) -> Protocol {
        match self.protocol() {
            fixed @ (Protocol::RestJson
            | Protocol::RestXml
            | Protocol::Query
            | Protocol::Ec2Query) => fixed,
            Protocol::RpcV2Cbor | Protocol::Json10 | Protocol::Json11 => {
                said_protocol(parts).unwrap_or_else(|| self.protocol())
            }
        }
    }
}

/// The protocol a request's headers name, whatever the service.
pub(crate) fn said_protocol(parts: &Parts) -> Option<Protocol> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = header(CONTENT_TYPE.as_str()).unwrap_or_default();
    if header("smithy-protocol") == Some("rpc-v2-cbor") {
        return Some(Protocol::RpcV2Cbor);
    }
    if header("x-amz-target").is_some() {
        let old = content_type.starts_with("application/x-amz-json-1.0");
        return Some(if old { Protocol::Json10 } else { Protocol::Json11 });
    }
    let form = content_type.starts_with("application/x-www-form-urlencoded");
    form.then_some(Protocol::Query)
}

/// Who is answered and how: all an error needs to take its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The service that is asked; unknown when the request does not say.
    pub service: Option<Service>,
    /// How it speaks.
    pub protocol: Protocol,
}

impl Dialect {
    /// Lambda's.
    pub const LAMBDA: Self = Self { service: Some(Service::Lambda), protocol: Protocol::RestJson };

    /// The dialect of a request for a service.
    #[must_use]
    pub fn of(service: Service, parts: &Parts) -> Self {
        Self { service: Some(service), protocol: service.protocol_of(parts) }
    }

    /// The service's name for texts.
    #[must_use]
    pub fn service_name(self) -> &'static str {
        self.service.map_or("aws", Service::signing_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_services_share_a_name_a_target_or_a_version() {
        for (i, a) in Service::ALL.iter().enumerate() {
            for b in &Service::ALL[i + 1..] {
                assert_ne!(a.signing_name(), b.signing_name());
                assert!(a.version().is_empty() || a.version() != b.version(), "{a:?} {b:?}");
                assert!(a.targets().iter().all(|t| !b.targets().contains(t)), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_service_is_found_by_what_it_is_called() {
        assert_eq!(Service::of_signing_name("monitoring"), Some(Service::Monitoring));
        assert_eq!(Service::of_target("DynamoDBStreams_20120810.X"), Some(Service::DynamoDb));
        assert_eq!(Service::of_version("2010-05-08"), Some(Service::Iam));
        assert_eq!(Service::of_version(""), None);
        assert_eq!(Service::of_target("nonsense"), None);
        assert_eq!(
            Service::Sts.namespace().as_deref(),
            Some("https://sts.amazonaws.com/doc/2011-06-15/")
        );
    }
}
