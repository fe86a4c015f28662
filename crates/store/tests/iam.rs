//! IAM besides roles: kept, unique but for case, and tied together.

#[cfg(test)]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use dormouse_model::limits;
use dormouse_store::ChangeError;
use dormouse_store::iam::{
    AccessKey, AttachError, CreateError, CreateKeyError, Group, Held, InstanceProfile, JoinError,
    KeyUse, Policy, PolicyVersion, RenameError, Role, RoleError, User,
};
use support::{home, scope, store};

fn policy(name: &str) -> Policy {
    let version = PolicyVersion { document: "{}".into(), created_ms: 1 };
    Policy {
        account: home().account,
        name: name.into(),
        path: "/".into(),
        arn: format!("arn:aws:iam::123456789012:policy/{name}"),
        policy_id: "ANPA0123456789ABCDEF".into(),
        description: None,
        created_ms: 1,
        updated_ms: 1,
        tags: BTreeMap::new(),
        versions: BTreeMap::from([(1, version)]),
        default_version: 1,
        next_version: 2,
    }
}

fn role(name: &str) -> Role {
    Role {
        account: home().account,
        name: name.into(),
        path: "/".into(),
        arn: format!("arn:aws:iam::123456789012:role/{name}"),
        role_id: "AROA0123456789ABCDEF".into(),
        assume_role_policy: "{}".into(),
        description: None,
        max_session_duration_s: 3600,
        created_ms: 1,
        permissions_boundary: None,
        tags: BTreeMap::new(),
        policies: Held::default(),
    }
}

fn user(name: &str) -> User {
    User {
        account: home().account,
        name: name.into(),
        path: "/".into(),
        arn: format!("arn:aws:iam::123456789012:user/{name}"),
        user_id: format!("AIDA-{name}"),
        created_ms: 1,
        permissions_boundary: None,
        tags: BTreeMap::new(),
        groups: BTreeSet::new(),
        policies: Held::default(),
    }
}

fn group(name: &str) -> Group {
    Group {
        account: home().account,
        name: name.into(),
        path: "/".into(),
        arn: format!("arn:aws:iam::123456789012:group/{name}"),
        group_id: format!("AGPA-{name}"),
        created_ms: 1,
        policies: Held::default(),
    }
}

fn access_key(id: &str, user: &str) -> AccessKey {
    AccessKey {
        id: id.into(),
        account: home().account,
        user: user.into(),
        secret: "s".into(),
        active: true,
        created_ms: 1,
        used: None,
    }
}

#[tokio::test]
async fn a_policy_is_attached_only_when_it_is_there_and_deleted_only_when_it_is_not_attached() {
    let (_directory, store) = store();
    let (policies, roles, account) = (store.policies(), store.roles(), home().account);
    policies.create(policy("p")).await.unwrap();
    roles.create(role("r")).await.unwrap();
    let own = |name: &str| (policy(name).arn, Some(name.to_owned()));
    let attached = roles.attach(&account, "absent", own("p")).await;
    assert!(matches!(attached, Err(AttachError::NoIdentity)));
    let attached = roles.attach(&account, "r", own("absent")).await;
    assert!(matches!(attached, Err(AttachError::NoPolicy)));
    roles.attach(&account, "r", own("p")).await.unwrap();
    roles.attach(&account, "r", ("arn:aws:iam::aws:policy/A".into(), None)).await.unwrap();
    let unheld = |_: &Policy, holders: usize| if holders == 0 { Ok(()) } else { Err(holders) };
    assert_eq!(policies.delete(&account, "p", unheld).await.unwrap(), Err(1));
    let detach = |role: &mut Role| {
        role.policies.attached.clear();
        role.permissions_boundary = Some(policy("p").arn);
        Ok::<_, ()>(())
    };
    roles.change(&account, "r", detach).await.unwrap().unwrap();
    assert_eq!(policies.delete(&account, "p", unheld).await.unwrap(), Err(1));
    let unbind = |role: &mut Role| {
        role.permissions_boundary = None;
        Ok::<_, ()>(())
    };
    roles.change(&account, "r", unbind).await.unwrap().unwrap();
    assert_eq!(policies.delete(&account, "p", unheld).await.unwrap(), Ok(()));
    let gone = policies.delete(&account, "p", unheld).await;
    assert!(matches!(gone, Err(ChangeError::Missing)));
}

