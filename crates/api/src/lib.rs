//! The wire: shapes, paths, headers and error bodies of the AWS services we answer.
//!
//! A crate of its own because its purity is enforced: it knows no behaviour, does no I/O, waits
//! for nothing and reads no clock. A request comes in as bytes and goes out as a value of
//! `dormouse-model`; a value goes in and comes out as the bytes AWS would have sent.
//!
//! Where to start reading: [`route`] (which operation is asked), [`lambda`] (the shapes),
//! [`error`] (what a refusal looks like in each protocol).

pub mod error;
mod event_stream;
pub mod form;
pub mod iam;
mod json;
pub mod lambda;
pub mod logs;
pub mod monitoring;
pub mod query;
pub mod route;
pub mod s3;
pub mod service;
pub mod sqs;
pub mod sts;
mod time;
mod validate;
mod xml;
