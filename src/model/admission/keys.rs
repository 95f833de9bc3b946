//! OpenSSH public keys, as a line of an `authorized_keys` file. What was given is never repeated in a message: it may
//! be a private key.

/// The types that OpenSSH still takes.
const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// A line of that length holds the longest key there is (RSA, 16,384 bits) with room for options and a comment.
const MAX: usize = 8192;

/// What is wrong with a public key, and what would be right.
pub(super) fn fault(key: &str) -> Option<&'static str> {
    if key.contains("PRIVATE KEY") || key.starts_with("PuTTY-User-Key-File") {
        return Some(
            "this is a private key, which must stay where it is: give the public one, the line in the .pub file beside it",
        );
    }
    if key.trim().is_empty() {
        return Some("is empty: give the line in a .pub file, such as ssh-ed25519 AAAA… me@laptop");
    }
    if key.len() > MAX {
        return Some("is longer than 8192 characters: give one public key, the line in a .pub file");
    }
    if key.trim_end_matches('\n').chars().any(char::is_control) {
        return Some("has more than one line: give each key as an item of its own");
    }
    if key.trim_start().starts_with('#') {
        return Some("is a comment: give the line in a .pub file, such as ssh-ed25519 AAAA… me@laptop");
    }
    if key.starts_with(['~', '/', '.']) || key.trim().ends_with(".pub") {
        return Some("is a path: give the key itself, the line in the .pub file");
    }
    if key.contains("ssh-dss ") {
        return Some("is a DSA key, which OpenSSH takes no more: make one with ssh-keygen -t ed25519");
    }
    let words: Vec<&str> = key.split_ascii_whitespace().collect();
    // Options may stand before the type, and may hold spaces in quotes.
    let Some(at) = words.iter().position(|word| TYPES.contains(word)) else {
        return Some("is no OpenSSH public key: give the line in a .pub file, such as ssh-ed25519 AAAA… me@laptop");
    };
    let whole = words.get(at + 1).is_some_and(|blob| is_whole(words[at], blob));
    (!whole).then_some("is a public key that was cut off or mistyped: copy the whole line from the .pub file")
}

/// Whether the base64 holds strings with their lengths, the first of them the type, and nothing after.
fn is_whole(kind: &str, base64: &str) -> bool {
    let Some(blob) = decode(base64) else { return false };
    let mut rest = blob.as_slice();
    let mut first = None;
    let mut strings = 0;
    while !rest.is_empty() {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return false };
        let Ok(length) = usize::try_from(u32::from_be_bytes(*length)) else { return false };
        let Some((string, after)) = after.split_at_checked(length) else { return false };
        first.get_or_insert(string);
        strings += 1;
        rest = after;
    }
    strings >= 2 && first == Some(kind.as_bytes())
}

fn decode(base64: &str) -> Option<Vec<u8>> {
    let digits = base64.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::fault;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ+Hm0fyHHHTkjYxOuMWNAUTPn1Q4oYL0mgmhKMpVW2p";

    #[test]
    fn public_keys_are_taken_with_options_and_comments() {
        assert_eq!(fault(KEY), None);
        assert_eq!(fault(&format!("{KEY} me@laptop\n")), None);
        assert_eq!(fault(&format!("from=\"10.0.0.0/8\",no-pty {KEY} me")), None);
    }

    #[test]
    fn anything_else_is_refused() {
        let cut = &KEY[..KEY.len() - 10];
        let other = KEY.replace("ssh-ed25519", "ssh-rsa");
        for (key, says) in [
            ("", "empty"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk", "private key"),
            ("~/.ssh/id_ed25519.pub", "path"),
            ("hunter2", "no OpenSSH"),
            ("ssh-ed25519", "cut off"),
            (cut, "cut off"),
            (other.as_str(), "cut off"),
            ("ssh-dss AAAA", "DSA"),
            ("# laptop", "comment"),
        ] {
            let message = fault(key).expect(key);
            assert!(message.contains(says), "{key}: {message}");
        }
    }
}
