//! Records that belong to no function: found by kind and id, narrowed, and never two that clash.

#[cfg(test)]
mod support;

use std::collections::BTreeMap;

use dormouse_model::event_source::{EventSourceMapping, SourceKind};
use dormouse_model::names::{FunctionKey, Scope};
use dormouse_store::resources::{Marks, Refused, Resource as _};
use dormouse_store::{StorageError, Store};
use support::{home, scope, store};

fn mapping(scope: &Scope, number: u32, function: &str, source: &str) -> EventSourceMapping {
    let id = format!("00000000-0000-4000-8000-{number:012}").parse().expect("it is a UUID");
    EventSourceMapping {
        settings: SourceKind::Sqs.defaults(&id),
        id,
        function: FunctionKey {
            scope: scope.clone(),
            name: function.parse().expect("it is a name"),
        },
        qualifier: None,
        kind: SourceKind::Sqs,
        source_arn: Some(source.to_owned()),
        enabled: true,
        modified_ms: 1,
        tags: BTreeMap::new(),
    }
}

type Created = Result<(), Refused<EventSourceMapping, ()>>;

async fn create(store: &Store, new: EventSourceMapping) -> Created {
    let (scope, id) = (new.function.scope.clone(), new.id.to_string());
    let resources = store.resources();
    let created = resources.change(&scope, &id, move |found: Option<EventSourceMapping>| {
        assert_eq!(found, None, "the id is new");
        Ok::<_, ()>((Some(new), ()))
    });
    created.await.expect("the store can be written")
}

async fn ids(store: &Store, marks: &Marks, after: Option<&str>, limit: usize) -> Vec<u32> {
    let resources = store.resources();
    let found = resources.list::<EventSourceMapping>(&home(), marks, after, limit).await;
    let found = found.expect("the store can be read");
    let number = |of: &EventSourceMapping| of.id()[24..].parse().expect("an id ends in a number");
    found.iter().map(number).collect()
}

#[tokio::test]
async fn records_are_listed_in_pages_and_narrowed() {
    let (directory, store) = store();
    for (number, function, source) in [(1, "f", "p"), (2, "f", "q"), (3, "g", "q"), (4, "h", "q")] {
        create(&store, mapping(&home(), number, function, source)).await.unwrap();
    }
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    let all = Marks::default();
    assert_eq!(ids(&store, &all, None, 10).await, [1, 2, 3, 4]);
    let second = mapping(&home(), 2, "f", "q");
    assert_eq!(ids(&store, &all, Some(second.id()), 1).await, [3]);
    let of_function = Marks { function: second.marks().function, source: None };
    assert_eq!(ids(&store, &of_function, None, 10).await, [1, 2]);
    assert_eq!(ids(&store, &second.marks(), None, 10).await, [2]);
    let of_source = Marks { function: None, source: Some("q".into()) };
    assert_eq!(ids(&store, &of_source, Some(second.id()), 10).await, [3, 4]);
}

#[tokio::test]
async fn two_that_clash_never_stand_together() {
    let (_directory, store) = store();
    create(&store, mapping(&home(), 1, "f", "q")).await.unwrap();
    let double = mapping(&home(), 2, "f", "q");
    let clash = Refused::Clash {
        record: Box::new(double.clone()),
        other: Box::new(mapping(&home(), 1, "f", "q")),
    };
    assert_eq!(create(&store, double).await, Err(clash.clone()));
    create(&store, mapping(&home(), 2, "g", "q")).await.unwrap();
    // What was let in under another name may not come to clash either.
    let (resources, scope) = (store.resources(), home());
    let id = mapping(&home(), 2, "f", "q").id.to_string();
    let moved = resources.change(&scope, &id, |found: Option<EventSourceMapping>| {
        assert!(found.is_some());
        Ok::<_, ()>((Some(mapping(&home(), 2, "f", "q")), ()))
    });
    assert_eq!(moved.await.unwrap(), Err(clash));
    let kept: Option<EventSourceMapping> = resources.get(&home(), &id).await.unwrap();
    assert_eq!(kept, Some(mapping(&home(), 2, "g", "q")));
}

#[tokio::test]
async fn a_refused_change_leaves_the_record_and_none_removes_it() -> Result<(), StorageError> {
    let ((_directory, store), scope) = (store(), home());
    let one = mapping(&home(), 1, "f", "q");
    create(&store, one.clone()).await.unwrap();
    let resources = store.resources();
    let refused = resources.change(&scope, one.id(), |_: Option<EventSourceMapping>| {
        Err::<(Option<EventSourceMapping>, ()), _>("no")
    });
    assert_eq!(refused.await?, Err(Refused::Change("no")));
    assert_eq!(resources.get(&home(), one.id()).await?, Some(one.clone()));
    let removed = resources
        .change(&scope, one.id(), |found: Option<EventSourceMapping>| Ok::<_, ()>((None, found)));
    assert_eq!(removed.await?, Ok(Some(one.clone())));
    assert_eq!(resources.get::<EventSourceMapping>(&home(), one.id()).await?, None);
    Ok(())
}

#[tokio::test]
async fn accounts_and_regions_are_worlds_of_their_own() -> Result<(), StorageError> {
    let (_directory, store) = store();
    for place in [home(), scope(3, "us-east-1"), scope(2, "eu-west-1")] {
        create(&store, mapping(&place, 1, "f", "q")).await.unwrap();
        let all = Marks::default();
        let found: Vec<EventSourceMapping> = store.resources().list(&place, &all, None, 10).await?;
        assert_eq!(found, [mapping(&place, 1, "f", "q")]);
    }
    Ok(())
}
