//! IAM roles: per account, unique but for case, listed by path, deleted only when allowed.

#[cfg(test)]
mod support;

use std::collections::BTreeMap;

use dormouse_store::iam::{CreateError, Held, Role};
use dormouse_store::{ChangeError, Store};
use support::{home, scope, store};

fn role(name: &str, path: &str) -> Role {
    Role {
        account: home().account,
        name: name.into(),
        path: path.into(),
        arn: format!("arn:aws:iam::123456789012:role{path}{name}"),
        role_id: "AROA0123456789ABCDEF".into(),
        assume_role_policy: "{}".into(),
        description: None,
        max_session_duration_s: 3600,
        created_ms: 1,
        permissions_boundary: None,
        tags: BTreeMap::from([("k".into(), "v".into())]),
        policies: Held::default(),
    }
}

#[tokio::test]
async fn a_role_is_there_after_a_restart_with_what_was_attached() {
    let (directory, store) = store();
    let account = home().account;
    store.roles().create(role("r", "/")).await.unwrap();
    let attach = |role: &mut Role| {
        role.policies.attached.insert("arn:aws:iam::aws:policy/P".into());
        Ok::<_, ()>(())
    };
    let attached = store.roles().change(&account, "r", attach).await.unwrap().unwrap();
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.roles().get(&account, "r").await.unwrap(), Some(attached));
    let elsewhere = scope(3, "us-east-1").account;
    assert_eq!(store.roles().get(&elsewhere, "r").await.unwrap(), None);
    let missing = store.roles().change(&account, "s", attach).await;
    assert!(matches!(missing, Err(ChangeError::Missing)));
}

#[tokio::test]
async fn names_that_differ_only_in_case_are_the_same() {
    let (_directory, store) = store();
    store.roles().create(role("Role", "/")).await.unwrap();
    let again = store.roles().create(role("rOLE", "/x/")).await;
    assert!(matches!(again, Err(CreateError::Exists)));
}

#[tokio::test]
async fn roles_are_listed_by_path_and_name() {
    let (_directory, store) = store();
    let account = home().account;
    for (name, path) in [("c", "/a/"), ("a", "/a/b/"), ("b", "/b/"), ("d", "/")] {
        store.roles().create(role(name, path)).await.unwrap();
    }
    let names = async |prefix: &str, after: Option<&str>, limit| {
        let roles = store.roles().list(&account, prefix, after, limit).await.unwrap();
        roles.into_iter().map(|role| role.name).collect::<String>()
    };
    assert_eq!(names("/", None, 10).await, "abcd");
    assert_eq!(names("/", Some("b"), 1).await, "c");
    assert_eq!(names("/a/", None, 10).await, "ac");
    assert_eq!(names("/b/", None, 10).await, "b");
}

#[tokio::test]
async fn a_role_is_deleted_only_when_nothing_objects() {
    let (_directory, store) = store();
    let account = home().account;
    store.roles().create(role("r", "/")).await.unwrap();
    let kept = store.roles().delete(&account, "r", |_, _| Err("has policies")).await.unwrap();
    assert_eq!(kept, Err("has policies"));
    let removed = store.roles().delete(&account, "r", |_, _| Ok::<_, ()>(())).await.unwrap();
    assert_eq!(removed, Ok(()));
    let again = store.roles().delete(&account, "r", |_, _| Ok::<_, ()>(())).await;
    assert!(matches!(again, Err(ChangeError::Missing)));
}
