//! Errors of the API: the codes, what a server fails with ([`ApiError`]) and how that looks on the wire ([`ErrorBody`]).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ts_rs::TS;

use crate::model::{Issues, Name};

/// The one message for a body that is not an envelope, as oRPC's reference server words it.
const MALFORMED: &str =
    "Malformed request. Ensure the request body is properly formatted and the 'Content-Type' header is set correctly.";

/// The codes that Perry answers with, each with the HTTP status that oRPC gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 400: the input is wrong.
    BadRequest,
    /// 401: nobody said who calls.
    Unauthorized,
    /// 403: not from there, or not for this caller.
    Forbidden,
    /// 404: no such thing.
    NotFound,
    /// 405: not with this method.
    MethodNotSupported,
    /// 408: took too long.
    Timeout,
    /// 409: in the way of what is there.
    Conflict,
    /// 412: not in this state.
    PreconditionFailed,
    /// 413: too big.
    PayloadTooLarge,
    /// 415: not JSON.
    UnsupportedMediaType,
    /// 421: for another agent.
    MisdirectedRequest,
    /// 429: too many at once.
    TooManyRequests,
    /// 500: a fault of Perry's own.
    InternalServerError,
    /// 503: something that is needed does not answer.
    ServiceUnavailable,
}

impl Code {
    /// The code as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotSupported => "METHOD_NOT_SUPPORTED",
            Self::Timeout => "TIMEOUT",
            Self::Conflict => "CONFLICT",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::MisdirectedRequest => "MISDIRECTED_REQUEST",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::InternalServerError => "INTERNAL_SERVER_ERROR",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
        }
    }

    /// Its HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotSupported => 405,
            Self::Timeout => 408,
            Self::Conflict => 409,
            Self::PreconditionFailed => 412,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::MisdirectedRequest => 421,
            Self::TooManyRequests => 429,
            Self::InternalServerError => 500,
            Self::ServiceUnavailable => 503,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a call failed, on the server's side.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApiError {
    /// The input was read and has faults; nothing was changed.
    #[error("Input validation failed")]
    BadRequest(Issues),
    /// The request is no oRPC request: body or `data` not JSON, or no object.
    #[error("{MALFORMED}")]
    Malformed,
    /// No token, or one that is wrong, revoked or expired.
    #[error("{0}")]
    Unauthorized(String),
    /// Host, Origin or the browser's own words say that somebody else's page sent it, or the token does not go that far.
    #[error("{0}")]
    Forbidden(String),
    /// No workspace has the name.
    #[error("there is no workspace {0}")]
    NotFound(Name),
    /// No token has the name.
    #[error("there is no token {0}")]
    NoToken(Name),
    /// The workspace has no terminal of that name.
    #[error("workspace {name} has no terminal {terminal}")]
    NoTerminal {
        /// The workspace.
        name: Name,
        /// The terminal.
        terminal: Name,
    },
    /// The workspace has no session of that id.
    #[error("workspace {name} has no session {session}")]
    NoSession {
        /// The workspace.
        name: Name,
        /// The session.
        session: String,
    },
    /// No procedure has the path.
    #[error("there is no procedure {0:?}")]
    NoProcedure(String),
    /// The method is not one of these.
    #[error("Method Not Supported")]
    MethodNotSupported,
    /// The request did not arrive within the time allowed.
    #[error("Request Timeout")]
    Timeout,
    /// What is there is in the way; nothing was changed.
    #[error("{0}")]
    Conflict(Box<Conflict>),
    /// The workspace is not in a state for this, such as a command for one that does not run.
    #[error("{message}")]
    PreconditionFailed {
        /// The workspace.
        name: Name,
        /// What it is and what it should be.
        message: String,
    },
    /// The body is longer than the server takes.
    #[error("Payload Too Large")]
    PayloadTooLarge,
    /// The body is not declared to be JSON. Without this rule any web page could make a browser send it.
    #[error("send content-type: application/json")]
    UnsupportedMediaType,
    /// The request names another agent than this one as the one that it is for. Nothing of it was done.
    #[error("this is not the agent that the request is for")]
    Misdirected,
    /// A limit on how much may be under way at once is reached.
    #[error("{0}")]
    TooManyRequests(String),
    /// Something that this call needs does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of Perry's own. The text goes to the log, never to the client.
    #[error("Internal server error")]
    Internal(String),
}

impl ApiError {
    /// A single fault of the input at a dotted path.
    pub fn bad_request(path: &str, message: impl Into<String>) -> Self {
        let mut issues = Issues::default();
        issues.push(path, message);
        Self::BadRequest(issues)
    }