#[tokio::test]
async fn an_identity_has_so_many_policies_and_no_more() {
    let (_directory, store) = store();
    let (users, account) = (store.users(), home().account);
    users.create(user("u")).await.unwrap();
    let awss = |n: usize| (format!("arn:aws:iam::aws:policy/{n}"), None);
    for n in 0..limits::ATTACHED_POLICIES {
        users.attach(&account, "u", awss(n)).await.unwrap();
    }
    users.attach(&account, "u", awss(0)).await.unwrap();
    let one_more = users.attach(&account, "u", awss(limits::ATTACHED_POLICIES)).await;
    assert!(matches!(one_more, Err(AttachError::TooMany)));
}

#[tokio::test]
async fn a_user_takes_its_keys_and_groups_along_when_it_is_renamed() {
    let (directory, store) = store();
    let (users, keys, account) = (store.users(), store.access_keys(), home().account);
    users.create(user("one")).await.unwrap();
    users.create(user("other")).await.unwrap();
    store.groups().create(group("g")).await.unwrap();
    keys.create(access_key("AKIA1", "one"), 2).await.unwrap();
    store.groups().join(&account, ("g".into(), "one".into()), 9).await.unwrap();
    let to = |name: &'static str| move |user: &mut User| user.name = name.into();
    let taken = users.rename(&account, "one", to("OTHER")).await;
    assert!(matches!(taken, Err(RenameError::Exists)));
    assert_eq!(users.rename(&account, "one", to("ONE")).await.unwrap().name, "ONE");
    users.rename(&account, "ONE", to("two")).await.unwrap();
    let missing = users.rename(&account, "one", to("x")).await;
    assert!(matches!(missing, Err(RenameError::Missing)));
    let rename = |group: &mut Group| group.name = "h".into();
    store.groups().rename(&account, "g", rename).await.unwrap();
    store.close().await;
    let store = dormouse_store::Store::open(directory.path()).unwrap();
    assert_eq!(store.access_keys().find("AKIA1").await.unwrap().unwrap().user, "two");
    let user = store.users().get(&account, "two").await.unwrap().unwrap();
    assert_eq!(user.groups, BTreeSet::from(["AGPA-g".to_owned()]));
    let ties = |_: &User, keys: usize| Err::<(), _>(keys);
    assert_eq!(store.users().delete(&account, "two", ties).await.unwrap(), Err(1));
    let ties = |_: &Group, users: usize| Err::<(), _>(users);
    assert_eq!(store.groups().delete(&account, "h", ties).await.unwrap(), Err(1));
}

#[tokio::test]
async fn keys_are_their_users_and_remember_their_last_use() {
    let (_directory, store) = store();
    let (keys, account) = (store.access_keys(), home().account);
    let without = keys.create(access_key("AKIA1", "u"), 2).await;
    assert!(matches!(without, Err(CreateKeyError::NoUser)));
    store.users().create(user("u")).await.unwrap();
    keys.create(access_key("AKIA1", "u"), 2).await.unwrap();
    let again = keys.create(access_key("AKIA1", "u"), 2).await;
    assert!(matches!(again, Err(CreateKeyError::Taken)));
    keys.create(access_key("AKIA2", "u"), 2).await.unwrap();
    let third = keys.create(access_key("AKIA3", "u"), 2).await;
    assert!(matches!(third, Err(CreateKeyError::TooMany { limit: 2 })));
    let last = KeyUse { at_ms: 7, service: "sqs".into(), region: "eu-west-1".into() };
    let gone = ("AKIA9".to_owned(), last.clone());
    keys.used(vec![("AKIA2".into(), last.clone()), gone]).await.unwrap();
    let of = |id: &str| ("u".to_owned(), id.to_owned());
    keys.set_active(&account, of("AKIA2"), false).await.unwrap();
    let found = keys.find("AKIA2").await.unwrap().unwrap();
    assert_eq!(found, AccessKey { active: false, used: Some(last), ..access_key("AKIA2", "u") });
    let anothers = keys.delete(&account, ("v".into(), "AKIA2".into())).await;
    assert!(matches!(anothers, Err(ChangeError::Missing)));
    keys.delete(&account, of("AKIA2")).await.unwrap();
    assert_eq!(keys.of_user(&account, "u").await.unwrap(), [access_key("AKIA1", "u")]);
}

