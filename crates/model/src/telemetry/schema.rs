//! The two APIs that deliver telemetry, the shapes it has had, and the kinds of events.

/// Which of the two APIs: the younger one took the elder's place, and both are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubscriptionApi {
    /// `PUT /2022-07-01/telemetry`.
    Telemetry,
    /// `PUT /2020-08-15/logs`.
    Logs,
}

/// The shapes telemetry has had. The first two are the Logs API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SchemaVersion {
    /// `2020-08-15`.
    V2020_08_15,
    /// `2021-03-18`: `platform.runtimeDone` came.
    V2021_03_18,
    /// `2022-07-01`.
    V2022_07_01,
    /// `2022-12-13`: `platform.initStart` names the function; lines that are JSON come as such.
    V2022_12_13,
    /// `2025-01-29`: `platform.initStart` has the function's ARN.
    V2025_01_29,
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Types {
    /// What the platform has to say.
    pub platform: bool,
    /// What the function writes.
    pub function: bool,
    /// What extensions write.
    pub extension: bool,
}

impl SubscriptionApi {
    /// AWS's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Telemetry => "Telemetry",
            Self::Logs => "Logs",
        }
    }
}

impl SchemaVersion {
    /// The one that JSON log lines have.
    pub const OF_LOG_LINES: Self = Self::V2022_12_13;

    const ALL: [Self; 5] = [
        Self::V2020_08_15,
        Self::V2021_03_18,
        Self::V2022_07_01,
        Self::V2022_12_13,
        Self::V2025_01_29,
    ];

    /// As on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2020_08_15 => "2020-08-15",
            Self::V2021_03_18 => "2021-03-18",
            Self::V2022_07_01 => "2022-07-01",
            Self::V2022_12_13 => "2022-12-13",
            Self::V2025_01_29 => "2025-01-29",
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn api(self) -> SubscriptionApi {
        if self < Self::V2022_07_01 { SubscriptionApi::Logs } else { SubscriptionApi::Telemetry }
    }

    /// The one of this API with this name.
    #[must_use]
    pub fn of(api: SubscriptionApi, name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.api() == api && version.as_str() == name)
    }
}

impl Types {
    /// AWS's names, in the order of the documentation.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let names = [
            (self.platform, "platform"),
            (self.function, "function"),
            (self.extension, "extension"),
        ];
        names.into_iter().filter_map(|(wanted, name)| wanted.then_some(name)).collect()
    }
}
