//! The terminal protocol [`SUBPROTOCOL`]: binary frames, one type byte and then the body; integers are little-endian.
//! `specs/terminal.md` tells it in words. Agent and worker speak it too, each frame behind its length (`u32`).

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::model::{Name, Secret};

/// What a client asks for as a WebSocket subprotocol; one that does not is naive.
pub const SUBPROTOCOL: &str = "perry.terminal.v1";
/// The most bytes that are on their way to a viewer and not acknowledged.
pub const WINDOW: u64 = 256 << 10;
/// After so many bytes a viewer acknowledges what it has rendered; for fewer it need not.
pub const ACK_EVERY: u64 = 16 << 10;
/// The most bytes of input that may be on their way and not acknowledged, of one client.
pub const INPUT_WINDOW: usize = 64 << 10;
/// The most bytes of data in one frame.
pub const DATA_MAX: usize = 32 << 10;
/// The most bytes of a frame, a snapshot's among them.
pub const FRAME_MAX: usize = (1 << 20) + 64;
/// The most columns and rows.
pub const SIZE_MAX: (u16, u16) = (1000, 500);
/// The terminal that is meant where none is named.
pub const MAIN: &str = "main";
/// Bytes of the head of a data frame: its type and its sequence number.
pub const DATA_HEAD: usize = 9;

/// Why a terminal's connection was closed, as the code of the WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Close {
    /// The program has ended.
    Exit = 1000,
    /// The workspace has stopped, or the agent is going; after a [`ServerFrame::Exit`] it is the former.
    Going = 1001,
    /// The worker is being replaced: come again.
    Again = 1012,
    /// Something failed.
    Failed = 1011,
    /// Who calls is not known.
    Unauthorized = 4001,
    /// Who calls may not.
    Forbidden = 4003,
    /// There is no such workspace.
    NotFound = 4404,
}

impl Close {
    /// The code.
    pub fn code(self) -> u16 {
        self as u16
    }
}

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct Size {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

impl Size {
    /// What a terminal has whose viewers have not told theirs.
    pub const USUAL: Self = Self { cols: 80, rows: 24 };

    /// The nearest size that a terminal can have. A window that is being dragged must not fail at its extremes.
    pub fn clamped(self) -> Self {
        Self { cols: self.cols.clamp(1, SIZE_MAX.0), rows: self.rows.clamp(1, SIZE_MAX.1) }
    }
}

/// What a client says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Hello {
    /// Who calls, where no header could say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// What this client calls itself, the same over all its connections: 1 to 64 letters, digits and dashes, at random. Input is applied once for each.
    pub client: String,
    /// Which terminal; left out: `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Name>,
    /// Which one of that name, as [`Info::id`] told it: one that has ended is not begun anew then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The sequence number after the last byte that this client has, of that terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number")]
    pub have: Option<u64>,
    /// Columns of the client's window.
    pub cols: u16,
    /// Rows of it.
    pub rows: u16,
    /// What to run where there is no such terminal yet; left out: the user's shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<Create>,
    /// Data may come compressed by zstd.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub compress: bool,
}

/// What a new terminal runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct Create {
    /// Program and arguments; empty: the user's shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub command: Vec<String>,
    /// The folder to begin in; left out: the home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// What a viewer is told of its terminal, at first and at each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Info {
    /// Its name.
    pub terminal: Name,
    /// Which one of that name.
    pub id: String,
    /// What its program calls it.
    pub title: String,
    /// What runs in the foreground.
    pub program: String,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
    /// How many look at it.
    pub viewers: u32,
    /// This viewer may not type.
    pub read_only: bool,
}

/// How a terminal ended. Nothing comes after it, and there is nothing to come back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Exit {
    /// The exit code; 128 + n where signal n ended it; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// For people.
    pub reason: String,
}

/// A frame that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There is not even a type.
    #[error("a frame is empty: its first byte is its type")]
    Empty,
    /// A type that there is not.
    #[error("there is no frame of type 0x{0:02x}")]
    Unknown(u8),
    /// The body is too short, or too long for a type whose length is fixed.
    #[error("a frame of type 0x{kind:02x} has {got} bytes after its type, not {want}")]
    Length {
        /// The type.
        kind: u8,
        /// Bytes after it.
        got: usize,
        /// Bytes that there must be (at least, where the body ends in data).
        want: usize,
    },
    /// The body is not the JSON it should be.
    #[error("a frame of type 0x{kind:02x}: {what}")]
    Json {
        /// The type.
        kind: u8,
        /// Which field, and what was wrong.
        what: String,
    },
    /// Larger than any frame may be.
    #[error("a frame has {got} bytes; {max} is the most")]
    TooLarge {
        /// Bytes.
        got: usize,
        /// The most.
        max: usize,
    },
}

