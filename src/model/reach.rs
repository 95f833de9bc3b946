//! What in a spec lets whoever has the workspace reach the host.

use std::net::IpAddr;

use super::{Issue, Spec, Workspace};

/// Whether the container of a workspace is privileged, so that root inside is as good as root outside. `isolates`: the
/// engine has a runtime that needs no privileges for Docker inside.
pub fn is_privileged(workspace: &Workspace, isolates: bool) -> bool {
    // Nobody knows how one from before Perry was made.
    (workspace.spec.docker && !isolates) || workspace.metadata.adopted.is_some()
}

/// The fields that reach the host, each with what would do instead; none where the workspace is contained.
pub fn host_fields(workspace: &Workspace, isolates: bool) -> Vec<Issue> {
    let mut issues = Vec::new();
    if is_privileged(workspace, isolates) {
        let message = "Docker inside needs a privileged container on this machine; set docker: false";
        issues.push(Issue::new("spec.docker", message));
    }
    let Spec { ports, ssh, .. } = &workspace.spec;
    let binds =
        ports.iter().enumerate().map(|(index, port)| (format!("spec.ports.{index}.bind"), port.bind.as_deref()));
    for (path, bind) in binds.chain([("spec.ssh.bind".to_owned(), ssh.bind.as_deref())]) {
        if bind.is_some_and(|bind| !is_loopback(bind)) {
            issues.push(Issue::new(&path, "is reached from other machines; leave it out for 127.0.0.1"));
        }
    }
    issues
}

fn is_loopback(bind: &str) -> bool {
    bind.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
