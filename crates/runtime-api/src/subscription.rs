//! From the body of a subscription to what is wanted: validated, with its defaults. Pure; whether
//! it is granted is the owner's.

use std::ops::RangeInclusive;

use dormouse_model::telemetry::{SchemaVersion, SubscriptionApi, Types};
use http::{Method, Uri};
use serde_json::{Map, Value};

use crate::extension_refusal::ExtensionRefusal;
use crate::limits;

/// Whose hosts mean the environment itself. There is nobody else to deliver to.
const HOSTS: [&str; 4] = ["sandbox.localdomain", "sandbox", "127.0.0.1", "localhost"];

/// What a subscriber wants, valid and complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// In which shape.
    pub schema_version: SchemaVersion,
    /// Which events; at least one.
    pub types: Types,
    /// How many of them at once.
    pub buffering: Buffering,
    /// Where to.
    pub destination: Destination,
}

/// When events are delivered: as soon as one of the three is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffering {
    /// Bytes, within [`limits::TELEMETRY_BYTES`].
    pub max_bytes: u32,
    /// Events, within [`limits::TELEMETRY_ITEMS`].
    pub max_items: u32,
    /// Milliseconds, within [`limits::TELEMETRY_MS`].
    pub timeout_ms: u32,
}

/// Where events are delivered: a listener inside the environment, never one of the platform's ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Requests with a JSON array.
    Http {
        /// One of the names of the environment itself, for the `Host` header.
        host: String,
        /// Its port.
        port: u16,
        /// Path and query, `/` if there was none.
        path: String,
        /// `POST`, or `PUT` for a subscriber of the Logs API that wants it.
        method: Method,
    },
    /// Lines of JSON.
    Tcp {
        /// On the environment's loopback.
        port: u16,
    },
}

impl Default for Buffering {
    fn default() -> Self {
        Self {
            max_bytes: limits::TELEMETRY_DEFAULT_BYTES,
            max_items: limits::TELEMETRY_DEFAULT_ITEMS,
            timeout_ms: limits::TELEMETRY_DEFAULT_MS,
        }
    }
}

/// Reads a subscription. Everything that is wrong with it is said at once, as AWS does.
pub(crate) fn parse(api: SubscriptionApi, body: &[u8]) -> Result<Subscription, ExtensionRefusal> {
    let mut reader = Reader { api, problems: Vec::new() };
    let parsed = match serde_json::from_slice(body) {
        Ok(body) => reader.subscription(&body),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            reader.problem(format!("invalid JSON at line {line} column {column}"))
        }
    };
    let message = reader.problems.join("; ");
    parsed.filter(|_| message.is_empty()).ok_or(ExtensionRefusal::Validation { api, message })
}

/// Collects what is wrong while it reads; then each part is `None`.
struct Reader {
    api: SubscriptionApi,
    problems: Vec<String>,
}

impl Reader {
    fn problem<T>(&mut self, text: impl Into<String>) -> Option<T> {
        self.problems.push(text.into());
        None
    }

    fn subscription(&mut self, body: &Map<String, Value>) -> Option<Subscription> {
        let destination = self.destination(body.get("destination"));
        let types = self.types(body.get("types"));
        let schema_version = self.schema_version(body.get("schemaVersion"));
        let buffering = self.buffering(body.get("buffering"));
        Some(Subscription {
            schema_version: schema_version?,
            types: types?,
            buffering: buffering?,
            destination: destination?,
        })
    }

    fn schema_version(&mut self, value: Option<&Value>) -> Option<SchemaVersion> {
        let text = match (value, self.api) {
            (None | Some(Value::Null), SubscriptionApi::Logs) => {
                return Some(SchemaVersion::V2020_08_15);
            }
            (None | Some(Value::Null), SubscriptionApi::Telemetry) => {
                return self.problem("schemaVersion is not provided");
            }
            (Some(value), _) => value.as_str().unwrap_or_default(),
        };
        match SchemaVersion::of(self.api, text) {
            Some(version) => Some(version),
            None => self.problem("schemaVersion is not supported"),
        }
    }

