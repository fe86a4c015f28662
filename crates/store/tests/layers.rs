//! Layer versions: numbered once and for all, listed newest first, and needed as long as a function
//! holds them.

#[cfg(test)]
#[path = "support/function.rs"]
mod made;
#[cfg(test)]
#[path = "support/layer.rs"]
mod published;
#[cfg(test)]
mod support;

use dormouse_model::layer::{
    LayerContent, LayerPrincipal, LayerStatement, LayerVersion, LayerVersionKey,
};
use dormouse_store::{ChangeError, Store};
use made::function;
use published::{content, layer, publish};
use support::{home, scope, store};

const R1: &str = "00000000-0000-4000-8000-000000000001";

fn shown(versions: &[LayerVersion]) -> String {
    let texts: Vec<_> =
        versions.iter().map(|v| format!("{}:{}", v.key.layer.name, v.key.number)).collect();
    texts.join(" ")
}

#[tokio::test]
async fn a_number_is_given_out_once_whatever_is_deleted_and_restarted() {
    let (directory, store) = store();
    for expected in 1..=3 {
        assert_eq!(publish(&store, "l").await.key.number, expected);
    }
    assert_eq!(publish(&store, "other").await.key.number, 1);
    for number in 1..=3 {
        let key = LayerVersionKey { layer: layer(&home(), "l"), number };
        store.layers().delete(&key).await.unwrap();
        store.layers().delete(&key).await.unwrap();
        assert_eq!(store.layers().get(&key).await.unwrap(), None);
    }
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    let fourth = publish(&store, "l").await;
    assert_eq!(fourth.key.number, 4);
    assert_eq!(store.layers().get(&fourth.key).await.unwrap(), Some(fourth));
    let abroad = layer(&scope(2, "eu-west-1"), "l");
    let first = store.layers().publish(abroad, content("c", "python3.12")).await.unwrap();
    assert_eq!(first.key.number, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn numbers_given_out_at_once_differ() {
    let (_directory, store) = store();
    let mut publishing = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let layers = store.layers();
        publishing.spawn(async move {
            let published = layers.publish(layer(&home(), "l"), content("c", "x")).await;
            published.unwrap().key.number
        });
    }
    let mut numbers = publishing.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn versions_and_layers_come_in_pages_of_what_matches() {
    let (_directory, store) = store();
    let layers = store.layers();
    for (name, runtime) in
        [("b", "x"), ("a", "x"), ("a", "y"), ("b", "y"), ("b", "x"), ("b", "y"), ("c", "z")]
    {
        layers.publish(layer(&home(), name), content("c", runtime)).await.unwrap();
    }
    layers.publish(layer(&scope(3, "us-east-1"), "aa"), content("c", "x")).await.unwrap();
    let b = layer(&home(), "b");
    let all = || Box::new(|_: &LayerContent| true);
    let only = |runtime: &'static str| {
        Box::new(move |content: &LayerContent| content.compatible_runtimes[0] == runtime)
    };
    assert_eq!(shown(&layers.versions(&b, None, all(), 3).await.unwrap()), "b:4 b:3 b:2");
    assert_eq!(shown(&layers.versions(&b, Some(2), all(), 3).await.unwrap()), "b:1");
    assert_eq!(shown(&layers.versions(&b, None, only("x"), 3).await.unwrap()), "b:3 b:1");
    assert_eq!(shown(&layers.latest(&home(), None, all(), 2).await.unwrap()), "a:2 b:4");
    let after = "b".parse().unwrap();
    assert_eq!(shown(&layers.latest(&home(), Some(&after), all(), 2).await.unwrap()), "c:1");
    assert_eq!(shown(&layers.latest(&home(), None, only("x"), 9).await.unwrap()), "a:1 b:3");
    assert_eq!(layers.code_bytes(&home()).await.unwrap(), 70);
}

#[tokio::test]
async fn a_policy_is_kept_and_a_denied_change_changes_nothing() {
    let (directory, store) = store();
    let version = publish(&store, "l").await;
    let statement =
        LayerStatement { id: "s".into(), principal: LayerPrincipal::Anyone, organization: None };
    let again = statement.clone();
    let add = |version: &LayerVersion| version.policy.with(statement, None, R1.parse().unwrap());
    let changed = store.layers().change_policy(&version.key, add).await.unwrap().unwrap();
    let denied = |version: &LayerVersion| version.policy.with(again, None, R1.parse().unwrap());
    assert!(store.layers().change_policy(&version.key, denied).await.unwrap().is_err());
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.layers().get(&version.key).await.unwrap(), Some(changed));
    let missing = LayerVersionKey { number: 2, ..version.key };
    let change = |version: &LayerVersion| Ok::<_, ()>(version.policy.clone());
    let missing = store.layers().change_policy(&missing, change).await;
    assert!(matches!(missing, Err(ChangeError::Missing)));
}

#[tokio::test]
async fn a_package_is_needed_as_long_as_a_version_or_a_function_has_it() {
    let (_directory, store) = store();
    let version = publish(&store, "l").await;
    let mut holder = function(&home(), "f");
    holder.configuration.layers = vec![version.attached()];
    store.functions().create(holder.clone()).await.unwrap();
    let digest = &version.content.code.digest;
    store.layers().delete(&version.key).await.unwrap();
    assert!(!store.layers().digests().await.unwrap().contains(digest));
    assert!(store.functions().digests().await.unwrap().contains(digest));
    // What serves keeps its layers while an update without them is under way.
    let activate = |f: &dormouse_model::function::Function| {
        let mut active = f.activated(R1.parse().unwrap());
        active.configuration.layers = vec![];
        Ok::<_, ()>(active)
    };
    store.functions().change(&holder.key, activate).await.unwrap().unwrap();
    assert!(store.functions().digests().await.unwrap().contains(digest));
    store.functions().delete(&holder.key).await.unwrap();
    assert!(!store.functions().digests().await.unwrap().contains(digest));
    let kept = publish(&store, "l").await;
    assert!(store.layers().digests().await.unwrap().contains(&kept.content.code.digest));
}
