//! The variants of the agent's own image, and which names they go by.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The tag of the slim variant.
const SLIM: &str = "slim";
const LATEST: &str = "latest";

/// A variant of the agent's own image, built from the files inside this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// With everything that people and coding agents work with.
    Full,
    /// With no more than Perry itself needs: Docker and ssh.
    Slim,
}

impl Variant {
    /// The variant that an image's name stands for; `None` for an image of somebody else's.
    ///
    /// The agent's own are `imageTag` itself and the same repository with the tag `slim`; an `imageTag` that has this tag
    /// is the slim one.
    pub fn of(image: &str, image_tag: &str) -> Option<Self> {
        let ((repository, tag), own) = (split(image), split(image_tag));
        match tag {
            SLIM if repository == own.0 => Some(Self::Slim),
            _ if (repository, tag) == own => Some(Self::Full),
            _ => None,
        }
    }

    /// The name of this variant where the agent's image is called `image_tag`.
    pub fn image(self, image_tag: &str) -> String {
        let repository = split(image_tag).0;
        match self {
            _ if Self::of(image_tag, image_tag) == Some(self) => image_tag.to_owned(),
            Self::Full => repository.to_owned(),
            Self::Slim => format!("{repository}:{SLIM}"),
        }
    }

    /// The stage of the recipe that makes it.
    pub fn stage(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Slim => SLIM,
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stage())
    }
}

/// Repository and tag. A colon before the last slash belongs to a registry's port.
fn split(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (image, LATEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_own_images_are_known_by_name() {
        let of = |image| Variant::of(image, "workspace-base");
        assert_eq!(of("workspace-base"), Some(Variant::Full));
        assert_eq!(of("workspace-base:latest"), Some(Variant::Full));
        assert_eq!(of("workspace-base:slim"), Some(Variant::Slim));
        for other in
            ["workspace-base:1", "workspace", "debian:slim", "hub/workspace-base:slim", "workspace-base@sha256:0"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(Variant::of("hub:5000/base", "hub:5000/base:latest"), Some(Variant::Full));
        assert_eq!(Variant::of("base:slim", "base:slim"), Some(Variant::Slim));
        assert_eq!(Variant::of("base", "base:slim"), None);
    }

    #[test]
    fn each_variant_has_a_name_that_stands_for_it() {
        let names = |tag| [Variant::Full.image(tag), Variant::Slim.image(tag)];
        assert_eq!(names("workspace-base"), ["workspace-base", "workspace-base:slim"]);
        assert_eq!(names("hub:5000/base:2"), ["hub:5000/base:2", "hub:5000/base:slim"]);
        assert_eq!(names("base:slim"), ["base", "base:slim"]);
    }
}
