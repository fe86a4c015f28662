//! What is kept beside functions: found by kind and qualifier, gone with the function.

#[cfg(test)]
#[path = "support/function.rs"]
mod made;
#[cfg(test)]
mod support;

use dormouse_model::concurrency::ReserveDenied;
use dormouse_model::names::{FunctionKey, Qualifier};
use dormouse_model::permission::FunctionPolicy;
use dormouse_store::concurrency::ReserveError;
use dormouse_store::{ChangeError, StorageError, Store};
use made::function;
use support::{home, scope, store};

async fn created(store: &Store, name: &str) -> FunctionKey {
    let made = function(&home(), name);
    store.functions().create(made.clone()).await.expect("the name is free");
    made.key
}

fn policy(revision: u32) -> FunctionPolicy {
    let revision = format!("00000000-0000-4000-8000-{revision:012}");
    let revision = revision.parse().expect("it is a UUID");
    FunctionPolicy { revision: Some(revision), ..FunctionPolicy::default() }
}

fn alias() -> Qualifier {
    "live".parse().expect("it is an alias")
}

async fn set(store: &Store, key: &FunctionKey, qualifier: Option<&Qualifier>, revision: u32) {
    let settings = store.settings();
    let changed = settings.change(key, qualifier, move |_: Option<FunctionPolicy>| {
        Ok::<_, StorageError>(Some(policy(revision)))
    });
    let changed = changed.await.expect("the function is there").expect("nothing refuses it");
    assert_eq!(changed, Some(policy(revision)));
}

#[tokio::test]
async fn each_qualifier_has_its_own_setting_and_latest_is_the_function() {
    let (directory, store) = store();
    let key = created(&store, "f").await;
    set(&store, &key, None, 1).await;
    set(&store, &key, Some(&alias()), 2).await;
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    let settings = store.settings();
    let latest = "$LATEST".parse().unwrap();
    assert_eq!(settings.get(&key, None).await.unwrap(), Some(policy(1)));
    assert_eq!(settings.get(&key, Some(&latest)).await.unwrap(), Some(policy(1)));
    assert_eq!(settings.get(&key, Some(&alias())).await.unwrap(), Some(policy(2)));
}

#[tokio::test]
async fn a_refused_change_leaves_the_setting_and_none_removes_it() {
    let (_directory, store) = store();
    let key = created(&store, "f").await;
    set(&store, &key, None, 1).await;
    let settings = store.settings();
    let refused = settings.change(&key, None, |found: Option<FunctionPolicy>| {
        assert_eq!(found, Some(policy(1)));
        Err("no")
    });
    assert_eq!(refused.await.unwrap(), Err("no"));
    assert_eq!(store.settings().get(&key, None).await.unwrap(), Some(policy(1)));
    let removed = settings.change(&key, None, |_| Ok::<Option<FunctionPolicy>, ()>(None));
    assert_eq!(removed.await.unwrap(), Ok(None));
    assert_eq!(store.settings().get::<FunctionPolicy>(&key, None).await.unwrap(), None);
}

#[tokio::test]
async fn settings_go_with_the_function_and_never_come_before_it() {
    let (_directory, store) = store();
    let key = created(&store, "f").await;
    set(&store, &key, Some(&alias()), 1).await;
    store.concurrency().reserve(&key, 5).await.unwrap();
    store.functions().delete(&key).await.unwrap();
    let settings = store.settings();
    let late = settings
        .change(&key, None, |_: Option<FunctionPolicy>| Ok::<_, StorageError>(Some(policy(1))));
    assert!(matches!(late.await, Err(ChangeError::Missing)));
    let late = store.concurrency().reserve(&key, 5).await;
    assert!(matches!(late, Err(ReserveError::Missing)));
    created(&store, "f").await;
    assert_eq!(store.settings().get::<FunctionPolicy>(&key, Some(&alias())).await.unwrap(), None);
    assert_eq!(store.concurrency().total(&home()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_hundred_places_stay_for_functions_that_reserve_none() {
    let (_directory, store) = store();
    let (one, two) = (created(&store, "one").await, created(&store, "two").await);
    let concurrency = store.concurrency();
    concurrency.reserve(&one, 600).await.unwrap();
    assert!(matches!(
        concurrency.reserve(&two, 301).await,
        Err(ReserveError::Denied(ReserveDenied::TooMuch))
    ));
    concurrency.reserve(&two, 300).await.unwrap();
    // Its own former share is not counted, and a refusal leaves it.
    assert!(matches!(
        concurrency.reserve(&one, 601).await,
        Err(ReserveError::Denied(ReserveDenied::TooMuch))
    ));
    concurrency.reserve(&one, 599).await.unwrap();
    assert_eq!(concurrency.total(&home()).await.unwrap(), 899);
    assert_eq!(concurrency.total(&scope(2, "eu-west-1")).await.unwrap(), 0);
    assert_eq!(concurrency.of(&two).await.unwrap(), Some(300));
    concurrency.release(&two).await.unwrap();
    concurrency.release(&two).await.unwrap();
    assert_eq!(concurrency.of(&two).await.unwrap(), None);
    assert_eq!(concurrency.claiming().await.unwrap(), [one].into());
}
