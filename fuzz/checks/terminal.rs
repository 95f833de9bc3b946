//! Any bytes as frames of a terminal's client and as output of a program: no panic, nothing that is larger than it may be.

use bytes::{Bytes, BytesMut};
use perry::contract::terminal::{ClientFrame, FRAME_MAX, NaiveText, ServerFrame, Size, take_frame};
use perry::worker::terminals::restored;

/// Any bytes as frames, alone and behind their lengths, and as a text of a naive client.
pub fn frame(bytes: &[u8]) {
    let frame = Bytes::copy_from_slice(bytes);
    if let Ok(read) = ClientFrame::decode(&frame) {
        assert_eq!(ClientFrame::decode(&read.encode()), Ok(read), "it is read as it is written");
    }
    let _ = ServerFrame::decode(&frame);
    let mut stream = BytesMut::from(bytes);
    while let Ok(Some(frame)) = take_frame(&mut stream) {
        let _ = ClientFrame::decode(&frame);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (NaiveText::read(text, true), NaiveText::read(text, false));
    }
}

/// Any bytes as what a program prints; the first two are the size. What is restored from it can be restored again.
pub fn output(bytes: &[u8]) {
    let Some(([cols, rows], output)) = bytes.split_first_chunk::<2>() else { return };
    let size = Size { cols: u16::from(*cols), rows: u16::from(*rows % 64) };
    let snapshot = restored(size, output);
    assert!(snapshot.len() <= FRAME_MAX);
    restored(size, &snapshot);
}
