//! Frames of oRPC's WebSocket transport: JSON texts, of which many calls share a connection.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::dispatch::Frame;
use super::error::ErrorBody;

/// How long a client waits before it comes again, in milliseconds.
pub const RETRY: u32 = 1000;
/// The type of a frame that stops a call.
const STOP: u8 = 4;
/// The type of an event of a stream.
const EVENT: u8 = 3;
/// The most headers of a request.
const HEADERS: usize = 32;

/// A frame of the client's.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A request.
    Call(Asked<'a>),
    /// The client stops the call with this id.
    Stop(Cow<'a, str>),
}

/// A request.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The client's, unique among what is under way.
    pub id: Cow<'a, str>,
    /// From the root of the procedures, `/workspaces/get`, or a whole URL.
    pub url: Cow<'a, str>,
    /// Left out: POST.
    pub method: Option<Cow<'a, str>>,
    headers: HashMap<Cow<'a, str>, Header<'a>>,
    /// The envelope.
    pub body: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    i: Cow<'a, str>,
    #[serde(default)]
    t: Option<u8>,
    #[serde(borrow, default)]
    p: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    u: Cow<'a, str>,
    #[serde(borrow, default)]
    b: Option<&'a RawValue>,
    #[serde(borrow, default)]
    h: HashMap<Cow<'a, str>, Header<'a>>,
    #[serde(borrow, default)]
    m: Option<Cow<'a, str>>,
}

/// A header's value, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Header<'a> {
    One(#[serde(borrow)] Cow<'a, str>),
    Many(Vec<String>),
}

impl<'a> Incoming<'a> {
    /// Reads a frame; `None` where it is none of this protocol.
    pub fn read(text: &'a str) -> Option<Self> {
        let wire: Wire<'a> = serde_json::from_str(text).ok()?;
        if wire.t == Some(STOP) {
            return Some(Self::Stop(wire.i));
        }
        let payload: Payload<'a> = wire.t.is_none().then(|| serde_json::from_str(wire.p?.get()).ok()).flatten()?;
        let Payload { u, b, h, m } = payload;
        (h.len() <= HEADERS).then_some(Self::Call(Asked { id: wire.i, url: u, method: m, headers: h, body: b }))
    }
}

