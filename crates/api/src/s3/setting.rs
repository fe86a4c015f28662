//! What is set for a bucket: which documents there are, what each is unless it was set, and which of
//! them can be set here.
//!
//! Most are kept and shown only. What would have to act and does not is refused, so that nobody
//! believes it does.

use crate::error::{ApiError, Exception};
use crate::s3::document::Element;
use crate::s3::refusal::{malformed_xml, not_here};

/// What S3's documents are in.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

macro_rules! settings {
    ($($variant:ident $subresource:literal $name:literal $root:literal;)*) => {
        /// Something that is set for a bucket.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Setting {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Setting {
            /// Every setting.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The member of the query string that asks about it, which also names what is kept.
            #[must_use]
            pub fn subresource(self) -> &'static str {
                match self { $(Self::$variant => $subresource,)* }
            }

            /// What operations call it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The root of its document.
            fn root(self) -> &'static str {
                match self { $(Self::$variant => $root,)* }
            }
        }
    };
}

settings! {
    Policy "policy" "BucketPolicy" "";
    Tagging "tagging" "BucketTagging" "Tagging";
    Encryption "encryption" "BucketEncryption" "ServerSideEncryptionConfiguration";
    PublicAccessBlock "publicAccessBlock" "PublicAccessBlock" "PublicAccessBlockConfiguration";
    OwnershipControls "ownershipControls" "BucketOwnershipControls" "OwnershipControls";
    Lifecycle "lifecycle" "BucketLifecycleConfiguration" "LifecycleConfiguration";
    Acl "acl" "BucketAcl" "AccessControlPolicy";
    Cors "cors" "BucketCors" "CORSConfiguration";
    Logging "logging" "BucketLogging" "BucketLoggingStatus";
    Notification "notification" "BucketNotificationConfiguration" "NotificationConfiguration";
    Accelerate "accelerate" "BucketAccelerateConfiguration" "AccelerateConfiguration";
    RequestPayment "requestPayment" "BucketRequestPayment" "RequestPaymentConfiguration";
    Website "website" "BucketWebsite" "WebsiteConfiguration";
    Replication "replication" "BucketReplication" "ReplicationConfiguration";
    ObjectLock "object-lock" "ObjectLockConfiguration" "ObjectLockConfiguration";
}

impl Setting {
    /// What is shown when it was not set.
    ///
    /// # Errors
    /// AWS's way of saying that there is none.
    pub fn unset(self, bucket: &str) -> Result<String, ApiError> {
        let none = |exception, text: &str| {
            let detail = crate::error::Detail::Elements(vec![("BucketName", bucket.to_owned())]);
            Err(ApiError { exception, message: text.to_owned(), detail })
        };
        match self {
            Self::Policy => {
                none(Exception::S3NoSuchBucketPolicy, "The bucket policy does not exist")
            }
            Self::Tagging => none(Exception::S3NoSuchTagSet, "The TagSet does not exist"),
            Self::Encryption => none(
                Exception::S3EncryptionNotFound,
                "The server side encryption configuration was not found",
            ),
            Self::PublicAccessBlock => none(
                Exception::S3NoSuchPublicAccessBlock,
                "The public access block configuration was not found",
            ),
            Self::OwnershipControls => none(
                Exception::S3OwnershipControlsNotFound,
                "The bucket ownership controls were not found",
            ),
            Self::Lifecycle => none(
                Exception::S3NoSuchLifecycleConfiguration,
                "The lifecycle configuration does not exist",
            ),
            Self::Cors => {
                none(Exception::S3NoSuchCorsConfiguration, "The CORS configuration does not exist")
            }
            Self::Website => none(
                Exception::S3NoSuchWebsiteConfiguration,
                "The specified bucket does not have a website configuration",
            ),
            Self::Replication => none(
                Exception::S3ReplicationNotFound,
                "The replication configuration was not found",
            ),
            Self::ObjectLock => none(
                Exception::S3ObjectLockNotFound,
                "Object Lock configuration does not exist for this bucket",
            ),
            Self::RequestPayment => Ok(self.document("<Payer>BucketOwner</Payer>")),
            Self::Acl | Self::Logging | Self::Notification | Self::Accelerate => {
                Ok(self.document(""))
            }
        }
    }

    fn document(self, inside: &str) -> String {
        let root = self.root();
        format!("<{root} xmlns=\"{NAMESPACE}\">{inside}</{root}>")
    }

