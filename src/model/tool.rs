//! Tools that a workspace can be given: command lines of coding agents, by the names that people type.

use super::nearest::nearest;

/// What people call them, and what npm calls them.
const KNOWN: [(&str, &str); 5] = [
    ("claude", "@anthropic-ai/claude-code"),
    ("codex", "@openai/codex"),
    ("gemini", "@google/gemini-cli"),
    ("opencode", "opencode-ai"),
    ("pi", "@earendil-works/pi-coding-agent"),
];

/// A tool, `name` or `name@version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// What people type.
    pub name: &'static str,
    /// The package.
    pub package: &'static str,
    /// The version; left out: the newest at the time of the installation.
    pub version: Option<String>,
}

impl Tool {
    /// The tool of that name; `None` where it is not known, or the version is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, version) = text.split_once('@').map_or((text, None), |(name, version)| (name, Some(version)));
        let plain = |version: &str| {
            version.starts_with(|c: char| c.is_ascii_digit())
                && version.len() <= 64
                && version.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c))
        };
        let version = match version {
            Some(version) if !plain(version) && version != "latest" => return None,
            version => version.filter(|version| *version != "latest").map(str::to_owned),
        };
        let (name, package) = KNOWN.iter().find(|(known, _)| *known == name)?;
        Some(Self { name, package, version })
    }

    /// What is wrong with a text that is no tool, and what would be right.
    pub fn fault(text: &str) -> Option<String> {
        if Self::parse(text).is_some() {
            return None;
        }
        let name = text.split('@').next().unwrap_or_default();
        let known = KNOWN.map(|(known, _)| known);
        if known.contains(&name) {
            return Some(format!("has no version after its @: write {name}, {name}@latest or {name}@1.2.3"));
        }
        let right = match nearest(name, known) {
            Some(right) => format!("did you mean {right}?"),
            None => format!("known are {}", known.join(", ")),
        };
        Some(format!("is no tool that can be installed: {right}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_its_name_with_or_without_a_version() {
        let version = |text: &str| Tool::parse(text).map(|tool| (tool.package, tool.version));
        assert_eq!(version("codex"), Some(("@openai/codex", None)));
        assert_eq!(version("codex@latest"), Some(("@openai/codex", None)));
        assert_eq!(version("pi@0.1.2-rc.1"), Some(("@earendil-works/pi-coding-agent", Some("0.1.2-rc.1".to_owned()))));
        for wrong in ["", "vim", "codex@", "codex@latest@1", "codex@^1", "codex@file:..", "codex@https://x", "Codex"] {
            assert_eq!(Tool::parse(wrong), None, "{wrong}");
            assert!(Tool::fault(wrong).is_some(), "{wrong}");
        }
        assert!(Tool::fault("claud").expect("wrong").ends_with("did you mean claude?"));
    }
}
