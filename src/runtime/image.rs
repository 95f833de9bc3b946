//! The files of the workspace image, which are inside this program.

use std::io;

use bytes::Bytes;

/// The recipe and the files that it copies.
const FILES: [(&str, &str); 4] = [
    ("Dockerfile", include_str!("image/Dockerfile")),
    ("daemon.json", include_str!("image/daemon.json")),
    ("sshd_config", include_str!("image/sshd_config")),
    ("sudoers", include_str!("image/sudoers")),
];

/// Makes a base where no registry answers: `bash -c BASE_SCRIPT perry-base FOLDER` writes a tar to its stdout.
pub const BASE_SCRIPT: &str = include_str!("image/base.sh");
/// The build argument that names the base.
pub const BASE_ARGUMENT: &str = "BASE";
/// What a base made by [`BASE_SCRIPT`] is called: never by the name of the registry's, which it is not.
pub const LOCAL_BASE: (&str, &str) = ("perry-base", "trixie");

/// The base that the recipe names.
pub fn base() -> &'static str {
    let argument = format!("ARG {BASE_ARGUMENT}=");
    let recipe = FILES[0].1;
    recipe.lines().find_map(|line| line.strip_prefix(argument.as_str())).expect("the recipe names its base").trim()
}

/// The recipe and its files as a tar.
///
/// # Errors
/// None in practice: it is written to memory.
pub fn context() -> io::Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in FILES {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        // The same files make the same tar, so that a second build takes its layers from the first.
        header.set_mtime(0);
        tar.append_data(&mut header, name, text.as_bytes())?;
    }
    tar.into_inner().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_names_a_base() {
        assert!(base().starts_with("debian:"), "{}", base());
    }

    #[test]
    fn the_context_holds_every_file_that_the_recipe_copies() {
        let copied = FILES[0].1.lines().filter_map(|line| line.strip_prefix("COPY ")?.split_whitespace().next());
        let known: Vec<_> = FILES.iter().map(|(name, _)| *name).collect();
        for name in copied {
            assert!(known.contains(&name), "{name} is missing");
        }
        let bytes = context().expect("a tar");
        let mut tar = tar::Archive::new(&bytes[..]);
        let names: Vec<_> = tar
            .entries()
            .expect("entries")
            .map(|entry| entry.expect("one").path().expect("a path").into_owned())
            .collect();
        assert_eq!(names.len(), FILES.len());
        assert_eq!(bytes, context().expect("a tar"), "the same each time");
    }
}
