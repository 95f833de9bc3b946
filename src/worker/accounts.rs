//! The users and groups of an image, read from its files. No libc call: a statically linked one would load the image's
//! name-service modules, which may be of another libc.

use std::fs;
use std::path::{Path, PathBuf};

/// The user that commands run as, where the image has it.
pub const USER: &str = "workspace";

/// A line of /etc/passwd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its own group.
    pub gid: u32,
    /// Its home folder.
    pub home: PathBuf,
    /// Its shell.
    pub shell: PathBuf,
}

impl Account {
    /// What holds for root in an image that does not even have /etc/passwd.
    pub fn root() -> Self {
        Self { name: "root".into(), uid: 0, gid: 0, home: "/root".into(), shell: "/bin/sh".into() }
    }
}

/// The user of that name in a text of the form of /etc/passwd.
pub fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/").into();
        let shell = fields.next().filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh").into();
        Some(Account { name: name.to_owned(), uid, gid, home, shell })
    })
}

/// The numbers of the groups that list that user, in a text of the form of /etc/group.
pub fn groups(group: &str, name: &str) -> Vec<u32> {
    let listed = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let gid = fields.next()?.parse().ok()?;
        fields.next()?.split(',').any(|member| member.trim() == name).then_some(gid)
    };
    group.lines().filter_map(listed).collect()
}

/// The user `workspace` of the image whose root is `root` (else its root), and the groups it is in.
pub fn default_user(root: &Path) -> (Account, Vec<u32>) {
    let read = |name: &str| fs::read(root.join(name)).map(|text| String::from_utf8_lossy(&text).into_owned());
    let passwd = read("etc/passwd").unwrap_or_default();
    let account = find(&passwd, USER).or_else(|| find(&passwd, "root")).unwrap_or_else(Account::root);
    let mut numbers = groups(&read("etc/group").unwrap_or_default(), &account.name);
    numbers.push(account.gid);
    numbers.sort_unstable();
    numbers.dedup();
    (account, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nbroken\nworkspace:x:1000:1001:,,,:/home/workspace:/bin/zsh\nbare:x:7:8:::\n";
    const GROUP: &str = "root:x:0:\nsudo:x:27:me,workspace\ndocker:x:102:workspace\nworkspace:x:1001:\nodd\n";

    #[test]
    fn a_user_is_found_with_number_home_and_shell() {
        let account = find(PASSWD, "workspace").expect("there");
        assert_eq!((account.uid, account.gid), (1000, 1001));
        assert_eq!((account.home, account.shell), ("/home/workspace".into(), "/bin/zsh".into()));
        assert_eq!(find(PASSWD, "work"), None);
    }

    #[test]
    fn empty_fields_get_what_login_would_take() {
        let account = find(PASSWD, "bare").expect("there");
        assert_eq!((account.home, account.shell), ("/".into(), "/bin/sh".into()));
    }

    #[test]
    fn the_groups_that_list_a_user_are_found() {
        assert_eq!(groups(GROUP, "workspace"), [27, 102]);
        assert!(groups(GROUP, "nobody").is_empty());
    }

    #[test]
    fn an_image_with_nothing_in_it_has_root() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(default_user(folder.path()), (Account::root(), vec![0]));
    }
}
