//! Layers to put into a store.

use dormouse_model::function::Package;
use dormouse_model::layer::{LayerContent, LayerKey, LayerVersion};
use dormouse_model::names::Scope;
use dormouse_store::Store;

use crate::support::home;

/// The key of a layer.
pub(crate) fn layer(scope: &Scope, name: &str) -> LayerKey {
    LayerKey { scope: scope.clone(), name: name.parse().unwrap() }
}

/// What is published: a package named by a digit, for one runtime.
pub(crate) fn content(digit: &str, runtime: &str) -> LayerContent {
    LayerContent {
        description: String::new(),
        license: None,
        compatible_runtimes: vec![runtime.to_owned()],
        compatible_architectures: vec![],
        code: Package { digest: digit.repeat(64).parse().unwrap(), size_bytes: 10 },
        unzipped_bytes: 20,
        created_ms: 1,
    }
}

/// Publishes a version of a layer of the usual scope.
pub(crate) async fn publish(store: &Store, name: &str) -> LayerVersion {
    store.layers().publish(layer(&home(), name), content("c", "python3.12")).await.unwrap()
}
