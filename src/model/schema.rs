//! The form of a manifest, derived from the Rust types: as JSON Schema for editors, and as a tree of [`Shape`]s for
//! whoever checks or explains a document. There is no second list of fields.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::manifest::Document;

/// The JSON Schema (2020-12) of a manifest document.
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Document).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), Value::from("Perry workspace manifest"));
    }
    schema
}

/// The root of a document's form.
pub fn document() -> &'static Field {
    static ROOT: LazyLock<Field> = LazyLock::new(|| {
        let schema = json_schema();
        let reader = Reader { defs: schema.get("$defs").and_then(Value::as_object) };
        reader.field("workspace", &schema, true)
    });
    &ROOT
}

/// One field of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its key.
    pub name: String,
    /// What it means, for people.
    pub description: String,
    /// Whether it must be there.
    pub required: bool,
    /// What it is when left out, where that is a fixed value.
    pub default: Option<Value>,
    /// What may be written there.
    pub shape: Shape,
}

/// What may be written in a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Fixed fields.
    Object(Vec<Field>),
    /// Any keys.
    Map(Box<Shape>),
    /// A list.
    List(Box<Shape>),
    /// Any text.
    Text,
    /// A name by [`NAME_PATTERN`](super::name::NAME_PATTERN).
    Name,
    /// One of some words, each with what it means.
    Choice(Vec<(String, String)>),
    /// An amount of memory, such as `4Gi`.
    Bytes,
    /// A number of processors, such as `0.5`.
    Cpus,
    /// A whole number, from and up to these.
    Integer(u64, u64),
    /// `true` or `false`.
    Boolean,
}

impl Shape {
    /// Its name for people, such as `list of objects`.
    pub fn type_name(&self) -> String {
        match self {
            Self::Object(_) => "object".to_owned(),
            Self::Map(inner) => format!("map of {}", inner.plural()),
            Self::List(inner) => format!("list of {}", inner.plural()),
            Self::Text => "text".to_owned(),
            Self::Name => "name".to_owned(),
            Self::Choice(_) => "choice".to_owned(),
            Self::Bytes => "amount of memory".to_owned(),
            Self::Cpus => "number".to_owned(),
            Self::Integer(..) => "whole number".to_owned(),
            Self::Boolean => "true or false".to_owned(),
        }
    }

    fn plural(&self) -> String {
        match self {
            Self::Text => "texts".to_owned(),
            other => format!("{}s", other.type_name()),
        }
    }

    /// The fields below it; those of its items where it is a list.
    pub fn fields(&self) -> &[Field] {
        match self {
            Self::Object(fields) => fields,
            Self::List(inner) | Self::Map(inner) => inner.fields(),
            _ => &[],
        }
    }
}

struct Reader<'a> {
    defs: Option<&'a Map<String, Value>>,
}

impl Reader<'_> {
    fn field(&self, name: &str, schema: &Value, required: bool) -> Field {
        let text = |schema: &Value| schema.get("description").and_then(Value::as_str).map(unwrapped);
        Field {
            name: name.to_owned(),
            description: text(schema).or_else(|| self.target(schema).and_then(text)).unwrap_or_default(),
            required,
            default: schema.get("default").cloned(),
            shape: self.shape(schema),
        }
    }

    /// The definition that a schema refers to, also where `null` is the other choice.
    fn target(&self, schema: &Value) -> Option<&Value> {
        self.defs?.get(reference(schema)?)
    }

    fn shape(&self, schema: &Value) -> Shape {
        match reference(schema) {
            Some("Name") => Shape::Name,
            Some("Bytes") => Shape::Bytes,
            Some("Cpus") => Shape::Cpus,
            Some(_) => self.target(schema).map_or(Shape::Text, |target| self.shape(target)),
            None => self.plain(schema),
        }
    }

    fn plain(&self, schema: &Value) -> Shape {
        if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
            return Shape::Choice(choices.iter().filter_map(choice).collect());
        }
        match kind(schema) {
            "object" => match schema.get("properties").and_then(Value::as_object) {
                Some(properties) => Shape::Object(self.fields(schema, properties)),
                None => Shape::Map(Box::new(schema.get("additionalProperties").map_or(Shape::Text, |s| self.shape(s)))),
            },
            "array" => Shape::List(Box::new(schema.get("items").map_or(Shape::Text, |items| self.shape(items)))),
            "integer" => {
                let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
                Shape::Integer(limit("minimum").unwrap_or(0), limit("maximum").unwrap_or(u64::from(u32::MAX)))
            }
            "boolean" => Shape::Boolean,
            _ => Shape::Text,
        }
    }

    fn fields(&self, schema: &Value, properties: &Map<String, Value>) -> Vec<Field> {
        let required = schema.get("required").and_then(Value::as_array);
        let needed = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        properties.iter().map(|(name, property)| self.field(name, property, needed(name))).collect()
    }
}

/// The last part of a `$ref`, also inside `anyOf` with `null`.
fn reference(schema: &Value) -> Option<&str> {
    let direct = |schema: &Value| -> Option<usize> { schema.get("$ref")?.as_str().map(str::len) };
    let found = if direct(schema).is_some() {
        schema
    } else {
        schema.get("anyOf")?.as_array()?.iter().find(|one| direct(one).is_some())?
    };
    found.get("$ref")?.as_str()?.rsplit('/').next()
}

/// The type that is not `null`.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or(""),
        _ => "",
    }
}

fn choice(schema: &Value) -> Option<(String, String)> {
    let word = schema.get("const")?.as_str()?;
    Some((word.to_owned(), schema.get("description").and_then(Value::as_str).map(unwrapped).unwrap_or_default()))
}

/// Docstrings are wrapped at the width of the source; paragraphs stay.
fn unwrapped(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}
