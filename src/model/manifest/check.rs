//! A tree against the form of a document: every fault at once, each with its path, and the document as JSON where there
//! is none.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::scalar::{quoted, scalar, wanted};
use super::tree::{Entry, Kind, Node, Place};
use crate::model::Issue;
use crate::model::nearest::nearest;
use crate::model::schema::{Field, Shape};

/// After so many faults nobody reads on.
pub(super) const MAX_FAULTS: usize = 50;

/// One thing wrong with a tree.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) issue: Issue,
}

/// The value of a tree by its form; never complete where there are faults.
pub(super) fn check(root: &Node, form: &Field) -> Result<Value, Vec<Found>> {
    let mut check = Check { form, path: Vec::new(), faults: Vec::new() };
    if check.head(root) {
        let value = check.value(root, &form.shape);
        if let (Some(value), true) = (value, check.faults.is_empty()) {
            return Ok(value);
        }
    }
    Err(check.faults)
}

struct Check<'a> {
    form: &'a Field,
    path: Vec<String>,
    faults: Vec<Found>,
}

impl Check<'_> {
    /// Whether it is a document of ours at all; if not, its other faults would only confuse.
    fn head(&mut self, root: &Node) -> bool {
        let Kind::Map(entries) = &root.kind else {
            let found = describe(root);
            self.fault::<()>(root.place, format!("found {found}: a manifest begins with `apiVersion: perry.dev/v1`"));
            return false;
        };
        let fields = self.form.shape.fields();
        if !entries.iter().any(|entry| entry.key == "apiVersion" || entry.key == "kind") {
            let message =
                "this is no manifest of a workspace: it begins with `apiVersion: perry.dev/v1` and `kind: Workspace`";
            self.fault::<()>(start(root, entries), message);
            return false;
        }
        for name in ["apiVersion", "kind"] {
            let (Some(entry), Some(field)) =
                (entries.iter().find(|entry| entry.key == name), fields.iter().find(|field| field.name == name))
            else {
                continue;
            };
            self.path.push(name.to_owned());
            let right = self.value(&entry.value, &field.shape).is_some();
            self.path.pop();
            if !right {
                return false;
            }
        }
        true
    }

    fn value(&mut self, node: &Node, shape: &Shape) -> Option<Value> {
        match (shape, &node.kind) {
            (Shape::Object(fields), Kind::Map(entries)) => self.object(node, entries, fields),
            (Shape::Object(fields), _) if node.is_null() => self.object(node, &[], fields),
            (Shape::Map(inner), Kind::Map(entries)) => self.map(entries, inner),
            (Shape::List(inner), Kind::List(items)) => {
                let values: Vec<_> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.below(&index.to_string(), |check| check.value(item, inner)))
                    .collect();
                values.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
            }
            (Shape::Object(_) | Shape::Map(_) | Shape::List(_), _) | (_, Kind::List(_) | Kind::Map(_)) => {
                self.wrong_type(node, shape)
            }
            (_, Kind::Scalar { text, style }) => match scalar(text, *style, shape) {
                Ok(value) => Some(value),
                Err(message) => self.fault(node.place, message),
            },
        }
    }

    fn object(&mut self, node: &Node, entries: &[Entry], fields: &[Field]) -> Option<Value> {
        self.duplicates(entries);
        let mut object = Map::new();
        for entry in entries {
            match fields.iter().find(|field| field.name == entry.key) {
                None => self.unknown(entry, fields),
                // Nothing written is the same as left out; what is required is missing then.
                Some(_) if entry.value.is_null() => {}
                Some(field) => {
                    let value = self.below(&entry.key, |check| check.value(&entry.value, &field.shape));
                    if let Some(value) = value {
                        object.insert(entry.key.clone(), value);
                    }
                }
            }
        }
        for field in fields.iter().filter(|field| field.required) {
            let entry = entries.iter().find(|entry| entry.key == field.name);
            if entry.is_none_or(|entry| entry.value.is_null()) {
                let place = entry.map_or_else(|| start(node, entries), |entry| entry.key_place);
                self.below(&field.name, |check| check.fault::<()>(place, missing(field)));
            }
        }
        Some(Value::Object(object))
    }

    fn map(&mut self, entries: &[Entry], inner: &Shape) -> Option<Value> {
        self.duplicates(entries);
        let mut map = Map::new();
        for entry in entries {
            let value = self.below(&entry.key, |check| {
                if entry.value.is_null() {
                    return check.fault(entry.key_place, "there is no value: write \"\" if it is to be empty");
                }
                check.value(&entry.value, inner)
            });
            map.insert(entry.key.clone(), value.unwrap_or_default());
        }
        Some(Value::Object(map))
    }

    fn duplicates(&mut self, entries: &[Entry]) {
        let mut first: HashMap<&str, Place> = HashMap::new();
        for entry in entries {
            match first.get(entry.key.as_str()) {
                Some(place) => {
                    let message = format!("written twice, first on line {}: leave one out", place.line);
                    self.below(&entry.key, |check| check.fault::<()>(entry.key_place, message));
                }
                None => {
                    first.insert(&entry.key, entry.key_place);
                }
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, fields: &[Field]) {
        let names = || fields.iter().map(|field| field.name.as_str());
        let right = if let Some(near) = nearest(&entry.key, names()) {
            format!("did you mean {near:?}?")
        } else if let Some(place) = elsewhere(self.form, &entry.key) {
            format!("it belongs in {place}")
        } else {
            format!("the fields here are {}", names().collect::<Vec<_>>().join(", "))
        };
        let message = format!("unknown field {}: {right}", quoted(&entry.key));
        self.fault::<()>(entry.key_place, message);
    }

    fn wrong_type<T>(&mut self, node: &Node, shape: &Shape) -> Option<T> {
        self.fault(node.place, format!("found {}: {}", describe(node), wanted(shape)))
    }

    fn below<T>(&mut self, key: &str, look: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let result = look(self);
        self.path.pop();
        result
    }

    fn fault<T>(&mut self, place: Place, message: impl Into<String>) -> Option<T> {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Found { place, issue: Issue { message: message.into(), path: self.path.clone() } });
        }
        None
    }
}

/// Where an object begins: its first key, else itself.
fn start(node: &Node, entries: &[Entry]) -> Place {
    entries.first().map_or(node.place, |entry| entry.key_place)
}

fn missing(field: &Field) -> String {
    match &field.shape {
        Shape::Choice(words) if words.len() == 1 => format!("missing: write `{}: {}`", field.name, words[0].0),
        shape => format!("missing: {}", wanted(shape)),
    }
}

/// The dotted path of the only field of that name in the whole form.
fn elsewhere(form: &Field, name: &str) -> Option<String> {
    fn search(fields: &[Field], name: &str, path: &str, found: &mut Vec<String>) {
        for field in fields {
            let here = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            if field.name == name && !path.is_empty() {
                found.push(path.to_owned());
            }
            search(field.shape.fields(), name, &here, found);
        }
    }
    let mut found = Vec::new();
    search(form.shape.fields(), name, "", &mut found);
    if found.len() == 1 { found.pop() } else { None }
}

/// What a node is, for "found …". Never its whole text: it may be a secret, and long.
fn describe(node: &Node) -> String {
    match &node.kind {
        Kind::List(_) => "a list".to_owned(),
        Kind::Map(_) => "a map".to_owned(),
        Kind::Scalar { .. } if node.is_null() => "nothing".to_owned(),
        Kind::Scalar { .. } => "a single value".to_owned(),
    }
}
