//! What is counted, for Prometheus: `GET /metrics`.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::listen::Peer;
use super::{App, respond};
use crate::contract::{ApiError, Code};
use crate::model::Role;

/// What is counted.
pub struct Metrics {
    registry: Registry,
    calls: Family<Called, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    procedure: String,
    result: &'static str,
}

impl Metrics {
    /// Nothing has been counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("perry");
        let calls = Family::default();
        registry.register("calls", "Calls of procedures, by what they ended with", calls.clone());
        Self { registry, calls }
    }

    /// A procedure was called.
    pub(super) fn called(&self, procedure: &str, error: Option<Code>) {
        let result = error.map_or("OK", Code::as_str);
        self.calls.get_or_create(&Called { procedure: procedure.to_owned(), result }).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The page that Prometheus reads. It names no workspace, but is for those who may see all.
pub(super) async fn page(State(app): State<App>, peer: Option<Extension<Peer>>, headers: HeaderMap) -> Response {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let peer = peer.map(|Extension(peer)| peer.ip);
    let allowed = app.auth.caller(peer, authorization).and_then(|caller| match caller.role {
        Role::Public => Err(ApiError::Unauthorized("an access token is needed: authorization: Bearer …".to_owned())),
        _ if caller.workspaces.is_some() => {
            Err(ApiError::Forbidden("the token is for some workspaces only".to_owned()))
        }
        _ => Ok(()),
    });
    if let Err(error) = allowed {
        return respond::error(&error.body(&[]));
    }
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &app.metrics.registry).is_err() {
        return respond::error(&ApiError::Internal("metrics could not be written".to_owned()).body(&[]));
    }
    let mut response = Response::new(text.into());
    let media = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}
