//! Buckets: where they are to be, whether they keep versions, and the answers about them.

use dormouse_model::names::Region;
use dormouse_model::object::Versioning;

use crate::error::{ApiError, Exception};
use crate::s3::document::Element;
use crate::s3::list::{document, owner};
use crate::s3::refusal::{malformed_xml, not_here};
use crate::s3::{OWNER_ID, setting::NAMESPACE};
use crate::xml::Xml;

/// The region whose buckets have no location constraint.
const CLASSIC: &str = "us-east-1";

/// The region of a bucket that is to be made, from the body of `CreateBucket` and the region that was
/// asked.
///
/// # Errors
/// When the body is none, or names a region that this one may not make buckets in.
pub fn location(body: &[u8], asked: &Region) -> Result<Region, ApiError> {
    let document = if body.is_empty() {
        Element::default()
    } else {
        Element::read(body, "CreateBucketConfiguration")?
    };
    if document.child("Bucket").is_some() {
        return Err(not_here("A directory bucket"));
    }
    let illegal = |wanted: &str| {
        let text = format!(
            "The {wanted} location constraint is incompatible for the region specific endpoint this \
             request was sent to."
        );
        Err(ApiError::new(Exception::S3IllegalLocationConstraint, text))
    };
    match document.text_of("LocationConstraint").filter(|wanted| !wanted.is_empty()) {
        None if asked.as_str() == CLASSIC => Ok(asked.clone()),
        None => illegal("unspecified"),
        Some(wanted) if asked.as_str() == CLASSIC => {
            let text = "The specified location-constraint is not valid";
            let invalid = || ApiError::new(Exception::S3InvalidLocationConstraint, text);
            let wanted = if wanted == "EU" { "eu-west-1" } else { wanted };
            wanted
                .parse()
                .ok()
                .filter(|region: &Region| region.as_str() != CLASSIC)
                .ok_or_else(invalid)
        }
        Some(wanted) if wanted == asked.as_str() => Ok(asked.clone()),
        Some(wanted) => illegal(wanted),
    }
}

/// The answer to `GetBucketLocation`.
#[must_use]
pub fn location_answer(region: &Region) -> String {
    let constraint = if region.as_str() == CLASSIC { "" } else { region.as_str() };
    let mut xml = Xml::declared();
    // The root itself holds the text.
    xml.leaf_with("LocationConstraint", NAMESPACE, constraint);
    xml.finish()
}

/// The body of `PutBucketVersioning`.
///
/// # Errors
/// When it is none, or asks for what we cannot do.
pub fn versioning(body: &[u8]) -> Result<Versioning, ApiError> {
    let document = Element::read(body, "VersioningConfiguration")?;
    if document.text_of("MfaDelete") == Some("Enabled") {
        return Err(not_here("MfaDelete"));
    }
    match document.text_of("Status") {
        Some("Enabled") => Ok(Versioning::Enabled),
        Some("Suspended") => Ok(Versioning::Suspended),
        Some(_) => Err(malformed_xml()),
        None => {
            let text = "The Versioning element must be specified";
            let exception = Exception::S3InvalidRequest;
            Err(ApiError::new(exception, text))
        }
    }
}

/// The answer to `GetBucketVersioning`.
#[must_use]
pub fn versioning_answer(versioning: Versioning) -> String {
    document("VersioningConfiguration", |xml| {
        match versioning {
            Versioning::Unversioned => {}
            Versioning::Enabled => drop(xml.leaf("Status", "Enabled")),
            Versioning::Suspended => drop(xml.leaf("Status", "Suspended")),
        };
    })
}

