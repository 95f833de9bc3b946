//! A tree against the form of a document: every fault at once, each with its path, and the document as JSON where there
//! is none.

use std::collections::HashMap;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::tree::{Entry, Kind, Node, Place, Style};
use crate::model::nearest::nearest;
use crate::model::quantity::Bytes;
use crate::model::schema::{Field, Shape};
use crate::model::{Issue, Name};

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

/// What would be right.
fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Object(fields) => {
            let needed = fields.iter().filter(|field| field.required).map(|field| field.name.as_str());
            let needed = needed.collect::<Vec<_>>().join(" and ");
            if needed.is_empty() {
                "a map is needed, such as `key: value`".to_owned()
            } else {
                format!("a map with {needed} is needed")
            }
        }
        Shape::Map(_) => "a map is needed, such as `{ KEY: value }`".to_owned(),
        Shape::List(inner) => match inner.as_ref() {
            Shape::Object(fields) => {
                let names = fields.iter().filter(|field| field.required).map(|field| format!("{}: …", field.name));
                format!("a list is needed, each item such as `- {{ {} }}`", names.collect::<Vec<_>>().join(", "))
            }
            _ => "a list is needed, such as `[ one, two ]`".to_owned(),
        },
        Shape::Text => "text is needed".to_owned(),
        Shape::Name => "a name is needed: a-z, 0-9 and inner dashes, at most 40 characters".to_owned(),
        Shape::Choice(words) => {
            let words = words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>();
            format!("{} is needed", words.join(" or "))
        }
        Shape::Bytes => "an amount of memory is needed, such as 512Mi or 4Gi".to_owned(),
        Shape::Cpus => "a number of processors is needed, such as 2 or 0.5".to_owned(),
        Shape::Integer(low, high) if *high == u64::from(u32::MAX) => {
            format!("a whole number is needed, at least {low}")
        }
        Shape::Integer(low, high) => format!("a whole number from {low} to {high} is needed"),
        Shape::Boolean => "true or false is needed".to_owned(),
    }
}

fn scalar(text: &str, style: Style, shape: &Shape) -> Result<Value, String> {
    match shape {
        Shape::Text => Ok(Value::from(text)),
        Shape::Name => Name::from_str(text)
            .map(|name| Value::from(name.as_str()))
            .map_err(|error| format!("{} is no name: {error}", quoted(text))),
        Shape::Choice(words) => choice(text, words),
        Shape::Bytes if text.len() > 40 => Err(format!("{} is too long: {}", quoted(text), wanted(shape))),
        Shape::Bytes => Bytes::from_str(text).map(|_| Value::from(text)).map_err(|error| error.to_string()),
        Shape::Cpus => cpus(text, style),
        Shape::Integer(low, high) => integer(text, style, *low, *high),
        Shape::Boolean => boolean(text, style),
        Shape::Object(_) | Shape::Map(_) | Shape::List(_) => Err(format!("found a single value: {}", wanted(shape))),
    }
}

fn choice(text: &str, words: &[(String, String)]) -> Result<Value, String> {
    if words.iter().any(|(word, _)| word == text) {
        return Ok(Value::from(text));
    }
    let near = nearest(text, words.iter().map(|(word, _)| word.as_str()));
    let all = words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(" or ");
    Err(match near {
        Some(near) if words.len() > 1 => format!("{} is not {all}: did you mean {near}?", quoted(text)),
        _ => format!("{} is not known here: write {all}", quoted(text)),
    })
}

fn cpus(text: &str, style: Style) -> Result<Value, String> {
    let wanted = wanted(&Shape::Cpus);
    if let Some(millis) = text.strip_suffix('m').and_then(|digits| digits.parse::<u32>().ok()) {
        return Err(format!("{} is written otherwise here: {}", quoted(text), f64::from(millis) / 1000.0));
    }
    let looks_right = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = text.parse::<f64>().ok().filter(|number| looks_right && number.is_finite() && *number <= 10_000.0);
    match (number, style) {
        (Some(number), Style::Plain) => Ok(Value::from(number)),
        (Some(_), Style::Text) => Err(unquote(text)),
        (None, _) => Err(format!("{} is no number of processors: {wanted}", quoted(text))),
    }
}

fn integer(text: &str, style: Style, low: u64, high: u64) -> Result<Value, String> {
    let wanted = wanted(&Shape::Integer(low, high));
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(match other_base(text) {
            Some(number) => format!("{} must be written in decimal: {number}", quoted(text)),
            None => format!("{} is no whole number: {wanted}", quoted(text)),
        });
    }
    if text.len() > 1 && text.starts_with('0') {
        let decimal = text.trim_start_matches('0');
        let octal = u64::from_str_radix(text, 8).map(|number| format!(", or {number} if it was meant as octal"));
        let decimal = if decimal.is_empty() { "0" } else { decimal };
        return Err(format!("{text} begins with 0: write {decimal}{}", octal.unwrap_or_default()));
    }
    match text.parse::<u64>() {
        Ok(number) if (low..=high).contains(&number) && style == Style::Plain => Ok(Value::from(number)),
        Ok(number) if (low..=high).contains(&number) => Err(unquote(text)),
        _ => Err(format!("{} is out of range: {wanted}", quoted(text))),
    }
}

/// The value of `0x1f`, `0o17`, `0b11` or `1_000`.
fn other_base(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let based = [("0x", 16), ("0o", 8), ("0b", 2)]
        .iter()
        .find_map(|(prefix, radix)| lower.strip_prefix(prefix).and_then(|rest| u64::from_str_radix(rest, *radix).ok()));
    based.or_else(|| text.contains('_').then(|| text.replace('_', "").parse().ok()).flatten())
}

fn boolean(text: &str, style: Style) -> Result<Value, String> {
    let value = match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    };
    let meant = match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "1" | "t" => Some(true),
        "no" | "off" | "n" | "0" | "f" => Some(false),
        _ => None,
    };
    match (value, meant, style) {
        (Some(value), _, Style::Plain) => Ok(Value::from(value)),
        (Some(_), _, Style::Text) => Err(unquote(text)),
        (None, Some(meant), _) => Err(format!("{} is text in YAML 1.2: write {meant}", quoted(text))),
        (None, None, _) => Err(format!("{} is neither true nor false: write one of them", quoted(text))),
    }
}

fn unquote(text: &str) -> String {
    format!("\"{text}\" in quotes is text: write {text} without them")
}

/// A text of the user's in quotes, shortened, without control characters.
fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
