//! The environment of everything inside: what the container has, and beyond that what the agent brings (`sync.env`). A
//! login through sshd begins with neither, so sshd is given both in its settings, which root alone may read.

use std::ffi::OsStr;
use std::path::Path;

use crate::model::Variables;

/// Folders of a home that programs are installed into, first to be searched.
const BIN: &str = ".local/bin";
/// What each login has of its own.
const OWN: [&str; 11] = ["HOME", "HOSTNAME", "LOGNAME", "MAIL", "OLDPWD", "PWD", "SHELL", "SHLVL", "TERM", "USER", "_"];

/// A PATH in which programs of the home are found.
pub fn path(path: &str, home: &Path) -> String {
    let bin = home.join(BIN);
    match path.split(':').any(|folder| Path::new(folder) == bin) {
        true => path.to_owned(),
        false => format!("{}:{path}", bin.display()),
    }
}

/// What is brought, where `has` does not know a variable of that name: the manifest's word comes before the agent's.
pub fn brought<'a>(
    env: &'a Variables,
    has: impl Fn(&OsStr) -> bool + 'a,
) -> impl Iterator<Item = (&'a String, &'a String)> {
    env.0.iter().filter(move |(name, _)| !has(OsStr::new(name)))
}

/// The line of sshd's settings that gives all logins this environment; empty where there is none. Values with line
/// breaks cannot be given.
pub fn sshd_setting(variables: impl IntoIterator<Item = (String, String)>) -> String {
    let mut line = String::new();
    for (name, value) in variables {
        let plain = |text: &str| !text.contains(|c: char| c.is_control() && c != '\t');
        let named = !name.is_empty() && !name.contains(['"', '\'', '\\', '=']) && plain(&name);
        if named && plain(&value) && !OWN.contains(&name.as_str()) {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            line.push_str(&format!(" \"{name}={value}\""));
        }
    }
    if line.is_empty() { line } else { format!("SetEnv{line}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn programs_of_the_home_are_found_and_listed_once() {
        let home = Path::new("/home/workspace");
        assert_eq!(path("/usr/bin", home), "/home/workspace/.local/bin:/usr/bin");
        assert_eq!(path("/usr/bin:/home/workspace/.local/bin", home), "/usr/bin:/home/workspace/.local/bin");
    }

    #[test]
    fn what_the_container_has_is_not_replaced() {
        let env = Variables([pair("A", "1"), pair("B", "2")].into());
        let brought: Vec<_> = brought(&env, |name| name == "A").map(|(name, _)| name.as_str()).collect();
        assert_eq!(brought, ["B"]);
    }

    #[test]
    fn every_value_is_one_word_of_sshd_and_what_cannot_be_is_left_out() {
        let all = [pair("A", "b c"), pair("Q", r#"a"b'c\d#"#), pair("HOME", "/x"), pair("L", "a\nPermitRootLogin yes")];
        assert_eq!(sshd_setting(all), "SetEnv \"A=b c\" \"Q=a\\\"b'c\\\\d#\"\n");
        assert_eq!(sshd_setting([pair("L\n", "x"), pair("TERM", "x")]), "");
    }
}
