//! How a command ends when it does not succeed: exit code, `error:` lines, `hint:` line.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use crate::client::{ClientError, is_untrusted};
use crate::contract::{Code, ErrorBody};
use crate::model::manifest::BadManifest;
use crate::shown;

/// Done.
pub(super) const DONE: u8 = 0;
/// It failed.
pub(super) const FAILED: u8 = 1;
/// Wrong usage or a bad manifest.
pub(super) const USAGE: u8 = 2;
/// There is no such thing.
pub(super) const NOT_FOUND: u8 = 3;
/// Something is in the way.
pub(super) const CONFLICT: u8 = 4;
/// The agent does not answer.
pub(super) const UNREACHABLE: u8 = 5;
/// What was waited for did not come in time.
pub(super) const TIMED_OUT: u8 = 6;
/// Ended by the user: 128 + SIGINT.
pub(super) const INTERRUPTED: u8 = 130;

/// The exit code of a command, or why there is none of its own.
pub(super) type Outcome = Result<u8, Failure>;

/// Why a command did not succeed, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: u8,
    /// Each is told after `error: `; none where there is nobody left to tell.
    pub(super) errors: Vec<String>,
    pub(super) hint: Option<String>,
}

impl Failure {
    pub(super) fn new(code: u8, error: impl Into<String>) -> Self {
        Self { code, errors: vec![error.into()], hint: None }
    }

    pub(super) fn failed(error: impl Into<String>) -> Self {
        Self::new(FAILED, error)
    }

    pub(super) fn usage(error: impl Into<String>) -> Self {
        Self::new(USAGE, error)
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Several failures as one: the code and hint are those of the first.
    pub(super) fn all(failures: Vec<Self>) -> Result<(), Self> {
        let mut failures = failures.into_iter();
        let Some(mut first) = failures.next() else { return Ok(()) };
        for failure in failures {
            first.errors.extend(failure.errors);
            first.hint = first.hint.or(failure.hint);
        }
        Err(first)
    }

    /// Tells it on stderr.
    pub(super) fn exit(&self) -> ExitCode {
        self.tell();
        ExitCode::from(self.code)
    }

    /// Tells it on stderr; the command goes on.
    pub(super) fn tell(&self) {
        let mut stderr = io::stderr().lock();
        let color = stderr.is_terminal() && crate::shown::colors();
        let word =
            |word: &str, code: u8| if color { format!("\x1b[1;{code}m{word}:\x1b[0m") } else { format!("{word}:") };
        for error in &self.errors {
            // When stderr is gone there is nobody to tell.
            writeln!(stderr, "{} {}", word("error", 31), shown::lines(error)).ok();
        }
        if let Some(hint) = &self.hint {
            writeln!(stderr, "{} {}", word("hint", 36), shown::lines(hint)).ok();
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.errors.join("\n"))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Unreachable { address, source } => {
                let failure = Self::new(UNREACHABLE, format!("{error}: {source}"));
                let address = address.trim_start_matches("https://");
                let own =
                    address.starts_with("127.") || address.starts_with("localhost:") || address.starts_with("[::1]");
                if is_untrusted(source) {
                    failure.hint("this machine does not trust the certificate of what listens there: SSL_CERT_FILE=FILE names one to trust")
                } else if own {
                    failure.hint("start one: perry agent run")
                } else {
                    failure.hint("start it there (perry agent run), or put another address into client.json")
                }
            }
            ClientError::Cut { .. } | ClientError::Late { .. } => Self::new(UNREACHABLE, error.to_string())
                .hint("whether it was done is not known: look with `perry get`, then repeat it"),
            ClientError::OtherAgent { .. } => {
                Self::new(UNREACHABLE, error.to_string()).hint("start it: perry agent run")
            }
            ClientError::Unreadable { .. } => {
                Self::failed(error.to_string()).hint("compare `perry version` with the version of that agent")
            }
            ClientError::Refused(body) => Self::from(body),
        }
    }
}

impl From<&ErrorBody> for Failure {
    fn from(body: &ErrorBody) -> Self {
        if let Some(conflict) = body.conflict().filter(|_| body.is(Code::Conflict)) {
            let mut errors = vec![body.message.clone()];
            errors.extend(conflict.actions.iter().map(|action| format!("  it would {action}")));
            return Self { code: CONFLICT, errors: vec![errors.join("\n")], hint: conflict.hint };
        }
        if let Some(issues) = body.issues().filter(|issues| body.is(Code::BadRequest) && !issues.0.is_empty()) {
            return Self { code: USAGE, errors: issues.0.iter().map(ToString::to_string).collect(), hint: None };
        }
        let code = match body.code.as_str() {
            "NOT_FOUND" => NOT_FOUND,
            "CONFLICT" => CONFLICT,
            "BAD_REQUEST" | "PAYLOAD_TOO_LARGE" => USAGE,
            _ => FAILED,
        };
        let failure = Self::new(code, body.message.clone());
        if body.is(Code::Unauthorized) {
            return failure.hint(
                "the agent of this folder puts a token into client.json when it starts; for one elsewhere: perry pair there, \
                 and here perry config agent add HOST",
            );
        }
        failure
    }
}

impl From<BadManifest> for Failure {
    fn from(bad: BadManifest) -> Self {
        Self { code: USAGE, errors: bad.faults.iter().map(ToString::to_string).collect(), hint: None }
    }
}

impl From<io::Error> for Failure {
    /// stdout is gone: whoever reads it has enough (`perry list | head`), which is no failure.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: DONE, errors: Vec::new(), hint: None };
        }
        Self::failed(format!("cannot write the output: {error}"))
    }
}
