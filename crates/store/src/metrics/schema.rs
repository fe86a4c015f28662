//! The tables of the metrics.

/// Points do not refer to their metric by a foreign key: a metric goes only when it has had no point
/// for longer than any point is kept.
pub(crate) const TABLES: &str = "
    CREATE TABLE metrics (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        dimensions TEXT NOT NULL,
        last_s BIGINT NOT NULL,
        UNIQUE (account, region, namespace, name, dimensions)
    );
    CREATE INDEX metrics_age ON metrics (last_s);
    CREATE TABLE metric_points (
        metric_id BIGINT NOT NULL,
        at_s BIGINT NOT NULL,
        period_s BIGINT NOT NULL,
        unit TEXT NOT NULL,
        samples DOUBLE PRECISION NOT NULL,
        sum DOUBLE PRECISION NOT NULL,
        minimum DOUBLE PRECISION NOT NULL,
        maximum DOUBLE PRECISION NOT NULL,
        spread TEXT,
        PRIMARY KEY (metric_id, at_s, period_s, unit)
    );
    CREATE INDEX metric_points_age ON metric_points (period_s, at_s);
";
