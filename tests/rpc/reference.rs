//! The server that the recordings were made of, as far as they tell, behind the real protocol layer. What it has and Perry
//! has not (types that JSON has no word for, streams that return something) the protocol layer is to carry all the same.

use std::sync::Mutex;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use perry::contract::{
    ApiError, Call, Code, Conflict, ConflictReason, Descriptor, Effect, Envelope, Frame, Frames, Reach, Reply, Service,
    Shape,
};
use perry::model::{Name, Role};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// One row: effect, shape and declared errors are all that the protocol looks at, beside the role.
const fn row(path: &'static str, effect: Effect, shape: Shape, errors: &'static [Code]) -> Descriptor {
    Descriptor {
        path,
        doc: "",
        effect,
        role: Role::Viewer,
        reach: Reach::Workspaces,
        shape,
        errors,
        input: |generator| generator.subschema_for::<Value>(),
        output: |generator| generator.subschema_for::<Value>(),
        types: |all| (all.name::<Value>(), all.name::<Value>()),
    }
}

static ROWS: [Descriptor; 17] = [
    row("workspaces/list", Effect::Read, Shape::Call, &[]),
    row("workspaces/get", Effect::Read, Shape::Call, &[Code::NotFound]),
    row("workspaces/create", Effect::Write, Shape::Call, &[Code::Conflict, Code::ServiceUnavailable]),
    row("workspaces/stop", Effect::Write, Shape::Call, &[]),
    row("workspaces/start", Effect::Write, Shape::Call, &[]),
    row("workspaces/sync", Effect::Write, Shape::Call, &[]),
    row("workspaces/watch", Effect::Read, Shape::Stream, &[Code::ServiceUnavailable]),
    row("sessions/list", Effect::Read, Shape::Call, &[]),
    row("sessions/messages", Effect::Read, Shape::Call, &[]),
    row("agent/info", Effect::Read, Shape::Call, &[]),
    row("agent/kill", Effect::Write, Shape::Call, &[]),
    row("config/get", Effect::Read, Shape::Call, &[]),
    row("config/setWorker", Effect::Write, Shape::Call, &[]),
    row("types/echo", Effect::Write, Shape::Call, &[]),
    row("types/crash", Effect::Write, Shape::Call, &[]),
    row("types/badOutput", Effect::Write, Shape::Call, &[]),
    row("types/panic", Effect::Write, Shape::Call, &[]),
];

/// The recorded server; it has the workspace `alpha` or none.
pub(crate) struct Reference(Mutex<bool>);

impl Reference {
    pub(crate) fn new(has_alpha: bool) -> Self {
        Self(Mutex::new(has_alpha))
    }

    fn name(&self, input: &Value) -> Result<Name, ApiError> {
        let text = input["name"].as_str();
        let Some(text) = text else { return Err(ApiError::bad_request("", "expected an object")) };
        text.parse().map_err(|_| ApiError::bad_request("name", "is no name"))
    }

    fn has(&self, name: &Name) -> bool {
        name.as_str() == "alpha" && *self.0.lock().expect("state")
    }

    fn answer(&self, path: &str, input: &Value) -> Result<Value, ApiError> {
        let found = |status| {
            let name = self.name(input)?;
            if self.has(&name) { Ok(alpha(status)) } else { Err(ApiError::NotFound(name)) }
        };
        match path {
            "workspaces/list" if *self.0.lock().expect("state") => Ok(json!([alpha("running")])),
            "workspaces/list" => Ok(json!([])),
            "workspaces/get" | "workspaces/start" => found("running"),
            "workspaces/stop" => found("stopped"),
            "workspaces/create" => {
                let name = self.name(input)?;
                match name.as_str() {
                    "nodocker" => Err(ApiError::Unavailable("Docker daemon is not reachable".to_owned())),
                    _ if self.has(&name) => {
                        let message = format!("Workspace {name} already exists");
                        Err(Conflict::new(ConflictReason::Exists, &name, message).into())
                    }
                    _ => Ok(alpha("running")),
                }
            }
            "sessions/list" => {
                Ok(json!([{"sessionId": "s-1", "title": "Fix bug", "agent": "claude", "messageCount": 2,
                "lastActivity": "2025-01-10T16:00:00Z"}]))
            }
            "sessions/messages" => {
                Ok(json!([{"role": "user", "text": "hello\nworld"}, {"role": "assistant", "text": "héllo ✓"}]))
            }
            "agent/info" => {
                let count = usize::from(*self.0.lock().expect("state"));
                Ok(json!({"version": "0.1.0", "hostname": "devbox", "uptime": 12.5, "workspacesCount": count}))
            }
            "config/get" => Ok(config()),
            "config/setWorker" => {
                let mut config = config();
                config["worker"] = input["worker"].clone();
                Ok(config)
            }
            "types/badOutput" => Err(ApiError::Internal("the output has another type".to_owned())),
            "types/crash" => Err(ApiError::Internal("a secret detail".to_owned())),
            "types/panic" => panic!("asked to"),
            other => Err(ApiError::NoProcedure(other.to_owned())),
        }
    }
}

