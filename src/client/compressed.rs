//! Undoes the compression of output: one zstd stream for each connection.

use std::io;

use bytes::{Buf, Bytes};
use zstd::stream::raw::{Decoder, Operation};

use crate::contract::terminal::{DATA_MAX, ServerFrame};

/// Follows the compressed frames of one connection.
#[derive(Default)]
pub struct Decompressor(Option<Decoder<'static>>);

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decompressor")
    }
}

impl Decompressor {
    /// A frame as it was before.
    ///
    /// # Errors
    /// It is no part of the stream, or more is in it than in any frame.
    pub fn pass(&mut self, frame: ServerFrame) -> io::Result<ServerFrame> {
        let ServerFrame::Compressed(sequence, bytes) = frame else { return Ok(frame) };
        let decoder = match &mut self.0 {
            Some(decoder) => decoder,
            empty => empty.insert(Decoder::new()?),
        };
        Ok(ServerFrame::Data(sequence, undo(decoder, &bytes)?))
    }
}

fn undo(decoder: &mut Decoder<'_>, mut bytes: &[u8]) -> io::Result<Bytes> {
    let mut out = vec![0; DATA_MAX + 1];
    let mut length = 0;
    loop {
        let status = decoder.run_on_buffers(bytes, &mut out[length..])?;
        bytes.advance(status.bytes_read);
        length += status.bytes_written;
        if length > DATA_MAX {
            return Err(io::Error::other("a compressed frame holds more than a frame may"));
        }
        if bytes.is_empty() && status.bytes_written == 0 {
            out.truncate(length);
            return Ok(out.into());
        }
        if status.bytes_read == 0 && status.bytes_written == 0 {
            return Err(io::Error::other("a compressed frame is cut off"));
        }
    }
}