#[tokio::test]
async fn groups_and_instance_profiles_take_what_is_there() {
    let (_directory, store) = store();
    let (groups, profiles, account) = (store.groups(), store.instance_profiles(), home().account);
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    groups.create(group("g")).await.unwrap();
    groups.create(group("h")).await.unwrap();
    store.users().create(user("u")).await.unwrap();
    let joined = groups.join(&account, pair("x", "u"), 1).await;
    assert!(matches!(joined, Err(JoinError::NoGroup)));
    let joined = groups.join(&account, pair("g", "x"), 1).await;
    assert!(matches!(joined, Err(JoinError::NoUser)));
    groups.join(&account, pair("g", "u"), 1).await.unwrap();
    groups.join(&account, pair("g", "u"), 1).await.unwrap();
    let joined = groups.join(&account, pair("h", "u"), 1).await;
    assert!(matches!(joined, Err(JoinError::TooMany { limit: 1 })));
    groups.leave(&account, pair("g", "u")).await.unwrap();
    assert!(matches!(groups.leave(&account, pair("g", "u")).await, Err(JoinError::NoUser)));
    let profile = InstanceProfile {
        account: home().account,
        name: "p".into(),
        path: "/".into(),
        arn: "arn:aws:iam::123456789012:instance-profile/p".into(),
        profile_id: "AIPA0123456789ABCDEF".into(),
        created_ms: 1,
        role: None,
        tags: BTreeMap::new(),
    };
    profiles.create(profile).await.unwrap();
    store.roles().create(role("r")).await.unwrap();
    let added = profiles.add_role(&account, pair("p", "x")).await;
    assert!(matches!(added, Err(RoleError::NoRole)));
    profiles.add_role(&account, pair("p", "r")).await.unwrap();
    assert!(matches!(profiles.add_role(&account, pair("p", "r")).await, Err(RoleError::Full)));
    let ties = |_: &Role, profiles: usize| Err::<(), _>(profiles);
    assert_eq!(store.roles().delete(&account, "r", ties).await.unwrap(), Err(1));
}

#[tokio::test]
async fn a_policy_is_its_accounts_and_is_there_after_a_restart() {
    let (directory, store) = store();
    let account = home().account;
    store.policies().create(policy("p")).await.unwrap();
    let again = store.policies().create(policy("P")).await;
    assert!(matches!(again, Err(CreateError::Exists)));
    let change = |policy: &mut Policy| {
        policy.next_version = 9;
        Ok::<(), ()>(())
    };
    store.policies().change(&account, "p", change).await.unwrap().unwrap();
    store.close().await;
    let store = dormouse_store::Store::open(directory.path()).unwrap();
    assert_eq!(store.policies().get(&account, "p").await.unwrap().unwrap().next_version, 9);
    let other = scope(3, "us-east-1").account;
    assert_eq!(store.policies().get(&other, "p").await.unwrap(), None);
    assert_eq!(store.users().get(&account, "p").await.unwrap(), None);
    assert_eq!(store.policies().list(&account, "/", None, 9).await.unwrap().len(), 1);
    assert_eq!(store.policies().list(&account, "/x/", None, 9).await.unwrap(), []);
}
