//! `perry why`.

use crate::contract::NameInput;
use crate::model::view::StepState;
use crate::model::{Condition, ConditionStatus, ConditionType, Name, Phase, View};
use crate::shown;

use super::context::Context;
use super::failure::{DONE, Outcome};
use super::values;

/// Say in one sentence why a workspace is as it is
#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// Which.
    #[arg(value_parser = values::name)]
    name: Name,
}

impl Why {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match client.get_workspace(&NameInput { name: self.name.clone() }).await {
            Ok(view) => {
                context.print(&(shown::line(&sentence(&view, context.now())) + "\n"))?;
                Ok(DONE)
            }
            Err(error) => Err(context.failure(&client, &self.name, error).await),
        }
    }
}

/// One sentence.
fn sentence(view: &View, now: jiff::Timestamp) -> String {
    let name = &view.name;
    let of = |kind| view.condition(kind).filter(|condition| condition.status == ConditionStatus::True);
    let since = |condition: &Condition| shown::age(condition.last_transition_time, now);
    let ready = view.condition(ConditionType::Ready);
    let why = |condition: Option<&Condition>| match condition {
        Some(condition) if condition.message.is_empty() => format!(": {}", condition.reason),
        Some(condition) => format!(": {} ({})", condition.message.trim_end_matches('.'), condition.reason),
        None => String::new(),
    };
    if let Some(stalled) = of(ConditionType::Stalled) {
        return format!("{name} has needed you for {}{}.", since(stalled), why(Some(stalled)));
    }
    if let (Some(ready), Phase::Running) = (of(ConditionType::Ready), view.status) {
        return format!("{name} has been ready for {}.", since(ready));
    }
    match view.status {
        Phase::Running => format!("{name} runs{}.", why(ready)),
        Phase::Stopped => format!("{name} is stopped, as was asked for; perry start {name} brings it up."),
        Phase::Stopping => format!("{name} is on its way to stopped."),
        Phase::Deleting => format!("{name} is being deleted{}.", why(ready)),
        Phase::Unknown => format!("Nothing is known of {name}{}.", why(ready)),
        Phase::Creating => match running_step(view) {
            Some(step) => format!("{name} is starting and at the step {step}."),
            None => format!("{name} is starting{}.", why(ready)),
        },
        Phase::Error => {
            let reconciling = of(ConditionType::Reconciling);
            let next = if reconciling.is_some() { ", and is tried again" } else { "" };
            format!("{name} is not right{}{next}.", why(ready.or(reconciling)))
        }
    }
}

fn running_step(view: &View) -> Option<String> {
    let steps = &view.startup.as_ref()?.steps;
    let step = steps.iter().rev().find(|step| step.state == StepState::Running)?;
    let message = step.message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default();
    Some(format!("{}{message}", step.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(status: &str, condition: &str, condition_status: &str) -> View {
        let json = serde_json::json!({
            "name": "web", "status": status, "created": "2025-01-10T15:30:00Z", "image": "i", "ports": {}, "uid": "u",
            "labels": {}, "annotations": {}, "generation": 1, "observedGeneration": 1, "resourceVersion": "b-1",
            "spec": {}, "conditions": [{ "type": condition, "status": condition_status, "reason": "PullFailed",
                "message": "no such image.", "lastTransitionTime": "2025-01-10T15:30:00Z", "observedGeneration": 1 }],
        });
        serde_json::from_value(json).expect("a view")
    }

    #[test]
    fn every_state_is_one_sentence() {
        let now = "2025-01-10T15:35:00Z".parse().expect("a time");
        for (status, condition, value, right) in [
            ("running", "Ready", "True", "web has been ready for 5m."),
            ("error", "Stalled", "True", "web has needed you for 5m: no such image (PullFailed)."),
            ("error", "Ready", "False", "web is not right: no such image (PullFailed)."),
            ("creating", "Ready", "False", "web is starting: no such image (PullFailed)."),
            ("unknown", "ImagePresent", "True", "Nothing is known of web."),
            ("stopped", "Ready", "False", "web is stopped, as was asked for; perry start web brings it up."),
        ] {
            assert_eq!(sentence(&view(status, condition, value), now), right);
        }
    }
}
