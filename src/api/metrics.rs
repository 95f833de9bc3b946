//! What is counted, for Prometheus: `GET /metrics`. It names no workspace, but is for those who may see all.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::listen::Peer;
use super::{App, respond};
use crate::contract::{ApiError, Code};
use crate::controller::{BOUNDS, Handle, Stats};
use crate::model::{Caller, Phase, Role, Shown};
use crate::watch::Hub;

/// How long a look at the engine for orphans may take; without an answer they are left out.
const LOOK: Duration = Duration::from_secs(2);

/// What is counted.
#[derive(Default)]
pub struct Metrics {
    calls: Family<Called, Counter>,
    sources: Option<(Arc<dyn Handle>, Hub<Shown>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    procedure: &'static str,
    result: &'static str,
}

impl Metrics {
    /// Counts calls, and tells of this loop and these views.
    pub fn new(controller: Arc<dyn Handle>, hub: Hub<Shown>) -> Self {
        Self { calls: Family::default(), sources: Some((controller, hub)) }
    }

    /// A procedure was called.
    pub(super) fn called(&self, procedure: &'static str, error: Option<Code>) {
        let result = error.map_or("OK", Code::as_str);
        self.calls.get_or_create(&Called { procedure, result }).inc();
    }

    /// All of it as text.
    async fn text(&self, streams: usize) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("perry");
        registry.register("calls", "Calls of procedures, by what they ended with", self.calls.clone());
        registry.register_collector(Box::new(self.now(streams).await));
        let mut text = String::new();
        encode(&mut text, &registry).map(|()| text)
    }

    async fn now(&self, streams: usize) -> Now {
        let Some((controller, hub)) = &self.sources else {
            return Now { streams, ..Now::default() };
        };
        let found = tokio::time::timeout(LOOK, controller.orphans()).await.ok().and_then(Result::ok);
        let mut workspaces = BTreeMap::new();
        for view in hub.list().0 {
            *workspaces.entry(word(view.status)).or_default() += 1;
        }
        let orphans = found.map(|all| all.containers.len() + all.volumes.len());
        Now { stats: controller.stats(), workspaces, streams, orphans }
    }
}

/// What is so at this moment.
#[derive(Debug, Default)]
struct Now {
    stats: Stats,
    workspaces: BTreeMap<&'static str, usize>,
    streams: usize,
    orphans: Option<usize>,
}

impl Collector for Now {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let Stats { passes, back_offs, panics, waiting, in_pass, .. } = self.stats;
        counter(&mut to, "passes", "Passes that ended", passes)?;
        counter(&mut to, "back_offs", "Times that a workspace was put off because something failed", back_offs)?;
        counter(&mut to, "panics", "Passes that panicked", panics)?;
        gauge(&mut to, "queue_depth", "Workspaces that wait for a pass, due or not", waiting)?;
        gauge(&mut to, "passes_running", "Passes under way", in_pass)?;
        gauge(&mut to, "streams", "Event streams that are open", self.streams as u64)?;
        if let Some(orphans) = self.orphans {
            gauge(&mut to, "orphans", "Containers and volumes that belong to no workspace", orphans as u64)?;
        }
        let help = "Workspaces, by what they are doing";
        let mut family = to.encode_descriptor("workspaces", help, None, MetricType::Gauge)?;
        for (status, count) in &self.workspaces {
            family.encode_family(&[("status", *status)])?.encode_gauge(&(*count as u64))?;
        }
        self.steps(&mut to)
    }
}

impl Now {
    fn steps(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "How long steps of starts took, in seconds";
        let mut family = to.encode_descriptor("start_step_seconds", help, None, MetricType::Histogram)?;
        for (step, times) in &self.stats.steps {
            let bounds = BOUNDS.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(times.buckets).collect();
            let label = [("step", step.as_str())];
            let mut one: MetricEncoder<'_> = family.encode_family(&label)?;
            one.encode_histogram::<NoLabelSet>(times.seconds, times.count(), &buckets, None)?;
        }
        Ok(())
    }
}

fn counter(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    to.encode_descriptor(name, help, None, MetricType::Counter)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn gauge(to: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    to.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}

/// As in the API.
fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Unknown => "unknown",
        Phase::Creating => "creating",
        Phase::Running => "running",
        Phase::Stopping => "stopping",
        Phase::Stopped => "stopped",
        Phase::Deleting => "deleting",
        Phase::Error => "error",
    }
}

/// The page that Prometheus reads.
pub(super) async fn page(State(app): State<App>, peer: Option<Extension<Peer>>, headers: HeaderMap) -> Response {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let peer = peer.map(|Extension(peer)| peer.ip);
    if let Err(error) = app.auth.caller(peer, authorization).and_then(|caller| permit(&caller)) {
        return respond::error(&error.body(&[]));
    }
    let streams = app.limits.streams - app.streams.available_permits();
    let Ok(text) = app.metrics.text(streams).await else {
        return respond::error(&ApiError::Internal("metrics could not be written".to_owned()).body(&[]));
    };
    let mut response = Response::new(text.into());
    let media = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

fn permit(caller: &Caller) -> Result<(), ApiError> {
    if caller.role == Role::Public {
        return Err(ApiError::Unauthorized("an access token is needed: authorization: Bearer …".to_owned()));
    }
    match caller.workspaces {
        None => Ok(()),
        Some(_) => Err(ApiError::Forbidden(format!("the token {} is for some workspaces only", caller.name))),
    }
}
