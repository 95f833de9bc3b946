//! From JSON to a typed input, with every fault said where it is.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::error::ApiError;
use crate::model::nearest::nearest;
use crate::model::{Issue, Issues};

/// Reads an input; none at all, and null, is read as `{}`.
///
/// # Errors
/// [`ApiError::BadRequest`] with the path of the fault; an unknown field names the nearest right one.
pub fn decode<T: DeserializeOwned>(input: Option<&RawValue>) -> Result<T, ApiError> {
    let Some(raw) = input.filter(|raw| raw.get() != "null") else {
        return parse("{}").map_err(|issue| fault(vec![], format!("an input is needed: {}", issue.message)));
    };
    // serde would take a list for a struct, field by field.
    if !raw.get().starts_with('{') {
        return Err(fault(vec![], "expected an object such as {\"name\": \"a\"}".to_owned()));
    }
    parse(raw.get()).map_err(|issue| ApiError::BadRequest(Issues(vec![issue])))
}

fn fault(path: Vec<String>, message: String) -> ApiError {
    ApiError::BadRequest(Issues(vec![Issue { message, path }]))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Issue> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let mut path: Vec<String> = error.path().iter().filter_map(segment).collect();
        let message = error.into_inner().to_string();
        // The position in a body that nobody sees helps nobody.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
        path.extend(message.strip_prefix("missing field `").map(|field| field.trim_end_matches('`').to_owned()));
        Issue { message: suggest(message), path }
    })
}

fn segment(segment: &serde_path_to_error::Segment) -> Option<String> {
    use serde_path_to_error::Segment::{Enum, Map, Seq, Unknown};
    match segment {
        Seq { index } => Some(index.to_string()),
        Map { key } => Some(key.clone()),
        Enum { variant } => Some(variant.clone()),
        Unknown => None,
    }
}

/// Serde says "unknown field `nmae`, expected one of `name`, `image`": says which one was probably meant.
fn suggest(message: &str) -> String {
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`'));
    let Some((field, expected)) = unknown else {
        return message.to_owned();
    };
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    match nearest(field, known.iter().copied()) {
        Some(name) => format!("unknown field `{field}`: did you mean `{name}`?"),
        None if known.is_empty() => format!("unknown field `{field}`: this takes no fields"),
        None => format!("unknown field `{field}`: known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::types::{ApplyInput, CreateInput, NoInput};

    fn issue<T: DeserializeOwned>(text: &str) -> (String, String) {
        let raw: Box<RawValue> = serde_json::from_str(text).expect("JSON");
        match decode::<T>(Some(&raw)) {
            Err(ApiError::BadRequest(Issues(issues))) => (issues[0].path.join("."), issues[0].message.clone()),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("{text} was taken"),
        }
    }

    #[test]
    fn a_fault_is_said_at_the_path_of_its_field() {
        let at = |text| issue::<CreateInput>(text);
        assert_eq!(at(r#"{"name": "Bad Name!"}"#), ("name".into(), "a name has only a-z, 0-9 and -, not 'B'".into()));
        assert_eq!(at("{}"), ("name".into(), "missing field `name`".into()));
        let (path, message) = at(r#"{"name": "a", "ports": [{"name": "web", "port": 70000}]}"#);
        assert_eq!((path.as_str(), message.contains("70000")), ("ports.0.port", true), "{message}");
        let (path, message) = at(r#"{"name": "a", "env": {"A": 1}}"#);
        assert_eq!((path.as_str(), message.contains("expected a string")), ("env.A", true), "{message}");
        let (path, message) = at(r#"{"name": "a", "clone": 7}"#);
        assert_eq!((path.as_str(), message.contains("its URL")), ("clone", true), "{message}");
    }

    #[test]
    fn an_unknown_field_names_the_nearest_right_one() {
        assert_eq!(
            issue::<CreateInput>(r#"{"name": "a", "imgae": "x"}"#),
            ("imgae".into(), "unknown field `imgae`: did you mean `image`?".into())
        );
        assert_eq!(
            issue::<ApplyInput>(r#"{"dryrun": true}"#),
            ("dryrun".into(), "unknown field `dryrun`: did you mean `dryRun`?".into())
        );
        let (_, message) = issue::<CreateInput>(r#"{"name": "a", "zzzzzz": "x"}"#);
        assert_eq!(message, "unknown field `zzzzzz`: known are name, clone, image, env, ports");
        assert_eq!(issue::<NoInput>(r#"{"a": 1}"#).1, "unknown field `a`: this takes no fields");
    }

    #[test]
    fn a_list_is_not_taken_for_an_object() {
        assert_eq!(issue::<CreateInput>(r#"["a"]"#).0, "");
    }

    #[test]
    fn no_input_is_an_empty_one() {
        assert_eq!(decode::<NoInput>(None), Ok(NoInput {}));
        let Err(ApiError::BadRequest(Issues(issues))) = decode::<CreateInput>(None) else { panic!("taken") };
        assert_eq!((issues[0].path.len(), issues[0].message.as_str()), (0, "an input is needed: missing field `name`"));
    }

    #[test]
    fn json_that_is_too_deep_is_a_fault_not_a_crash() {
        let deep = format!(r#"{{"workspace": {}{}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert!(issue::<ApplyInput>(&deep).1.contains("recursion limit"));
    }
}
