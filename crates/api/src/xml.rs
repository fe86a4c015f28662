//! Writes XML, as little of it as AWS's answers need. Knows no shapes.

use std::fmt::Write as _;

use bytes::Bytes;
use dormouse_model::names::RequestId;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};

/// The answer to a query-protocol action: a result, if it has one, in its two envelopes.
pub(crate) fn query_answer(
    namespace: &str,
    action: &str,
    request_id: &RequestId,
    result: Option<impl FnOnce(&mut Xml)>,
) -> Response<Bytes> {
    let mut xml = Xml::new();
    xml.element_with(&format!("{action}Response"), Some(namespace), |xml| {
        if let Some(result) = result {
            xml.element(&format!("{action}Result"), result);
        }
        xml.element("ResponseMetadata", |xml| {
            xml.leaf("RequestId", request_id.as_str());
        });
    });
    let mut response = Response::new(Bytes::from(xml.finish()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    let id = HeaderValue::from_str(request_id.as_str()).expect("a UUID is a header value");
    headers.insert("x-amzn-requestid", id);
    response
}

/// A document that is being written.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// An empty document.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A document that starts with an XML declaration.
    pub(crate) fn declared() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    /// `<tag>value</tag>`, with the value escaped.
    pub(crate) fn leaf(&mut self, tag: &str, value: &str) -> &mut Self {
        let _ = write!(self.0, "<{tag}>");
        escape_into(&mut self.0, value);
        let _ = write!(self.0, "</{tag}>");
        self
    }

    /// As [`Xml::leaf`], with a namespace.
    pub(crate) fn leaf_with(&mut self, tag: &str, namespace: &str, value: &str) -> &mut Self {
        self.element_with(tag, Some(namespace), |xml| escape_into(&mut xml.0, value))
    }

    /// As [`Xml::element`], with the type of an XML schema instance.
    pub(crate) fn typed_element(
        &mut self,
        tag: &str,
        kind: &str,
        inside: impl FnOnce(&mut Self),
    ) -> &mut Self {
        let schema = "http://www.w3.org/2001/XMLSchema-instance";
        let _ = write!(self.0, "<{tag} xmlns:xsi=\"{schema}\" xsi:type=\"{kind}\">");
        inside(self);
        let _ = write!(self.0, "</{tag}>");
        self
    }

    /// `<tag>…</tag>` around what `inside` writes.
    pub(crate) fn element(&mut self, tag: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.element_with(tag, None, inside)
    }

    /// As [`Xml::element`], with a namespace.
    pub(crate) fn element_with(
        &mut self,
        tag: &str,
        namespace: Option<&str>,
        inside: impl FnOnce(&mut Self),
    ) -> &mut Self {
        match namespace {
            Some(namespace) => {
                let _ = write!(self.0, "<{tag} xmlns=\"{namespace}\">");
            }
            None => {
                let _ = write!(self.0, "<{tag}>");
            }
        }
        inside(self);
        let _ = write!(self.0, "</{tag}>");
        self
    }

    /// The document.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\r' => out.push_str("&#xD;"),
            '\t' | '\n' => out.push(c),
            // XML 1.0 cannot say these at all, not even escaped.
            c if c.is_control() && c < ' ' => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element() {
        let mut xml = Xml::new();
        xml.element_with("a", Some("n"), |xml| {
            xml.leaf("b", "</b>&\"'\0\r\n");
        });
        assert_eq!(
            xml.finish(),
            "<a xmlns=\"n\"><b>&lt;/b&gt;&amp;&quot;&#39;\u{fffd}&#xD;\n</b></a>"
        );
    }
}
