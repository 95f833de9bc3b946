//! Values that look like secrets, for those who may only look. It is a courtesy to who puts a secret into `spec.env`, not
//! a boundary: what does not look like one is shown.

use super::{Spec, View};

/// What is shown instead.
pub const MASK: &str = "***";

/// Words in the name of a variable that say what is in it, in capitals.
const WORDS: [&str; 14] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PASSPHRASE",
    "PWD",
    "KEY",
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "COOKIE",
    "DSN",
];
/// How well-known tokens begin.
const BEGINNINGS: [&str; 19] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_live_",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "ASIA",
    "AIza",
    "eyJ",
    "npm_",
    "pypi-",
    "hf_",
    "perry_",
    "-----BEGIN",
];

/// Whether a variable of this name and value looks like a secret.
pub fn looks_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let said = name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        WORDS.contains(&word) || ["TOKEN", "SECRET", "PASSWORD", "APIKEY"].iter().any(|end| word.ends_with(end))
    });
    let value = value.trim_start();
    !value.is_empty() && (said || BEGINNINGS.iter().any(|start| value.starts_with(start)) || has_login(value))
}

/// `scheme://user:password@host`.
fn has_login(value: &str) -> bool {
    let authority = value.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    authority.and_then(|authority| authority.rsplit_once('@')).is_some_and(|(login, _)| login.contains(':'))
}

/// The view without what looks like a secret; `None` where nothing does.
pub fn masked(view: &View) -> Option<View> {
    let secret = |spec: &Spec| spec.env.iter().any(|(name, value)| looks_secret(name, value));
    secret(&view.spec).then(|| {
        let mut view = view.clone();
        for (name, value) in &mut view.spec.env {
            if looks_secret(name, value) {
                MASK.clone_into(value);
            }
        }
        view
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_or_looks_like_a_secret_is_one() {
        for (name, value) in [
            ("GITHUB_TOKEN", "x"),
            ("githubToken", "x"),
            ("MY_API_KEY", "x"),
            ("DB_PASSWORD", "x"),
            ("pgpass.pwd", "x"),
            ("A", "ghp_abcdef"),
            ("A", "  eyJhbGciOi.x.y"),
            ("DATABASE_URL", "postgres://me:hunter2@db/app"),
            ("CERT", "-----BEGIN PRIVATE KEY-----"),
        ] {
            assert!(looks_secret(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("EDITOR", "vim"),
            ("KEYBOARD", "de"),
            ("MONKEY", "x"),
            ("GITHUB_TOKEN", ""),
            ("URL", "https://example.com/a:b@c"),
            ("URL", "https://me@example.com/"),
            ("AUTHOR", "Ada"),
        ] {
            assert!(!looks_secret(name, value), "{name}={value}");
        }
    }
}
