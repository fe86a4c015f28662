//! The tables of the logs.

/// Plain SQL: it suits PostgreSQL but for the way ids are drawn.
///
/// Ids are never drawn twice (hence AUTOINCREMENT): a cursor or the sweep of a deleted group must
/// never meet what came later. Events do not refer to their stream by a foreign key: a deletion
/// takes the group and its streams in one transaction, after which nobody finds the events, and
/// these are swept afterwards in small steps, so that appends do not wait for it.
pub(crate) const TABLES: &str = "
    CREATE TABLE log_groups (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        created_ms BIGINT NOT NULL,
        retention_days INTEGER,
        stored_bytes BIGINT NOT NULL,
        UNIQUE (account, region, name)
    );
    CREATE TABLE log_streams (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id BIGINT NOT NULL REFERENCES log_groups (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        created_ms BIGINT NOT NULL,
        first_event_ms BIGINT,
        last_event_ms BIGINT,
        last_ingestion_ms BIGINT,
        UNIQUE (group_id, name)
    );
    CREATE INDEX log_streams_last_event
        ON log_streams (group_id, (COALESCE(last_event_ms, 0)), name);
    CREATE TABLE log_events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        group_id BIGINT NOT NULL,
        stream_id BIGINT NOT NULL,
        timestamp_ms BIGINT NOT NULL,
        ingestion_ms BIGINT NOT NULL,
        message TEXT NOT NULL
    );
    CREATE INDEX log_events_stream ON log_events (stream_id, timestamp_ms, id);
    CREATE INDEX log_events_group ON log_events (group_id, timestamp_ms, id);
    CREATE TABLE log_groups_to_sweep (
        group_id BIGINT PRIMARY KEY
    );
";

/// What a group is besides: its class and, as a JSON object, its tags.
pub(crate) const GROUP_SETTINGS: &str = "
    ALTER TABLE log_groups ADD COLUMN class TEXT NOT NULL DEFAULT 'STANDARD';
    ALTER TABLE log_groups ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
";
