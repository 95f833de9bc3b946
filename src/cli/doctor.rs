//! `perry doctor`.

use std::os::unix::fs::PermissionsExt;

use crate::client::ClientError;
use crate::contract::{Check, CheckStatus, DoctorReport, NoInput};
use crate::shown;

use super::context::Context;
use super::failure::{DONE, FAILED, Failure, Outcome};
use super::format;

/// Look whether everything is as it should be, and say what to do where it is not
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let mut checks = vec![folder(context)];
        match context.client() {
            Ok(client) => match client.check_agent(&NoInput {}).await {
                Ok(report) => {
                    checks.push(check("agent", CheckStatus::Ok, format!("answers at {}", client.address())));
                    checks.extend(report.checks);
                }
                Err(error) => checks.push(unasked(error)),
            },
            Err(failure) => checks.push(failed("agent", failure)),
        }
        let worst = checks.iter().map(|check| check.status).max();
        let report = DoctorReport { checks };
        context.print(&if self.json { format::json(&report)? } else { text(&report) })?;
        Ok(if worst == Some(CheckStatus::Failed) { FAILED } else { DONE })
    }
}

/// The folder of settings, as this program sees it.
fn folder(context: &Context) -> Check {
    let path = context.folder();
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o077 == 0 => check("folder", CheckStatus::Ok, shown.to_string()),
        Ok(_) => Check {
            hint: Some(format!("chmod 700 {shown}")),
            ..check("folder", CheckStatus::Failed, format!("{shown} can be read by others, and tokens are in it"))
        },
        Err(error) => Check {
            hint: Some("perry agent run makes it".to_owned()),
            ..check("folder", CheckStatus::Warning, format!("{shown}: {error}"))
        },
    }
}

fn unasked(error: ClientError) -> Check {
    failed("agent", Failure::from(error))
}

fn failed(name: &str, failure: Failure) -> Check {
    Check { hint: failure.hint.clone(), ..check(name, CheckStatus::Failed, failure.to_string()) }
}

fn check(name: &str, status: CheckStatus, message: String) -> Check {
    Check { name: name.to_owned(), status, message, hint: None }
}

fn text(report: &DoctorReport) -> String {
    let word = |status| match status {
        CheckStatus::Ok => "ok",
        CheckStatus::Warning => "warning",
        CheckStatus::Failed => "FAILED",
    };
    let line = |check: &Check| {
        let hint = check.hint.iter().map(|hint| format!("{:22}{}\n", "", shown::line(hint)));
        let first =
            format!("{:<9}{:<13}{}\n", word(check.status), shown::line(&check.name), shown::line(&check.message));
        std::iter::once(first).chain(hint).collect::<String>()
    };
    report.checks.iter().map(line).collect()
}