const DATA: u8 = 0x01;
const SNAPSHOT: u8 = 0x02;
const EXIT: u8 = 0x03;
const INFO: u8 = 0x04;
const INPUT_ACK: u8 = 0x05;
const DATA_COMPRESSED: u8 = 0x81;
const INPUT: u8 = 0x11;
const RESIZE: u8 = 0x12;
const ACK: u8 = 0x13;
const HELLO: u8 = 0x14;

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// Typed. The numbers of one client increase; what was applied already is not applied again.
    Input(u64, Bytes),
    /// The client's window changed.
    Resize(Size),
    /// Everything before this sequence number was rendered.
    Ack(u64),
    /// Comes first.
    Hello(Box<Hello>),
}

impl ClientFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn decode(frame: &Bytes) -> Result<Self, FrameError> {
        let (kind, body) = split(frame)?;
        match kind {
            INPUT => {
                let (id, bytes) = number(kind, &body)?;
                Ok(Self::Input(id, bytes))
            }
            RESIZE => Ok(Self::Resize(size(kind, &exactly(kind, body, 4)?)?)),
            ACK => Ok(Self::Ack(number(kind, &exactly(kind, body, 8)?)?.0)),
            HELLO => Ok(Self::Hello(Box::new(json(kind, &body)?))),
            other => Err(FrameError::Unknown(other)),
        }
    }

    /// Writes a frame.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Input(id, bytes) => numbered(INPUT, *id, bytes),
            Self::Resize(size) => sized(RESIZE, *size),
            Self::Ack(sequence) => numbered(ACK, *sequence, &[]),
            Self::Hello(hello) => document(HELLO, hello),
        }
    }
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// Output; the number is that of its first byte.
    Data(u64, Bytes),
    /// The same, compressed: the next part of one zstd stream a connection.
    Compressed(u64, Bytes),
    /// What rebuilds screen, modes and scrollback in a terminal of this size that was reset, and the number of the first byte that follows.
    Snapshot(u64, Size, Bytes),
    /// The end.
    Exit(Exit),
    /// What there is to know.
    Info(Box<Info>),
    /// Input up to this number was applied.
    InputAck(u64),
}

impl ServerFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn decode(frame: &Bytes) -> Result<Self, FrameError> {
        let (kind, body) = split(frame)?;
        match kind {
            DATA => number(kind, &body).map(|(sequence, bytes)| Self::Data(sequence, bytes)),
            DATA_COMPRESSED => number(kind, &body).map(|(sequence, bytes)| Self::Compressed(sequence, bytes)),
            SNAPSHOT => {
                let (sequence, rest) = number(kind, &body)?;
                if rest.len() < 4 {
                    return Err(FrameError::Length { kind, got: body.len(), want: 12 });
                }
                Ok(Self::Snapshot(sequence, size(kind, &rest)?, rest.slice(4..)))
            }
            EXIT => Ok(Self::Exit(json(kind, &body)?)),
            INFO => Ok(Self::Info(Box::new(json(kind, &body)?))),
            INPUT_ACK => Ok(Self::InputAck(number(kind, &exactly(kind, body, 8)?)?.0)),
            other => Err(FrameError::Unknown(other)),
        }
    }

    /// Writes a frame.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Data(sequence, bytes) => numbered(DATA, *sequence, bytes),
            Self::Compressed(sequence, bytes) => numbered(DATA_COMPRESSED, *sequence, bytes),
            Self::Snapshot(sequence, size, bytes) => {
                let mut frame = BytesMut::with_capacity(13 + bytes.len());
                frame.put_u8(SNAPSHOT);
                frame.put_u64_le(*sequence);
                frame.put_u16_le(size.cols);
                frame.put_u16_le(size.rows);
                frame.put_slice(bytes);
                frame.freeze()
            }
            Self::Exit(exit) => document(EXIT, exit),
            Self::Info(info) => document(INFO, info),
            Self::InputAck(id) => numbered(INPUT_ACK, *id, &[]),
        }
    }

    /// The head of a data frame, so that its bytes need not be copied behind it.
    pub fn data_head(sequence: u64) -> [u8; DATA_HEAD] {
        let mut head = [DATA; DATA_HEAD];
        head[1..].copy_from_slice(&sequence.to_le_bytes());
        head
    }

    /// Whether a frame is plain data: one that may be compressed on its way.
    pub fn is_data(frame: &[u8]) -> bool {
        frame.len() >= DATA_HEAD && frame[0] == DATA
    }
}

