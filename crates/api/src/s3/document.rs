//! XML in requests, as a small tree of elements with text; attributes and namespaces say nothing here.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use crate::error::ApiError;
use crate::s3::refusal::malformed_xml;

/// How deep elements may lie in each other (ours; S3's own documents have seven).
const DEPTH: usize = 16;
/// Elements of a document (ours): above those of the largest list of parts. More are refused.
const ELEMENTS: usize = 100_000;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Its name, without a namespace.
    pub(crate) name: String,
    /// The text right in it.
    pub(crate) text: String,
    /// The elements right in it.
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Reads a document whose root has this name.
    ///
    /// # Errors
    /// `MalformedXML` when it is no such document.
    pub(crate) fn read(bytes: &[u8], root: &str) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed_xml())?;
        let element = parse(text).ok_or_else(malformed_xml)?;
        if element.name == root { Ok(element) } else { Err(malformed_xml()) }
    }

    /// The first child of a name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of a name.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }
}

fn parse(text: &str) -> Option<Element> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let (mut root, mut count) = (None, 0_usize);
    loop {
        let closed = match reader.read_event().ok()? {
            Event::Start(start) => {
                count += 1;
                if open.len() == DEPTH || count > ELEMENTS || root.is_some() {
                    return None;
                }
                let name = std::str::from_utf8(start.local_name().into_inner()).ok()?.to_owned();
                open.push(Element { name, ..Element::default() });
                None
            }
            Event::Empty(start) => {
                count += 1;
                if open.len() == DEPTH || count > ELEMENTS || root.is_some() {
                    return None;
                }
                let name = std::str::from_utf8(start.local_name().into_inner()).ok()?.to_owned();
                Some(Element { name, ..Element::default() })
            }
            Event::End(_) => Some(open.pop()?),
            Event::Text(text) => {
                say(&mut open, &text.xml_content().ok()?)?;
                None
            }
            Event::CData(text) => {
                say(&mut open, &text.xml_content().ok()?)?;
                None
            }
            Event::GeneralRef(reference) => {
                say(&mut open, &resolved(&reference)?)?;
                None
            }
            Event::DocType(_) => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
            Event::Eof => break,
        };
        if let Some(closed) = closed {
            match open.last_mut() {
                Some(parent) => parent.children.push(closed),
                None => root = Some(closed),
            }
        }
    }
    root.filter(|_| open.is_empty())
}

/// Text outside of the root is only space.
fn say(open: &mut [Element], text: &str) -> Option<()> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() || text == "\u{feff}" => {}
        None => return None,
    }
    Some(())
}

fn resolved(reference: &BytesRef<'_>) -> Option<String> {
    if let Some(character) = reference.resolve_char_ref().ok()? {
        return Some(character.to_string());
    }
    let name = reference.decode().ok()?;
    quick_xml::escape::resolve_predefined_entity(&name).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_is_a_tree_of_texts() {
        let xml = "<?xml version=\"1.0\"?>\n<Delete xmlns=\"http://s3\"><!-- x --><Object><Key>a&amp;b &#x20AC;\
                   <![CDATA[<c>]]></Key></Object><Quiet/></Delete>\n";
        let delete = Element::read(xml.as_bytes(), "Delete").unwrap();
        assert_eq!(delete.child("Object").unwrap().text_of("Key"), Some("a&b €<c>"));
        assert_eq!(delete.text_of("Quiet"), Some(""));
        assert_eq!(delete.all("Object").count(), 1);
        assert_eq!(delete.text_of("Key"), None);
    }

    #[test]
    fn what_is_no_document_of_the_name_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(DEPTH + 1), "</a>".repeat(DEPTH + 1));
        let entity = "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>";
        for xml in
            ["", "a", "<b></b>", "<a>", "<a></b>", "<a/><a/>", "<a>&b;</a>", entity, &deep, "x<a/>"]
        {
            assert!(Element::read(xml.as_bytes(), "a").is_err(), "{xml}");
        }
        assert!(Element::read(b"<a>\xff</a>", "a").is_err());
    }

    proptest! {
        #[test]
        fn no_document_panics(text in "(<[ab/!?]{0,3}>?|&#?[a-z0-9]{0,4};?|.){0,40}") {
            let _ = Element::read(text.as_bytes(), "a");
        }
    }
}
