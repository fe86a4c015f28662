//! The operations of S3, by method and what the query string asks about.

use http::Method;

use crate::s3::setting::Setting;

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `ListBuckets`
    ListBuckets,
    /// `CreateBucket`
    CreateBucket,
    /// `HeadBucket`
    HeadBucket,
    /// `DeleteBucket`
    DeleteBucket,
    /// `GetBucketLocation`
    GetBucketLocation,
    /// `GetBucketVersioning`
    GetBucketVersioning,
    /// `PutBucketVersioning`
    PutBucketVersioning,
    /// `GetBucketPolicyStatus`
    GetBucketPolicyStatus,
    /// What is set for a bucket is read.
    GetSetting(Setting),
    /// Something is set for a bucket.
    PutSetting(Setting),
    /// What is set for a bucket is removed.
    DeleteSetting(Setting),
    /// `ListObjects`
    ListObjects,
    /// `ListObjectsV2`
    ListObjectsV2,
    /// `ListObjectVersions`
    ListObjectVersions,
    /// `ListMultipartUploads`
    ListMultipartUploads,
    /// `DeleteObjects`
    DeleteObjects,
    /// `PutObject`
    PutObject,
    /// `CopyObject`
    CopyObject,
    /// `GetObject`
    GetObject,
    /// `HeadObject`
    HeadObject,
    /// `DeleteObject`
    DeleteObject,
    /// `GetObjectAttributes`
    GetObjectAttributes,
    /// `GetObjectTagging`
    GetObjectTagging,
    /// `PutObjectTagging`
    PutObjectTagging,
    /// `DeleteObjectTagging`
    DeleteObjectTagging,
    /// `GetObjectAcl`
    GetObjectAcl,
    /// `PutObjectAcl`
    PutObjectAcl,
    /// `CreateMultipartUpload`
    CreateMultipartUpload,
    /// `UploadPart`
    UploadPart,
    /// `UploadPartCopy`
    UploadPartCopy,
    /// `ListParts`
    ListParts,
    /// `CompleteMultipartUpload`
    CompleteMultipartUpload,
    /// `AbortMultipartUpload`
    AbortMultipartUpload,
    /// A question of a browser whether it may ask.
    Preflight,
    /// One that S3 has and we have not, by its name.
    NotHere(&'static str),
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Service,
    Bucket,
    Object,
}

impl Operation {
    /// The operation of a request; nothing when S3 has none such. `asks` says whether the query string
    /// has a member, `copies` whether the request names a source.
    pub(super) fn of(
        about: About,
        method: &Method,
        asks: &dyn Fn(&str) -> bool,
        copies: bool,
    ) -> Option<Self> {
        if method == Method::OPTIONS {
            return Some(Self::Preflight);
        }
        match about {
            About::Service if method == Method::GET => Some(Self::ListBuckets),
            About::Service => None,
            About::Bucket => Self::of_bucket(method, asks),
            About::Object => Self::of_object(method, asks, copies),
        }
    }

    fn of_bucket(method: &Method, asks: &dyn Fn(&str) -> bool) -> Option<Self> {
        if let Some(name) = not_here(&BUCKET_NOT_HERE, method, asks) {
            return Some(Self::NotHere(name));
        }
        let setting = Setting::ALL.iter().copied().find(|setting| asks(setting.subresource()));
        match (method.as_str(), setting) {
            ("GET", _) if asks("location") => Some(Self::GetBucketLocation),
            ("GET", _) if asks("versioning") => Some(Self::GetBucketVersioning),
            ("PUT", _) if asks("versioning") => Some(Self::PutBucketVersioning),
            ("GET", _) if asks("policyStatus") => Some(Self::GetBucketPolicyStatus),
            ("GET", Some(setting)) => Some(Self::GetSetting(setting)),
            ("PUT", Some(setting)) => Some(Self::PutSetting(setting)),
            ("DELETE", Some(setting)) => Some(Self::DeleteSetting(setting)),
            ("GET", None) if asks("versions") => Some(Self::ListObjectVersions),
            ("GET", None) if asks("uploads") => Some(Self::ListMultipartUploads),
            ("GET", None) if asks("list-type") => Some(Self::ListObjectsV2),
            ("GET", None) => Some(Self::ListObjects),
            ("HEAD", None) => Some(Self::HeadBucket),
            ("PUT", None) => Some(Self::CreateBucket),
            ("DELETE", None) => Some(Self::DeleteBucket),
            ("POST", None) if asks("delete") => Some(Self::DeleteObjects),
            ("POST", None) => Some(Self::NotHere("PostObject")),
            _ => None,
        }
    }

