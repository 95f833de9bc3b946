//! Names of images.

/// The longest name, in bytes.
const LENGTH_MAX: usize = 512;

/// The name of an image, safe to be put into a path of the engine's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference<'a>(&'a str);

/// A text that can be no image's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no image: write a name such as debian:trixie-slim, with a registry before it where needed")]
pub(super) struct ReferenceError(String);

impl<'a> Reference<'a> {
    /// Checks only what would change the meaning of a request; the rest is the engine's to judge.
    pub(super) fn parse(text: &'a str) -> Result<Self, ReferenceError> {
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:@".contains(&byte))
        };
        if text.len() > LENGTH_MAX || !text.split('/').all(plain) {
            return Err(ReferenceError(text.chars().take(LENGTH_MAX).collect()));
        }
        Ok(Self(text))
    }

    pub(super) fn as_str(self) -> &'a str {
        self.0
    }

    /// The repository, and the tag or digest; `latest` where none is given, since without one an engine pulls every tag.
    pub(super) fn split(self) -> (&'a str, &'a str) {
        if let Some((repository, digest)) = self.0.split_once('@') {
            return (repository, digest);
        }
        match self.0.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (self.0, "latest"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_split_into_repository_and_tag() {
        let split = |text| Reference::parse(text).expect("an image").split();
        assert_eq!(split("debian"), ("debian", "latest"));
        assert_eq!(split("debian:trixie-slim"), ("debian", "trixie-slim"));
        assert_eq!(split("registry:5000/team/app"), ("registry:5000/team/app", "latest"));
        assert_eq!(split("registry:5000/app:1.2"), ("registry:5000/app", "1.2"));
        assert_eq!(split("app@sha256:abc"), ("app", "sha256:abc"));
    }

    #[test]
    fn what_would_lead_a_request_elsewhere_is_refused() {
        for text in ["", "a b", "a?b", "a#b", "../containers", "a/../b", "/a", "a//b", "a%2fb", "a\nb", "ä"] {
            Reference::parse(text).expect_err(text);
        }
        Reference::parse(&"a".repeat(LENGTH_MAX + 1)).expect_err("too long");
    }
}