    fn types(&mut self, value: Option<&Value>) -> Option<Types> {
        let names = match value {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(names)) => names,
            Some(_) => return self.problem("types should be a list of strings"),
        };
        let mut types = Types::default();
        for name in names {
            match name.as_str() {
                Some("platform") => types.platform = true,
                Some("function") => types.function = true,
                Some("extension") => types.extension = true,
                _ => return self.problem("types should be platform, function or extension"),
            }
        }
        if names.is_empty() {
            return self.problem("types should not be empty");
        }
        Some(types)
    }

    fn buffering(&mut self, value: Option<&Value>) -> Option<Buffering> {
        let fields = match value {
            None | Some(Value::Null) => return Some(Buffering::default()),
            Some(Value::Object(fields)) => fields,
            Some(_) => return self.problem("buffering should be an object"),
        };
        let default = Buffering::default();
        let max_bytes = self.number(fields, "maxBytes", default.max_bytes, limits::TELEMETRY_BYTES);
        let max_items = self.number(fields, "maxItems", default.max_items, limits::TELEMETRY_ITEMS);
        let timeout_ms = self.number(fields, "timeoutMs", default.timeout_ms, limits::TELEMETRY_MS);
        Some(Buffering { max_bytes: max_bytes?, max_items: max_items?, timeout_ms: timeout_ms? })
    }

    fn number(
        &mut self,
        fields: &Map<String, Value>,
        name: &str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = match fields.get(name) {
            None | Some(Value::Null) => return Some(default),
            Some(value) => value.as_u64().and_then(|number| u32::try_from(number).ok()),
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                let (least, most) = range.into_inner();
                self.problem(format!("{name} should be between {least} and {most}"))
            }
        }
    }

    fn destination(&mut self, value: Option<&Value>) -> Option<Destination> {
        let fields = match value {
            None | Some(Value::Null) => return self.problem("destination is not provided"),
            Some(Value::Object(fields)) => fields,
            Some(_) => return self.problem("destination should be an object"),
        };
        match fields.get("protocol").and_then(Value::as_str) {
            Some("HTTP") => self.http(fields),
            Some("TCP") => self.tcp(fields),
            _ => self.problem("protocol should be HTTP or TCP"),
        }
    }

    fn tcp(&mut self, fields: &Map<String, Value>) -> Option<Destination> {
        let Some(value) = fields.get("port") else {
            return self.problem("port is not provided");
        };
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        Some(Destination::Tcp { port: self.port(number)? })
    }

    fn http(&mut self, fields: &Map<String, Value>) -> Option<Destination> {
        let encoding = fields.get("encoding").unwrap_or(&Value::Null);
        if !encoding.is_null() && encoding != "JSON" {
            return self.problem("encoding should be JSON");
        }
        let method = self.method(fields.get("method"))?;
        let Some(text) = fields.get("URI").and_then(Value::as_str) else {
            return self.problem("URI is not provided");
        };
        let Ok(uri) = text.parse::<Uri>() else {
            return self.problem("URI is not valid");
        };
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return self.problem("URI should begin with http://");
        };
        let host = authority.host().to_ascii_lowercase();
        if !HOSTS.contains(&host.as_str()) || authority.as_str().contains('@') {
            return self.problem("URI host should be sandbox.localdomain");
        }
        if authority.as_str().len() == host.len() {
            return self.problem("URI port is not provided");
        }
        let port = self.port(authority.port_u16())?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Some(Destination::Http { host, port, path, method })
    }

    /// Only the Logs API has the choice; to the Telemetry API it is one more unknown field.
    fn method(&mut self, value: Option<&Value>) -> Option<Method> {
        if self.api == SubscriptionApi::Telemetry {
            return Some(Method::POST);
        }
        match value.filter(|value| !value.is_null()).map(Value::as_str) {
            None | Some(Some("POST")) => Some(Method::POST),
            Some(Some("PUT")) => Some(Method::PUT),
            Some(_) => self.problem("method should be PUT or POST"),
        }
    }

    fn port(&mut self, number: Option<u16>) -> Option<u16> {
        match number {
            None | Some(0) => self.problem("port should be between 1 and 65535"),
            Some(port) if limits::PLATFORM_PORTS.contains(&port) => {
                self.problem(format!("port {port} is reserved"))
            }
            port => port,
        }
    }
}

#[cfg(test)]
mod tests;