fn alpha(status: &str) -> Value {
    json!({"name": "alpha", "status": status, "containerId": "abc123def456", "created": "2025-01-10T15:30:00Z",
        "ports": {"ssh": 22001}})
}

fn config() -> Value {
    json!({"port": 7391, "workspacePrefix": "workspace-", "imageTag": "workspace-base"})
}

#[async_trait]
impl Service for Reference {
    fn row(&self, path: &str) -> Option<&'static Descriptor> {
        ROWS.iter().find(|row| row.path == path)
    }

    async fn call(&self, row: &'static Descriptor, call: &Call, input: &Envelope<'_>) -> Result<Reply, ApiError> {
        let value: Value = input.json.map_or(Ok(Value::Null), |json| serde_json::from_str(json.get())).expect("JSON");
        Ok(match row.path {
            "types/echo" => Reply::Json(echo(input)),
            "workspaces/sync" | "agent/kill" => Reply::Json(b"{}".to_vec()),
            "workspaces/watch" => Reply::Stream(watch(&value, call.resume.as_deref())?),
            path => Reply::Json(json!({"json": self.answer(path, &value)?}).to_string().into_bytes()),
        })
    }
}

/// What came, values and what they were.
fn echo(input: &Envelope<'_>) -> Vec<u8> {
    let part = |name: &str, value: Option<&RawValue>| value.map(|value| format!("\"{name}\":{value}"));
    // What nobody knows is not sent back.
    let meta: Option<Vec<Value>> = input.meta.and_then(|meta| serde_json::from_str(meta.get()).ok());
    let known: Vec<_> = meta.into_iter().flatten().filter(|item| item[0].as_u64() <= Some(7)).collect();
    let meta = (!known.is_empty()).then(|| format!("\"meta\":{}", json!(known)));
    let parts: Vec<String> = part("json", input.json).into_iter().chain(meta).collect();
    format!("{{{}}}", parts.join(",")).into_bytes()
}

/// Three past events (`last-event-id` resumes), the first `limit` of them, and then as `mode` says.
fn watch(input: &Value, resume: Option<&str>) -> Result<Frames, ApiError> {
    let limit = match &input["limit"] {
        Value::Null => 3,
        Value::Number(limit) => usize::try_from(limit.as_u64().expect("small")).expect("small"),
        _ => return Err(ApiError::bad_request("limit", "expected a number")),
    };
    let after = resume.map_or(0, |id| id.parse::<usize>().expect("an id of ours"));
    let past = [("created", "running"), ("status", "stopped"), ("status", "running")];
    let events = past.into_iter().enumerate().skip(after).take(limit).map(|(index, (kind, status))| {
        let value = json!({"json": {"type": kind, "workspace": alpha(status)}});
        Ok(Frame { id: Some((index + 1).to_string()), data: value.to_string().into_bytes().into(), is_return: false })
    });
    let events: Vec<Result<Frame, ApiError>> = events.collect();
    let returned = json!({"json": {"sent": events.len()}}).to_string().into_bytes();
    let end = match input["mode"].as_str() {
        Some("done") => vec![Ok(Frame { id: None, data: returned.into(), is_return: true })],
        Some("typed-error") => vec![Err(ApiError::Unavailable("Docker daemon is not reachable".to_owned()))],
        Some("crash") => vec![Err(ApiError::Internal("a secret detail".to_owned()))],
        Some("quiet-end") => vec![],
        _ => return Ok(stream::iter(events).chain(stream::pending()).boxed()),
    };
    Ok(stream::iter(events.into_iter().chain(end)).boxed())
}
