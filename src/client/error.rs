//! Why a call failed, on the client's side.

use std::io;

use serde::Deserialize;

use crate::contract::{Code, Descriptor, Effect, ErrorBody};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there, or the name has no address.
    #[error("no agent answers at {address}")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The connection ended before the answer did. Whether the call had its effect is not known.
    #[error("the agent at {address} closed the connection before it had answered")]
    Cut {
        /// `host:port`.
        address: String,
        /// What the connection said, where it did not just end.
        source: Option<hyper::Error>,
    },
    /// The agent took too long. Whether the call had its effect is not known.
    #[error("the agent at {address} did not answer within {seconds} s")]
    Late {
        /// `host:port`.
        address: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// What listens there is no Perry agent, or one of another age.
    #[error("what answers at {address} is not a Perry agent of this version: {what}")]
    Unreadable {
        /// `host:port`.
        address: String,
        /// What was wrong with its answer.
        what: String,
    },
    /// Another agent answers there than the one that is meant, which has ended or moved. Nothing was done.
    #[error("{meant} does not run; another one answers at {address}")]
    OtherAgent {
        /// `host:port`.
        address: String,
        /// The one that is meant.
        meant: String,
    },
    /// The agent refused the call or failed at it.
    #[error("{0}")]
    Refused(ErrorBody),
}

impl ClientError {
    /// The error in an answer with a status of 300 or more.
    pub(super) fn answer(address: &str, status: u16, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Failed {
            json: ErrorBody,
        }
        match serde_json::from_slice::<Failed>(body) {
            Ok(Failed { json }) => Self::Refused(json),
            Err(_) => Self::Unreadable { address: address.to_owned(), what: format!("it answers with HTTP {status}") },
        }
    }

    /// What the agent said, where it refused or failed.
    pub fn refusal(&self) -> Option<&ErrorBody> {
        match self {
            Self::Refused(body) => Some(body),
            _ => None,
        }
    }

    /// Whether the agent answered with this code.
    pub fn is(&self, code: Code) -> bool {
        self.refusal().is_some_and(|body| body.is(code))
    }

    /// Whether there was no agent to talk to.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Late { .. } | Self::Cut { .. } | Self::OtherAgent { .. })
    }

    /// Whether a call that failed so on a connection that had been idle is to be made again on another: it never
    /// reached the agent, or it only reads.
    pub(super) fn may_be_repeated(&self, path: &str) -> bool {
        let Self::Cut { source: Some(error), .. } = self else { return false };
        let reads = || Descriptor::find(path).is_some_and(|row| row.effect == Effect::Read);
        error.is_canceled() || error.is_closed() || (error.is_incomplete_message() && reads())
    }

    /// Whether the same call may succeed later without anybody changing it.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Cut { .. } | Self::Late { .. } => true,
            Self::Unreadable { .. } | Self::OtherAgent { .. } => false,
            Self::Refused(body) => body.status >= 500 || body.is(Code::TooManyRequests) || body.is(Code::Timeout),
        }
    }
}
