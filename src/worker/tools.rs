//! `perry worker tools`: installs the tools that stdin names and that are missing, by npm, into the home of the user who
//! runs it: a new container has them still.

use std::env;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

use crate::model::tool::Tool;

/// The largest request: 256 names of 64 characters.
const REQUEST: u64 = 64 << 10;
/// Where they go, in the home folder.
const PREFIX: &str = ".local";

/// Installs what is missing; 0 when everything is there.
pub fn run() -> ExitCode {
    match install_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Without stderr the code has to do.
            let _ = writeln!(io::stderr(), "perry: {message}");
            ExitCode::FAILURE
        }
    }
}

fn install_all() -> Result<(), String> {
    let mut text = Vec::new();
    io::stdin().take(REQUEST).read_to_end(&mut text).map_err(|error| error.to_string())?;
    let names: Vec<String> =
        serde_json::from_slice(&text).map_err(|error| format!("which tools is not understood: {error}"))?;
    let tools = names.iter().map(|name| Tool::parse(name).ok_or(format!("{name} is no tool that Perry knows")));
    let tools = tools.collect::<Result<Vec<_>, _>>()?;
    let home = env::home_dir().filter(|home| home.is_dir()).ok_or("there is no home folder to install into")?;
    let prefix = home.join(PREFIX);
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !is_there(&prefix, tool)).collect();
    let mut failed = Vec::new();
    for (at, tool) in missing.iter().enumerate() {
        let _ = writeln!(io::stdout(), "perry: installing {} ({} of {})", tool.name, at + 1, missing.len());
        if let Err(why) = install(&prefix, tool) {
            // The others may do.
            failed.push(format!("{}: {why}", tool.name));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not installed: {}", failed.join("; "))) }
}

/// Whether it is there, in the version that is asked for where one is.
fn is_there(prefix: &Path, tool: &Tool) -> bool {
    let package = prefix.join("lib/node_modules").join(tool.package).join("package.json");
    let found = fs::read(package).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let version = found.as_ref().and_then(|package| package.get("version")?.as_str());
    version.is_some_and(|version| tool.version.as_deref().is_none_or(|wanted| wanted == version))
}

fn install(prefix: &Path, tool: &Tool) -> Result<(), String> {
    let version = tool.version.as_deref().unwrap_or("latest");
    let mut command = Command::new("npm");
    command.args(["install", "--global", "--no-fund", "--no-audit", "--no-progress", "--prefix"]).arg(prefix);
    // Since npm 11.17 what a package runs once it is installed has to be allowed; some of these fetch their program so. Said in
    // the environment, which older ones do not look at.
    command.env("npm_config_allow_scripts", tool.package);
    command.arg(format!("{}@{version}", tool.package)).stdin(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("npm failed ({status})")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err("npm is not in the image".to_owned()),
        Err(error) => Err(format!("npm cannot be run: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_in_the_wanted_version_is_not_installed_again() {
        let prefix = tempfile::tempdir().expect("a folder");
        let tool = |name: &str| Tool::parse(name).expect("a tool");
        assert!(!is_there(prefix.path(), &tool("claude")));
        let package = prefix.path().join("lib/node_modules/@anthropic-ai/claude-code");
        fs::create_dir_all(&package).expect("made");
        fs::write(package.join("package.json"), r#"{"version":"1.2.3"}"#).expect("written");
        assert!(is_there(prefix.path(), &tool("claude")) && is_there(prefix.path(), &tool("claude@1.2.3")));
        assert!(!is_there(prefix.path(), &tool("claude@1.2.4")) && !is_there(prefix.path(), &tool("codex")));
    }
}
