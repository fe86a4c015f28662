//! Published versions: numbered once and for all, kept with their packages as long as they are
//! there, and settled together with their function.

#[cfg(test)]
#[path = "support/function.rs"]
mod made;
#[cfg(test)]
#[path = "support/layer.rs"]
mod published;
#[cfg(test)]
mod support;

use dormouse_model::function::{Code, Function, Package};
use dormouse_model::image::{Defaults, Image, ImageLayer, LayerForm};
use dormouse_model::names::{FunctionKey, RevisionId};
use dormouse_model::version::{Publication, Publish, PublishDenied, PublishedVersion};
use dormouse_store::Store;
use dormouse_store::functions::CreateFunctionError;
use dormouse_store::versions::{DeleteVersionError, Listed};
use given::{active, publish, publish_anew, revision};
use made::function;
use published::publish as publish_layer;
use support::{home, scope, store};

/// What the tests begin with.
#[cfg(test)]
mod given {
    use super::*;

    /// A revision that ends in a digit.
    pub(crate) fn revision(last: u8) -> RevisionId {
        format!("00000000-0000-4000-8000-00000000000{last}").parse().unwrap()
    }

    /// Creates a function that serves.
    pub(crate) async fn active(store: &Store, name: &str) -> FunctionKey {
        let function = function(&home(), name).activated(revision(2));
        store.functions().create(function.clone()).await.unwrap();
        function.key
    }

    /// Changes a function and publishes it; the number, or why there is none.
    pub(crate) async fn publish(
        store: &Store,
        key: &FunctionKey,
        change: impl Fn(&mut Function) + Send + 'static,
    ) -> Result<u64, PublishDenied> {
        let versions = store.versions();
        let published = versions.publish(key, move |function, newest| {
            let mut function = function.clone();
            change(&mut function);
            function.publish(newest, Publish::default(), [revision(3), revision(4)])
        });
        published.await.unwrap().map(|(_, version)| version.number)
    }

    pub(crate) async fn publish_anew(store: &Store, key: &FunctionKey) -> u64 {
        let published = publish(store, key, |function| {
            function.configuration.timeout_s += 1;
            *function = function.activated(revision(5));
        });
        published.await.unwrap()
    }
}

fn shown(listed: &[Listed]) -> String {
    let number = |it: &Listed| it.number.map_or("-".to_owned(), |number| number.to_string());
    let text = |it: &Listed| format!("{}:{}", it.function.key.name, number(it));
    listed.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_number_is_given_out_once_whatever_is_deleted_and_restarted() {
    let (directory, store) = store();
    let key = active(&store, "f").await;
    assert_eq!(publish(&store, &key, |_| {}).await, Ok(1));
    assert_eq!(publish(&store, &key, |_| {}).await, Ok(1));
    for expected in 2..=3 {
        assert_eq!(publish_anew(&store, &key).await, expected);
    }
    for number in [3, 2] {
        store.versions().delete(&key, number).await.unwrap();
        let again = store.versions().delete(&key, number).await;
        assert!(matches!(again, Err(DeleteVersionError::Missing)));
        assert_eq!(store.versions().get(&key, number).await.unwrap(), None);
    }
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(publish_anew(&store, &key).await, 4);
    store.functions().delete(&key).await.unwrap();
    assert_eq!(store.versions().all(None).await.unwrap(), []);
    assert_eq!(active(&store, "f").await, key);
    assert_eq!(publish_anew(&store, &key).await, 5);
    let other = active(&store, "other").await;
    assert_eq!(publish_anew(&store, &other).await, 1);
}

#[tokio::test]
async fn a_version_is_kept_as_it_was_published() {
    let (directory, store) = store();
    let key = active(&store, "f").await;
    publish_anew(&store, &key).await;
    let version = store.versions().get(&key, 1).await.unwrap().unwrap();
    assert_eq!(version.snapshot.function.revision, revision(3));
    assert_eq!(store.functions().get(&key).await.unwrap().unwrap().revision, revision(4));
    publish_anew(&store, &key).await;
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.versions().get(&key, 1).await.unwrap(), Some(version.clone()));
    let all = store.versions().all(Some(&key)).await.unwrap();
    assert_eq!((all.len(), store.versions().all(None).await.unwrap().len()), (2, 2));
    assert!(all.contains(&version));
    assert_eq!(store.versions().code_bytes(&home()).await.unwrap(), 20);
    assert_eq!(store.versions().code_bytes(&scope(3, "us-east-1")).await.unwrap(), 0);
}

