//! Frames of `application/vnd.amazon.eventstream`: events, and the exception that ends a stream.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue as Text, Message};
use bytes::{Bytes, BytesMut};

/// The type of a stream of these.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Bytes of a frame beside its payload that are reserved ahead: prelude, three headers, checksum.
const FRAME_BYTES: usize = 128;

/// An event.
pub(crate) fn event(event_type: &'static str, content_type: &'static str, payload: Bytes) -> Bytes {
    frame([":event-type", event_type], content_type, ("event", payload))
}

/// An exception; nothing follows it.
pub(crate) fn exception(name: &'static str, content_type: &'static str, payload: Bytes) -> Bytes {
    frame([":exception-type", name], content_type, ("exception", payload))
}

fn frame(
    [kind, name]: [&'static str; 2],
    content_type: &'static str,
    (message_type, payload): (&'static str, Bytes),
) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + FRAME_BYTES);
    let header =
        |name: &'static str, text: &'static str| Header::new(name, Text::String(text.into()));
    let message = Message::new(payload)
        .add_header(header(kind, name))
        .add_header(header(":content-type", content_type))
        .add_header(header(":message-type", message_type));
    write_message_to(&message, &mut frame)
        .expect("three short headers and a payload far below 4 GiB fit into a frame");
    frame.freeze()
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_smithy_eventstream::frame::read_message_from;
    use bytes::Bytes;

    /// The events as a client reads them: the values of their headers, then the payload.
    pub(crate) fn read(mut bytes: Bytes) -> Vec<(String, Bytes)> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let message = read_message_from(&mut bytes).unwrap();
            let headers: Vec<String> = message
                .headers()
                .iter()
                .map(|header| header.value().as_string().unwrap().as_str().to_owned())
                .collect();
            events.push((headers.join(" "), message.payload().clone()));
        }
        events
    }
}
