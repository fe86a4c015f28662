//! Which code signing configurations functions have: never one that is not there.

#[cfg(test)]
#[path = "support/function.rs"]
mod made;
#[cfg(test)]
mod support;

use std::collections::BTreeMap;

use dormouse_model::code_signing::{CodeSigningConfig, Untrusted};
use dormouse_model::names::{CodeSigningConfigId, FunctionName};
use dormouse_store::Store;
use dormouse_store::code_signing::CodeSigningError;
use made::function;
use support::{home, store};

fn id(letter: char) -> CodeSigningConfigId {
    format!("csc-{}", String::from(letter).repeat(17)).parse().expect("it is an id")
}

async fn config(store: &Store, letter: char) -> CodeSigningConfig {
    let config = CodeSigningConfig {
        id: id(letter),
        scope: home(),
        description: None,
        publishers: vec![],
        untrusted: Untrusted::Warn,
        modified_ms: 1,
        tags: BTreeMap::new(),
    };
    let new = config.clone();
    let (resources, scope) = (store.resources(), home());
    let made = resources.change(&scope, config.id.as_str(), |_: Option<CodeSigningConfig>| {
        Ok::<_, ()>((Some(new), ()))
    });
    made.await.expect("the store can be written").expect("nothing clashes");
    config
}

async fn users(store: &Store, letter: char) -> Vec<String> {
    let signing = store.code_signing();
    let found: Vec<FunctionName> =
        signing.functions(&home(), &id(letter), None, 10).await.expect("the store can be read");
    found.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_function_is_made_with_its_configuration_or_not_at_all() {
    let (_directory, store) = store();
    let signing = store.code_signing();
    let new = function(&home(), "f");
    let missing = signing.create(new.clone(), None, id('a')).await;
    assert!(matches!(missing, Err(CodeSigningError::NoConfig)));
    assert_eq!(store.functions().get(&new.key).await.unwrap(), None);
    let made = config(&store, 'a').await;
    signing.create(new.clone(), None, id('a')).await.unwrap();
    assert_eq!(signing.of(&new.key).await.unwrap(), Some(made));
    let again = signing.create(new.clone(), None, id('a')).await;
    assert!(matches!(again, Err(CodeSigningError::FunctionExists)));
}

#[tokio::test]
async fn what_a_function_has_is_not_removed_and_goes_with_the_function() {
    let (_directory, store) = store();
    let (signing, new) = (store.code_signing(), function(&home(), "f"));
    let nobody = signing.assign(&new.key, Some(id('a'))).await;
    assert!(matches!(nobody, Err(CodeSigningError::NoFunction)));
    store.functions().create(new.clone()).await.unwrap();
    let missing = signing.assign(&new.key, Some(id('a'))).await;
    assert!(matches!(missing, Err(CodeSigningError::NoConfig)));
    config(&store, 'a').await;
    config(&store, 'b').await;
    signing.assign(&new.key, Some(id('a'))).await.unwrap();
    let kept = signing.delete(&home(), &id('a')).await;
    assert!(matches!(kept, Err(CodeSigningError::InUse)));
    signing.assign(&new.key, Some(id('b'))).await.unwrap();
    assert_eq!(
        (users(&store, 'a').await, users(&store, 'b').await),
        (vec![], vec!["f".to_owned()])
    );
    signing.delete(&home(), &id('a')).await.unwrap();
    store.functions().delete(&new.key).await.unwrap();
    assert_eq!(signing.of(&new.key).await.unwrap(), None);
    signing.delete(&home(), &id('b')).await.unwrap();
    let gone = signing.delete(&home(), &id('b')).await;
    assert!(matches!(gone, Err(CodeSigningError::NoConfig)));
}
