//! `-o`: the forms of output.

use serde::Serialize;

use crate::model::manifest;

use super::failure::Failure;

/// A form for people or programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Columns.
    Table,
    /// More columns.
    Wide,
    /// What the API answers.
    Json,
    /// The same as YAML.
    Yaml,
    /// Names, one a line.
    Name,
    /// Manifests that can be applied again.
    Manifest,
}

/// Of a thing that is no list of workspaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Plain {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Indented JSON with a line break.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    Ok(text.map_err(|error| Failure::failed(format!("no JSON: {error}")))? + "\n")
}

/// A YAML document.
pub(super) fn yaml<T: Serialize>(value: &T) -> String {
    manifest::to_yaml([value])
}
