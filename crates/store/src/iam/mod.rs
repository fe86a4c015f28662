//! IAM: roles, users, groups, managed policies and instance profiles of an account, whatever the
//! region.
//!
//! Each is a record with a name and a path. Knows nothing of what policies allow.

mod access_keys;
mod entities;
mod groups;
mod identities;
mod instance_profiles;
mod policies;
mod roles;
mod users;

pub use access_keys::{AccessKey, AccessKeys, CreateKeyError, KeyUse};
pub use entities::{CreateError, Entities, Entity, RenameError};
pub use groups::{Group, JoinError};
pub use identities::{AttachError, Held, Holder, HolderKind, Identity};
pub use instance_profiles::{InstanceProfile, RoleError};
pub use policies::{Policy, PolicyVersion};
pub use roles::Role;
pub use users::User;

/// Where roles were before they were entities.
pub(crate) const ROLES: &str = "
    CREATE TABLE roles (
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        folded_name TEXT NOT NULL,
        path TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (account, name)
    );
    CREATE UNIQUE INDEX roles_folded_name ON roles (account, folded_name);
";

/// The table. Plain SQL: it must suit PostgreSQL too.
pub(crate) const TABLE: &str = "
    CREATE TABLE iam_entities (
        kind TEXT NOT NULL,
        account TEXT NOT NULL,
        name TEXT NOT NULL,
        folded_name TEXT NOT NULL,
        path TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (kind, account, name)
    );
    CREATE UNIQUE INDEX iam_entities_folded_name ON iam_entities (kind, account, folded_name);
";

/// Roles are entities like the others, and users have access keys.
pub(crate) const ROLES_AND_KEYS: &str = "
    INSERT INTO iam_entities (kind, account, name, folded_name, path, record)
        SELECT 'role', account, name, folded_name, path, record FROM roles;
    DROP TABLE roles;
    CREATE TABLE iam_access_keys (
        id TEXT NOT NULL PRIMARY KEY,
        account TEXT NOT NULL,
        user_name TEXT NOT NULL,
        secret TEXT NOT NULL,
        active INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        used_ms INTEGER,
        used_service TEXT,
        used_region TEXT
    );
    CREATE INDEX iam_access_keys_user ON iam_access_keys (account, user_name);
";

/// Roles.
pub type Roles = Entities<Role>;
/// Managed policies.
pub type Policies = Entities<Policy>;
/// Users.
pub type Users = Entities<User>;
/// Groups of users.
pub type Groups = Entities<Group>;
/// Instance profiles.
pub type InstanceProfiles = Entities<InstanceProfile>;
