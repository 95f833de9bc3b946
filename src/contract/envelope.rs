//! The envelope around every input: `{"json": value, "meta": [[code, ...path], ...]}`.
//!
//! `meta` says which values were something that JSON has no word for, by the codes of oRPC 1.x: 0 bigint, 1 Date, 2 NaN,
//! 3 undefined, 4 URL, 5 RegExp, 6 Set, 7 Map. It is checked as the reference server checks it; what to make of it is left
//! to the procedure.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::ApiError;

/// The most digits of a bigint, as in the reference implementation.
const DIGITS: usize = 4300;

/// An input as it came; keys of other names are ignored.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Envelope<'a> {
    /// The value; absent: none. Null is a value.
    #[serde(borrow, default, deserialize_with = "present")]
    pub json: Option<&'a RawValue>,
    /// What JSON has no word for in it.
    #[serde(borrow, default)]
    pub meta: Option<&'a RawValue>,
}

/// What is there, null too, which serde would take for nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Envelope<'a> {
    /// Reads an envelope.
    ///
    /// # Errors
    /// [`ApiError::Malformed`]: it is none.
    pub fn read(text: &'a [u8]) -> Result<Self, ApiError> {
        // serde would take a list for the envelope, too.
        if !text.trim_ascii_start().starts_with(b"{") {
            return Err(ApiError::Malformed);
        }
        let envelope: Self = serde_json::from_slice(text).map_err(|_| ApiError::Malformed)?;
        match envelope.meta.map(RawValue::get) {
            None | Some("[]" | "null") => Ok(envelope),
            Some(meta) => check(envelope.json, meta).map(|()| envelope).ok_or(ApiError::Malformed),
        }
    }
}

/// Whether every item of `meta` leads to a value of the form that it says.
fn check(json: Option<&RawValue>, meta: &str) -> Option<()> {
    let value: Value = json.map_or(Some(Value::Null), |json| serde_json::from_str(json.get()).ok())?;
    let items: Vec<Vec<Value>> = serde_json::from_str(meta).ok()?;
    items.iter().try_for_each(|item| {
        let (code, path) = item.split_first()?;
        let found = path.iter().try_fold(&value, |value, key| step(value, key))?;
        fits(code.as_u64()?, found).then_some(())
    })
}

fn step<'v>(value: &'v Value, key: &Value) -> Option<&'v Value> {
    match (value, key) {
        (Value::Object(object), Value::String(key)) => object.get(key),
        (Value::Array(list), Value::Number(index)) => list.get(usize::try_from(index.as_u64()?).ok()?),
        _ => None,
    }
}

/// Unknown codes are of a newer client and are skipped.
fn fits(code: u64, value: &Value) -> bool {
    match code {
        0 => value.as_str().is_some_and(is_integer),
        1 => value.is_null() || value.is_string(),
        4 => value.as_str().is_some_and(|text| text.contains(':')),
        5 => value.as_str().is_some_and(|text| text.starts_with('/') && text.rfind('/') > Some(0)),
        6 => value.is_array(),
        7 => value.as_array().is_some_and(|pairs| pairs.iter().all(|it| it.as_array().is_some_and(|it| it.len() == 2))),
        _ => true,
    }
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.len() <= DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_must_lead_to_values_of_the_form_that_it_says() {
        for text in [
            r#"{"json":{"a":"2025-01-10T15:30:00.000Z"},"meta":[[1,"a"]]}"#,
            r#"{"json":null,"meta":[[2]]}"#,
            r#"{"json":[["1"]],"meta":[[0,0,0],[6,0],[6]]}"#,
            r#"{"json":{"m":[["k",1]]},"meta":[[7,"m"],[99,"m"]]}"#,
            r#"{"json":{},"meta":[]}"#,
            r#"{"json":{},"meta":null}"#,
            "{}",
        ] {
            assert!(Envelope::read(text.as_bytes()).is_ok(), "{text}");
        }
        for text in [
            r#"{"json":{"a":1},"meta":[[1,"b"]]}"#,
            r#"{"json":{"a":1},"meta":[[1,"a"]]}"#,
            r#"{"json":{},"meta":[[1,"__proto__"]]}"#,
            r#"{"json":["x"],"meta":[[0,0]]}"#,
            r#"{"json":[1],"meta":[[6,"length"]]}"#,
            r#"{"json":{"m":[["k"]]},"meta":[[7,"m"]]}"#,
            r#"{"json":{},"meta":{}}"#,
            r#"{"json":{},"meta":[[]]}"#,
            r#"{"meta":[[1,"a"]]}"#,
        ] {
            assert_eq!(Envelope::read(text.as_bytes()).err(), Some(ApiError::Malformed), "{text}");
        }
    }
}
