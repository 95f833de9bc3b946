//! Manifests: what people write. YAML (JSON is a part of it) → [`Document`]s, with every fault at its line. The only
//! place that knows YAML.

mod check;
mod report;
mod scalar;
mod syntax;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{Issue, Issues, Name, Spec, Workspace, schema};
pub use report::{BadManifest, Fault};

/// The most bytes of one manifest text.
pub const MAX_BYTES: usize = 1 << 20;

/// A workspace as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct Document {
    /// The version of this form.
    pub api_version: ApiVersion,
    /// What is described.
    pub kind: Kind,
    /// Who it is.
    pub metadata: DocumentMetadata,
    /// What it should be.
    #[serde(default)]
    #[ts(as = "Option<_>", optional)]
    pub spec: Spec,
}

/// The version of a manifest's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
pub enum ApiVersion {
    /// The only one.
    #[default]
    #[serde(rename = "perry.dev/v1")]
    V1,
}

/// What a manifest describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
pub enum Kind {
    /// A workspace.
    #[default]
    Workspace,
}

/// Who a workspace is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct DocumentMetadata {
    /// Its name, unique on an agent.
    pub name: Name,
    /// For selecting: `perry get -l team=web`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub labels: BTreeMap<String, String>,
    /// For people and programs; Perry does not read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[ts(as = "Option<_>", optional)]
    pub annotations: BTreeMap<String, String>,
}

impl Document {
    /// A document with nothing but a name and a spec.
    pub fn new(name: Name, spec: Spec) -> Self {
        let metadata = DocumentMetadata { name, labels: BTreeMap::new(), annotations: BTreeMap::new() };
        Self { api_version: ApiVersion::V1, kind: Kind::Workspace, metadata, spec }
    }
}

impl From<&Workspace> for Document {
    /// What one would write to get this workspace.
    fn from(workspace: &Workspace) -> Self {
        let mut document = Self::new(workspace.metadata.name.clone(), workspace.spec.clone());
        document.metadata.labels.clone_from(&workspace.metadata.labels);
        document.metadata.annotations.clone_from(&workspace.metadata.annotations);
        document
    }
}

/// A document that remembers where it was written, so that later faults (admission's) can be shown there.
#[derive(Debug, Clone)]
pub struct Located {
    /// The document.
    pub document: Document,
    text: Arc<Text>,
    tree: Arc<tree::Node>,
    /// Its place among the documents of its text, from 0, empty ones included.
    index: usize,
}

/// A manifest text and what to call it.
#[derive(Debug)]
struct Text {
    /// A path, or `-` for standard input.
    source: String,
    text: String,
    /// How many documents there are.
    documents: usize,
}

impl Located {
    /// Issues of this document, each at its line.
    pub fn blame(&self, issues: &Issues) -> BadManifest {
        let fault =
            |issue: &Issue| report::fault(&self.text, self.index, report::find(&self.tree, issue), issue.clone());
        BadManifest { faults: issues.0.iter().map(fault).collect() }
    }

    /// Where it was written: a path, or `-`; with the number of the document where there are several.
    pub fn source(&self) -> String {
        report::source(&self.text, self.index)
    }
}

/// Every document of a text, in order. Empty documents between `---` are skipped; a null spec is an empty one.
/// `source` is what to call the text in errors: a path, or `-` for standard input.
///
/// # Errors
/// Every fault of every document, each with source, line, column, path, what was wrong and what would be right.
pub fn parse(source: &str, bytes: &[u8]) -> Result<Vec<Located>, BadManifest> {
    let text = std::str::from_utf8(bytes).map_err(|error| report::not_utf8(source, bytes, error))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if bytes.len() > MAX_BYTES {
        return Err(BadManifest::whole(source, "larger than 1 MiB: split it into several files"));
    }
    let mut text = Text { source: source.to_owned(), text: text.to_owned(), documents: 1 };
    let trees = tree::compose(&text.text).map_err(|broken| report::broken(&mut text, &broken))?;
    text.documents = trees.len();
    let text = Arc::new(text);
    let mut documents = Vec::new();
    let mut faults = Vec::new();
    for (index, tree) in trees.into_iter().enumerate().filter(|(_, tree)| !tree.is_null()) {
        match document(&text, index, &tree) {
            Ok(document) => documents.push(Located { document, text: Arc::clone(&text), tree, index }),
            Err(more) => faults.extend(more),
        }
        if faults.len() >= check::MAX_FAULTS {
            break;
        }
    }
    if !faults.is_empty() {
        return Err(BadManifest { faults });
    }
    if documents.is_empty() {
        return Err(BadManifest::whole(
            source,
            "there is no document in it: it begins with `apiVersion: perry.dev/v1`",
        ));
    }
    Ok(documents)
}

/// The documents of a text that came without a file name, such as in a request.
///
/// # Errors
/// As [`parse`], as issues that begin with the line.
pub fn parse_text(text: &str) -> Result<Vec<Document>, Issues> {
    match parse("manifest", text.as_bytes()) {
        Ok(documents) => Ok(documents.into_iter().map(|located| located.document).collect()),
        Err(bad) => Err(bad.issues()),
    }
}

/// Several values as YAML documents, separated by `---`.
pub fn to_yaml<'a, T: Serialize + 'a>(values: impl IntoIterator<Item = &'a T>) -> String {
    // Nothing else in this program writes anchors, bytes or keys that are not text, which alone can fail.
    let one = |value| serde_saphyr::to_string(value).expect("plain data is always YAML");
    let documents: Vec<String> = values.into_iter().map(one).collect();
    documents.join("---\n")
}

fn document(text: &Text, index: usize, tree: &tree::Node) -> Result<Document, Vec<Fault>> {
    let value = check::check(tree, schema::document()).map_err(|found| {
        found.into_iter().map(|found| report::fault(text, index, found.place, found.issue)).collect::<Vec<_>>()
    })?;
    // What the form lets through, the types take: see the property test.
    serde_json::from_value(value)
        .map_err(|error| vec![report::fault(text, index, tree.place, Issue::new("", error.to_string()))])
}
