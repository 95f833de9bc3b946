//! `/rpc/<group>/<procedure>` over HTTP: from a request to a call, and back.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::listen::Peer;
use super::{App, Limits, call, respond, sse};
use crate::contract::{ApiError, Descriptor, Effect, Reply};

/// How much of a body that is too large is read and thrown away, so that the client is still there to read the answer.
const DRAIN_BYTES: usize = 8 << 20;
/// How long that may take.
const DRAIN: Duration = Duration::from_secs(2);

/// Answers whatever is not a route of its own.
pub(super) async fn entry(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match answer(&app, &parts, body).await {
        Ok(response) => response,
        Err((row, error)) => {
            let mut response = respond::error(&error.body(row.map_or(&[], |row| row.errors)));
            if error == ApiError::MethodNotSupported {
                let reads = row.is_some_and(|row| row.effect == Effect::Read);
                let allow = if reads { "GET, POST" } else { "POST" };
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
            }
            response
        }
    }
}

type Refusal = (Option<&'static Descriptor>, ApiError);

async fn answer(app: &App, parts: &Parts, body: Body) -> Result<Response, Refusal> {
    let path = parts.uri.path();
    // Procedures are matched on the raw path, so that no two spellings reach the same one.
    let procedure = path.strip_prefix("/rpc/").map(|path| path.strip_suffix('/').unwrap_or(path));
    let request = call::Request {
        path: procedure.unwrap_or(path),
        method: &parts.method,
        authorization: text(&parts.headers, &AUTHORIZATION),
        resume: text(&parts.headers, &HeaderName::from_static("last-event-id")),
        peer: parts.extensions.get::<Peer>().map(|peer| peer.ip),
    };
    let known = procedure.and_then(|path| app.service.row(path));
    let (row, call) = app.admit(request).map_err(|error| (known, error))?;
    let input = input(app.limits, parts, body).await.map_err(|error| (Some(row), error))?;
    Ok(match app.call(row, &call, input.as_deref()).await {
        Ok((Reply::Json(body), _)) => respond::json(StatusCode::OK, body),
        Ok((Reply::Stream(frames), permit)) => sse::response(app, row, frames, call.caller, permit),
        Err(error) => respond::error(&error),
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The text of the envelope; `None` where there is none.
async fn input(limits: Limits, parts: &Parts, body: Body) -> Result<Option<Vec<u8>>, ApiError> {
    if parts.method == Method::GET {
        return query(parts.uri.query().unwrap_or_default());
    }
    if !is_json(&parts.headers) {
        return Err(ApiError::UnsupportedMediaType);
    }
    let bytes = read(limits, &parts.headers, body).await?;
    Ok((!bytes.is_empty()).then(|| bytes.into()))
}

/// Anything else a web page may send without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let essence = text(headers, &CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

async fn read(limits: Limits, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let announced = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
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
pub(super) fn query(query: &str) -> Result<Option<Vec<u8>>, ApiError> {
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
