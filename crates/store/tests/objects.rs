//! Buckets and objects on a real directory: versions, lists, uploads, and what is left on the disk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::convert::Infallible;
use std::io::Read;
use std::path::Path;

use dormouse_model::names::Scope;
use dormouse_model::object::{ChecksumAlgorithm, ChecksumKind, ObjectKey, Versioning};
use dormouse_store::Store;
use dormouse_store::objects::{
    Attributes, BucketId, CompleteError, Content, DeleteBucketError, Kept, Listed, NewObject,
    Objects, OpenObjectError, Plan, PutError, Upload, UploadKey, VersionMarker, Walk, Wanted,
    WantedPart,
};

fn scope(region: &str) -> Scope {
    Scope { account: "123456789012".parse().unwrap(), region: region.parse().unwrap() }
}

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

struct World {
    objects: Objects,
    bucket: BucketId,
}

impl World {
    async fn with_bucket(store: &Store, run: u128) -> Self {
        let objects = store.objects(run).unwrap();
        let (scope, name) = (scope("us-east-1"), "bucket".parse().unwrap());
        if objects.bucket(&scope.account, &name).await.unwrap().is_none() {
            objects.create_bucket(scope.clone(), name.clone(), 1).await.unwrap();
        }
        let bucket = objects.bucket(&scope.account, &name).await.unwrap().unwrap().id;
        Self { objects, bucket }
    }

    fn kept(&self, bytes: &str) -> Kept {
        let mut staged = self.objects.stage().unwrap();
        staged.write(bytes.as_bytes()).unwrap();
        staged.keep().unwrap()
    }

    async fn put(&self, name: &str, bytes: &str) -> Option<String> {
        let object = new(name);
        let kept = self.kept(bytes);
        let always = |_: Option<&_>| Ok::<_, Infallible>(());
        self.objects.put(self.bucket, object, kept, always).await.unwrap().version
    }

    async fn delete(&self, name: &str, version: Option<&str>) -> (Option<String>, bool) {
        let wanted = Wanted { key: key(name), version: version.map(str::to_owned) };
        let always = |_: Option<&_>| Ok::<_, Infallible>(());
        let deleted = self.objects.delete(self.bucket, wanted, (2, 7), always).await.unwrap();
        (deleted.version, deleted.is_marker)
    }

    async fn read(&self, name: &str, version: Option<&str>) -> String {
        match self.objects.open_version(self.bucket, &key(name), version).await {
            Ok(mut opened) => {
                let mut text = String::new();
                opened.file.read_to_string(&mut text).unwrap();
                text
            }
            Err(error) => format!("({error})"),
        }
    }

    async fn listed(&self) -> String {
        let walk = Walk { limit: 1_000, ..Walk::default() };
        let page = self.objects.list(self.bucket, walk).await.unwrap();
        let names = page.entries.iter().map(|entry| match entry {
            Listed::One(version) => version.key.to_string(),
            Listed::Prefix(prefix) => format!("({prefix})"),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    async fn upload(&self, id: &str) -> UploadKey {
        let upload = Upload {
            key: UploadKey { key: key("whole"), id: id.to_owned() },
            created_ms: 1,
            plan: Plan {
                attributes: Attributes::default(),
                algorithm: ChecksumAlgorithm::Crc32,
                kind: ChecksumKind::Composite,
                is_asked: true,
            },
        };
        self.objects.create_upload(self.bucket, upload.clone()).await.unwrap();
        upload.key
    }

    async fn part(&self, upload: &UploadKey, number: u32, bytes: &str) {
        let part =
            WantedPart { number, etag: bytes.to_owned(), checksum: String::new(), now_ms: 1 };
        let kept = self.kept(bytes);
        self.objects.put_part(self.bucket, upload.clone(), part, kept).await.unwrap();
    }
}

fn new(name: &str) -> NewObject {
    NewObject {
        key: key(name),
        etag: format!("etag of {name}"),
        attributes: Attributes::default(),
        now_ms: 1,
        chance: 42,
    }
}

/// The files below a directory.
fn files(directory: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        count += if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 };
    }
    count
}

#[tokio::test]
async fn without_versions_a_write_replaces_and_a_delete_removes() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let world = World::with_bucket(&store, 1).await;
    assert_eq!(world.put("k", "one").await, None);
    assert_eq!(world.put("k", "two").await, None);
    assert_eq!(world.read("k", None).await, "two");
    assert_eq!(world.read("k", Some("null")).await, "two");
    assert_eq!(world.read("k", Some("other")).await, "(no such version)");
    assert_eq!(world.delete("k", None).await, (None, false));
    assert_eq!(world.read("k", None).await, "(no such key)");
    assert_eq!(world.delete("k", None).await, (None, false));
    assert_eq!(world.listed().await, "");
    store.close().await;
    assert_eq!(files(&directory.path().join("objects")), 0, "no file stays of what is gone");
}

