//! What is provisioned: within the rules, whoever else claims something meanwhile, and gone with what
//! it is for.

#[cfg(test)]
#[path = "support/function.rs"]
mod made;
#[cfg(test)]
mod support;

use dormouse_model::alias::Alias;
use dormouse_model::concurrency::{ProvisionDenied, ReserveDenied};
use dormouse_model::names::{FunctionKey, Qualifier, Version};
use dormouse_store::concurrency::ReserveError;
use dormouse_store::provisioned::{ProvisionError, ProvisionedRecord};
use dormouse_store::{StorageError, Store};
use made::function;
use support::{home, store};

fn qualifier(text: &str) -> Qualifier {
    text.parse().expect("it is a qualifier")
}

/// A function with one version and the alias `live` of it.
async fn created(store: &Store, name: &str) -> FunctionKey {
    let made = function(&home(), name);
    let revision = made.revision.clone();
    let snapshot = made.snapshot(None, revision.clone());
    store.versions().create(made.clone(), snapshot).await.expect("the name is free");
    let alias = Alias {
        function: made.key.clone(),
        name: "live".parse().expect("it is a name"),
        version: Version::Number(1),
        additional: None,
        description: String::new(),
        revision,
    };
    let put = alias.clone();
    let aliases = store.aliases();
    let put = aliases.put(&made.key, &alias.name, move |_, _| Ok::<_, StorageError>(put));
    put.await.expect("the function is there").expect("nothing refuses it");
    made.key
}

async fn put(store: &Store, key: &FunctionKey, of: &str, places: u32) -> String {
    let record = ProvisionedRecord { qualifier: qualifier(of), places, modified_ms: 7 };
    match store.concurrency().provision(key, record).await {
        Ok(()) => "done".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn what_is_provisioned_is_kept_and_summed() {
    let (directory, store) = store();
    let (one, two) = (created(&store, "one").await, created(&store, "two").await);
    assert_eq!(put(&store, &one, "1", 5).await, "done");
    assert_eq!(put(&store, &one, "1", 500).await, "done");
    let above = ProvisionDenied::AboveUnclaimed { unclaimed: 500 };
    assert_eq!(put(&store, &two, "live", 501).await, above.to_string());
    assert_eq!(put(&store, &two, "live", 401).await, ProvisionDenied::TooMuch.to_string());
    assert_eq!(put(&store, &two, "live", 400).await, "done");
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    let concurrency = store.concurrency();
    assert_eq!(concurrency.total(&home()).await.unwrap(), 900);
    let kept = ProvisionedRecord { qualifier: qualifier("1"), places: 500, modified_ms: 7 };
    assert_eq!(concurrency.provisioned(&one, &qualifier("1")).await.unwrap(), Some(kept.clone()));
    assert_eq!(concurrency.claim(&one).await.unwrap().provisioned, [kept]);
    assert_eq!(concurrency.claiming().await.unwrap(), [one.clone(), two].into());
    // A reservation takes the place of what is provisioned, and covers it.
    let low = concurrency.reserve(&one, 499).await;
    let provisioned = ReserveDenied::BelowProvisioned { places: 499, provisioned: 500 };
    assert!(matches!(low, Err(ReserveError::Denied(denied)) if denied == provisioned));
    concurrency.reserve(&one, 500).await.unwrap();
    assert_eq!(concurrency.total(&home()).await.unwrap(), 900);
    assert_eq!(put(&store, &one, "1", 501).await, ProvisionDenied::AboveReserved.to_string());
    concurrency.unprovision(&one, &qualifier("1")).await.unwrap();
    concurrency.unprovision(&one, &qualifier("1")).await.unwrap();
    assert_eq!(concurrency.provisioned(&one, &qualifier("1")).await.unwrap(), None);
}

#[tokio::test]
async fn it_goes_with_its_alias_its_version_and_its_function() {
    let (_directory, store) = store();
    let key = created(&store, "f").await;
    let denied = |denied: ProvisionDenied| denied.to_string();
    assert_eq!(put(&store, &key, "live", 5).await, "done");
    assert_eq!(put(&store, &key, "1", 5).await, denied(ProvisionDenied::AliasIsProvisioned));
    store.aliases().delete(&key, &"live".parse().unwrap()).await.unwrap();
    let missing = ProvisionError::Missing.to_string();
    assert_eq!(put(&store, &key, "live", 5).await, missing);
    assert_eq!(put(&store, &key, "2", 5).await, missing);
    assert_eq!(put(&store, &key, "$LATEST", 5).await, denied(ProvisionDenied::Unpublished));
    assert_eq!(put(&store, &key, "1", 5).await, "done");
    store.versions().delete(&key, 1).await.unwrap();
    assert_eq!(store.concurrency().total(&home()).await.unwrap(), 0);
    let other = created(&store, "g").await;
    assert_eq!(put(&store, &other, "1", 5).await, "done");
    store.functions().delete(&other).await.unwrap();
    assert_eq!(put(&store, &other, "1", 5).await, missing);
    assert!(store.concurrency().claiming().await.unwrap().is_empty());
}
