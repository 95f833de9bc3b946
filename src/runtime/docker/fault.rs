//! What can go wrong with one call of the engine, told apart by status code and kind, never by message.

use std::error::Error as _;
use std::io::ErrorKind;

use bollard::errors::Error;

use super::super::RuntimeError;
use super::host::Host;

/// The longest message that is passed on, in bytes.
const MESSAGE_MAX: usize = 500;

/// What went wrong with one call of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// 404.
    Missing(String),
    /// 409.
    Conflict(String),
    /// 400.
    Refused(String),
    /// Any other answer.
    Failed(String),
    /// There was no whole answer.
    Unreachable(String),
    /// There was none in so many seconds.
    Timeout(u64),
}

impl Fault {
    /// What an error of the client means, at this host.
    pub(super) fn new(error: Error, host: &Host) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => Self::answer(status_code, &message),
            Error::DockerStreamError { error } => Self::Failed(bounded(&error)),
            Error::RequestTimeoutError => Self::Unreachable(format!("{host} does not answer")),
            Error::SocketNotFoundError(_) => {
                Self::unreachable(host, Some(ErrorKind::NotFound), "there is no such socket")
            }
            Error::IOError { .. } | Error::HyperResponseError { .. } | Error::HyperLegacyError { .. } => {
                Self::unreachable(host, kind(&error), &root(&error))
            }
            other => Self::Failed(bounded(&other.to_string())),
        }
    }

    /// What an answer with a status of failure means.
    pub(super) fn answer(status: u16, message: &str) -> Self {
        let message = bounded(message);
        match status {
            400 => Self::Refused(message),
            404 => Self::Missing(message),
            409 => Self::Conflict(message),
            _ => Self::Failed(message),
        }
    }

    fn unreachable(host: &Host, kind: Option<ErrorKind>, why: &str) -> Self {
        let hint = match kind {
            Some(ErrorKind::PermissionDenied) => "may this user use it? (usermod -aG docker USER)",
            Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                "is the engine running? (docker.host in config.json or DOCKER_HOST name another)"
            }
            _ => "is the engine running?",
        };
        Self::Unreachable(format!("{host}: {why}; {hint}"))
    }

    /// Whether nothing more can be asked of the engine for now.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Timeout(_))
    }

    /// Missing things are none; every other fault stays one.
    pub(super) fn absent_as_none<T>(result: Result<T, Self>) -> Result<Option<T>, Self> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Self::Missing(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

impl From<Fault> for RuntimeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Missing(message) | Fault::Conflict(message) => Self::Changed(message),
            Fault::Refused(message) => Self::Refused(message),
            Fault::Failed(message) => Self::Failed(message),
            Fault::Unreachable(message) => Self::Unreachable(message),
            Fault::Timeout(seconds) => Self::Timeout(seconds),
        }
    }
}

/// The first line of a message, of bounded length and without colours.
pub(super) fn bounded(message: &str) -> String {
    let message = plain(message);
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason was given");
    match line.char_indices().map(|(at, _)| at).take_while(|at| *at <= MESSAGE_MAX).last() {
        Some(end) if end >= MESSAGE_MAX - 3 && line.len() > MESSAGE_MAX => format!("{}…", &line[..end]),
        _ => line.to_owned(),
    }
}

/// A text without escape sequences and control characters: what an engine passes on comes from anywhere and goes to a
/// terminal.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => {
                // `ESC [ … letter`, or `ESC character`.
                if rest.next() == Some('[') {
                    rest.by_ref().find(|character| matches!(character, '@'..='~'));
                }
            }
            '\n' | '\t' => plain.push(character),
            '\r' => plain.push('\n'),
            control if control.is_control() => {}
            character => plain.push(character),
        }
    }
    plain
}

/// The kind of the I/O error at the root, where there is one.
fn kind(error: &Error) -> Option<ErrorKind> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        source = error.source();
    }
    None
}

/// What the innermost error says.
fn root(error: &Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message = error.to_string();
        source = error.source();
    }
    bounded(&message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status_code: u16) -> Fault {
        let error = Error::DockerResponseServerError { status_code, message: "first\nsecond".to_owned() };
        Fault::new(error, &Host::Tcp("engine:1".to_owned()))
    }

    #[test]
    fn answers_are_told_apart_by_their_status() {
        assert_eq!(RuntimeError::from(answer(400)), RuntimeError::Refused("first".to_owned()));
        assert_eq!(RuntimeError::from(answer(404)), RuntimeError::Changed("first".to_owned()));
        assert_eq!(RuntimeError::from(answer(409)), RuntimeError::Changed("first".to_owned()));
        assert_eq!(RuntimeError::from(answer(500)), RuntimeError::Failed("first".to_owned()));
    }

    #[test]
    fn a_missing_socket_names_the_host_and_a_hint() {
        let fault = Fault::new(Error::SocketNotFoundError("x".to_owned()), &Host::Unix("/no/socket".into()));
        let text = RuntimeError::from(fault).to_string();
        assert!(text.contains("unix:///no/socket") && text.contains("DOCKER_HOST"), "{text}");
    }

    #[test]
    fn colours_and_control_characters_are_dropped() {
        assert_eq!(plain("\u{1b}[0mok\u{1b}[31;1m!\u{7}\u{1b}]x"), "ok!x");
        assert_eq!(plain("10 %\r20 %"), "10 %\n20 %");
        assert_eq!(plain("\u{1b}[31"), "");
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let cut = bounded(&"ä".repeat(MESSAGE_MAX));
        assert!(cut.ends_with('…') && cut.len() <= MESSAGE_MAX + 3, "{} bytes", cut.len());
        assert_eq!(bounded("\n  short \nmore"), "short");
        assert_eq!(bounded("x".repeat(MESSAGE_MAX).as_str()).len(), MESSAGE_MAX);
        assert_eq!(bounded(""), "no reason was given");
    }
}
