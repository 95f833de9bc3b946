//! `agent.doctor`: whether all that the agent needs is as it should be.

use super::Api;
use crate::contract::{Check, CheckStatus, DoctorReport};
use crate::model::observed::{EngineSeen, Seen};
use crate::model::{Phase, Role};

impl Api {
    pub(super) async fn doctor(&self) -> DoctorReport {
        let (engine, orphans) = futures::join!(self.parts.controller.engine(), self.parts.controller.orphans());
        let orphans = orphans.map(|all| all.containers.len() + all.volumes.len());
        let mut checks = vec![docker(&engine), isolation(&engine), orphaned(orphans)];
        checks.push(self.files());
        checks.push(self.workspaces());
        checks.push(self.access());
        DoctorReport { checks }
    }

    fn files(&self) -> Check {
        let warnings: Vec<String> = self.parts.store.warnings().into_iter().map(|warning| warning.message).collect();
        match warnings.is_empty() {
            true => check("files", CheckStatus::Ok, "state.json is whole"),
            false => check("files", CheckStatus::Warning, warnings.join("; ")),
        }
    }

    fn workspaces(&self) -> Check {
        let (views, _) = self.parts.hub.list();
        let wrong: Vec<&str> =
            views.iter().filter(|view| view.status == Phase::Error).map(|view| view.name.as_str()).collect();
        match wrong.first() {
            None => check("workspaces", CheckStatus::Ok, format!("{} workspaces, none in trouble", views.len())),
            Some(first) => check("workspaces", CheckStatus::Warning, format!("in trouble: {}", wrong.join(", ")))
                .hint(format!("perry why {first}")),
        }
    }

    /// What others can reach, and with what.
    fn access(&self) -> Check {
        let config = self.parts.config.get();
        let admins = self.parts.tokens.list().iter().filter(|entry| entry.role == Role::Admin).count();
        let bind = config.bind.join(", ");
        let message = format!("listens on {bind}, {admins} admin tokens");
        let remote = config.bind.iter().any(|text| text.parse().is_ok_and(|ip: std::net::IpAddr| !ip.is_loopback()));
        if remote && config.tls.is_none() {
            let hint = "set tls {cert, key} in config.json unless the network between is one that you trust, such as a tailnet";
            return check("access", CheckStatus::Warning, format!("{message}; not over TLS")).hint(hint.to_owned());
        }
        check("access", CheckStatus::Ok, message)
    }
}

fn docker(engine: &Seen<EngineSeen>) -> Check {
    match engine {
        Seen::Present(engine) => {
            check("docker", CheckStatus::Ok, format!("version {}, API {}", engine.version, engine.api_version))
        }
        Seen::Unknown(why) => check("docker", CheckStatus::Failed, format!("does not answer: {why}"))
            .hint("start it, or set docker.host in config.json".to_owned()),
        Seen::Absent => check("docker", CheckStatus::Failed, "there is no engine"),
    }
}

fn isolation(engine: &Seen<EngineSeen>) -> Check {
    match engine {
        Seen::Present(engine) if engine.isolates() => {
            check("isolation", CheckStatus::Ok, "Docker inside workspaces needs no privileges: sysbox-runc")
        }
        Seen::Present(_) => {
            check("isolation", CheckStatus::Warning, "Docker inside workspaces needs privileged containers")
                .hint("install sysbox-runc, or set docker: false for code that you do not trust".to_owned())
        }
        _ => check("isolation", CheckStatus::Warning, "not known while Docker does not answer"),
    }
}

fn orphaned(orphans: Result<usize, String>) -> Check {
    match orphans {
        Ok(0) => check("orphans", CheckStatus::Ok, "none"),
        Ok(count) => {
            check("orphans", CheckStatus::Warning, format!("{count} containers and volumes belong to no workspace"))
                .hint("perry prune --dry-run lists them".to_owned())
        }
        Err(_) => check("orphans", CheckStatus::Warning, "not known while Docker does not answer"),
    }
}

fn check(name: &str, status: CheckStatus, message: impl Into<String>) -> Check {
    Check { name: name.to_owned(), status, message: message.into(), hint: None }
}

impl Check {
    fn hint(self, hint: String) -> Self {
        Self { hint: Some(hint), ..self }
    }
}
