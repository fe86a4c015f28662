//! The store of uploaded packages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dormouse_model::names::Digest;
use dormouse_store::packages::{OpenError, Packages, VerifyError};

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn path(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join(&digest.as_str()[..2]).join(digest.as_str())
}

/// As if the blob had been put an hour before `now`.
fn age(path: &Path, now: SystemTime) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(now - Duration::from_secs(3_600)).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "files get their times from the system clock")]
fn minute_ago() -> SystemTime {
    SystemTime::now() - Duration::from_secs(60)
}

async fn content(packages: &Packages, digest: &Digest) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = packages.file(digest).await.unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn what_was_put_is_found_by_its_digest_also_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path().join("new/packages")).unwrap();
    let digest = packages.put(Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(digest.as_str(), HELLO);
    assert_eq!(content(&packages, &digest).await, b"hello");
    drop(packages);
    let packages = Packages::open(directory.path().join("new/packages")).unwrap();
    assert_eq!(content(&packages, &digest).await, b"hello");
    packages.verify(&digest).await.unwrap();
}

#[tokio::test]
async fn what_was_not_put_is_absent() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    let error = packages.file(&HELLO.parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, OpenError::Absent { .. }));
}

#[tokio::test]
async fn what_is_there_is_not_written_again() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    let digest = packages.put(Bytes::from_static(b"hello")).await.unwrap();
    let inode = fs::metadata(path(directory.path(), &digest)).unwrap().ino();
    packages.put(Bytes::from_static(b"hello")).await.unwrap();
    let again = fs::metadata(path(directory.path(), &digest)).unwrap().ino();
    assert_eq!(inode, again);
}

#[tokio::test]
async fn a_blob_that_was_cut_is_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    let digest = packages.put(Bytes::from_static(b"hello")).await.unwrap();
    fs::write(path(directory.path(), &digest), "hel").unwrap();
    packages.put(Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(content(&packages, &digest).await, b"hello");
}

#[tokio::test]
async fn a_blob_that_was_changed_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    let digest = packages.put(Bytes::from_static(b"jello")).await.unwrap();
    fs::write(path(directory.path(), &digest), "hello").unwrap();
    match packages.verify(&digest).await {
        Err(VerifyError::Mismatch { digest: named, found }) => {
            assert_eq!((named, found.as_str()), (digest, HELLO));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_killed_predecessor_left_unfinished_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    let digest = packages.put(Bytes::from_static(b"hello")).await.unwrap();
    drop(packages);
    fs::write(directory.path().join("put-0"), "hal").unwrap();
    fs::write(directory.path().join("put-17"), "").unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(content(&packages, &digest).await, b"hello");
}

#[tokio::test]
async fn a_put_that_fails_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    // A file where the blob's directory must be.
    fs::write(directory.path().join(&HELLO[..2]), "").unwrap();
    let error = packages.put(Bytes::from_static(b"hello")).await.unwrap_err();
    assert_eq!(error.digest.as_str(), HELLO);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn only_old_blobs_that_nothing_refers_to_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    let limit = minute_ago();
    let mut put = Vec::new();
    for text in ["used", "young", "old", "old but put again"] {
        let digest = packages.put(Bytes::from_static(text.as_bytes())).await.unwrap();
        if text != "young" {
            age(&path(directory.path(), &digest), limit);
        }
        put.push(digest);
    }
    packages.put(Bytes::from_static(b"old but put again")).await.unwrap();
    fs::write(directory.path().join(&HELLO[..2]).with_extension("txt"), "not ours").unwrap();
    let referenced = HashSet::from([put[0].clone()]);
    assert_eq!(packages.remove_unreferenced(referenced, limit).await.unwrap(), 1);
    let here: Vec<bool> =
        put.iter().map(|digest| path(directory.path(), digest).exists()).collect();
    assert_eq!(here, [true, true, false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_collection_takes_what_is_being_put() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    let limit = minute_ago();
    for round in 0..100u32 {
        let bytes = Bytes::from(round.to_le_bytes().to_vec());
        let digest = packages.put(bytes.clone()).await.unwrap();
        age(&path(directory.path(), &digest), limit);
        let (put, removed) =
            tokio::join!(packages.put(bytes), packages.remove_unreferenced(HashSet::new(), limit));
        removed.unwrap();
        let digest = put.unwrap();
        assert_eq!(content(&packages, &digest).await, round.to_le_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_put_at_once_are_one_blob() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    let mut puts = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let packages = packages.clone();
        puts.spawn(async move { packages.put(Bytes::from(vec![7; 100_000])).await.unwrap() });
    }
    let digests: HashSet<Digest> = puts.join_all().await.into_iter().collect();
    assert_eq!(digests.len(), 1);
    for digest in &digests {
        packages.verify(digest).await.unwrap();
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn what_a_file_holds_is_the_same_blob_as_its_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let packages = Packages::open(directory.path()).unwrap();
    let source = directory.path().join("source");
    fs::write(&source, "hello").unwrap();
    for _ in 0..2 {
        let (digest, size) = packages.put_file(fs::File::open(&source).unwrap()).await.unwrap();
        assert_eq!((digest.as_str(), size), (HELLO, 5));
        assert_eq!(content(&packages, &digest).await, b"hello");
    }
    let bytes = packages.put(Bytes::from_static(b"hello")).await.unwrap();
    assert_eq!(bytes.as_str(), HELLO);
    // The shelf and the source: no copy is left beside the blob.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}