    /// Its code.
    pub fn code(&self) -> Code {
        match self {
            Self::BadRequest(_) | Self::Malformed => Code::BadRequest,
            Self::Unauthorized(_) => Code::Unauthorized,
            Self::Forbidden(_) => Code::Forbidden,
            Self::NotFound(_)
            | Self::NoToken(_)
            | Self::NoTerminal { .. }
            | Self::NoSession { .. }
            | Self::NoProcedure(_) => Code::NotFound,
            Self::MethodNotSupported => Code::MethodNotSupported,
            Self::Timeout => Code::Timeout,
            Self::Conflict(_) => Code::Conflict,
            Self::PreconditionFailed { .. } => Code::PreconditionFailed,
            Self::PayloadTooLarge => Code::PayloadTooLarge,
            Self::UnsupportedMediaType => Code::UnsupportedMediaType,
            Self::Misdirected => Code::MisdirectedRequest,
            Self::TooManyRequests(_) => Code::TooManyRequests,
            Self::Unavailable(_) => Code::ServiceUnavailable,
            Self::Internal(_) => Code::InternalServerError,
        }
    }

    /// Its form on the wire. `declared` are the codes in the procedure's row of the table.
    pub fn body(&self, declared: &[Code]) -> ErrorBody {
        let code = self.code();
        ErrorBody {
            defined: declared.contains(&code),
            code: code.as_str().to_owned(),
            status: code.status(),
            message: self.to_string(),
            data: self.data(),
        }
    }

    fn data(&self) -> Option<Value> {
        match self {
            Self::BadRequest(issues) => serde_json::to_value(BadRequest { issues: issues.clone() }).ok(),
            Self::NotFound(name) | Self::NoToken(name) | Self::PreconditionFailed { name, .. } => {
                Some(json!({ "name": name }))
            }
            Self::NoTerminal { name, terminal } => Some(json!({ "name": name, "terminal": terminal })),
            Self::NoSession { name, session } => Some(json!({ "name": name, "session": session })),
            Self::Conflict(conflict) => serde_json::to_value(conflict).ok(),
            _ => None,
        }
    }
}

impl From<Conflict> for ApiError {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(Box::new(conflict))
    }
}

/// What is wrong with an input, as `data` of a BAD_REQUEST; a request that could not be read has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct BadRequest {
    /// Every fault that was found.
    pub issues: Issues,
}

/// What is in the way, as `data` of a CONFLICT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct Conflict {
    /// For programs.
    pub reason: ConflictReason,
    /// The workspace.
    pub name: Name,
    /// For people; the message of the error.
    #[serde(skip)]
    pub message: String,
    /// What to do about it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The field of the document, as in an issue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub path: Vec<String>,
    /// Which of several documents, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<usize>,
    /// `staleGeneration`: the generation that it has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// `needsReplace`: what would be done, the end of running work among it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub actions: Vec<String>,
}

impl Conflict {
    /// A conflict without further details.
    pub fn new(reason: ConflictReason, name: &Name, message: impl Into<String>) -> Self {
        Self {
            reason,
            name: name.clone(),
            message: message.into(),
            hint: None,
            path: Vec::new(),
            document: None,
            generation: None,
            actions: Vec::new(),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Kinds of [`Conflict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub enum ConflictReason {
    /// The name is taken.
    Exists,
    /// The workspace is being deleted.
    Deleting,
    /// Somebody else changed it meanwhile.
    StaleGeneration,
    /// It would end running work, and `allowReplace` was not given.
    NeedsReplace,
    /// A host port belongs to another workspace, or none is free.
    PortTaken,
    /// It exists and is not what was asked for.
    Differs,
}

/// An error on the wire: these five keys and never a sixth, which would make stock clients lose all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct ErrorBody {
    /// The code is declared by the procedure, and `data` has the declared type.
    pub defined: bool,
    /// Such as `NOT_FOUND`.
    pub code: String,
    /// The HTTP status, 400 to 599.
    pub status: u16,
    /// For people.
    pub message: String,
    /// By code: `issues` of BAD_REQUEST, the conflict of CONFLICT, `name` of NOT_FOUND and PRECONDITION_FAILED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub data: Option<Value>,
}

impl ErrorBody {
    /// It in its envelope.
    pub fn envelope(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            json: &'a ErrorBody,
        }
        serde_json::to_vec(&Envelope { json: self }).expect("it has only text keys and plain values")
    }

    /// Whether it has this code.
    pub fn is(&self, code: Code) -> bool {
        self.code == code.as_str()
    }

    /// The faults of the input, where it is a BAD_REQUEST that names them.
    pub fn issues(&self) -> Option<Issues> {
        serde_json::from_value::<BadRequest>(self.data.clone()?).ok().map(|data| data.issues)
    }

    /// What is in the way, where it is a CONFLICT.
    pub fn conflict(&self) -> Option<Conflict> {
        let conflict: Conflict = serde_json::from_value(self.data.clone()?).ok()?;
        Some(Conflict { message: self.message.clone(), ..conflict })
    }
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