#[tokio::test]
async fn functions_and_versions_come_in_pages() {
    let (_directory, store) = store();
    for name in ["b", "a", "c"] {
        let key = active(&store, name).await;
        for _ in 0..2 {
            publish_anew(&store, &key).await;
        }
    }
    store.functions().create(function(&scope(3, "us-east-1"), "aa")).await.unwrap();
    let versions = store.versions();
    let b = function(&home(), "b").key;
    assert_eq!(shown(&versions.list(&b, None, 9).await.unwrap()), "b:- b:1 b:2");
    assert_eq!(shown(&versions.list(&b, Some(0), 1).await.unwrap()), "b:1");
    assert_eq!(shown(&versions.list(&b, Some(1), 9).await.unwrap()), "b:2");
    assert_eq!(shown(&versions.list_all(&home(), None, 4).await.unwrap()), "a:- a:1 a:2 b:-");
    let after = |name: &str, number| (name.parse().unwrap(), number);
    let page = versions.list_all(&home(), Some(&after("b", 0)), 3).await.unwrap();
    assert_eq!(shown(&page), "b:1 b:2 c:-");
    let page = versions.list_all(&home(), Some(&after("c", 1)), 3).await.unwrap();
    assert_eq!(shown(&page), "c:2");
}

#[tokio::test]
async fn the_packages_of_a_version_are_needed_as_long_as_it_is_there() {
    let (_directory, store) = store();
    let layer = publish_layer(&store, "l").await;
    let mut holder = function(&home(), "f");
    holder.configuration.layers = vec![layer.attached()];
    let holder = holder.activated(revision(2));
    store.functions().create(holder.clone()).await.unwrap();
    assert_eq!(publish(&store, &holder.key, |_| {}).await, Ok(1));
    let other = "b".repeat(64);
    let change = |function: &Function| {
        let mut changed = function.clone();
        changed.configuration.layers = vec![];
        changed.code =
            Code::Zip(Package { digest: "b".repeat(64).parse().unwrap(), size_bytes: 1 });
        changed.state = dormouse_model::function::State::Pending;
        Ok::<_, ()>(changed.activated(revision(5)))
    };
    store.functions().change(&holder.key, change).await.unwrap().unwrap();
    let needed = || async {
        let digests = store.functions().digests().await.unwrap();
        let all = [
            holder.code.digests().next().unwrap().as_str(),
            layer.content.code.digest.as_str(),
            &other,
        ];
        all.map(|digest| digests.contains(&digest.parse().unwrap()))
    };
    assert_eq!(needed().await, [true, true, true]);
    store.versions().delete(&holder.key, 1).await.unwrap();
    assert_eq!(needed().await, [false, false, true]);
}

#[tokio::test]
async fn the_layers_of_an_image_are_needed_as_long_as_a_function_or_version_has_it() {
    fn image(digit: &str) -> Code {
        let digest = |digit: &str| digit.repeat(64).parse().unwrap();
        let layers =
            vec![ImageLayer { digest: digest(digit), size_bytes: 1, form: LayerForm::Tar }];
        let (uri, defaults) = ("i".into(), Defaults::default());
        Code::Image(Box::new(Image { uri, digest: digest("e"), layers, defaults }))
    }
    let (_directory, store) = store();
    let mut holder = function(&home(), "f");
    holder.code = image("c");
    let holder = holder.activated(revision(2));
    store.functions().create(holder.clone()).await.unwrap();
    assert_eq!(publish(&store, &holder.key, |_| {}).await, Ok(1));
    let change = |function: &Function| {
        let mut changed = function.clone();
        changed.code = image("d");
        changed.state = dormouse_model::function::State::Pending;
        Ok::<_, ()>(changed.activated(revision(5)))
    };
    store.functions().change(&holder.key, change).await.unwrap().unwrap();
    let needed = || async {
        let digests = store.functions().digests().await.unwrap();
        digests.iter().map(|digest| digest.as_str()[..1].to_owned()).collect::<String>()
    };
    assert_eq!(needed().await, "cd");
    store.versions().delete(&holder.key, 1).await.unwrap();
    assert_eq!(needed().await, "d");
    store.functions().delete(&holder.key).await.unwrap();
    assert_eq!(needed().await, "");
}

