//! What viewers typed: each piece of each client once, in order, as the program takes it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::contract::terminal::INPUT_WINDOW;

/// Clients whose last input is remembered; beyond it the one that typed longest ago is forgotten.
const CLIENTS: usize = 64;

/// What came of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It will be applied.
    New,
    /// It was, or will be, already.
    Already,
    /// More than a client may have on its way.
    TooMuch,
}

/// How far one client's input has come.
#[derive(Debug)]
struct Client {
    name: String,
    /// The last piece that came.
    came: u64,
    /// The last piece that the program has.
    applied: u64,
    /// Bytes between the two.
    waiting: usize,
}

#[derive(Debug)]
struct Piece {
    client: String,
    id: u64,
    bytes: Bytes,
}

/// The input of one terminal.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Who typed longest ago comes first.
    clients: VecDeque<Client>,
    queue: VecDeque<Piece>,
}

impl Input {
    /// A piece has come.
    pub(super) fn accept(&mut self, client: &str, id: u64, bytes: Bytes) -> Accepted {
        let known = self.clients.iter().position(|known| known.name == client).and_then(|at| self.clients.remove(at));
        let mut known = known.unwrap_or_else(|| Client { name: client.to_owned(), came: 0, applied: 0, waiting: 0 });
        let accepted = if id <= known.came {
            Accepted::Already
        } else if known.waiting + bytes.len() > 2 * INPUT_WINDOW {
            Accepted::TooMuch
        } else {
            Accepted::New
        };
        if accepted == Accepted::New {
            known.came = id;
            known.waiting += bytes.len();
            self.queue.push_back(Piece { client: client.to_owned(), id, bytes });
        }
        self.clients.push_back(known);
        // Those with input on its way are not forgotten.
        if self.clients.len() > CLIENTS
            && let Some(at) = self.clients.iter().position(|client| client.waiting == 0)
        {
            self.clients.remove(at);
        }
        accepted
    }

    /// What the program is to get next.
    pub(super) fn front(&self) -> Option<&[u8]> {
        self.queue.front().map(|piece| piece.bytes.as_ref())
    }

    /// The program took so many bytes of it; the client whose piece is whole now, and the piece's number.
    pub(super) fn taken(&mut self, length: usize) -> Option<(String, u64)> {
        let piece = self.queue.front_mut()?;
        let _ = piece.bytes.split_to(length.min(piece.bytes.len()));
        if let Some(client) = self.clients.iter_mut().find(|client| client.name == piece.client) {
            client.waiting = client.waiting.saturating_sub(length);
        }
        if !piece.bytes.is_empty() {
            return None;
        }
        let Piece { client, id, .. } = self.queue.pop_front()?;
        if let Some(known) = self.clients.iter_mut().find(|known| known.name == client) {
            known.applied = id;
        }
        Some((client, id))
    }

    /// The last piece of a client that the program has; 0 before the first.
    pub(super) fn applied(&self, client: &str) -> u64 {
        self.clients.iter().find(|known| known.name == client).map_or(0, |known| known.applied)
    }
}

/// Whether this is what a terminal itself answers to a program's question. All viewers answer, and the program is to hear it
/// once.
pub(super) fn is_report(bytes: &[u8]) -> bool {
    match bytes {
        [0x1b, b'[', middle @ .., last] => {
            let parameters = middle.iter().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b'?' | b'>' | b'=' | b'$'));
            // A modified F3 looks like a cursor position in row 1.
            let f3 = middle.starts_with(b"1;") && middle.len() == 3;
            parameters && (matches!(last, b'c' | b'n' | b'y' | b't') || (*last == b'R' && !f3))
        }
        [0x1b, b']' | b'P', ..] => bytes.ends_with(b"\x07") || bytes.ends_with(b"\x1b\\"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_piece_is_applied_once_however_often_it_comes() {
        let mut input = Input::default();
        let piece = |text: &'static str| Bytes::from_static(text.as_bytes());
        assert_eq!(input.accept("a", 1, piece("one")), Accepted::New);
        assert_eq!(input.accept("a", 1, piece("one")), Accepted::Already);
        assert_eq!(input.accept("b", 1, piece("two")), Accepted::New);
        assert_eq!((input.taken(2), input.applied("a")), (None, 0));
        assert_eq!(input.taken(1), Some(("a".to_owned(), 1)));
        assert_eq!((input.applied("a"), input.applied("b")), (1, 0));
        assert_eq!(input.accept("a", 1, piece("one")), Accepted::Already);
        assert_eq!(input.front(), Some(&b"two"[..]));
        assert_eq!(input.taken(3), Some(("b".to_owned(), 1)));
    }

    #[test]
    fn what_waits_and_who_is_remembered_is_bounded() {
        let mut input = Input::default();
        let much = Bytes::from(vec![b'x'; INPUT_WINDOW]);
        assert_eq!(input.accept("a", 1, much.clone()), Accepted::New);
        assert_eq!(input.accept("a", 2, much.clone()), Accepted::New);
        assert_eq!(input.accept("a", 3, Bytes::from_static(b"y")), Accepted::TooMuch);
        for client in 0..1000 {
            input.accept(&client.to_string(), 1, Bytes::new());
            while input.queue.len() > 2 {
                input.queue.pop_back();
            }
        }
        assert_eq!(input.clients.len(), CLIENTS);
        assert_eq!(input.accept("a", 2, much), Accepted::Already, "what waits is not forgotten");
    }

    #[test]
    fn answers_of_terminals_are_told_from_keys() {
        for report in [
            "\x1b[?62;4c",
            "\x1b[>0;276;0c",
            "\x1b[12;40R",
            "\x1b[0n",
            "\x1b[?2004;1$y",
            "\x1b]11;rgb:0/0/0\x07",
            "\x1bP1$r0m\x1b\\",
        ] {
            assert!(is_report(report.as_bytes()), "{report:?}");
        }
        for key in
            ["a", "\x1b", "\x1b[A", "\x1bOP", "\x1b[1;2R", "\x1b[200~x\x1b[201~", "\x1b[<0;1;1M", "\x1b[15~", "\x1bc"]
        {
            assert!(!is_report(key.as_bytes()), "{key:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_again_and_again_comes_out_once_and_in_order(
            again in prop::collection::vec((0_usize..8, 1_usize..9), 0..60),
        ) {
            let mut input = Input::default();
            let (mut sent, mut out) = (0_u8, Vec::new());
            for (back, take) in again {
                // Everything that was not acknowledged is sent again, and one piece more.
                let from = sent.saturating_sub(u8::try_from(back).unwrap_or(0));
                for id in from..=sent {
                    input.accept("c", u64::from(id) + 1, Bytes::copy_from_slice(&[id, id, id]));
                }
                sent += 1;
                for _ in 0..take {
                    if let Some(byte) = input.front().map(|front| front[0]) {
                        out.push(byte);
                        input.taken(1);
                    }
                }
            }
            while let Some(byte) = input.front().map(|front| front[0]) {
                out.push(byte);
                input.taken(1);
            }
            let expected: Vec<u8> = (0..sent).flat_map(|id| [id; 3]).collect();
            prop_assert_eq!(out, expected);
        }
    }
}
