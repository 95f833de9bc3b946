//! `config.json`: read once at a start. Every key is optional, no file at all is fine, and whatever is wrong is named with
//! its key and place.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;

use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use super::disk::Disk;
use crate::model::files::CONFIG;
use crate::model::{Config, Issue, Issues, sync};

/// The longest `config.json` that is read, in bytes.
const LIMIT: u64 = 1 << 20;
/// The longest prefix: with it and a name of 40 bytes, volume names stay well within what engines take.
const PREFIX_MAX: usize = 64;

/// Why `config.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is there and cannot be read.
    #[error("{CONFIG} could not be read")]
    Read(#[source] io::Error),
    /// What is in it is wrong.
    #[error("{}", Faults(.0))]
    Wrong(Vec<Fault>),
}

/// One thing that is wrong in `config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line and column, from 1.
    pub place: (usize, usize),
    /// The key, and what was wrong and what would be right.
    pub issue: Issue,
}

struct Faults<'a>(&'a [Fault]);

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Fault { place: (line, column), issue }) in self.0.iter().enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            write!(f, "{newline}{CONFIG}:{line}:{column}: {issue}")?;
        }
        Ok(())
    }
}

/// Reads the agent's settings; the defaults where there is no file.
///
/// # Errors
/// The file cannot be read, or something in it is wrong.
pub fn load(disk: &dyn Disk) -> Result<Config, ConfigError> {
    match disk.read(CONFIG, LIMIT) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(ConfigError::Read(error)),
    }
}

/// Reads the text of a `config.json`.
///
/// # Errors
/// What is wrong in it.
pub fn parse(text: &[u8]) -> Result<Config, ConfigError> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let place = place(&text[..error.valid_up_to()]);
        wrong(place, Issue::new("", "is no UTF-8 text"))
    })?;
    // Else serde would take an array of the values in the order of their keys.
    if text.trim_start().starts_with('[') {
        return Err(wrong(place(&[]), Issue::new("", "must be an object: begin with {")));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let config: Config = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path: Vec<String> = error.path().iter().filter_map(segment).collect();
        explain(error.inner(), path)
    })?;
    deserializer.end().map_err(|error| explain(&error, Vec::new()))?;
    let issues = check(&config);
    if issues.0.is_empty() {
        return Ok(config);
    }
    let faults = issues.0.into_iter().map(|issue| Fault { place: locate(text, &issue.path), issue });
    Err(ConfigError::Wrong(faults.collect()))
}

fn wrong(place: (usize, usize), issue: Issue) -> ConfigError {
    ConfigError::Wrong(vec![Fault { place, issue }])
}

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// Turns serde's error into one that names the key and, for an unknown key, the nearest known one.
fn explain(error: &serde_json::Error, mut path: Vec<String>) -> ConfigError {
    let place = (error.line(), error.column());
    let text = error.to_string();
    let suffix = format!(" at line {} column {}", place.0, place.1);
    let message = text.strip_suffix(&suffix).unwrap_or(&text);
    // serde says which key in words only: unknown field `a`, expected one of `b`, `c`; duplicate field `a`.
    let mut quoted = message.split('`').skip(1).step_by(2);
    let message = if message.starts_with("unknown field") {
        let unknown = quoted.next().unwrap_or_default();
        let known: Vec<&str> = quoted.collect();
        end_with(&mut path, unknown);
        match nearest(unknown, &known) {
            Some(near) => format!("there is no such key; did you mean {near}?"),
            None => format!("there is no such key; the keys here are {}", known.join(", ")),
        }
    } else if message.starts_with("duplicate field") {
        end_with(&mut path, quoted.next().unwrap_or_default());
        "is there twice".to_owned()
    } else {
        in_words(message)
    };
    wrong(place, Issue { path, message })
}

fn end_with(path: &mut Vec<String>, key: &str) {
    if path.last().is_none_or(|last| last != key) {
        path.push(key.to_owned());
    }
}

/// Rust's names of types mean nothing to people.
fn in_words(message: &str) -> String {
    let message = message.replace("expected u16", "expected a whole number from 0 to 65535");
    match message.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected an object"),
        None => message,
    }
}

/// The known key that is the fewest edits away, where that is near enough to be meant.
fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known.iter().map(|key| (distance(&unknown.to_lowercase(), &key.to_lowercase()), *key));
    distances.min().filter(|(distance, key)| *distance <= 1 + key.len() / 4).map(|(_, key)| key)
}

/// Levenshtein's: how many letters must be put in, left out or replaced.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, right) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