/// A line of `ListBuckets`.
#[derive(Debug, Clone)]
pub struct BucketLine {
    /// The name.
    pub name: String,
    /// Where it lies.
    pub region: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// The answer to `ListBuckets`: a page behind which there is more when `next` says from where.
#[must_use]
pub fn list_answer(buckets: &[BucketLine], prefix: Option<&str>, next: Option<&str>) -> String {
    document("ListAllMyBucketsResult", |xml| {
        owner(xml);
        xml.element("Buckets", |xml| {
            for bucket in buckets {
                xml.element("Bucket", |xml| {
                    xml.leaf("Name", &bucket.name)
                        .leaf("CreationDate", &crate::time::iso_millis(bucket.created_ms))
                        .leaf("BucketRegion", &bucket.region);
                });
            }
        });
        if let Some(prefix) = prefix {
            xml.leaf("Prefix", prefix);
        }
        if let Some(next) = next {
            xml.leaf("ContinuationToken", next);
        }
    })
}

/// The answer to `GetBucketPolicyStatus`: policies are kept and not evaluated, so none makes public.
#[must_use]
pub fn policy_status() -> String {
    document("PolicyStatus", |xml| {
        xml.leaf("IsPublic", "false");
    })
}

/// The access control list of a bucket or an object: that of its owner, and what a canned list adds.
#[must_use]
pub fn acl(canned: Option<&str>) -> String {
    const ALL: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
    const AUTHENTICATED: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
    const LOGS: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";
    let grants: &[(&str, &str)] = match canned {
        Some("public-read") => &[(ALL, "READ")],
        Some("public-read-write") => &[(ALL, "READ"), (ALL, "WRITE")],
        Some("authenticated-read") => &[(AUTHENTICATED, "READ")],
        Some("log-delivery-write") => &[(LOGS, "WRITE"), (LOGS, "READ_ACP")],
        _ => &[],
    };
    document("AccessControlPolicy", |xml| {
        owner(xml);
        xml.element("AccessControlList", |xml| {
            grant(xml, "CanonicalUser", ("ID", OWNER_ID), "FULL_CONTROL");
            for (group, permission) in grants {
                grant(xml, "Group", ("URI", group), permission);
            }
        });
    })
}

fn grant(xml: &mut Xml, kind: &str, (tag, whom): (&str, &str), permission: &str) {
    xml.element("Grant", |xml| {
        xml.typed_element("Grantee", kind, |xml| {
            xml.leaf(tag, whom);
        });
        xml.leaf("Permission", permission);
    });
}

/// The canned lists.
const CANNED: [&str; 8] = [
    "private",
    "public-read",
    "public-read-write",
    "aws-exec-read",
    "authenticated-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
    "log-delivery-write",
];

/// Whether a canned list is one, and may be in a bucket whose ownership controls are these: unless
/// they were set otherwise, only the owner's own.
///
/// # Errors
/// When it is not.
pub fn check_acl(canned: &str, ownership: Option<&str>) -> Result<(), ApiError> {
    if !CANNED.contains(&canned) {
        return Err(crate::s3::refusal::invalid_argument("", "x-amz-acl", canned));
    }
    let is_open = ownership.is_some_and(|document| !document.contains("BucketOwnerEnforced"));
    if is_open || matches!(canned, "private" | "bucket-owner-full-control") {
        return Ok(());
    }
    let text = "The bucket does not allow ACLs";
    Err(ApiError::new(Exception::S3AccessControlListNotSupported, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_made_where_it_was_asked_for() {
        let check = |asked: &str, constraint: &str, expected: &str| {
            let body = match constraint {
                "" => String::new(),
                constraint => format!(
                    "<CreateBucketConfiguration xmlns=\"x\"><LocationConstraint>{constraint}\
                     </LocationConstraint></CreateBucketConfiguration>"
                ),
            };
            let shown = match location(body.as_bytes(), &asked.parse().unwrap()) {
                Ok(region) => region.to_string(),
                Err(error) => error.exception.facts().query_code.to_owned(),
            };
            assert_eq!(shown, expected, "{asked} {constraint}");
        };
        check("us-east-1", "", "us-east-1");
        check("us-east-1", "eu-west-1", "eu-west-1");
        check("us-east-1", "EU", "eu-west-1");
        check("us-east-1", "us-east-1", "InvalidLocationConstraint");
        check("us-east-1", "No!", "InvalidLocationConstraint");
        check("eu-west-1", "", "IllegalLocationConstraintException");
        check("eu-west-1", "eu-west-1", "eu-west-1");
        check("eu-west-1", "us-west-2", "IllegalLocationConstraintException");
        assert!(location(b"<x/>", &"us-east-1".parse().unwrap()).is_err());
    }

    #[test]
    fn a_location_is_the_text_of_the_root() {
        assert!(
            location_answer(&"us-east-1".parse().unwrap()).ends_with("/\"></LocationConstraint>")
        );
        assert!(location_answer(&"eu-west-1".parse().unwrap()).contains(">eu-west-1<"));
    }

    #[test]
    fn lists_of_others_need_ownership_controls() {
        let preferred = Some("<ObjectOwnership>BucketOwnerPreferred</ObjectOwnership>");
        let enforced = Some("<ObjectOwnership>BucketOwnerEnforced</ObjectOwnership>");
        assert!(check_acl("private", None).is_ok());
        assert!(check_acl("public-read", None).is_err());
        assert!(check_acl("public-read", enforced).is_err());
        assert!(check_acl("public-read", preferred).is_ok());
        assert!(check_acl("everybody", preferred).is_err());
        assert!(acl(Some("public-read")).contains("AllUsers"));
    }
}
