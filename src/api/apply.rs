//! Several documents at once: all of them or none.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};

use super::Api;
use super::host_right::HostRight;
use super::intent::{Edited, FixedSettings, fresh_uid, of_document, rejected};
use crate::contract::Change as WireChange;
use crate::contract::{
    ApiError, Applied, ApplyInput, ApplyOutput, Blocked, Call, Conflict, ConflictReason, PlannedAction,
};
use crate::controller::Preview;
use crate::model::admission::{self, Admitted, Batch, Change};
use crate::model::{Action, Document, Issues, Reason, State, Uid};

/// How long a look at the engine may take before the answer goes out without it.
const PREVIEW: Duration = Duration::from_secs(5);
/// How many looks at once.
const LOOKS: usize = 16;
/// How often an apply begins anew because somebody else changed a workspace between the look and the commit.
const ATTEMPTS: usize = 5;

impl Api {
    pub(super) async fn apply(&self, call: &Call, input: ApplyInput) -> Result<ApplyOutput, ApiError> {
        let documents: Arc<[Document]> = input.documents()?.into();
        call.about.get_or_init(|| documents.iter().map(|document| document.metadata.name.clone()).collect());
        let settings = self.settings(input.if_generation, input.allow_replace).await;
        let right = if input.dry_run { HostRight::Given } else { self.host_right(call).await };
        for _ in 0..ATTEMPTS {
            let batch = admit(&self.parts.store.snapshot(), &documents, &settings)?;
            batch.admitted.iter().try_for_each(|one| right.have(one))?;
            let previews = self.previews(&batch.admitted).await;
            if input.dry_run {
                let looked = batch.admitted.into_iter().zip(previews);
                return Ok(ApplyOutput {
                    results: looked.map(|(one, preview)| self.applied(one, preview, true)).collect(),
                });
            }
            if !input.allow_replace {
                refuse_replacing(&batch.admitted, &previews)?;
            }
            if let Some(admitted) = self.commit(&documents, &settings, &batch.admitted).await? {
                let done = admitted.into_iter().zip(previews);
                return Ok(ApplyOutput {
                    results: done.map(|(one, preview)| self.applied(one, preview, false)).collect(),
                });
            }
        }
        let message = "the workspaces are being changed by others all the time: apply again";
        let name = &documents[0].metadata.name;
        Err(Conflict::new(ConflictReason::StaleGeneration, name, message).into())
    }

    /// Stores what was admitted; `None` where it is not what was looked at any more.
    async fn commit(
        &self,
        documents: &Arc<[Document]>,
        settings: &FixedSettings,
        looked_at: &[Admitted],
    ) -> Result<Option<Vec<Admitted>>, ApiError> {
        let (documents, settings) = (documents.clone(), settings.clone());
        let expected: Vec<_> = looked_at.iter().map(basis).collect();
        self.edit(move |state| {
            let batch = admit(state, &documents, &settings)?;
            if !batch.admitted.iter().map(basis).eq(expected) {
                return Ok(Edited { changed: Vec::new(), value: None });
            }
            let changed = batch.admitted.iter().filter(|one| one.change != Change::Unchanged);
            let changed = changed.map(|one| one.workspace.metadata.name.clone()).collect();
            *state = batch.state;
            Ok(Edited { changed, value: Some(batch.admitted) })
        })
        .await
    }

    async fn previews(&self, admitted: &[Admitted]) -> Vec<Preview> {
        let look = |one: &Admitted| {
            let (controller, workspace) = (self.parts.controller.clone(), one.workspace.clone());
            async move {
                let preview = tokio::time::timeout(PREVIEW, controller.preview(&workspace)).await;
                preview.unwrap_or_else(|_| Preview {
                    actions: Vec::new(),
                    blocked: Some(Reason::new("EngineSilent", "the engine did not answer in time")),
                    replaces: (!controller.may_replace(&workspace)).then_some(false),
                })
            }
        };
        let looks: Vec<_> = admitted.iter().map(look).collect();
        stream::iter(looks).buffered(LOOKS).collect().await
    }