#[tokio::test]
async fn a_version_that_is_created_with_its_function_settles_with_it() {
    let (_directory, store) = store();
    let function = function(&home(), "f");
    let snapshot = function.snapshot(None, revision(7));
    let version = store.versions().create(function.clone(), snapshot.clone()).await.unwrap();
    assert_eq!((version.number, version.resolved()), (1, None));
    let again = store.versions().create(function.clone(), snapshot).await;
    assert!(matches!(again, Err(CreateFunctionError::Exists)));
    assert_eq!(publish(&store, &function.key, |_| {}).await, Err(PublishDenied::State("Pending")));
    let versions = store.versions();
    let settle = |refused: bool| {
        versions.settle(
            &function.key,
            move |function| if refused { Err(()) } else { Ok(function.activated(revision(8))) },
            |version| version.settled(Ok(())),
        )
    };
    assert_eq!(settle(true).await.unwrap(), Err(()));
    assert_eq!(store.versions().get(&function.key, 1).await.unwrap(), Some(version));
    assert!(settle(false).await.unwrap().unwrap().serving().is_some());
    let version = store.versions().get(&function.key, 1).await.unwrap().unwrap();
    assert!(version.resolved().is_some());
    assert_eq!(store.versions().list(&function.key, None, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_update_that_makes_nothing_new_is_kept_and_answers_the_newest_version() {
    let (_directory, store) = store();
    let key = active(&store, "f").await;
    publish(&store, &key, |_| {}).await.unwrap();
    let versions = store.versions();
    let again = versions.publish(&key, |function, newest: Option<&PublishedVersion>| {
        let changed = Function { revision: revision(9), ..function.clone() };
        assert!(newest.is_some_and(|newest| newest.is_same(&changed)));
        Ok::<_, ()>(Publication::Again { function: Box::new(changed) })
    });
    let (function, version) = again.await.unwrap().unwrap();
    assert_eq!((function.revision, version.number), (revision(9), 1));
    assert_eq!(store.functions().get(&key).await.unwrap().unwrap().revision, revision(9));
    assert_eq!(publish_anew(&store, &key).await, 2);
}

#[tokio::test]
async fn a_version_of_snap_start_is_changed_alone_once_it_is_initialised() {
    let (_directory, store) = store();
    let key = active(&store, "f").await;
    let snapped = |function: &mut Function| {
        function.configuration.snap_start = true;
        *function = function.activated(revision(5));
    };
    assert_eq!(publish(&store, &key, snapped).await, Ok(1));
    let stored = || async { store.versions().get(&key, 1).await.unwrap().unwrap() };
    assert!(stored().await.initialising().is_some());
    // What waits for the function's update is another matter.
    let versions = store.versions();
    let settled = versions.settle(
        &key,
        |function| Ok::<_, ()>(function.clone()),
        |version| version.settled(Err(("c", "r"))),
    );
    assert!(settled.await.unwrap().is_ok());
    assert!(stored().await.initialising().is_some());
    store.versions().change(&key, 1, |version| version.initialised(Ok(()))).await.unwrap();
    assert!(stored().await.resolved().is_some());
    // One that was deleted meanwhile is left alone.
    store.versions().change(&key, 2, |version| version.initialised(Ok(()))).await.unwrap();
    assert_eq!(store.versions().all(Some(&key)).await.unwrap().len(), 1);
    store.close().await;
}