impl Asked<'_> {
    /// The path of the procedure, and the query.
    pub fn target(&self) -> Option<(&str, &str)> {
        let url: &str = &self.url;
        let path = match url.split_once("://") {
            Some((_, rest)) => &rest[rest.find('/')?..],
            None => url,
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = path.strip_prefix('/')?;
        Some((path.strip_suffix('/').unwrap_or(path), query))
    }

    /// The one value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        match (values.next()?, values.next()) {
            (Header::One(value), None) => Some(value),
            (Header::Many(values), None) => match &values[..] {
                [value] => Some(value),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The result of a call; the body is an envelope.
pub fn result(id: &str, body: &[u8]) -> String {
    let mut text = start(id, None, body.len());
    text.extend_from_slice(b"{\"b\":");
    text.extend_from_slice(body);
    finish(text)
}

/// The error that a call ends with.
pub fn failure(id: &str, error: &ErrorBody) -> String {
    let body = error.envelope();
    let mut text = start(id, None, body.len());
    text.extend_from_slice(format!("{{\"s\":{},\"b\":", error.status).as_bytes());
    text.extend_from_slice(&body);
    finish(text)
}

/// A stream begins.
pub fn opening(id: &str) -> String {
    let mut text = start(id, None, 0);
    text.extend_from_slice(b"{\"h\":{\"content-type\":\"text/event-stream\"}");
    finish(text)
}

/// An event of a stream.
pub fn event(id: &str, frame: &Frame) -> String {
    let mut text = start(id, Some(EVENT), frame.data.len());
    text.extend_from_slice(b"{\"e\":\"message\",\"d\":");
    frame.data.iter().for_each(|piece| text.extend_from_slice(piece));
    text.extend_from_slice(b",\"m\":{");
    if let Some(event) = &frame.id {
        text.extend_from_slice(b"\"id\":");
        push_json(&mut text, event);
        text.push(b',');
    }
    text.extend_from_slice(format!("\"retry\":{RETRY}}}").as_bytes());
    finish(text)
}

/// The end of a stream, with an envelope of what it returns.
pub fn ending(id: &str, data: &[u8]) -> String {
    let mut text = start(id, Some(EVENT), data.len());
    text.extend_from_slice(b"{\"e\":\"done\",\"d\":");
    text.extend_from_slice(data);
    finish(text)
}

/// The end of a stream by an error.
pub fn failing(id: &str, error: &ErrorBody) -> String {
    let mut text = start(id, Some(EVENT), 0);
    text.extend_from_slice(b"{\"e\":\"error\",\"d\":");
    text.extend_from_slice(&error.envelope());
    text.extend_from_slice(format!(",\"m\":{{\"retry\":{RETRY}}}").as_bytes());
    finish(text)
}

fn start(id: &str, kind: Option<u8>, more: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(more + id.len() + 128);
    text.extend_from_slice(b"{\"i\":");
    push_json(&mut text, id);
    if let Some(kind) = kind {
        text.extend_from_slice(format!(",\"t\":{kind}").as_bytes());
    }
    text.extend_from_slice(b",\"p\":");
    text
}

fn push_json(text: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(text, value).expect("a text is written as JSON");
}

fn finish(mut text: Vec<u8>) -> String {
    text.extend_from_slice(b"}}");
    String::from_utf8(text).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<(String, String, Option<String>)> {
        match Incoming::read(text)? {
            Incoming::Call(asked) => {
                let (path, query) = asked.target()?;
                let token = asked.header("authorization").map(str::to_owned);
                Some((path.to_owned(), query.to_owned(), token))
            }
            Incoming::Stop(id) => Some((id.into_owned(), "stop".to_owned(), None)),
        }
    }

    #[test]
    fn requests_are_read_as_the_stock_client_writes_them() {
        let call = |path: &str, query: &str, token: Option<&str>| {
            Some((path.to_owned(), query.to_owned(), token.map(str::to_owned)))
        };
        assert_eq!(asked(r#"{"i":"1","p":{"u":"/workspaces/get","b":{"json":{}}}}"#), call("workspaces/get", "", None));
        assert_eq!(
            asked(r#"{"i":"1","p":{"u":"http://a:1/agent/info/?data=%7B%7D","h":{"Authorization":"Bearer x"}}}"#),
            call("agent/info", "data=%7B%7D", Some("Bearer x"))
        );
        assert_eq!(asked(r#"{"i":"a\"b","t":4}"#), call("a\"b", "stop", None));
        let twice = r#"{"i":"1","p":{"u":"/a/b","h":{"authorization":"Bearer x","Authorization":"Bearer y"}}}"#;
        assert_eq!(asked(twice), call("a/b", "", None), "two of them are a trick");
    }

    #[test]
    fn what_is_no_request_is_nothing() {
        for text in [
            "",
            "{nope",
            "null",
            "[]",
            "{}",
            r#"{"i":1,"p":{"u":"/a/b"}}"#,
            r#"{"i":"1"}"#,
            r#"{"i":"1","p":null}"#,
            r#"{"i":"1","p":{"b":{}}}"#,
            r#"{"i":"1","t":3,"p":{"u":"/a/b"}}"#,
            r#"{"i":"1","p":{"u":"http://a"}}"#,
            r#"{"i":"1","p":{"u":"a/b"}}"#,
        ] {
            assert_eq!(asked(text), None, "{text}");
        }
    }

    #[test]
    fn frames_are_json_whatever_the_id() {
        let id = "\"\\\n\u{1f600}";
        let event =
            Frame { id: Some("b-1".to_owned()), data: br#"{"json":{"a":1}}"#.to_vec().into(), is_return: false };
        for text in [result(id, b"{}"), opening(id), super::event(id, &event), ending(id, b"{}")] {
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(value["i"], id);
        }
        let value: serde_json::Value = serde_json::from_str(&super::event("1", &event)).expect("JSON");
        let expected = r#"{"i":"1","t":3,"p":{"e":"message","d":{"json":{"a":1}},"m":{"id":"b-1","retry":1000}}}"#;
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(expected).expect("JSON"));
    }
}
