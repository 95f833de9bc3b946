//! Every rule for the fields of a spec. All faults are noted, not only the first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::model::quantity::Bytes;
use crate::model::tool::Tool;
use crate::model::workspace::{CloneSpec, PortSpec, Resources, SSH_PORT, SSH_PORT_NAME, SshSpec, VolumeSpec};
use crate::model::{Config, Issue, Issues, Spec, repository, sync};

use super::{image, keys, labels, paths};

const MIN_MEMORY: Bytes = Bytes(64 << 20);
/// Init, the worker, sshd and dockerd take about 40 threads.
const MIN_PIDS: u32 = 64;
/// The engine's smallest share of a processor.
const MIN_CPU_MILLIS: u32 = 10;
const MAX_PORTS: usize = 128;
const MAX_VOLUMES: usize = 64;
const MAX_KEYS: usize = 256;
const MAX_ITEMS: usize = 256;
/// The kernel takes no longer argument or variable (MAX_ARG_STRLEN).
const MAX_ENV_VALUE: usize = 128 * 1024 - 1;
/// Leaves room for the rest of a command's arguments and environment.
const MAX_ENV: usize = 512 * 1024;
const MAX_HOOK: usize = 64 * 1024;

/// Everything that is wrong with what people may write of a workspace.
pub(super) fn validate(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    spec: &Spec,
    config: &Config,
) -> Issues {
    let mut issues = Issues::default();
    labels::check(labels, annotations, &mut issues);
    if let Some(fault) = spec.image.as_deref().and_then(image::fault) {
        issues.push("spec.image", fault);
    }
    if let Some(clone) = &spec.clone {
        check_clone(clone, &mut issues);
    }
    check_env(&spec.env, &mut issues);
    check_ports(&spec.ports, &mut issues);
    check_volumes(&spec.volumes, &mut issues);
    check_resources(&spec.resources, &mut issues);
    check_ssh(&spec.ssh, &mut issues);
    check_files(spec, config, &mut issues);
    check_tools(&spec.tools, &mut issues);
    check_hooks(spec, &mut issues);
    issues
}

/// What is accepted but may not be meant.
pub(super) fn warnings(spec: &Spec) -> Vec<String> {
    let has_password = spec.clone.as_ref().is_some_and(|clone| has_password(&clone.url));
    let warning = "spec.clone.url has a password in it, which everybody with access to the agent can read";
    has_password.then(|| warning.to_owned()).into_iter().collect()
}

fn check_clone(clone: &CloneSpec, issues: &mut Issues) {
    if let Some(fault) = url_fault(&clone.url) {
        issues.push("spec.clone.url", fault);
    }
    if let Some(branch) = &clone.branch {
        // The rules of `git check-ref-format`, and nothing that looks like an option.
        let odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
        let bad = branch.is_empty()
            || branch.len() > 255
            || branch.starts_with(['-', '/', '.'])
            || branch.ends_with(['/', '.'])
            || branch.contains("..")
            || branch.contains("@{")
            || branch.contains(odd);
        if bad {
            issues.push("spec.clone.branch", "is no name of a branch or tag, such as main or v1.0");
        }
    }
    if let Some(fault) = clone.path.as_deref().and_then(paths::home_or_absolute_fault) {
        issues.push("spec.clone.path", fault);
    } else if url_fault(&clone.url).is_none() && repository::target(clone).is_none() {
        let message = "does not end in a name that a folder could have: say with path where it goes, such as ~/app";
        issues.push("spec.clone.url", message);
    }
}

/// Never repeats the URL: there may be a password in it.
fn url_fault(url: &str) -> Option<&'static str> {
    let right = "write it as for git clone, such as https://example.com/app.git or git@example.com:me/app.git";
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let scp =
        scheme.is_none() && url.split_once(':').is_some_and(|(host, path)| !host.contains('/') && !path.is_empty());
    if url.is_empty() {
        Some("is empty: write it as for git clone, such as https://example.com/app.git")
    } else if url.starts_with('-') || host.starts_with('-') {
        Some("must not begin with a dash, which git would take for an option")
    } else if url.len() > 2048 {
        Some("is longer than 2048 characters")
    } else if url.contains("::") && scheme.is_none() {
        Some("must not name a transport helper (::), which would run a command")
    } else if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Some("must not have spaces or control characters in it")
    } else if scheme.is_some_and(|scheme| !matches!(scheme, "https" | "http" | "ssh" | "git")) {
        Some("begins with https://, http://, ssh:// or git://")
    } else if host.is_empty() || (scheme.is_none() && !scp) {
        Some(right)
    } else {
        None
    }
}

