//! CloudWatch: metrics, their values and what is put into them, over CBOR, JSON 1.0 and the older query
//! protocol.
//!
//! All protocols are read into the same [`Request`] and written from the same [`Node`]: a form and
//! a CBOR body are first made the JSON they stand for.

mod answer;
mod body;
mod cbor;
mod data;
mod form;
mod put;
mod refusal;
mod request;
mod statistics;
mod token;
mod wire;

pub use answer::{Node, answer};
pub use body::Body;
pub use data::{GetMetricData, Query, Results};
pub use put::PutMetricData;
pub use request::{ListMetrics, Request, listed};
pub use statistics::{Asked, GetMetricStatistics};
