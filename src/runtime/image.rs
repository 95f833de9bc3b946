//! The files of the workspace image, which are inside this program.

use std::io;

use bytes::Bytes;

/// The recipe and the files that it copies, with their rights.
const FILES: [(&str, u32, &str); 4] = [
    ("Dockerfile", 0o644, include_str!("image/Dockerfile")),
    ("etc/docker/daemon.json", 0o644, include_str!("image/etc/daemon.json")),
    ("etc/ssh/sshd_config", 0o644, include_str!("image/etc/sshd_config")),
    ("etc/sudoers.d/workspace", 0o440, include_str!("image/etc/sudoers")),
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
    let recipe = FILES[0].2;
    recipe.lines().find_map(|line| line.strip_prefix(argument.as_str())).expect("the recipe names its base").trim()
}

/// The authorities that a machine trusts, which are needed to download anything where a proxy looks into connections.
pub const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The most of it that is taken, in bytes: a usual one has 250,000.
const TRUSTED_MAX: usize = 4 << 20;

/// The recipe and its files as a tar, with the authorities that the agent's machine trusts (empty: none).
///
/// # Errors
/// None in practice: it is written to memory.
pub fn context(trusted: &[u8]) -> io::Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    let trusted = if trusted.len() > TRUSTED_MAX { &[] } else { trusted };
    let files = FILES.iter().map(|(name, mode, text)| (*name, *mode, text.as_bytes()));
    for (name, mode, text) in files.chain([("host.crt", 0o644, trusted)]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(mode);
        // The same files make the same tar, so that a second build takes its layers from the first.
        header.set_mtime(0);
        tar.append_data(&mut header, name, text)?;
    }
    tar.into_inner().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Variant;

    #[test]
    fn the_recipe_names_a_base() {
        assert!(base().starts_with("debian:"), "{}", base());
    }

    #[test]
    fn the_context_holds_every_file_that_the_recipe_copies() {
        let copied = FILES[0].2.lines().filter_map(|line| line.strip_prefix("COPY ")?.split_whitespace().next());
        for what in copied.filter(|what| !what.starts_with("--")) {
            let folder = format!("{what}/");
            assert!(
                what == "host.crt" || FILES.iter().any(|(name, ..)| name.starts_with(&folder)),
                "{what} is missing"
            );
        }
    }

    #[test]
    fn the_recipe_has_a_stage_for_each_variant() {
        for variant in [Variant::Full, Variant::Slim] {
            assert!(FILES[0].2.contains(&format!(" AS {}\n", variant.stage())), "{variant}");
        }
    }

    #[test]
    fn the_context_holds_every_file() {
        let bytes = context(b"trusted").expect("a tar");
        let mut tar = tar::Archive::new(&bytes[..]);
        let names: Vec<_> = tar
            .entries()
            .expect("entries")
            .map(|entry| entry.expect("one").path().expect("a path").into_owned())
            .collect();
        assert_eq!(names.len(), FILES.len() + 1);
        assert_eq!(bytes, context(b"trusted").expect("a tar"), "the same each time");
    }
}
