//! What a field of a manifest means, for people: `perry explain workspace.spec.ports`.

use std::fmt::Write as _;

use super::nearest::nearest;
use super::schema::{self, Field, Shape};

/// Why a path is none of a manifest's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// There is no such field.
    #[error("{parent} has no field {field:?}{}", suggestion(.near.as_ref(), .known))]
    NoField {
        /// The path up to there.
        parent: String,
        /// What was asked for.
        field: String,
        /// The path that was likely meant.
        near: Option<String>,
        /// The fields that there are; none where it has no fields.
        known: Vec<String>,
    },
}

fn suggestion(near: Option<&String>, known: &[String]) -> String {
    match near {
        Some(near) => format!(": did you mean {near}?"),
        None if known.is_empty() => ": it has no fields".to_owned(),
        None => format!(": its fields are {}", known.join(", ")),
    }
}

/// The field at a dotted path, and the path in full. `workspace` at the beginning may be left out; indexes of lists do
/// not count.
///
/// # Errors
/// There is none; the nearest is named.
pub fn find(path: &str) -> Result<(&'static Field, String), ExplainError> {
    let mut field = schema::document();
    let mut full = field.name.clone();
    let parts = path.split('.').filter(|part| !part.is_empty() && part.parse::<usize>().is_err());
    for (index, part) in parts.enumerate() {
        if index == 0 && part.eq_ignore_ascii_case(&field.name) {
            continue;
        }
        let fields = field.shape.fields();
        let Some(next) = fields.iter().find(|one| one.name == part) else {
            let names = || fields.iter().map(|one| one.name.as_str());
            let near = nearest(part, names()).map(|name| format!("{full}.{name}")).or_else(|| elsewhere(part));
            let known = names().map(str::to_owned).collect();
            return Err(ExplainError::NoField { parent: full, field: part.to_owned(), near, known });
        };
        field = next;
        let _ = write!(full, ".{part}");
    }
    Ok((field, full))
}

/// The path of the only field of that name anywhere.
fn elsewhere(name: &str) -> Option<String> {
    fn search(field: &Field, path: &str, name: &str, found: &mut Vec<String>) {
        for one in field.shape.fields() {
            let here = format!("{path}.{}", one.name);
            if one.name == name {
                found.push(here.clone());
            }
            search(one, &here, name, found);
        }
    }
    let root = schema::document();
    let mut found = Vec::new();
    search(root, &root.name, name, &mut found);
    if found.len() == 1 { found.pop() } else { None }
}

/// What there is to say of the field at a path.
///
/// # Errors
/// There is none; the nearest is named.
pub fn explain(path: &str) -> Result<String, ExplainError> {
    let (field, full) = find(path)?;
    let mut text = format!("FIELD:    {full}\nTYPE:     {}\n", type_of(&field.shape));
    if full.contains('.') {
        let _ = writeln!(text, "REQUIRED: {}", if field.required { "yes" } else { "no" });
    }
    if let Some(default) = &field.default {
        let _ = writeln!(text, "DEFAULT:  {default}");
    }
    let _ = writeln!(text, "\n{}", field.description);
    if let Some(words) = choices(&field.shape) {
        text.push_str("\nVALUES:\n");
        rows(&mut text, words.iter().map(|(word, means)| (word.clone(), String::new(), means.clone())).collect());
    }
    if !field.shape.fields().is_empty() {
        text.push_str("\nFIELDS:\n");
        rows(&mut text, field.shape.fields().iter().map(row).collect());
    }
    Ok(text)
}

fn row(field: &Field) -> (String, String, String) {
    let mut kind = type_of(&field.shape);
    if field.required {
        kind.push_str(", required");
    }
    (field.name.clone(), kind, field.description.lines().next().unwrap_or_default().to_owned())
}

fn rows(text: &mut String, rows: Vec<(String, String, String)>) {
    let width = |of: fn(&(String, String, String)) -> &str| rows.iter().map(|row| of(row).chars().count()).max();
    let (first, second) = (width(|row| &row.0).unwrap_or(0), width(|row| &row.1).unwrap_or(0));
    for (name, kind, means) in &rows {
        let line = if second == 0 {
            format!("  {name:first$}  {means}")
        } else {
            format!("  {name:first$}  {kind:second$}  {means}")
        };
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn choices(shape: &Shape) -> Option<&[(String, String)]> {
    match shape {
        Shape::Choice(words) => Some(words),
        Shape::List(inner) | Shape::Map(inner) => choices(inner),
        _ => None,
    }
}

fn type_of(shape: &Shape) -> String {
    match shape {
        Shape::Choice(words) => words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(" | "),
        Shape::Integer(low, high) if *high == u64::from(u32::MAX) => format!("whole number, at least {low}"),
        Shape::Integer(low, high) => format!("whole number, {low} to {high}"),
        other => other.type_name(),
    }
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn a_field_is_explained_with_its_children() {
        let text = explain("workspace.spec.ports").expect("a field");
        assert!(
            text.starts_with("FIELD:    workspace.spec.ports\nTYPE:     list of objects\nREQUIRED: no\n"),
            "{text}"
        );
        assert!(text.contains("hostPort  whole number, 1 to 65535            The port on the host"), "{text}");
        assert!(text.contains("name      name, required"), "{text}");
        assert_eq!(explain("spec.ports"), Ok(text.clone()));
        assert_eq!(explain("spec.ports.0"), Ok(text));
    }

    #[test]
    fn a_choice_and_a_default_are_shown() {
        assert!(explain("spec.run").expect("a field").contains("TYPE:     Running | Stopped"));
        assert!(explain("spec.docker").expect("a field").contains("DEFAULT:  true"));
        assert!(explain("workspace").expect("the root").contains("metadata    object, required"));
    }

    #[test]
    fn an_unknown_path_names_the_nearest() {
        let told = |path| explain(path).expect_err(path).to_string();
        assert_eq!(
            told("workspace.spec.prots"),
            "workspace.spec has no field \"prots\": did you mean workspace.spec.ports?"
        );
        assert_eq!(
            told("spec.memory"),
            "workspace.spec has no field \"memory\": did you mean workspace.spec.resources.memory?"
        );
        assert_eq!(told("spec.image.tag"), "workspace.spec.image has no field \"tag\": it has no fields");
    }

    #[test]
    fn every_field_has_a_description() {
        fn walk(field: &super::Field, path: &str) {
            assert!(!field.description.is_empty(), "{path} has no description");
            for one in field.shape.fields() {
                walk(one, &format!("{path}.{}", one.name));
            }
        }
        walk(crate::model::schema::document(), "workspace");
    }
}
