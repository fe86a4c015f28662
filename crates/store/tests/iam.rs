//! Managed policies and users: kept, unique but for case, tied to the roles that have them.

#[cfg(test)]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use dormouse_store::ChangeError;
use dormouse_store::iam::{AttachError, CreateError, Policy, PolicyVersion};
use dormouse_store::roles::Role;
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
        attached: BTreeSet::new(),
        inline: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_policy_is_attached_only_when_it_is_there_and_deleted_only_when_it_is_not_attached() {
    let (_directory, store) = store();
    let (policies, account) = (store.policies(), home().account);
    policies.create(policy("p")).await.unwrap();
    store.roles().create(role("r")).await.unwrap();
    let own = |name: &str| (policy(name).arn, Some(name.to_owned()));
    let attached = policies.attach(&account, "absent", own("p")).await;
    assert!(matches!(attached, Err(AttachError::NoRole)));
    let attached = policies.attach(&account, "r", own("absent")).await;
    assert!(matches!(attached, Err(AttachError::NoPolicy)));
    policies.attach(&account, "r", own("p")).await.unwrap();
    policies.attach(&account, "r", ("arn:aws:iam::aws:policy/A".into(), None)).await.unwrap();
    assert_eq!(policies.attachments(&account).await.unwrap()[&policy("p").arn], 1);
    let unattached = |_: &Policy, roles: usize| if roles == 0 { Ok(()) } else { Err(roles) };
    assert_eq!(policies.delete_unattached(&account, "p", unattached).await.unwrap(), Err(1));
    let detach = |role: &Role| Ok::<_, ()>(Role { attached: BTreeSet::new(), ..role.clone() });
    store.roles().change(&account, "r", detach).await.unwrap().unwrap();
    assert_eq!(policies.delete_unattached(&account, "p", unattached).await.unwrap(), Ok(()));
    let gone = policies.delete_unattached(&account, "p", unattached).await;
    assert!(matches!(gone, Err(ChangeError::Missing)));
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
