//! Output on its way to a client that can undo zstd: one stream for each connection, flushed with each frame.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use zstd::stream::raw::{CParameter, Encoder, Operation, OutBuffer};

use crate::contract::terminal::{DATA_HEAD, ServerFrame};

/// Shorter data goes as it is: a flush would cost more than it saves, and a keystroke's echo no time.
const SHORTEST: usize = 256;
/// The level that gains most for its time.
const LEVEL: i32 = 1;
/// 128 KiB, so that a connection takes some 270 KiB and a phone can follow.
const WINDOW_LOG: u32 = 17;

/// Compresses the data frames of one connection. It takes memory once there is something to compress.
#[derive(Default)]
pub(super) struct Compressor(Option<Encoder<'static>>);

impl Compressor {
    /// A frame as it is to go.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn pass(&mut self, frame: Bytes) -> io::Result<Bytes> {
        if !ServerFrame::is_data(&frame) || frame.len() < DATA_HEAD + SHORTEST {
            return Ok(frame);
        }
        let encoder = match &mut self.0 {
            Some(encoder) => encoder,
            empty => empty.insert(begin()?),
        };
        let mut sequence = &frame[1..DATA_HEAD];
        Ok(ServerFrame::Compressed(sequence.get_u64_le(), compress(encoder, &frame[DATA_HEAD..])?).encode())
    }
}

fn begin() -> io::Result<Encoder<'static>> {
    let mut encoder = Encoder::new(LEVEL)?;
    encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
    Ok(encoder)
}

fn compress(encoder: &mut Encoder<'_>, mut bytes: &[u8]) -> io::Result<Bytes> {
    let mut out = BytesMut::new();
    let mut piece = vec![0; bytes.len().max(SHORTEST)];
    while !bytes.is_empty() {
        let status = encoder.run_on_buffers(bytes, &mut piece)?;
        bytes.advance(status.bytes_read);
        out.put_slice(&piece[..status.bytes_written]);
    }
    loop {
        let mut buffer = OutBuffer::around(&mut piece[..]);
        let left = encoder.flush(&mut buffer)?;
        out.put_slice(buffer.as_slice());
        if left == 0 {
            return Ok(out.freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::client::Decompressor;
    use crate::contract::terminal::DATA_MAX;

    proptest! {
        #[test]
        fn what_was_compressed_comes_out_as_it_was(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..300), 1_usize..200), 1..20),
        ) {
            let (mut compressor, mut decompressor) = (Compressor::default(), Decompressor::default());
            let mut sequence = 0;
            for (bytes, times) in pieces {
                let mut bytes = bytes.repeat(times);
                bytes.truncate(DATA_MAX);
                let frame = ServerFrame::Data(sequence, bytes.into());
                let passed = ServerFrame::decode(&compressor.pass(frame.encode()).expect("compressed")).expect("a frame");
                prop_assert_eq!(decompressor.pass(passed).expect("undone"), frame.clone());
                let ServerFrame::Data(_, bytes) = frame else { unreachable!() };
                sequence += bytes.len() as u64;
            }
        }
    }

    #[test]
    fn a_page_of_text_is_a_fraction_of_itself_and_a_key_goes_as_it_is() {
        let mut compressor = Compressor::default();
        let page: String = (0..200).map(|line| format!("line {line} of a log that says much the same\r\n")).collect();
        let frame = ServerFrame::Data(7, page.clone().into()).encode();
        assert!(compressor.pass(frame).expect("compressed").len() < page.len() / 4);
        let key = ServerFrame::Data(8, Bytes::from_static(b"k")).encode();
        assert_eq!(compressor.pass(key.clone()).expect("passed"), key);
    }

    #[test]
    fn a_frame_that_would_blow_up_is_an_error() {
        let mut encoder = begin().expect("an encoder");
        let bomb = compress(&mut encoder, &vec![0; 8 << 20]).expect("compressed");
        assert!(bomb.len() < 8 << 10);
        Decompressor::default().pass(ServerFrame::Compressed(0, bomb)).expect_err("too much");
        Decompressor::default().pass(ServerFrame::Compressed(0, Bytes::from_static(b"nonsense"))).expect_err("no zstd");
    }
}
