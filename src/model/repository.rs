//! URLs of git repositories: where a clone of one goes, and who may log in where.

use std::collections::BTreeMap;

use super::desired::HOME;
use super::sync::inside;
use super::workspace::CloneSpec;

/// The folder that a clone goes to: `path`, else the repository's name in the home folder.
///
/// `None`: the URL ends in no name that a folder could have. One that begins with a dot is none either: it would be
/// made of somebody else's files, and `.ssh` or `.config` decide who may come in and what is run.
pub fn target(clone: &CloneSpec) -> Option<String> {
    match &clone.path {
        Some(path) => Some(inside(path)),
        None => name(&clone.url).map(|name| format!("{HOME}/{name}")),
    }
}

fn name(url: &str) -> Option<&str> {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let (_, last) = path.rsplit_once(['/', ':'])?;
    let name = last.strip_suffix(".git").unwrap_or(last);
    let plain = |c: char| c.is_alphanumeric() || "._-+~@".contains(c);
    let fine = !name.is_empty() && name.len() <= 100 && !name.starts_with(['.', '-', '~']) && name.chars().all(plain);
    fine.then_some(name)
}

/// A repository's URL, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Without name and password, for git and for people to read.
    pub plain: String,
    /// `https`, `http`, `ssh`, `git`; `ssh` for the form `host:path`.
    pub scheme: String,
    /// With the port where there is one, in lower case.
    pub host: String,
    /// Name and password that were in it, for `http` and `https`.
    pub login: Option<Login>,
}

/// A name and a password, or a token in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl Url {
    /// Takes a URL apart that admission has found good.
    pub fn parse(url: &str) -> Self {
        let Some((scheme, rest)) = url.split_once("://") else {
            let host = url.split(':').next().unwrap_or_default();
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host).to_lowercase();
            return Self { plain: url.to_owned(), scheme: "ssh".to_owned(), host, login: None };
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let (scheme, host) = (scheme.to_owned(), host.to_lowercase());
        if !scheme.starts_with("http") {
            // The name is whom to log in as, and no secret.
            return Self { plain: url.to_owned(), scheme, host, login: None };
        }
        let login = user.map(|user| {
            let (username, password) = user.split_once(':').unwrap_or((user, ""));
            Login { username: decode(username), password: decode(password) }
        });
        Self { plain: format!("{scheme}://{host}{path}"), scheme, host, login }
    }

    /// How to log in at `host`: as the URL says, else with the token of the environment that is for that host.
    ///
    /// `GIT_TOKEN` is for the host of the URL, `GITHUB_TOKEN` and `GH_TOKEN` are for github.com, `GITLAB_TOKEN` is for
    /// gitlab.com; none is given to another host, such as one that a redirect leads to.
    pub fn login(&self, scheme: &str, host: &str, env: &BTreeMap<String, String>) -> Option<Login> {
        let host = host.to_lowercase();
        let own = self.scheme == scheme && self.host == host;
        if let Some(login) = self.login.as_ref().filter(|login| own && !login.password.is_empty()) {
            return Some(login.clone());
        }
        let named = self.login.as_ref().map(|login| login.username.as_str()).filter(|_| own);
        let token = |name: &str| env.get(name).filter(|token| !token.is_empty());
        let (username, password) = match host.as_str() {
            "github.com" if scheme == "https" && (token("GITHUB_TOKEN").or(token("GH_TOKEN"))).is_some() => {
                ("x-access-token", token("GITHUB_TOKEN").or(token("GH_TOKEN"))?)
            }
            "gitlab.com" if scheme == "https" && token("GITLAB_TOKEN").is_some() => ("oauth2", token("GITLAB_TOKEN")?),
            _ if own => (env.get("GIT_USERNAME").map_or("git", String::as_str), token("GIT_TOKEN")?),
            _ => return None,
        };
        Some(Login { username: named.unwrap_or(username).to_owned(), password: password.clone() })
    }
}

