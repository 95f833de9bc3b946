//! Single values: what was written, by what is wanted there.

use std::str::FromStr;

use serde_json::Value;

use super::tree::Style;
use crate::model::Name;
use crate::model::nearest::nearest;
use crate::model::quantity::Bytes;
use crate::model::schema::Shape;

/// The value of what was written, by what is wanted there.
pub(super) fn scalar(text: &str, style: Style, shape: &Shape) -> Result<Value, String> {
    match shape {
        Shape::Text => Ok(Value::from(text)),
        Shape::Name => Name::from_str(text)
            .map(|name| Value::from(name.as_str()))
            .map_err(|error| format!("{} is no name: {error}{}", quoted(text), name_instead(text))),
        Shape::Choice(words) => choice(text, words),
        Shape::Bytes if text.len() > 40 => Err(format!("{} is too long: {}", quoted(text), wanted(shape))),
        Shape::Bytes => Bytes::from_str(text).map(|_| Value::from(text)).map_err(|error| match bytes_instead(text) {
            Some(right) => format!("{} is no amount of memory: write {right}", quoted(text)),
            None => error.to_string(),
        }),
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
        (None, _) => Err(format!("{} is none: {wanted}", quoted(text))),
    }
}

fn integer(text: &str, style: Style, low: u64, high: u64) -> Result<Value, String> {
    let wanted = wanted(&Shape::Integer(low, high));
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        let pair =
            text.split_once(':').filter(|(host, port)| host.parse::<u16>().is_ok() && port.parse::<u16>().is_ok());
        if let Some((host, port)) = pair {
            return Err(format!("{} is a pair: write port: {port} and hostPort: {host}", quoted(text)));
        }
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

/// A name that is near to a text that is none.
fn name_instead(text: &str) -> String {
    let near: String =
        text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    match near.trim_matches('-').parse::<Name>() {
        Ok(name) => format!("; such as {name}"),
        Err(_) => String::new(),
    }
}

/// What `4GB`, `512m` or `1.5Gi` was meant to be, where that is whole.
fn bytes_instead(text: &str) -> Option<String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (text[..digits].parse::<f64>().ok()?, text[digits..].trim().to_ascii_lowercase());
    let factor = match unit.as_str() {
        "" | "b" => 1.0,
        "k" | "ki" | "kib" => 1024.0,
        "m" | "mi" | "mib" => 1024.0 * 1024.0,
        "g" | "gi" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "kb" | "mb" | "gb" => return Some(text.trim_end_matches(['b', 'B']).replace("K", "k")),
        _ => return None,
    };
    let bytes = number * factor;
    let whole = bytes.fract() == 0.0 && bytes < 1e15;
    // In range and whole, as was just checked.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    whole.then(|| Bytes(bytes as u64).to_string())
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
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// What would be right.
pub(super) fn wanted(shape: &Shape) -> String {
    match shape {
        Shape::Object(fields) => {
            let needed = fields.iter().filter(|field| field.required).map(|field| field.name.as_str());
            let needed = needed.collect::<Vec<_>>().join(" and ");
            if needed.is_empty() {
                "a map is needed, such as `key: value`".to_owned()
            } else {
                let fields = fields.iter().filter(|field| field.required).map(|field| format!("{}: …", field.name));
                format!("a map is needed, such as `{{ {} }}`", fields.collect::<Vec<_>>().join(", "))
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
