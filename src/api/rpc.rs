//! `/rpc/<group>/<procedure>`: from a request to a row of the table and an input, and back.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::FutureExt;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{App, Limits, respond, sse};
use crate::contract::{ApiError, Descriptor, Effect, Reply, Shape, dispatch};

/// How much of a body that is too large is read and thrown away, so that the client is still there to read the answer.
const DRAIN_BYTES: usize = 8 << 20;
/// How long that may take.
const DRAIN: Duration = Duration::from_secs(2);

/// Around every input; keys of other names are ignored, `meta` too: no input has values that JSON has no word for.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    json: Option<&'a RawValue>,
}

/// Answers whatever is not a route of its own.
pub(super) async fn entry(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let row = path.strip_prefix("/rpc/").map(|path| path.strip_suffix('/').unwrap_or(path)).and_then(Descriptor::find);
    let Some(row) = row else {
        return respond::error(&ApiError::NoProcedure(shorten(path)).body(&[]));
    };
    match input(&app, row, &parts, body).await {
        Ok(text) => call(&app, row, &parts.headers, text.as_deref()).await,
        Err(error @ ApiError::MethodNotSupported) => {
            let mut response = respond::error(&error.body(&[]));
            let allow = if row.effect == Effect::Read { "GET, POST" } else { "POST" };
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            response
        }
        Err(error) => respond::error(&error.body(&[])),
    }
}

/// The text of the envelope; `None` where there is none.
async fn input(app: &App, row: &Descriptor, parts: &Parts, body: Body) -> Result<Option<Vec<u8>>, ApiError> {
    match parts.method {
        Method::POST => {
            if !is_json(&parts.headers) {
                return Err(ApiError::UnsupportedMediaType);
            }
            let bytes = read(app.limits, &parts.headers, body).await?;
            Ok((!bytes.is_empty()).then(|| bytes.into()))
        }
        Method::GET if row.effect == Effect::Read => query(parts.uri.query().unwrap_or_default()),
        _ => Err(ApiError::MethodNotSupported),
    }
}

async fn call(app: &App, row: &'static Descriptor, headers: &HeaderMap, text: Option<&[u8]>) -> Response {
    let input = match text.map(unwrap).transpose() {
        Ok(input) => input.flatten(),
        Err(error) => return respond::error(&error.body(row.errors)),
    };
    // Before the procedure begins, so that one too many costs nothing.
    let permit = match row.shape {
        Shape::Call => None,
        Shape::Stream => match app.streams.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                let limit = format!("there are {} event streams already, and no more at once", app.limits.streams);
                return respond::error(&ApiError::TooManyRequests(limit).body(row.errors));
            }
        },
    };
    let resume = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let answer = AssertUnwindSafe(dispatch(&*app.server, row, input, resume)).catch_unwind().await;
    match answer.unwrap_or_else(|_| Err(ApiError::Internal("the procedure panicked".to_owned()))) {
        Ok(Reply::Json(body)) => respond::json(StatusCode::OK, body),
        Ok(Reply::Stream(frames)) => sse::response(row, frames, app.shutdown.clone(), permit),
        Err(error) => respond::error(&respond::told(&error, row)),
    }
}

/// The input in an envelope.
fn unwrap(text: &[u8]) -> Result<Option<&RawValue>, ApiError> {
    // serde would take a list for the envelope, too.
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::Malformed);
    }
    serde_json::from_slice::<Envelope<'_>>(text).map(|envelope| envelope.json).map_err(|_| ApiError::Malformed)
}

/// Anything else a web page may send without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

async fn read(limits: Limits, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.body as u64) {
        drain(body).await;
        return Err(ApiError::PayloadTooLarge);
    }
    let mut body = body;
    match tokio::time::timeout(limits.arrival, Limited::new(&mut body, limits.body).collect()).await {
        Err(_) => Err(ApiError::Timeout),
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            drain(body).await;
            Err(ApiError::PayloadTooLarge)
        }
        // The client went away amid its body: nobody reads this.
        Ok(Err(_)) => Err(ApiError::Malformed),
    }
}

async fn drain(body: Body) {
    let mut body = Limited::new(body, DRAIN_BYTES);
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    tokio::time::timeout(DRAIN, rest).await.ok();
}

/// The envelope in `?data=`; of several the last counts.
fn query(query: &str) -> Result<Option<Vec<u8>>, ApiError> {
    let last = query.split('&').filter_map(|pair| pair.strip_prefix("data=")).next_back();
    last.map(|text| unescape(text).ok_or(ApiError::Malformed)).transpose()
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    Some(plain)
}

/// A path as it may be shown in a message.
fn shorten(path: &str) -> String {
    path.chars().take(200).collect()
}
