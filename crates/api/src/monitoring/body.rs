//! Bodies as clients send them: in one of three protocols, compressed or not.

use std::borrow::Cow;
use std::io::Read;

use dormouse_model::limits;
use flate2::read::GzDecoder;
use http::header::CONTENT_ENCODING;
use http::request::Parts;

use super::wire::Wire;
use super::{cbor, form};
use crate::error::{ApiError, Exception};
use crate::form::Form;
use crate::service::{Dialect, Protocol};

/// A request as it came. Large ones of `PutMetricData` are compressed by the clients.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// Who is asked, and how.
    pub dialect: Dialect,
    /// The request's head.
    pub parts: &'a Parts,
    /// Its body.
    pub bytes: &'a [u8],
    /// The form in the body, if it had to be read before.
    pub form: Option<&'a Form>,
}

impl Body<'_> {
    pub(super) fn read(&self) -> Result<Wire, ApiError> {
        if let Some(form) = self.form {
            return Wire::of_value(form::value(form));
        }
        match self.dialect.protocol {
            Protocol::Query => {
                let query = self.parts.uri.query().unwrap_or_default();
                Wire::of_value(form::value(&Form::parse(query.as_bytes())?))
            }
            Protocol::RpcV2Cbor => Wire::of_value(cbor::value(&self.unpacked()?)?),
            _ => Wire::of_json(&self.unpacked()?),
        }
    }

    /// Unpacked up to the limit that holds for any other body.
    fn unpacked(&self) -> Result<Cow<'_, [u8]>, ApiError> {
        match self.parts.headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
            None | Some(b"identity") => Ok(self.bytes.into()),
            Some(b"gzip") => unzip(self.bytes).map(Cow::Owned),
            Some(_) => {
                let text = "The Content-Encoding of the request is not supported.";
                Err(ApiError::new(Exception::Serialization, text))
            }
        }
    }
}

fn unzip(bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    let limit = limits::CONTROL_REQUEST_BYTES;
    let mut unpacked = Vec::new();
    let most = limit as u64 + 1;
    GzDecoder::new(bytes).take(most).read_to_end(&mut unpacked).map_err(|_| {
        ApiError::new(Exception::Serialization, "The body is not what its Content-Encoding says.")
    })?;
    if unpacked.len() > limit {
        return Err(ApiError::request_too_large(limit, "requested"));
    }
    Ok(unpacked)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::Request;
    use proptest::prelude::*;

    use super::*;
    use crate::service::Service;

    pub(in crate::monitoring) fn parts(uri: &str, encoding: Option<&str>) -> Parts {
        let mut builder = Request::builder().uri(uri);
        if let Some(encoding) = encoding {
            builder = builder.header(CONTENT_ENCODING, encoding);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn zipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(protocol: Protocol, parts: &Parts, bytes: &[u8]) -> Result<Option<String>, Exception> {
        let dialect = Dialect { service: Some(Service::Monitoring), protocol };
        let body = Body { dialect, parts, bytes, form: None };
        body.read().map(|wire| wire.namespace).map_err(|error| error.exception)
    }

    #[test]
    fn a_compressed_body_is_unpacked_up_to_a_limit() {
        let gzip = parts("/", Some("gzip"));
        let check = |bytes: &[u8]| read(Protocol::Json10, &gzip, bytes);
        assert_eq!(check(&zipped(br#"{"Namespace":"N"}"#)), Ok(Some("N".into())));
        assert_eq!(check(br#"{"Namespace":"N"}"#), Err(Exception::Serialization));
        let bomb = zipped(&vec![b' '; limits::CONTROL_REQUEST_BYTES + 1]);
        assert_eq!(check(&bomb), Err(Exception::RequestEntityTooLarge));
        let other = parts("/", Some("br"));
        assert_eq!(read(Protocol::Json10, &other, b"{}"), Err(Exception::Serialization));
    }

    #[test]
    fn a_form_may_be_in_the_address() {
        let parts = parts("/?Action=ListMetrics&Namespace=N", None);
        assert_eq!(read(Protocol::Query, &parts, b""), Ok(Some("N".into())));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), zip in any::<bool>()) {
            let parts = parts("/", zip.then_some("gzip"));
            let _ = read(Protocol::RpcV2Cbor, &parts, &bytes);
            let _ = read(Protocol::RpcV2Cbor, &parts, &zipped(&bytes));
            let _ = read(Protocol::Json10, &parts, &bytes);
        }
    }
}
