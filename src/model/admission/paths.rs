//! Paths inside a workspace.

use crate::model::desired::{DOCKER_DATA, HOME};
use crate::model::sync::inside;

/// Mounted or watched over by somebody else: nothing may be mounted there or below.
const RESERVED: [&str; 7] = [DOCKER_DATA, "/.perry", "/run/perry", "/var/run", "/proc", "/sys", "/dev"];

/// What Perry keeps in the home volume: host keys, and what was run.
const PERRY_DATA: &str = "/home/workspace/.perry";

/// What is wrong with the path of a volume, and what would be right.
pub(super) fn volume_fault(path: &str) -> Option<String> {
    if let Some(message) = absolute_fault(path) {
        return Some(message);
    }
    if path.contains([':', ',']) {
        return Some("must not have : or , in it".to_owned());
    }
    if path == "/" {
        return Some("is the whole file system: mount a folder of its own, such as /data".to_owned());
    }
    if path == HOME {
        return Some(format!("is the home folder, which is kept anyway: mount below it, such as {HOME}/.cache"));
    }
    if let Some(reserved) = RESERVED.iter().find(|reserved| is_within(path, reserved)) {
        return Some(format!("is in {reserved}, which is not yours: mount elsewhere, such as /data"));
    }
    let hides = RESERVED.iter().chain(&[HOME]).find(|reserved| is_within(reserved, path))?;
    Some(format!("would hide {hides}: mount a folder of its own, such as /data"))
}

/// What is wrong with the target of a file that is brought.
pub(in crate::model) fn file_fault(path: &str) -> Option<String> {
    if let Some(fault) = home_or_absolute_fault(path) {
        return Some(fault);
    }
    let path = inside(path);
    if path.ends_with('/') || path == HOME {
        return Some("is a folder: name the file in it, such as ~/.gitconfig".to_owned());
    }
    let reserved = RESERVED.iter().copied().chain([PERRY_DATA]).find(|reserved| is_within(&path, reserved))?;
    Some(format!("is in {reserved}, which is not yours"))
}

/// What is wrong with an absolute, normal path.
pub(super) fn absolute_fault(path: &str) -> Option<String> {
    if let Some(rest) = path.strip_prefix('~') {
        return Some(format!("must be absolute: write {HOME}{rest}"));
    }
    match path.strip_prefix('/') {
        Some(rest) => unclean(rest),
        None => Some("must be absolute, such as /data".to_owned()),
    }
}

/// What is wrong with a path that is absolute or begins with `~/`.
pub(super) fn home_or_absolute_fault(path: &str) -> Option<String> {
    match path.strip_prefix("~/").or_else(|| path.strip_prefix('/')) {
        Some(rest) => unclean(rest),
        None => Some("begins with ~/ or /, such as ~/app".to_owned()),
    }
}

fn unclean(rest: &str) -> Option<String> {
    let wrong = if rest.chars().any(char::is_control) {
        "must not have control characters in it"
    } else if rest.len() > 4000 {
        "is longer than 4000 characters"
    } else if rest.split('/').any(|part| part == ".." || part == ".") {
        "must not have . or .. in it: write where it leads"
    } else if !rest.is_empty() && rest.split('/').any(str::is_empty) {
        "must not have // in it or end with /"
    } else {
        return None;
    };
    Some(wrong.to_owned())
}

fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::volume_fault;

    #[test]
    fn folders_of_its_own_are_taken() {
        for path in ["/data", "/home/workspace/.cache", "/home/other", "/var/lib/postgresql", "/run-perry", "/devel"] {
            assert_eq!(volume_fault(path), None, "{path}");
        }
    }

    #[test]
    fn folders_of_others_are_refused() {
        for path in [
            "",
            "/",
            "data",
            "~/data",
            "/home",
            "/home/workspace",
            "/run",
            "/run/perry",
            "/run/perry/x",
            "/var",
            "/var/lib",
            "/var/lib/docker/volumes",
            "/.perry",
            "/proc",
            "/proc/1",
            "/sys",
            "/dev/shm",
            "/a/../b",
            "/a//b",
            "/a/",
            "/a:b",
            "/a\nb",
            "/var/run/perry",
        ] {
            assert!(volume_fault(path).is_some(), "{path}");
        }
    }
}