#[tokio::test]
async fn with_versions_nothing_is_lost_until_its_version_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let world = World::with_bucket(&store, 1).await;
    world.put("k", "null").await;
    world.objects.set_versioning(world.bucket, Versioning::Enabled).await.unwrap();
    let first = world.put("k", "first").await.unwrap();
    let second = world.put("k", "second").await.unwrap();
    let (marker, is_marker) = world.delete("k", None).await;
    assert!(is_marker);
    assert_eq!(world.read("k", None).await, "(no such key)");
    assert_eq!(world.read("k", marker.as_deref()).await, "(version is a delete marker)");
    assert_eq!(world.listed().await, "");
    assert_eq!(world.read("k", Some(&first)).await, "first");
    assert_eq!(world.delete("k", marker.as_deref()).await, (marker.clone(), true));
    assert_eq!(world.read("k", None).await, "second");
    world.delete("k", Some(&second)).await;
    assert_eq!(world.read("k", None).await, "first");
    world.objects.set_versioning(world.bucket, Versioning::Suspended).await.unwrap();
    assert_eq!(world.put("k", "suspended").await.as_deref(), Some("null"));
    assert_eq!(world.read("k", None).await, "suspended");
    assert_eq!(world.delete("k", None).await, (Some("null".to_owned()), true));
    assert_eq!(world.read("k", Some("null")).await, "(version is a delete marker)");
    assert_eq!(world.read("k", Some(&first)).await, "first");
    let refused = world.objects.delete_bucket(world.bucket).await;
    assert!(matches!(refused, Err(DeleteBucketError::NotEmpty)));
    world.delete("k", Some("null")).await;
    world.delete("k", Some(&first)).await;
    world.objects.delete_bucket(world.bucket).await.unwrap();
    let gone =
        world.objects.put(world.bucket, new("k"), world.kept("x"), |_| Ok::<_, ()>(())).await;
    assert!(matches!(gone, Err(PutError::NoSuchBucket)));
    store.close().await;
    assert_eq!(files(&directory.path().join("objects")), 0);
}

#[tokio::test]
async fn a_list_of_versions_goes_on_behind_a_version_that_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let world = World::with_bucket(&store, 1).await;
    world.objects.set_versioning(world.bucket, Versioning::Enabled).await.unwrap();
    let mut written = Vec::new();
    for name in ["a", "b"] {
        for n in 0..3 {
            written.push((name.to_owned(), world.put(name, &n.to_string()).await.unwrap()));
        }
    }
    // Of each key from the youngest.
    written.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    let (mut seen, mut marker) = (Vec::new(), None);
    loop {
        let walk = Walk { limit: 2, ..Walk::default() };
        let page = world.objects.list_versions(world.bucket, walk, marker).await.unwrap();
        for entry in &page.entries {
            let Listed::One(version) = entry else { panic!("nothing is rolled up") };
            seen.push((version.key.to_string(), version.version.clone()));
            world.delete(version.key.as_str(), Some(&version.version)).await;
        }
        if !page.has_more {
            break;
        }
        let (key, version) = seen.last().unwrap().clone();
        marker = Some(VersionMarker { key: key.parse().unwrap(), version });
    }
    assert_eq!(seen, written);
}

#[tokio::test]
async fn a_condition_that_does_not_hold_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let world = World::with_bucket(&store, 1).await;
    world.put("k", "one").await;
    let refused = world
        .objects
        .put(world.bucket, new("k"), world.kept("two"), |there| match there {
            Some(version) => {
                let Content::Object(object) = &version.content else { return Ok(()) };
                Err(object.etag.clone())
            }
            None => Ok(()),
        })
        .await;
    assert!(matches!(refused, Err(PutError::Refused(etag)) if etag == "etag of k"));
    assert_eq!(world.read("k", None).await, "one");
    store.close().await;
    assert_eq!(files(&directory.path().join("objects")), 1);
}