/// Where the value of a key is. The text is known to be valid.
fn locate(text: &str, path: &[String]) -> (usize, usize) {
    let mut here = text;
    for key in path {
        let object = serde_json::from_str::<BTreeMap<String, &RawValue>>(here).ok();
        let array = serde_json::from_str::<Vec<&RawValue>>(here).ok();
        let value = object
            .and_then(|object| object.get(key).copied())
            .or_else(|| array.zip(key.parse::<usize>().ok()).and_then(|(array, index)| array.get(index).copied()));
        match value {
            Some(value) => here = value.get(),
            None => break,
        }
    }
    // Raw values are parts of the text itself, so that addresses tell where.
    let offset = (here.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    place(&text.as_bytes()[..offset])
}

/// Line and column of what comes after `before`, from 1.
fn place(before: &[u8]) -> (usize, usize) {
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

/// What types cannot say.
fn check(config: &Config) -> Issues {
    let mut issues = Issues::default();
    if config.bind.is_empty() {
        issues.push("bind", "names no address, so that nobody could reach the agent; leave it out for 127.0.0.1");
    }
    for (index, address) in config.bind.iter().enumerate() {
        check_address(&format!("bind.{index}"), address, &mut issues);
    }
    check_address("ssh.bind", &config.ssh.bind, &mut issues);
    check_prefix(&config.workspace_prefix, &mut issues);
    for (path, text) in [("imageTag", &config.image_tag), ("docker.network", &config.docker.network)] {
        if text.is_empty() || text.contains(char::is_whitespace) {
            issues.push(path, format!("{text:?} is no name: it must not be empty or have blanks"));
        }
    }
    for (path, range) in [("sshPorts", config.ssh_ports), ("publishedPorts", config.published_ports)] {
        if (range.first..=range.last).contains(&config.port) {
            let message = format!("{range} includes {}, the port of the agent's own API; choose others", config.port);
            issues.push(path, message);
        }
    }
    check_host(config.docker.host.as_deref(), &mut issues);
    check_lists(config, &mut issues);
    issues
}

fn check_address(path: &str, address: &str, issues: &mut Issues) {
    if address.parse::<IpAddr>().is_err() {
        issues.push(path, format!("{address:?} is no IP address: write one such as 127.0.0.1, 0.0.0.0 or ::1"));
    }
}

fn check_prefix(prefix: &str, issues: &mut Issues) {
    // The first byte and the others, as engines want them for containers and volumes.
    let begins = prefix.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let goes_on = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !begins || !goes_on || prefix.len() > PREFIX_MAX {
        let message = format!(
            "{prefix:?} cannot begin the name of a container: write a letter or a digit and then letters, digits, _, . \
             or -, at most {PREFIX_MAX}"
        );
        issues.push("workspacePrefix", message);
    }
}

fn check_host(host: Option<&str>, issues: &mut Issues) {
    let known = ["unix://", "tcp://", "http://"];
    if let Some(host) =
        host.filter(|host| !known.iter().any(|scheme| host.len() > scheme.len() && host.starts_with(scheme)))
    {
        let message = format!("{host:?} names no engine: write unix:///var/run/docker.sock or tcp://host:port");
        issues.push("docker.host", message);
    }
}

fn check_lists(config: &Config, issues: &mut Issues) {
    for (index, key) in config.ssh.authorized_keys.iter().enumerate() {
        if key.contains(['\n', '\r']) || key.split_whitespace().count() < 2 {
            let message = "is no public key: write one line as in authorized_keys, such as ssh-ed25519 AAAA… me@laptop";
            issues.push(&format!("ssh.authorizedKeys.{index}"), message);
        }
    }
    for (index, origin) in config.allowed_origins.iter().enumerate() {
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['/', '*', ' '])) {
            let message = format!("{origin:?} is no origin: write scheme and host, such as https://perry.example.com");
            issues.push(&format!("allowedOrigins.{index}"), message);
        }
    }
    for (index, file) in config.sync.files.iter().enumerate() {
        let path = &file.from;
        if !(path.starts_with("~/") || path.starts_with('/')) || path.contains('\0') {
            let message = format!("{path:?} is no path from a fixed place: write /… or ~/…");
            issues.push(&format!("sync.files.{index}.from"), message);
        }
        if let Some(fault) = sync::target_fault(&file.to) {
            issues.push(&format!("sync.files.{index}.to"), fault);
        }
    }
    for name in config.sync.env.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            // As one step of the path, whatever dots it has.
            let path = vec!["sync".to_owned(), "env".to_owned(), name.clone()];
            let message = format!("{name:?} is no name of a variable: it must not be empty or have = in it");
            issues.0.push(Issue { path, message });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn the_documented_example_is_read_and_an_absent_or_empty_one_is_the_defaults() {
        let text = r#"{ "port": 7391, "bind": ["127.0.0.1"], "workspacePrefix": "workspace-", "imageTag": "workspace-base",
            "sshPorts": "22000-22999", "publishedPorts": "23000-29999", "docker": { "host": "unix:///var/run/docker.sock" },
            "ssh": { "authorizedKeys": [], "bind": "127.0.0.1" }, "allowedOrigins": [],
            "sync": { "env": {"EDITOR": "vim"}, "files": [{"from": "~/.gitconfig", "to": "~/.gitconfig"}],
            "allow": ["~/.gitconfig"] } }"#;
        let config = parse(text.as_bytes()).expect("the example");
        assert_eq!(config.sync.env["EDITOR"], "vim");
        let disk = super::super::SimDisk::new();
        assert_eq!(load(&disk).expect("absent"), Config::default());
        disk.outside_write(CONFIG, b"{}");
        assert_eq!(load(&disk).expect("empty"), Config::default());
    }

    #[test]
    fn whatever_is_wrong_is_named_with_its_place_and_what_would_be_right() {
        let cases = [
            ("{\"prot\": 1}", "config.json:1:7: prot: there is no such key; did you mean port?"),
            (
                "{\n  \"docker\": {\"hots\": \"\"}}",
                "config.json:2:19: docker.hots: there is no such key; did you mean host?",
            ),
            (
                "{\"sync\": {\"zebra\": 1}}",
                "config.json:1:17: sync.zebra: there is no such key; the keys here are env, files, allow",
            ),
            (
                "{\"workspace_prefix\": \"\"}",
                "config.json:1:19: workspace_prefix: there is no such key; did you mean workspacePrefix?",
            ),
            (
                "{\"sync\": {\"files\": [{\"from\": \"~/a\", \"two\": 1}]}}",
                "config.json:1:41: sync.files.0.two: there is no such key; did you mean to?",
            ),
            (
                "{\"port\": \"7391\"}",
                "config.json:1:15: port: invalid type: string \"7391\", expected a whole number from 0 to 65535",
            ),
            (
                "{\"port\": 70000}",
                "config.json:1:14: port: invalid value: integer `70000`, expected a whole number from 0 to 65535",
            ),
            ("{\"port\": 1, \"port\": 2}", "config.json:1:18: port: is there twice"),
            (
                "{\"sshPorts\": \"22999-22000\"}",
                "config.json:1:27: sshPorts: \"22999-22000\" is no range of ports: write the first and the last with a dash, such as 22000-22999",
            ),
            ("{\"port\": 1,}", "config.json:1:12: trailing comma"),
            ("{} x", "config.json:1:4: trailing characters"),
            ("", "config.json:1:0: EOF while parsing a value"),
            ("3", "config.json:1:1: invalid type: integer `3`, expected an object"),
            (
                "{\n \"bind\": [\"127.0.0.1\",\n  \"localhost\"]}",
                "config.json:3:3: bind.1: \"localhost\" is no IP address: write one such as 127.0.0.1, 0.0.0.0 or ::1",
            ),
            (
                "{\"bind\": []}",
                "config.json:1:10: bind: names no address, so that nobody could reach the agent; leave it out for 127.0.0.1",
            ),
            (
                "{\"workspacePrefix\": \"-x\"}",
                "config.json:1:21: workspacePrefix: \"-x\" cannot begin the name of a container: write a letter or a digit and then letters, digits, _, . or -, at most 64",
            ),
            (
                "{\"port\": 23001}",
                "config.json:1:1: publishedPorts: 23000-29999 includes 23001, the port of the agent's own API; choose others",
            ),
            (
                "{\"docker\": {\"host\": \"ssh://box\"}}",
                "config.json:1:21: docker.host: \"ssh://box\" names no engine: write unix:///var/run/docker.sock or tcp://host:port",
            ),
            (
                "{\"imageTag\": \"\"}",
                "config.json:1:14: imageTag: \"\" is no name: it must not be empty or have blanks",
            ),
            (
                "{\"ssh\": {\"authorizedKeys\": [\"AAAA\"]}}",
                "config.json:1:29: ssh.authorizedKeys.0: is no public key: write one line as in authorized_keys, such as ssh-ed25519 AAAA… me@laptop",
            ),
            (
                "{\"allowedOrigins\": [\"*\"]}",
                "config.json:1:21: allowedOrigins.0: \"*\" is no origin: write scheme and host, such as https://perry.example.com",
            ),
            (
                "{\"sync\": {\"env\": {\"A.B=\": \"\"}}}",
                "config.json:1:27: sync.env.A.B=: \"A.B=\" is no name of a variable: it must not be empty or have = in it",
            ),
            (
                "{\"sync\": {\"files\": [{\"from\": \"x\", \"to\": \"/x\"}]}}",
                "config.json:1:30: sync.files.0.from: \"x\" is no path from a fixed place: write /… or ~/…",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(fault(text), message, "{text}");
        }
        assert_eq!(parse(b"{\"a\xff").expect_err("no text").to_string(), "config.json:1:4: is no UTF-8 text");
    }

    #[test]
    fn all_bad_values_are_named_at_once() {
        assert_eq!(fault("{\"bind\": [\"x\"], \"imageTag\": \"\"}").lines().count(), 2);
    }

    #[test]
    fn an_array_is_no_config_whatever_its_length() {
        let fault = fault("[7391, [\"127.0.0.1\"]]");
        assert!(fault.starts_with("config.json:1:1: must be an object"), "{fault}");
    }
}