    /// What is kept of a document; nothing when it says what is so anyway.
    ///
    /// # Errors
    /// When it is no such document, or would have to act and cannot.
    pub fn kept(self, body: &[u8]) -> Result<Option<String>, ApiError> {
        if self == Self::Policy {
            return policy(body).map(Some);
        }
        let document = Element::read(body, self.root())?;
        match self {
            Self::Tagging => {
                crate::s3::tagging::read(body, crate::s3::tagging::BUCKET_TAGS)?;
            }
            Self::OwnershipControls => {
                let rule = document.child("Rule").and_then(|rule| rule.text_of("ObjectOwnership"));
                let known = ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"];
                rule.filter(|rule| known.contains(rule)).ok_or_else(malformed_xml)?;
            }
            Self::Lifecycle | Self::Encryption => {
                document.child("Rule").ok_or_else(malformed_xml)?;
            }
            Self::Acl => {
                document.child("AccessControlList").ok_or_else(malformed_xml)?;
            }
            Self::PublicAccessBlock => {}
            Self::Policy
            | Self::Cors
            | Self::Logging
            | Self::Notification
            | Self::Accelerate
            | Self::RequestPayment
            | Self::Website
            | Self::Replication
            | Self::ObjectLock => return self.nothing(&document).map(|()| None),
        }
        // What was accepted is UTF-8.
        Ok(Some(String::from_utf8_lossy(body).into_owned()))
    }

    /// What would have to act may be set to what it is.
    fn nothing(self, document: &Element) -> Result<(), ApiError> {
        let is_nothing = match self {
            Self::Logging | Self::Notification => document.children.is_empty(),
            Self::Accelerate => document.text_of("Status") == Some("Suspended"),
            Self::RequestPayment => document.text_of("Payer") == Some("BucketOwner"),
            _ => false,
        };
        if is_nothing { Ok(()) } else { Err(not_here(&format!("Put{}", self.name()))) }
    }

    /// Whether it can be removed; the others are set to something else.
    #[must_use]
    pub fn is_removable(self) -> bool {
        !matches!(
            self,
            Self::Acl
                | Self::Logging
                | Self::Notification
                | Self::Accelerate
                | Self::RequestPayment
                | Self::ObjectLock
        )
    }
}

/// A policy is JSON, and is given back as it came.
fn policy(body: &[u8]) -> Result<String, ApiError> {
    let refuse = |text: &str| ApiError::new(Exception::S3MalformedPolicy, text);
    let not_json = "Policies must be valid JSON and the first byte must be '{'";
    let text = std::str::from_utf8(body).map_err(|_| refuse(not_json))?;
    if text.len() > 20_480 {
        return Err(refuse("Policy exceeds the maximum allowed document size."));
    }
    let json: serde_json::Value = serde_json::from_str(text).map_err(|_| refuse(not_json))?;
    let object = json.as_object().ok_or_else(|| refuse(not_json))?;
    if !object.contains_key("Statement") {
        return Err(refuse("Missing required field Statement"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_nothing_or_awss_error() {
        let shown = |setting: Setting| match setting.unset("b") {
            Ok(document) => document,
            Err(error) => error.exception.facts().query_code.to_owned(),
        };
        assert_eq!(shown(Setting::Policy), "NoSuchBucketPolicy");
        assert_eq!(shown(Setting::Tagging), "NoSuchTagSet");
        assert_eq!(
            shown(Setting::RequestPayment),
            format!(
                "<RequestPaymentConfiguration xmlns=\"{NAMESPACE}\"><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"
            )
        );
    }

    #[test]
    fn documents_are_kept_as_they_came_and_others_refused() {
        let check = |setting: Setting, body: &str, expected: &str| {
            let kept = match setting.kept(body.as_bytes()) {
                Ok(Some(kept)) if kept == body => "kept".to_owned(),
                Ok(other) => format!("{other:?}"),
                Err(error) => error.exception.facts().query_code.to_owned(),
            };
            assert_eq!(kept, expected, "{setting:?} {body}");
        };
        check(Setting::Policy, r#"{"Statement":[]}"#, "kept");
        check(Setting::Policy, "{}", "MalformedPolicy");
        check(Setting::Policy, "<a/>", "MalformedPolicy");
        check(
            Setting::Lifecycle,
            "<LifecycleConfiguration><Rule/></LifecycleConfiguration>",
            "kept",
        );
        check(Setting::Lifecycle, "<Rule/>", "MalformedXML");
        check(Setting::Notification, "<NotificationConfiguration/>", "None");
        check(
            Setting::Notification,
            "<NotificationConfiguration><QueueConfiguration/></NotificationConfiguration>",
            "NotImplemented",
        );
        check(Setting::Replication, "<ReplicationConfiguration/>", "NotImplemented");
        check(
            Setting::Tagging,
            "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
            "kept",
        );
        check(
            Setting::Tagging,
            "<Tagging><TagSet><Tag><Key></Key><Value>b</Value></Tag></TagSet></Tagging>",
            "InvalidTag",
        );
    }
}
