//! One workspace at a time: look, create, start, stop, restart, delete, run a command.

use std::sync::Arc;

use super::Api;
use super::host_right::HostRight;
use crate::contract::worker::{ExecRequest, ExecResponse};
use crate::contract::{ApiError, Call, CloneInput, CreateInput, DeleteOutput, ExecInput, RestartInput, StartInput};
use crate::model::admission::{self, Flags};
use crate::model::{ConditionStatus, ConditionType, DiskUsage, Name, Run, Shown, Workspace};
use crate::runtime::RuntimeError;

/// The longest timeout of a command, in seconds: a day.
const LONGEST_EXEC: u64 = 86_400;

impl Api {
    pub(super) fn get(&self, name: &Name) -> Result<Arc<Shown>, ApiError> {
        match self.parts.hub.get(name.as_str()) {
            Some(view) => Ok(view),
            None => self.view_of(&*self.intent(name)?),
        }
    }

    pub(super) async fn create(&self, call: &Call, input: CreateInput) -> Result<Arc<Shown>, ApiError> {
        let CreateInput { name, clone, image, env, ports } = input;
        let flags = Flags { clone: clone.map(CloneInput::into), image, env, ports };
        let right = self.host_right(call).await;
        let created =
            self.edit_one(right, move |state, settings| admission::create(state, &name, &flags, settings)).await?;
        self.view_of(&created)
    }

    pub(super) async fn start(&self, call: &Call, input: StartInput) -> Result<Arc<Shown>, ApiError> {
        let StartInput { name, create, clone, image, env, ports } = input;
        let flags = Flags { clone: clone.map(CloneInput::into), image, env, ports };
        let right = self.host_right(call).await;
        let started = self
            .edit_one(right, move |state, settings| admission::start(state, &name, &flags, create, settings))
            .await?;
        self.view_of(&started)
    }

    pub(super) async fn stop(&self, name: Name) -> Result<Arc<Shown>, ApiError> {
        let stopped = self
            .edit_one(HostRight::Given, move |state, _| admission::set_run(state, &name, Run::Stopped, None))
            .await?;
        self.view_of(&stopped)
    }

    pub(super) async fn restart(&self, input: RestartInput) -> Result<Arc<Shown>, ApiError> {
        let RestartInput { name, upgrade } = input;
        let restarted = self
            .edit_one(HostRight::Given, move |state, settings| {
                admission::restart(state, &name, settings.now, upgrade, None)
            })
            .await?;
        self.view_of(&restarted)
    }

    pub(super) async fn delete(&self, name: Name) -> Result<DeleteOutput, ApiError> {
        // It may be gone before it could be shown.
        self.edit_one(HostRight::Given, move |state, settings| admission::delete(state, &name, settings.now, None))
            .await?;
        Ok(DeleteOutput { success: true })
    }

    pub(super) async fn disk(&self, name: &Name) -> Result<DiskUsage, ApiError> {
        let intent = self.intent(name)?;
        // Every count goes through all files of all volumes.
        let Ok(_permit) = self.counts.try_acquire() else {
            return Err(ApiError::TooManyRequests("disk usage is being counted already".to_owned()));
        };
        self.parts.controller.disk(&intent).await.map_err(ApiError::Unavailable)
    }

    pub(super) async fn exec(&self, call: &Call, input: ExecInput) -> Result<ExecResponse, ApiError> {
        let ExecInput { name, command, timeout } = input;
        check_command(&command, timeout)?;
        let intent = self.running(&name)?;
        self.host_right(call).await.enter(&intent)?;
        let stopped = |message: String| ApiError::PreconditionFailed { name: name.clone(), message };
        let Ok(_permit) = self.execs.try_acquire() else {
            return Err(ApiError::TooManyRequests("too many commands are running already".to_owned()));
        };
        let request = ExecRequest { command, timeout };
        self.parts.attach.exec(&intent.metadata.uid, request).await.map_err(|error| match error {
            RuntimeError::Refused(message) => ApiError::bad_request("command", message),
            RuntimeError::Failed(message) => stopped(format!("workspace {name}: {message}")),
            other => ApiError::Unavailable(format!("workspace {name}: {other}")),
        })
    }

    pub(super) async fn sync(&self, name: Name) -> Result<(), ApiError> {
        let intent = self.running(&name)?;
        let faults = self.parts.controller.sync(&intent).await;
        let faults = faults.map_err(|error| ApiError::Unavailable(format!("workspace {name}: {error}")))?;
        if faults.is_empty() {
            return Ok(());
        }
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let message = format!("not everything could be brought into workspace {name}: {}", faults.join("; "));
        Err(ApiError::PreconditionFailed { name, message })
    }

    /// What is wanted of a workspace whose container runs. Where nobody can look at the engine its worker may answer all
    /// the same.
    pub(super) fn running(&self, name: &Name) -> Result<Arc<Workspace>, ApiError> {
        let intent = self.intent(name)?;
        let view = self.view_of(&intent)?;
        let running = view.condition(ConditionType::ContainerRunning);
        if running.is_none_or(|condition| condition.status == ConditionStatus::False) {
            let message = format!("workspace {name} does not run: perry start {name}");
            return Err(ApiError::PreconditionFailed { name: name.clone(), message });
        }
        Ok(intent)
    }

    /// What is wanted of a workspace.
    pub(super) fn intent(&self, name: &Name) -> Result<Arc<Workspace>, ApiError> {
        let intent = self.parts.store.snapshot().workspaces.get(name).cloned();
        intent.ok_or_else(|| ApiError::NotFound(name.clone()))
    }
}

fn check_command(command: &[String], timeout: Option<u64>) -> Result<(), ApiError> {
    if command.first().is_none_or(String::is_empty) {
        return Err(ApiError::bad_request("command", "must not be empty: a program and its arguments"));
    }
    if let Some(index) = command.iter().position(|part| part.contains('\0')) {
        return Err(ApiError::bad_request(&format!("command.{index}"), "must not contain a NUL character"));
    }
    if timeout.is_some_and(|seconds| !(1..=LONGEST_EXEC).contains(&seconds)) {
        let message = format!("is 1 to {LONGEST_EXEC} seconds, or left out for none");
        return Err(ApiError::bad_request("timeout", message));
    }
    Ok(())
}
