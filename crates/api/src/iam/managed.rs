//! AWS's own policies, as far as people who run functions name them. Their documents are shown;
//! nothing is evaluated.

/// One of AWS's policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AwsPolicy {
    /// `/`, or what groups it.
    pub path: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The services it allows everything it needs of, with their actions.
    actions: &'static str,
}

const LOGS: &str = r#""logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents""#;
const SERVICE_ROLE: &str = "/service-role/";

/// Those we can show. Others may be attached all the same.
const KNOWN: [AwsPolicy; 7] = [
    AwsPolicy { path: "/", name: "AdministratorAccess", actions: r#""*""# },
    AwsPolicy { path: SERVICE_ROLE, name: "AWSLambdaBasicExecutionRole", actions: LOGS },
    AwsPolicy {
        path: SERVICE_ROLE,
        name: "AWSLambdaDynamoDBExecutionRole",
        actions: r#""dynamodb:DescribeStream","dynamodb:GetRecords","dynamodb:GetShardIterator","dynamodb:ListStreams","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents""#,
    },
    AwsPolicy {
        path: SERVICE_ROLE,
        name: "AWSLambdaKinesisExecutionRole",
        actions: r#""kinesis:DescribeStream","kinesis:DescribeStreamSummary","kinesis:GetRecords","kinesis:GetShardIterator","kinesis:ListShards","kinesis:ListStreams","kinesis:SubscribeToShard","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents""#,
    },
    AwsPolicy {
        path: SERVICE_ROLE,
        name: "AWSLambdaSQSQueueExecutionRole",
        actions: r#""sqs:ReceiveMessage","sqs:DeleteMessage","sqs:GetQueueAttributes","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents""#,
    },
    AwsPolicy {
        path: SERVICE_ROLE,
        name: "AWSLambdaVPCAccessExecutionRole",
        actions: r#""logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents","ec2:CreateNetworkInterface","ec2:DescribeNetworkInterfaces","ec2:DescribeSubnets","ec2:DeleteNetworkInterface","ec2:AssignPrivateIpAddresses","ec2:UnassignPrivateIpAddresses""#,
    },
    AwsPolicy {
        path: "/",
        name: "AWSXRayDaemonWriteAccess",
        actions: r#""xray:PutTraceSegments","xray:PutTelemetryRecords","xray:GetSamplingRules","xray:GetSamplingTargets","xray:GetSamplingStatisticSummaries""#,
    },
];

impl AwsPolicy {
    /// All, in the order of their names.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &KNOWN
    }

    /// The one of an ARN.
    #[must_use]
    pub fn of_arn(arn: &str) -> Option<&'static Self> {
        KNOWN.iter().find(|policy| policy.arn() == arn)
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::aws:policy{}{}", self.path, self.name)
    }

    /// What it says.
    #[must_use]
    pub fn document(&self) -> String {
        let actions = self.actions;
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":[{actions}],"Resource":"*"}}]}}"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::policy::{Kind, check};

    #[test]
    fn each_is_a_policy_and_found_by_its_arn() {
        for policy in AwsPolicy::all() {
            assert_eq!(AwsPolicy::of_arn(&policy.arn()), Some(policy));
            assert_eq!(check(&policy.document(), Kind::Permissions), Ok(()), "{}", policy.name);
        }
        assert!(KNOWN.is_sorted_by_key(|policy| policy.name.to_lowercase()));
    }
}
