//! The frames of the protocol, as bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;

use super::{DATA_HEAD, Exit, FRAME_MAX, Hello, Info, Size};

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
const ERRORS: u8 = 0x06;
const DATA_COMPRESSED: u8 = 0x81;
const INPUT: u8 = 0x11;
const RESIZE: u8 = 0x12;
const ACK: u8 = 0x13;
const HELLO: u8 = 0x14;
const END: u8 = 0x15;

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
    /// No more input comes for a command without a terminal; who looks at one leaves, and needs not be waited for.
    End,
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
            END => exactly(kind, body, 0).map(|_| Self::End),
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
            Self::End => Bytes::from_static(&[END]),
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
    /// What a command without a terminal writes to stderr.
    Errors(Bytes),
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
            ERRORS => Ok(Self::Errors(body)),
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
            Self::Errors(bytes) => [&[ERRORS], &bytes[..]].concat().into(),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Create, Exec};
    use super::*;
    use crate::model::Secret;

    fn client_frame() -> impl Strategy<Value = ClientFrame> {
        prop_oneof![
            (any::<u64>(), prop::collection::vec(any::<u8>(), 0..40))
                .prop_map(|(id, bytes)| ClientFrame::Input(id, bytes.into())),
            any::<(u16, u16)>().prop_map(|(cols, rows)| ClientFrame::Resize(Size { cols, rows })),
            any::<u64>().prop_map(ClientFrame::Ack),
            Just(ClientFrame::End),
            any::<(Option<u64>, bool)>().prop_map(|(have, compress)| ClientFrame::Hello(Box::new(Hello {
                token: have.map(|have| Secret(have.to_string())),
                client: "c-1".to_owned(),
                terminal: None,
                id: have.map(|have| have.to_string()),
                have,
                cols: 80,
                rows: 24,
                create: compress.then(Create::default),
                exec: compress.then(|| Exec { command: vec!["ls".to_owned()], timeout: have }),
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
            bytes().prop_map(ServerFrame::Errors),
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
}