fn has_password(url: &str) -> bool {
    let authority = url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    authority.and_then(|authority| authority.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'))
}

fn check_env(env: &BTreeMap<String, String>, issues: &mut Issues) {
    let mut fault = |key: &str, message: &str| {
        let path = vec!["spec".to_owned(), "env".to_owned(), key.to_owned()];
        issues.0.push(Issue { message: message.to_owned(), path });
    };
    let mut total = 0;
    for (name, value) in env {
        total += name.len() + value.len() + 2;
        let odd = |c: char| c == '=' || c.is_whitespace() || c.is_control();
        if name.is_empty() {
            fault(name, "a variable needs a name, such as NODE_ENV");
        } else if name.contains(odd) {
            fault(name, "a variable's name must not have =, spaces or control characters in it");
        }
        if value.contains('\0') {
            fault(name, "a variable's value must not have NUL characters in it");
        }
        if name.len() + value.len() > MAX_ENV_VALUE {
            fault(name, "is longer than 128 KiB, the most that the kernel takes: put it into a file");
        }
    }
    if total > MAX_ENV {
        issues.push("spec.env", "is longer than 512 KiB in all: put it into a file");
    }
}

fn check_ports(ports: &[PortSpec], issues: &mut Issues) {
    too_many("spec.ports", ports.len(), MAX_PORTS, issues);
    let (mut names, mut inside, mut outside) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (index, port) in ports.iter().enumerate() {
        let at = |field: &str| format!("spec.ports.{index}.{field}");
        if port.name.as_str() == SSH_PORT_NAME {
            issues.push(&at("name"), "ssh is always there: leave it out, or give this port another name");
        } else if let Some(first) = names.insert(port.name.clone(), index) {
            let message = format!("{} is the name of spec.ports.{first} too: give each port its own", port.name);
            issues.push(&at("name"), message);
        }
        if port.port == 0 {
            issues.push(&at("port"), "0 is no port: 1 to 65535");
        } else if port.port == SSH_PORT {
            issues.push(&at("port"), "22 is ssh, which is always there: leave it out");
        } else if let Some(first) = inside.insert(port.port, index) {
            issues.push(&at("port"), format!("{} is the port of spec.ports.{first} too: leave one out", port.port));
        }
        match port.host_port {
            Some(0) => issues.push(&at("hostPort"), "0 is no port: 1 to 65535, or leave it out"),
            Some(host) => {
                if let Some(first) = outside.insert(host, index) {
                    let message = format!("{host} is the host port of spec.ports.{first} too: take another");
                    issues.push(&at("hostPort"), message);
                }
            }
            None => {}
        }
        check_bind(port.bind.as_deref(), &at("bind"), issues);
    }
}

fn check_bind(bind: Option<&str>, path: &str, issues: &mut Issues) {
    let Some(bind) = bind.filter(|bind| bind.parse::<IpAddr>().is_err()) else { return };
    let right = match bind {
        "localhost" => "write 127.0.0.1",
        "*" | "all" => "write 0.0.0.0 for every address of this machine",
        _ => "write one such as 127.0.0.1, or 0.0.0.0 for every address of this machine",
    };
    issues.push(path, format!("{bind:?} is no IP address: {right}"));
}

fn check_volumes(volumes: &[VolumeSpec], issues: &mut Issues) {
    too_many("spec.volumes", volumes.len(), MAX_VOLUMES, issues);
    let (mut names, mut mounts) = (BTreeMap::new(), BTreeMap::new());
    for (index, volume) in volumes.iter().enumerate() {
        let at = |field: &str| format!("spec.volumes.{index}.{field}");
        if matches!(volume.name.as_str(), "home" | "docker") {
            let message = format!("{} is always there: give this volume another name", volume.name);
            issues.push(&at("name"), message);
        } else if let Some(first) = names.insert(volume.name.clone(), index) {
            let message = format!("{} is the name of spec.volumes.{first} too: give each volume its own", volume.name);
            issues.push(&at("name"), message);
        }
        if let Some(fault) = paths::volume_fault(&volume.path) {
            issues.push(&at("path"), fault);
        } else if let Some(first) = mounts.insert(volume.path.clone(), index) {
            issues.push(&at("path"), format!("{} is the path of spec.volumes.{first} too: take another", volume.path));
        }
    }
}

fn check_resources(resources: &Resources, issues: &mut Issues) {
    if resources.cpus.is_some_and(|cpus| cpus.millis < MIN_CPU_MILLIS) {
        issues.push("spec.resources.cpus", "is too little: at least 0.01, or leave it out for no limit");
    }
    if let Some(memory) = resources.memory.filter(|memory| *memory < MIN_MEMORY) {
        let message = format!("{memory} is too little: at least {MIN_MEMORY}, or leave it out for no limit");
        issues.push("spec.resources.memory", message);
    }
    if let Some(pids) = resources.pids.filter(|pids| *pids < MIN_PIDS) {
        let message = format!("{pids} is too few: at least {MIN_PIDS}, or leave it out for no limit");
        issues.push("spec.resources.pids", message);
    }
    if resources.shm == Some(Bytes(0)) {
        issues.push("spec.resources.shm", "0 is too little: such as 64Mi, or leave it out");
    }
}

fn check_ssh(ssh: &SshSpec, issues: &mut Issues) {
    too_many("spec.ssh.authorizedKeys", ssh.authorized_keys.len(), MAX_KEYS, issues);
    for (index, key) in ssh.authorized_keys.iter().enumerate() {
        if let Some(fault) = keys::fault(key) {
            issues.push(&format!("spec.ssh.authorizedKeys.{index}"), fault);
        }
    }
    check_bind(ssh.bind.as_deref(), "spec.ssh.bind", issues);
}

fn check_files(spec: &Spec, config: &Config, issues: &mut Issues) {
    too_many("spec.files", spec.files.len(), MAX_ITEMS, issues);
    let mut targets = BTreeSet::new();
    for (index, file) in spec.files.iter().enumerate() {
        let at = |field: &str| format!("spec.files.{index}.{field}");
        if let Some(fault) = paths::home_or_absolute_fault(&file.from) {
            issues.push(&at("from"), fault);
        } else if !sync::is_allowed(&config.sync.allow, &file.from) {
            let message = "is not allowed by this agent: add it to sync.allow in its config.json, or leave it out";
            issues.push(&at("from"), message);
        }
        if let Some(fault) = sync::target_fault(&file.to) {
            issues.push(&at("to"), fault);
        } else if !targets.insert(sync::inside(&file.to)) {
            issues.push(&at("to"), format!("{} is the target of another file too: leave one out", file.to));
        }
    }
}

fn check_tools(tools: &[String], issues: &mut Issues) {
    too_many("spec.tools", tools.len(), MAX_ITEMS, issues);
    let mut seen = BTreeSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let path = format!("spec.tools.{index}");
        if let Some(fault) = Tool::fault(tool) {
            issues.push(&path, fault);
        } else if !seen.insert(tool.split('@').next()) {
            issues.push(&path, format!("{tool} is listed twice: leave one out"));
        }
    }
}

fn check_hooks(spec: &Spec, issues: &mut Issues) {
    let hooks = [("spec.hooks.onCreate", &spec.hooks.on_create), ("spec.hooks.onStart", &spec.hooks.on_start)];
    for (path, hook) in hooks {
        let Some(hook) = hook else { continue };
        if hook.trim().is_empty() {
            issues.push(path, "is empty: write a command, or leave it out");
        } else if hook.contains('\0') {
            issues.push(path, "must not have NUL characters in it");
        } else if hook.len() > MAX_HOOK {
            issues.push(path, "is longer than 64 KiB: put it into a script of the repository");
        }
    }
}

fn too_many(path: &str, count: usize, most: usize, issues: &mut Issues) {
    if count > most {
        issues.push(path, format!("{count} are too many: at most {most}"));
    }
}