    fn applied(&self, admitted: Admitted, preview: Preview, dry_run: bool) -> Applied {
        let name = admitted.workspace.metadata.name.clone();
        let workspace =
            if dry_run { self.parts.hub.get(name.as_str()) } else { self.view_of(&admitted.workspace).ok() };
        let change = match admitted.change {
            Change::Created => WireChange::Created,
            Change::Configured => WireChange::Configured,
            Change::Unchanged => WireChange::Unchanged,
        };
        let blocked = preview.blocked.map(|Reason { reason, message, hint }| Blocked {
            reason: reason.into_owned(),
            message,
            hint,
        });
        let (actions, replaces) = (planned(&preview.actions), preview.replaces);
        Applied { name, change, actions, blocked, replaces, workspace, warnings: admitted.warnings }
    }
}

/// What a look was for: the incarnation, unless it is to be a new one, and the generation.
fn basis(admitted: &Admitted) -> (Option<Uid>, u64) {
    let metadata = &admitted.workspace.metadata;
    ((admitted.change != Change::Created).then(|| metadata.uid.clone()), metadata.generation)
}

/// Admits all documents, or says everything that is wrong with any; a conflict only where nothing else is.
fn admit(state: &State, documents: &[Document], settings: &FixedSettings) -> Result<Batch, ApiError> {
    admission::admit_all(state, documents, &settings.settings(), fresh_uid).map_err(|rejections| {
        let several = documents.len() > 1;
        let mut issues = Issues::default();
        let mut first = None;
        for (index, rejection) in rejections {
            let document = several.then_some(index);
            match rejection {
                admission::Rejection::Invalid(more) => issues.0.extend(of_document(document, more).0),
                other => first = first.or(Some(rejected(document, other))),
            }
        }
        match first {
            Some(error) if issues.0.is_empty() => error,
            _ => ApiError::BadRequest(issues),
        }
    })
}

/// Nobody's running work is ended unasked, also not later, when the engine answers again.
fn refuse_replacing(admitted: &[Admitted], previews: &[Preview]) -> Result<(), ApiError> {
    let several = admitted.len() > 1;
    for (index, (one, preview)) in admitted.iter().zip(previews).enumerate() {
        if one.change == Change::Unchanged || preview.replaces == Some(false) {
            continue;
        }
        let name = &one.workspace.metadata.name;
        let (ends, first) = match preview.replaces {
            None => (unsure(preview.blocked.as_ref()), "try again once that can be told, "),
            Some(_) => ("what runs in the present one would end".to_owned(), ""),
        };
        let message = format!("this change needs a new container for {name}, and {ends}");
        let mut conflict = Conflict::new(ConflictReason::NeedsReplace, name, message);
        conflict.document = several.then_some(index);
        let hint = format!("{first}apply with --replace (allowReplace), or stop it first: perry stop {name}");
        conflict.hint = Some(hint);
        conflict.actions = preview.actions.iter().map(ToString::to_string).collect();
        return Err(conflict.into());
    }
    Ok(())
}

/// Why nobody can tell whether work would end.
fn unsure(blocked: Option<&Reason>) -> String {
    let what = "it is not known whether work in the present one would end";
    match blocked {
        Some(reason) if reason.reason == "EngineUnreachable" => {
            format!("{what}: the engine does not answer ({})", reason.message)
        }
        Some(reason) => format!("{what}: {}", reason.message),
        None => what.to_owned(),
    }
}

fn planned(actions: &[Action]) -> Vec<PlannedAction> {
    let one = |action: &Action| PlannedAction {
        step: action.step().to_owned(),
        text: action.to_string(),
        disruptive: action.is_disruptive(),
    };
    actions.iter().map(one).collect()
}