    fn of_object(method: &Method, asks: &dyn Fn(&str) -> bool, copies: bool) -> Option<Self> {
        if let Some(name) = not_here(&OBJECT_NOT_HERE, method, asks) {
            return Some(Self::NotHere(name));
        }
        match method.as_str() {
            "GET" if asks("tagging") => Some(Self::GetObjectTagging),
            "PUT" if asks("tagging") => Some(Self::PutObjectTagging),
            "DELETE" if asks("tagging") => Some(Self::DeleteObjectTagging),
            "GET" if asks("acl") => Some(Self::GetObjectAcl),
            "PUT" if asks("acl") => Some(Self::PutObjectAcl),
            "GET" if asks("attributes") => Some(Self::GetObjectAttributes),
            "GET" if asks("uploadId") => Some(Self::ListParts),
            "PUT" if asks("uploadId") && copies => Some(Self::UploadPartCopy),
            "PUT" if asks("uploadId") => Some(Self::UploadPart),
            "POST" if asks("uploadId") => Some(Self::CompleteMultipartUpload),
            "DELETE" if asks("uploadId") => Some(Self::AbortMultipartUpload),
            "POST" if asks("uploads") => Some(Self::CreateMultipartUpload),
            "PUT" if copies => Some(Self::CopyObject),
            "PUT" => Some(Self::PutObject),
            "GET" => Some(Self::GetObject),
            "HEAD" => Some(Self::HeadObject),
            "DELETE" => Some(Self::DeleteObject),
            _ => None,
        }
    }
}

/// What S3 has and we have not: the member of the query string, and the name for GET, PUT, DELETE and
/// POST.
type NotHere = (&'static str, [&'static str; 4]);

const BUCKET_NOT_HERE: [NotHere; 8] = [
    (
        "analytics",
        [
            "GetBucketAnalyticsConfiguration",
            "PutBucketAnalyticsConfiguration",
            "DeleteBucketAnalyticsConfiguration",
            "",
        ],
    ),
    (
        "intelligent-tiering",
        [
            "GetBucketIntelligentTieringConfiguration",
            "PutBucketIntelligentTieringConfiguration",
            "DeleteBucketIntelligentTieringConfiguration",
            "",
        ],
    ),
    (
        "inventory",
        [
            "GetBucketInventoryConfiguration",
            "PutBucketInventoryConfiguration",
            "DeleteBucketInventoryConfiguration",
            "",
        ],
    ),
    (
        "metrics",
        [
            "GetBucketMetricsConfiguration",
            "PutBucketMetricsConfiguration",
            "DeleteBucketMetricsConfiguration",
            "",
        ],
    ),
    (
        "metadataTable",
        [
            "GetBucketMetadataTableConfiguration",
            "",
            "DeleteBucketMetadataTableConfiguration",
            "CreateBucketMetadataTableConfiguration",
        ],
    ),
    (
        "metadataConfiguration",
        [
            "GetBucketMetadataConfiguration",
            "",
            "DeleteBucketMetadataConfiguration",
            "CreateBucketMetadataConfiguration",
        ],
    ),
    ("abac", ["GetBucketAbac", "PutBucketAbac", "", ""]),
    ("session", ["CreateSession", "", "", ""]),
];

const OBJECT_NOT_HERE: [NotHere; 6] = [
    ("legal-hold", ["GetObjectLegalHold", "PutObjectLegalHold", "", ""]),
    ("retention", ["GetObjectRetention", "PutObjectRetention", "", ""]),
    ("torrent", ["GetObjectTorrent", "", "", ""]),
    ("restore", ["", "", "", "RestoreObject"]),
    ("select", ["", "", "", "SelectObjectContent"]),
    ("renameObject", ["", "RenameObject", "", ""]),
];

fn not_here(
    table: &[NotHere],
    method: &Method,
    asks: &dyn Fn(&str) -> bool,
) -> Option<&'static str> {
    let place = match method.as_str() {
        "GET" => 0,
        "PUT" => 1,
        "DELETE" => 2,
        "POST" => 3,
        _ => return None,
    };
    let row = table.iter().find(|(subresource, _)| asks(subresource))?;
    Some(row.1[place]).filter(|name| !name.is_empty())
}