/// Takes a whole frame off what has come on a stream, where each is behind its length.
///
/// # Errors
/// It is longer than any frame may be.
pub fn take_frame(buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some(length) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > FRAME_MAX {
        return Err(FrameError::TooLarge { got: length, max: FRAME_MAX });
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// Puts a frame behind its length at the end of what is to go on a stream.
pub fn put_frame(buffer: &mut BytesMut, frame: &[u8]) {
    buffer.put_u32_le(u32::try_from(frame.len()).unwrap_or(u32::MAX));
    buffer.put_slice(frame);
}

fn split(frame: &Bytes) -> Result<(u8, Bytes), FrameError> {
    if frame.len() > FRAME_MAX {
        return Err(FrameError::TooLarge { got: frame.len(), max: FRAME_MAX });
    }
    let kind = *frame.first().ok_or(FrameError::Empty)?;
    Ok((kind, frame.slice(1..)))
}

fn exactly(kind: u8, body: Bytes, want: usize) -> Result<Bytes, FrameError> {
    if body.len() == want { Ok(body) } else { Err(FrameError::Length { kind, got: body.len(), want }) }
}

/// The number that a body begins with, and what comes after it.
fn number(kind: u8, body: &Bytes) -> Result<(u64, Bytes), FrameError> {
    match body.first_chunk::<8>() {
        Some(bytes) => Ok((u64::from_le_bytes(*bytes), body.slice(8..))),
        None => Err(FrameError::Length { kind, got: body.len(), want: 8 }),
    }
}

fn size(kind: u8, body: &[u8]) -> Result<Size, FrameError> {
    match body.first_chunk::<4>() {
        Some([a, b, c, d]) => Ok(Size { cols: u16::from_le_bytes([*a, *b]), rows: u16::from_le_bytes([*c, *d]) }),
        None => Err(FrameError::Length { kind, got: body.len(), want: 4 }),
    }
}

fn json<T: serde::de::DeserializeOwned>(kind: u8, body: &[u8]) -> Result<T, FrameError> {
    let read = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(body));
    read.map_err(|error| FrameError::Json { kind, what: error.to_string() })
}

fn numbered(kind: u8, number: u64, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(DATA_HEAD + bytes.len());
    frame.put_u8(kind);
    frame.put_u64_le(number);
    frame.put_slice(bytes);
    frame.freeze()
}

fn sized(kind: u8, size: Size) -> Bytes {
    let mut frame = BytesMut::with_capacity(5);
    frame.put_u8(kind);
    frame.put_u16_le(size.cols);
    frame.put_u16_le(size.rows);
    frame.freeze()
}

fn document(kind: u8, value: &impl Serialize) -> Bytes {
    let mut frame = vec![kind];
    serde_json::to_writer(&mut frame, value).expect("these types have only texts for keys");
    frame.into()
}

/// What a text frame of a naive client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NaiveText {
    /// Who calls; only the first frame can be that.
    Auth(Secret),
    /// Its window changed.
    Resize(Size),
    /// Anything else is typed.
    Typed,
}

/// Exactly these fields and no other, so that JSON that somebody pastes is not swallowed.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Control {
    Resize { cols: u16, rows: u16 },
    Auth { token: Secret },
}