/// Percent-encoded text as it was meant; what is not encoded well stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let digits =
            (*first == b'%').then(|| more.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(url: &str) -> Option<String> {
        target(&CloneSpec { url: url.to_owned(), branch: None, path: None })
    }

    #[test]
    fn a_clone_goes_to_the_repositorys_name_in_the_home_folder() {
        for (url, name) in [
            ("https://example.com/me/app.git", "app"),
            ("https://example.com/me/app/", "app"),
            ("git@example.com:app.git", "app"),
            ("git@example.com:me/app", "app"),
            ("ssh://git@example.com:2222/me/app.js.git", "app.js"),
            ("https://example.com/app?x=/y", "app"),
        ] {
            assert_eq!(folder(url), Some(format!("/home/workspace/{name}")), "{url}");
        }
        let path = Some("~/src/app".to_owned());
        let clone = CloneSpec { url: "https://example.com/.ssh".to_owned(), branch: None, path };
        assert_eq!(target(&clone).as_deref(), Some("/home/workspace/src/app"));
    }

    #[test]
    fn a_url_that_names_no_plain_folder_needs_a_path() {
        for url in [
            "https://example.com/.ssh.git",
            "https://example.com/..",
            "https://example.com/.git",
            "https://example.com/-x",
            "https://example.com/~me",
            "https://example.com/a%2f..%2f.ssh",
            "https://example.com/$(id)",
            "git@example.com:",
            "https://example.com/🦀 x",
        ] {
            assert_eq!(folder(url), None, "{url}");
        }
    }

    #[test]
    fn a_password_is_taken_out_of_the_url_and_given_to_its_own_host_alone() {
        let url = Url::parse("https://me:p%40ss%3A@Example.com:8443/app.git");
        assert_eq!(url.plain, "https://example.com:8443/app.git");
        let login = url.login("https", "example.com:8443", &BTreeMap::new()).expect("a login");
        assert_eq!((login.username.as_str(), login.password.as_str()), ("me", "p@ss:"));
        for (scheme, host) in [("http", "example.com:8443"), ("https", "example.com"), ("https", "evil.com")] {
            assert!(url.login(scheme, host, &BTreeMap::new()).is_none(), "{scheme} {host}");
        }
        assert_eq!(Url::parse("git@host:me/app").plain, "git@host:me/app");
        assert_eq!(Url::parse("ssh://git@host/app").plain, "ssh://git@host/app");
        assert_eq!(decode("100%"), "100%");
    }

    #[test]
    fn a_token_goes_to_the_host_that_it_is_for() {
        let env = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let tokens: BTreeMap<String, String> =
            env(&[("GITHUB_TOKEN", "hub"), ("GITLAB_TOKEN", "lab"), ("GIT_TOKEN", "own")]);
        let given = |url: &str, scheme: &str, host: &str| {
            Url::parse(url).login(scheme, host, &tokens).map(|login| format!("{}:{}", login.username, login.password))
        };
        assert_eq!(given("https://github.com/a/b", "https", "github.com").as_deref(), Some("x-access-token:hub"));
        assert_eq!(given("https://gitlab.com/a/b", "https", "gitlab.com").as_deref(), Some("oauth2:lab"));
        assert_eq!(given("https://git.me/a", "https", "git.me").as_deref(), Some("git:own"));
        assert_eq!(given("https://me@git.me/a", "https", "git.me").as_deref(), Some("me:own"));
        assert_eq!(given("https://git.me/a", "https", "evil.com"), None, "where a redirect leads");
        assert_eq!(
            given("http://github.com/a/b", "http", "github.com").as_deref(),
            Some("git:own"),
            "not in the clear"
        );
        assert_eq!(given("https://git.me/a", "http", "git.me"), None, "not in the clear where TLS was asked for");
        assert!(Url::parse("https://x/y").login("https", "x", &env(&[("GIT_TOKEN", "")])).is_none());
    }
}
