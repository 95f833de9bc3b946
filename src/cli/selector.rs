//! Label selectors, as in kubectl: `team=web,part!=db,key,!key,team in (a,b),team notin (c)`.

use std::str::FromStr;

/// All of these must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    key: String,
    /// The value must be one of these; any where it is `None`.
    values: Option<Vec<String>>,
    /// The opposite.
    not: bool,
}

impl FromStr for Selector {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let terms: Result<Vec<Term>, String> = split(text).into_iter().map(term).collect();
        match terms {
            Ok(terms) if !terms.is_empty() => Ok(Self(terms)),
            Ok(_) => Err("is empty: write one such as team=web".to_owned()),
            Err(wrong) => {
                Err(format!("{wrong:?} is no selector: write team=web, team!=web, team, !team or team in (a,b)"))
            }
        }
    }
}

impl Selector {
    /// Whether labels with this lookup match.
    pub(super) fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|term| {
            let value = get(&term.key);
            let holds = match &term.values {
                None => value.is_some(),
                Some(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            };
            holds != term.not
        })
    }
}

/// At commas, but not at those between parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth <= 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
    .collect()
}

fn term(text: &str) -> Result<Term, String> {
    let (key, values, not) = if let Some((key, list)) = text.split_once(" notin ") {
        (key, Some(set(list).ok_or(text)?), true)
    } else if let Some((key, list)) = text.split_once(" in ") {
        (key, Some(set(list).ok_or(text)?), false)
    } else if let Some((key, value)) = text.split_once("!=") {
        (key, Some(vec![value.trim().to_owned()]), true)
    } else if let Some((key, value)) = text.split_once('=') {
        (key, Some(vec![value.trim_start_matches('=').trim().to_owned()]), false)
    } else if let Some(key) = text.strip_prefix('!') {
        (key, None, true)
    } else {
        (text, None, false)
    };
    let key = key.trim();
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if key.is_empty() || !key.chars().all(fine) {
        return Err(text.to_owned());
    }
    Ok(Term { key: key.to_owned(), values, not })
}

fn set(list: &str) -> Option<Vec<String>> {
    let inner = list.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::Selector;

    fn matches(selector: &str) -> bool {
        let selector: Selector = selector.parse().expect(selector);
        selector.matches(|key| match key {
            "team" => Some("web"),
            "empty" => Some(""),
            _ => None,
        })
    }

    #[test]
    fn selectors_select_as_in_kubectl() {
        for yes in [
            "team=web",
            "team==web",
            "team!=db",
            "other!=x",
            "team",
            "!other",
            "team in (a, web)",
            "team notin (a,b)",
            "team=web,!other,empty=",
            "other notin (a)",
        ] {
            assert!(matches(yes), "{yes}");
        }
        for no in ["team=db", "team!=web", "other", "!team", "team in (a,b)", "team notin (web)", "team=web,other"] {
            assert!(!matches(no), "{no}");
        }
        for wrong in ["", ",", "=web", "team in a", "a b"] {
            assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
        }
    }
}