#[tokio::test]
async fn an_upload_becomes_its_parts_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let world = World::with_bucket(&store, 1).await;
    let upload = world.upload("u").await;
    world.part(&upload, 2, "world").await;
    world.part(&upload, 1, "wrong").await;
    world.part(&upload, 1, "hello ").await;
    assert_eq!(world.listed().await, "");
    let (_, parts) = world.objects.upload(world.bucket, &upload, (0, 100)).await.unwrap();
    let kept = world.objects.assemble(&parts).await.unwrap().keep().unwrap();
    world.part(&upload, 2, "there").await;
    let complete = |parts, kept| {
        let place = (world.bucket, upload.clone());
        world.objects.complete(place, parts, (new("whole"), kept), |_| Ok::<_, ()>(()))
    };
    let stale = complete(parts, kept).await;
    assert!(matches!(stale, Err(CompleteError::Changed)), "a part was replaced meanwhile");
    let (_, parts) = world.objects.upload(world.bucket, &upload, (0, 100)).await.unwrap();
    let kept = world.objects.assemble(&parts).await.unwrap().keep().unwrap();
    complete(parts.clone(), kept).await.unwrap();
    assert_eq!(world.read("whole", None).await, "hello there");
    assert!(world.objects.upload(world.bucket, &upload, (0, 1)).await.is_err());
    let given_up = world.upload("v").await;
    world.part(&given_up, 1, "x").await;
    world.objects.abort_upload(world.bucket, given_up).await.unwrap();
    store.close().await;
    assert_eq!(files(&directory.path().join("objects")), 1, "parts are gone");
}

#[tokio::test]
async fn a_copy_outlives_what_it_was_copied_from() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let world = World::with_bucket(&store, 1).await;
    world.put("a", "text").await;
    let opened = world.objects.open_version(world.bucket, &key("a"), None).await.unwrap();
    let again = world.objects.again(&opened.object).await.unwrap();
    world.objects.put(world.bucket, new("b"), again, |_| Ok::<_, ()>(())).await.unwrap();
    world.delete("a", None).await;
    assert_eq!(world.read("b", None).await, "text");
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_and_what_it_acknowledged_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let world = World::with_bucket(&store, 1).await;
    world.put("k", "kept").await;
    let upload = world.upload("u").await;
    world.part(&upload, 1, "part").await;
    // Neither of these comes to its end, as when the process is killed.
    std::mem::forget(world.kept("named and never recorded"));
    let mut staged = world.objects.stage().unwrap();
    staged.write(b"half").unwrap();
    std::mem::forget(staged);
    store.close().await;
    assert_eq!(files(&directory.path().join("objects")), 4);

    let store = Store::open(directory.path()).unwrap();
    let world = World::with_bucket(&store, 2).await;
    let waiting = world.kept("of this run, not recorded yet");
    let (_stop, stopping) = tokio::sync::watch::channel(false);
    world.objects.clone().remove_orphans(stopping).await;
    assert_eq!(files(&directory.path().join("objects")), 3);
    world.objects.put(world.bucket, new("late"), waiting, |_| Ok::<_, ()>(())).await.unwrap();
    assert_eq!(world.read("late", None).await, "of this run, not recorded yet");
    assert_eq!(world.read("k", None).await, "kept");
    let (_, parts) = world.objects.upload(world.bucket, &upload, (0, 100)).await.unwrap();
    assert_eq!(parts.len(), 1);
}

#[tokio::test]
async fn a_bucket_is_its_accounts_and_lies_in_its_region() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let world = World::with_bucket(&store, 1).await;
    world.put("k", "text").await;
    let open = async |scope: &Scope, name: &str| {
        let opened =
            world.objects.open_object(scope, &name.parse().unwrap(), &key("k"), None).await;
        opened.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(open(&scope("us-east-1"), "bucket").await, Ok(()));
    let elsewhere = open(&scope("eu-west-1"), "bucket").await;
    assert_eq!(elsewhere, Err("bucket is in us-east-1".to_owned()));
    assert_eq!(open(&scope("us-east-1"), "other").await, Err("no such bucket".to_owned()));
    let stranger = Scope { account: "999999999999".parse().unwrap(), ..scope("us-east-1") };
    let refused =
        world.objects.open_object(&stranger, &"bucket".parse().unwrap(), &key("k"), None).await;
    assert!(matches!(refused, Err(OpenObjectError::NoSuchBucket)));
}
