//! Server-sent events, from bytes to events. Pure.

/// The most bytes that one event may have; a frame bears one workspace, which is a few KiB.
const EVENT_BYTES: usize = 4 << 20;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// `message`, `done`, `error`; empty where it was not said, which means `message`.
    pub event: String,
    /// Where to resume after it.
    pub id: Option<String>,
    /// Milliseconds to wait before a reconnect.
    pub retry: Option<u64>,
    /// Its lines, joined by a newline.
    pub data: String,
}

/// An event has more than 4 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {EVENT_BYTES} bytes")]
pub struct LineTooLong;

/// Takes bytes in pieces of any size and gives events.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a carriage return: a newline right after it belongs to it.
    after_return: bool,
    event: SseEvent,
    /// The event has some field, so that the empty line ends it; comments alone make none.
    begun: bool,
}

impl Parser {
    /// Takes the next bytes; the events that they complete go to `events`.
    ///
    /// # Errors
    /// An event is too long; nothing more can be read then.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), LineTooLong> {
        for &byte in bytes {
            let was_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if was_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ if self.line.len() + self.event.data.len() >= EVENT_BYTES => return Err(LineTooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let begun = std::mem::take(&mut self.begun);
            let event = std::mem::take(&mut self.event);
            return begun.then_some(event);
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.event = value.to_owned(),
            "id" => self.event.id = Some(value.to_owned()),
            "retry" => self.event.retry = value.parse().ok(),
            "data" => {
                if self.begun && !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // A comment (empty name) or a field of a later version.
            _ => return None,
        }
        self.begun = true;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str = ": \n\nevent: message\nretry: 1000\nid: a-1\ndata: {\"json\":1}\n\n: \n\nid\ndata:x\ndata: y\n\nevent: done\ndata: {}\n\n";

    fn parse(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        for piece in pieces {
            parser.push(piece, &mut events).expect("short");
        }
        events
    }

    #[test]
    fn comments_make_no_event_and_fields_come_in_any_order() {
        let events = parse(&[STREAM.as_bytes()]);
        let [message, lines, done] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(
            (message.event.as_str(), message.id.as_deref(), message.retry),
            ("message", Some("a-1"), Some(1000))
        );
        assert_eq!(message.data, "{\"json\":1}");
        assert_eq!((lines.event.as_str(), lines.id.as_deref(), lines.data.as_str()), ("", Some(""), "x\ny"));
        assert_eq!((done.event.as_str(), done.data.as_str()), ("done", "{}"));
    }

    #[test]
    fn an_event_without_end_is_refused_before_it_fills_the_memory() {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        let piece = vec![b'x'; 1 << 20];
        let result = (0..5).try_for_each(|_| parser.push(&piece, &mut events));
        assert_eq!(result, Err(LineTooLong));
        let (mut parser, line) = (Parser::default(), [b"data: ".as_slice(), &piece, b"\n"].concat());
        let result = (0..5).try_for_each(|_| parser.push(&line, &mut events));
        assert_eq!(result, Err(LineTooLong), "many lines of one event");
    }

    proptest! {
        #[test]
        fn cuts_between_pieces_and_kinds_of_line_ends_change_nothing(
            cuts in prop::collection::vec(0_usize..120, 0..6),
            ends in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        ) {
            let text = STREAM.replace('\n', ends);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(parse(&pieces), parse(&[STREAM.as_bytes()]));
        }
    }
}