impl NaiveText {
    /// Reads a text frame; `first`: nothing came before it.
    pub fn read(text: &str, first: bool) -> Self {
        // Most text is typed, a key at a time.
        if !(text.starts_with('{') && text.ends_with('}')) || text.len() > 4096 {
            return Self::Typed;
        }
        match serde_json::from_str(text) {
            Ok(Control::Resize { cols, rows }) => Self::Resize(Size { cols, rows }),
            Ok(Control::Auth { token }) if first => Self::Auth(token),
            _ => Self::Typed,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Exit {
    /// The end of a program.
    pub fn of(code: Option<i32>, signal: Option<i32>) -> Self {
        let reason = match (code, signal) {
            (_, Some(signal)) => format!("Process was ended by signal {signal}"),
            (Some(code), None) => format!("Process exited with code {code}"),
            (None, None) => "Process has ended".to_owned(),
        };
        Self { code: code.or(signal.map(|signal| 128 + signal)), signal, reason }
    }

    /// The end of everything in a workspace.
    pub fn gone(reason: impl Into<String>) -> Self {
        Self { code: None, signal: None, reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client_frame() -> impl Strategy<Value = ClientFrame> {
        prop_oneof![
            (any::<u64>(), prop::collection::vec(any::<u8>(), 0..40))
                .prop_map(|(id, bytes)| ClientFrame::Input(id, bytes.into())),
            any::<(u16, u16)>().prop_map(|(cols, rows)| ClientFrame::Resize(Size { cols, rows })),
            any::<u64>().prop_map(ClientFrame::Ack),
            any::<(Option<u64>, bool)>().prop_map(|(have, compress)| ClientFrame::Hello(Box::new(Hello {
                token: have.map(|have| Secret(have.to_string())),
                client: "c-1".to_owned(),
                terminal: None,
                id: have.map(|have| have.to_string()),
                have,
                cols: 80,
                rows: 24,
                create: compress.then(Create::default),
                compress,
            }))),
        ]
    }

    fn server_frame() -> impl Strategy<Value = ServerFrame> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        prop_oneof![
            (any::<u64>(), bytes()).prop_map(|(at, bytes)| ServerFrame::Data(at, bytes)),
            (any::<u64>(), bytes()).prop_map(|(at, bytes)| ServerFrame::Compressed(at, bytes)),
            (any::<(u64, u16, u16)>(), bytes()).prop_map(|((at, cols, rows), bytes)| ServerFrame::Snapshot(
                at,
                Size { cols, rows },
                bytes
            )),
            any::<(Option<i32>, Option<u8>)>()
                .prop_map(|(code, signal)| ServerFrame::Exit(Exit::of(code, signal.map(i32::from)))),
            any::<u64>().prop_map(ServerFrame::InputAck),
        ]
    }

    proptest! {
        #[test]
        fn every_frame_of_a_client_is_read_as_it_was_written(frame in client_frame()) {
            prop_assert_eq!(ClientFrame::decode(&frame.encode()), Ok(frame));
        }

        #[test]
        fn every_frame_of_the_server_is_read_as_it_was_written(frame in server_frame()) {
            prop_assert_eq!(ServerFrame::decode(&frame.encode()), Ok(frame));
        }

        #[test]
        fn no_bytes_are_more_than_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from(bytes);
            let _ = (ClientFrame::decode(&bytes), ServerFrame::decode(&bytes));
        }
    }

    #[test]
    fn a_wrong_frame_is_told_what_is_wrong() {
        let told =
            |bytes: &'static [u8]| ClientFrame::decode(&Bytes::from_static(bytes)).expect_err("wrong").to_string();
        assert_eq!(told(b""), "a frame is empty: its first byte is its type");
        assert_eq!(told(b"\x77"), "there is no frame of type 0x77");
        assert_eq!(told(b"\x12\x50"), "a frame of type 0x12 has 1 bytes after its type, not 4");
        assert!(told(br#"#{"client":"c","cols":80}"#).contains("0x23"));
        let hello = told(b"\x14{\"client\":\"c\",\"cols\":-1,\"rows\":24}");
        assert!(hello.starts_with("a frame of type 0x14: cols: "), "{hello}");
    }

    #[test]
    fn only_exactly_a_resize_is_a_resize_and_only_the_first_frame_can_log_in() {
        let resize = r#"{"type":"resize","cols":80,"rows":24}"#;
        assert_eq!(NaiveText::read(resize, false), NaiveText::Resize(Size::USUAL));
        let auth = r#"{"type":"auth","token":"t"}"#;
        assert_eq!(NaiveText::read(auth, true), NaiveText::Auth(Secret("t".to_owned())));
        for typed in [
            auth,
            "{}",
            "ls\n",
            r#"{"type":"resize","cols":80,"rows":24} "#,
            r#"{"type":"resize","cols":80,"rows":24,"x":1}"#,
            r#"{"type":"resize","cols":80}"#,
            r#"{"type":"resize","cols":99999,"rows":24}"#,
            r#"[{"type":"resize","cols":80,"rows":24}]"#,
        ] {
            assert_eq!(NaiveText::read(typed, false), NaiveText::Typed, "{typed}");
        }
    }

    #[test]
    fn a_size_is_kept_within_what_a_terminal_can_have() {
        assert_eq!(Size { cols: 0, rows: 0 }.clamped(), Size { cols: 1, rows: 1 });
        assert_eq!(Size { cols: u16::MAX, rows: 24 }.clamped(), Size { cols: 1000, rows: 24 });
    }
}
