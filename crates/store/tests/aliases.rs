//! Aliases: kept, changed in one step, and in the way of who deletes a version they run.

#[cfg(test)]
#[path = "support/function.rs"]
mod made;
#[cfg(test)]
mod support;

use dormouse_model::alias::{Alias, AliasChange, AliasDenied, Weighted};
use dormouse_model::names::{FunctionKey, Qualifier, RevisionId, Version};
use dormouse_model::permission::FunctionPolicy;
use dormouse_model::version::Publish;
use dormouse_store::versions::DeleteVersionError;
use dormouse_store::{ChangeError, Store};
use given::{alias, published, put, revision};
use made::function;
use support::{home, store};

/// What the tests begin with.
#[cfg(test)]
mod given {
    use super::*;

    /// A revision that ends in a digit.
    pub(crate) fn revision(last: u8) -> RevisionId {
        format!("00000000-0000-4000-8000-00000000000{last}").parse().unwrap()
    }

    /// A function with versions 1, 2 and 3.
    pub(crate) async fn published(store: &Store, name: &str) -> FunctionKey {
        let function = function(&home(), name).activated(revision(2));
        store.functions().create(function.clone()).await.unwrap();
        let versions = store.versions();
        for timeout_s in 4..=6 {
            let publish = versions.publish(&function.key, move |function, newest| {
                let mut function = function.clone();
                function.configuration.timeout_s = timeout_s;
                function.publish(newest, Publish::default(), [revision(3), revision(4)])
            });
            publish.await.unwrap().unwrap();
        }
        function.key
    }

    pub(crate) fn alias(
        key: &FunctionKey,
        name: &str,
        number: u64,
        additional: Option<u64>,
    ) -> Alias {
        Alias {
            function: key.clone(),
            name: name.parse().unwrap(),
            version: Version::Number(number),
            additional: additional.map(|number| Weighted { number, weight: 0.1 }),
            description: "d".into(),
            revision: revision(1),
        }
    }

    pub(crate) async fn put(store: &Store, alias: &Alias) -> Result<Alias, AliasDenied> {
        let made = alias.clone();
        let put = |_: Option<&Alias>, numbers: &_| made.checked(numbers);
        store.aliases().put(&alias.function, &alias.name, put).await.unwrap()
    }
}

fn shown(aliases: &[Alias]) -> String {
    aliases.iter().map(|alias| alias.name.as_str()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn an_alias_is_kept_and_a_denied_change_changes_nothing() {
    let (directory, store) = store();
    let key = published(&store, "f").await;
    let live = alias(&key, "live", 1, Some(2));
    assert_eq!(put(&store, &live).await, Ok(live.clone()));
    let none = AliasDenied::NoVersion(Version::Number(9));
    assert_eq!(put(&store, &alias(&key, "live", 9, None)).await, Err(none));
    let change = AliasChange { version: Some(Version::Number(3)), ..AliasChange::default() };
    let changing =
        |alias: Option<&Alias>, numbers: &_| alias.unwrap().changed(change, numbers, revision(5));
    let changed = store.aliases().put(&key, &live.name, changing).await.unwrap().unwrap();
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    let wanted = Alias { version: Version::Number(3), revision: revision(5), ..live };
    assert_eq!(changed, wanted);
    assert_eq!(store.aliases().get(&key, &wanted.name).await.unwrap(), Some(wanted.clone()));
    store.aliases().delete(&key, &wanted.name).await.unwrap();
    store.aliases().delete(&key, &wanted.name).await.unwrap();
    assert_eq!(store.aliases().get(&key, &wanted.name).await.unwrap(), None);
    let nowhere = function(&home(), "nowhere").key;
    let name = wanted.name.clone();
    let put = store.aliases().put(&nowhere, &name, move |_, _| Ok::<_, ()>(wanted)).await;
    assert!(matches!(put, Err(ChangeError::Missing)));
}

#[tokio::test]
async fn aliases_come_in_pages_and_by_what_they_run() {
    let (_directory, store) = store();
    let key = published(&store, "f").await;
    let other = published(&store, "g").await;
    for (key, name, number, additional) in [
        (&key, "c", 1, None),
        (&key, "a", 2, Some(1)),
        (&key, "b", 3, None),
        (&other, "d", 1, None),
    ] {
        put(&store, &alias(key, name, number, additional)).await.unwrap();
    }
    let aliases = store.aliases();
    assert_eq!(shown(&aliases.list(&key, None, None, 2).await.unwrap()), "a b");
    let after = "b".parse().unwrap();
    assert_eq!(shown(&aliases.list(&key, None, Some(&after), 2).await.unwrap()), "c");
    let first = Some(Version::Number(1));
    assert_eq!(shown(&aliases.list(&key, first, None, 9).await.unwrap()), "a c");
    assert_eq!(shown(&aliases.all(Some(&key)).await.unwrap()), "a b c");
    assert_eq!(aliases.all(None).await.unwrap().len(), 4);
    store.functions().delete(&key).await.unwrap();
    assert_eq!(shown(&aliases.all(None).await.unwrap()), "d");
}

#[tokio::test]
async fn a_version_that_an_alias_runs_is_not_deleted() {
    let (_directory, store) = store();
    let key = published(&store, "f").await;
    put(&store, &alias(&key, "live", 1, Some(2))).await.unwrap();
    for number in [1, 2] {
        let denied = store.versions().delete(&key, number).await;
        let Err(DeleteVersionError::Held(names)) = denied else {
            panic!("version {number}: {denied:?}");
        };
        assert_eq!(names, ["live".parse().unwrap()]);
    }
    store.versions().delete(&key, 3).await.unwrap();
    store.aliases().delete(&key, &"live".parse().unwrap()).await.unwrap();
    store.versions().delete(&key, 1).await.unwrap();
}

#[tokio::test]
async fn what_is_kept_for_a_version_or_an_alias_goes_with_it() {
    let (_directory, store) = store();
    let key = published(&store, "f").await;
    put(&store, &alias(&key, "live", 1, None)).await.unwrap();
    let settings = store.settings();
    let qualifiers = ["$LATEST", "2", "live"].map(|text| text.parse::<Qualifier>().unwrap());
    for qualifier in &qualifiers {
        let policy = FunctionPolicy::default();
        let changed = settings.change(&key, Some(qualifier), move |_: Option<FunctionPolicy>| {
            Ok::<_, ()>(Some(policy))
        });
        changed.await.unwrap().unwrap();
    }
    store.versions().delete(&key, 2).await.unwrap();
    store.aliases().delete(&key, &"live".parse().unwrap()).await.unwrap();
    let mut kept = Vec::new();
    for qualifier in &qualifiers {
        let found = settings.get::<FunctionPolicy>(&key, Some(qualifier)).await.unwrap();
        kept.extend(found.map(|_| qualifier.to_string()));
    }
    assert_eq!(kept, ["$LATEST"]);
}
