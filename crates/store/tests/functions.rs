//! Function records: what is written is read again, in order, and changes one after the other.

#[cfg(test)]
#[path = "support/function.rs"]
mod made;
#[cfg(test)]
mod support;

use dormouse_model::function::{Change, ChangeDenied, Code, Function, Package};
use dormouse_store::functions::{CreateFunctionError, Usage};
use dormouse_store::{ChangeError, OpenError, StorageError, Store};
use made::function;
use support::{home, scope, store};
use tokio::task::JoinSet;

const R2: &str = "00000000-0000-4000-8000-000000000002";

fn described(of: &Function, description: String) -> Function {
    let mut changed = of.clone();
    changed.configuration.description = description;
    changed
}

#[tokio::test]
async fn what_was_created_is_there_after_a_restart() {
    let (directory, store) = store();
    let made = function(&home(), "f");
    store.functions().create(made.clone()).await.unwrap();
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.functions().get(&made.key).await.unwrap(), Some(made));
}

#[tokio::test]
async fn a_name_is_taken_once_per_account_and_region() {
    let (_directory, store) = store();
    let functions = store.functions();
    functions.create(function(&home(), "f")).await.unwrap();
    let again = functions.create(function(&home(), "f")).await;
    assert!(matches!(again, Err(CreateFunctionError::Exists)));
    functions.create(function(&scope(2, "eu-west-1"), "f")).await.unwrap();
    functions.create(function(&scope(3, "us-east-1"), "f")).await.unwrap();
}

#[tokio::test]
async fn functions_are_listed_by_name_in_pages() {
    let (_directory, store) = store();
    let functions = store.functions();
    for name in ["b", "a", "d", "c", "B"] {
        functions.create(function(&home(), name)).await.unwrap();
    }
    functions.create(function(&scope(3, "us-east-1"), "aa")).await.unwrap();
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = functions.list(&home(), after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.key.name.clone());
        pages.push(page.iter().map(|f| f.key.name.to_string()).collect::<Vec<_>>().join(""));
    }
    assert_eq!(pages, ["Ba", "bc", "d"]);
}

#[tokio::test]
async fn a_change_that_is_denied_changes_nothing() {
    let (_directory, store) = store();
    let functions = store.functions();
    let made = function(&home(), "f");
    functions.create(made.clone()).await.unwrap();
    let denied = functions
        .change(&made.key, |f| {
            f.changed(Change {
                configuration: f.configuration.clone(),
                code: f.code.clone(),
                revision: R2.parse().unwrap(),
                expected: None,
                now_ms: 1,
            })
        })
        .await
        .unwrap();
    assert_eq!(denied, Err(ChangeDenied::Pending));
    assert_eq!(functions.get(&made.key).await.unwrap(), Some(made.clone()));
    let missing = function(&home(), "g").key;
    let missing = functions.change(&missing, |f| Ok::<_, ()>(f.clone())).await;
    assert!(matches!(missing, Err(ChangeError::Missing)));
}

#[tokio::test]
async fn settling_usage_and_digests_follow_the_changes() {
    let (_directory, store) = store();
    let functions = store.functions();
    let made = function(&home(), "f");
    functions.create(made.clone()).await.unwrap();
    functions.create(function(&scope(3, "us-east-1"), "g")).await.unwrap();
    assert_eq!(functions.settling().await.unwrap().len(), 2);
    let activate = |f: &Function| Ok::<_, ()>(f.activated(R2.parse().unwrap()));
    functions.change(&made.key, activate).await.unwrap().unwrap();
    assert_eq!(functions.settling().await.unwrap().len(), 1);
    let update = |f: &Function| {
        let digest = "b".repeat(64).parse().unwrap();
        let code = Code::Zip(Package { digest, size_bytes: 25 });
        f.changed(Change {
            configuration: f.configuration.clone(),
            code,
            revision: R2.parse().unwrap(),
            expected: None,
            now_ms: 1,
        })
    };
    functions.change(&made.key, update).await.unwrap().unwrap();
    let usage = functions.usage(&home()).await.unwrap();
    assert_eq!(usage, Usage { functions: 1, code_bytes: 25 });
    let digests: Vec<String> =
        functions.digests().await.unwrap().into_iter().map(String::from).collect();
    assert_eq!(digests, ["a".repeat(64), "b".repeat(64)]);
    let removed = functions.delete(&made.key).await.unwrap().unwrap();
    assert_eq!(removed.code.size_bytes(), 25);
    assert_eq!(functions.delete(&made.key).await.unwrap(), None);
    let usage = functions.usage(&home()).await.unwrap();
    assert_eq!(usage, Usage { functions: 0, code_bytes: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_many_writers_sees_its_own_write_and_no_change_is_lost() {
    let (_directory, store) = store();
    let shared = function(&home(), "shared");
    store.functions().create(shared.clone()).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..32 {
        let (functions, key) = (store.functions(), shared.key.clone());
        writers.spawn(async move {
            for round in 0..10 {
                let own = function(&home(), &format!("f-{writer}-{round}"));
                functions.create(own.clone()).await.unwrap();
                assert_eq!(functions.get(&own.key).await.unwrap(), Some(own));
                let longer = |f: &Function| {
                    Ok::<_, ()>(described(f, format!("{}x", f.configuration.description)))
                };
                functions.change(&key, longer).await.unwrap().unwrap();
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    let shared = store.functions().get(&shared.key).await.unwrap().unwrap();
    assert_eq!(shared.configuration.description.len(), 320);
    assert_eq!(store.functions().usage(&home()).await.unwrap().functions, 321);
}

#[tokio::test]
async fn a_directory_is_opened_by_one_store_at_a_time() {
    let (directory, store) = store();
    let OpenError::Locked { process, .. } = Store::open(directory.path()).unwrap_err() else {
        panic!("opened twice");
    };
    assert_eq!(process, Some(std::process::id()));
    store.close().await;
    Store::open(directory.path()).unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (directory, store) = store();
    store.close().await;
    let path = directory.path().join("dormouse.db");
    let database = rusqlite::Connection::open(path).unwrap();
    database.pragma_update(None, "user_version", 999).unwrap();
    drop(database);
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::NewerSchema { found: 999, .. }), "{error}");
}

#[tokio::test]
async fn handles_of_a_closed_store_say_so() {
    let (_directory, store) = store();
    let functions = store.functions();
    store.close().await;
    let made = function(&home(), "f");
    assert!(matches!(functions.get(&made.key).await, Err(StorageError::Closed)));
    assert!(matches!(
        functions.create(made).await,
        Err(CreateFunctionError::Storage(StorageError::Closed))
    ));
}

#[tokio::test]
async fn nobody_else_may_read_what_is_stored() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("data");
    let store = Store::open(&inner).unwrap();
    store.functions().create(function(&home(), "f")).await.unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o077;
    assert_eq!(mode(&inner), 0);
    for file in std::fs::read_dir(&inner).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0, "{}", path.display());
    }
}
