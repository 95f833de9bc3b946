//! Answers in the form of oRPC.

use axum::body::Body;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};

use crate::contract::{ApiError, Code, Descriptor, ErrorBody};

/// A whole answer. The content type is in lower case: stock clients compare it so.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What a procedure failed with, for its client. The text of an internal error goes to the log and nowhere else.
pub(super) fn told(error: &ApiError, row: &Descriptor) -> ErrorBody {
    if let ApiError::Internal(what) = error {
        tracing::error!(procedure = row.path, "{what}");
    }
    error.body(row.errors)
}

/// An error as an answer of its own.
pub(super) fn error(error: &ErrorBody) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, error.envelope());
    let headers = response.headers_mut();
    if error.is(Code::TooManyRequests) || error.is(Code::ServiceUnavailable) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if error.is(Code::Unauthorized) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    // The rest of the request was not read, so that the connection cannot be used again.
    if error.is(Code::PayloadTooLarge) || error.is(Code::Timeout) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What every answer bears: nothing here is for caches, or for a browser to take for something else than it says.
pub(super) fn harden(headers: &mut HeaderMap) {
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
}
