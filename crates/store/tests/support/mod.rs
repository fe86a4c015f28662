//! What the tests of the store share: a store in a directory of its own, and whose it is.

use dormouse_model::names::Scope;
use dormouse_store::Store;
use tempfile::TempDir;

/// A store in a new directory.
pub(crate) fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

/// `account` is the last digit of one.
pub(crate) fn scope(account: u8, region: &str) -> Scope {
    Scope {
        account: format!("12345678901{account}").parse().unwrap(),
        region: region.parse().unwrap(),
    }
}

/// The usual scope.
pub(crate) fn home() -> Scope {
    scope(2, "us-east-1")
}
