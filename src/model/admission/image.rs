//! Image references: `[host[:port]/]path[:tag][@digest]`, as the engine takes them.

/// What is wrong with an image reference, and what would be right.
pub(super) fn fault(image: &str) -> Option<String> {
    let general = "write it as in `docker pull`, such as debian:12 or ghcr.io/me/app:1.0";
    if image.is_empty() {
        return Some(format!("is empty: {general}, or leave it out"));
    }
    if image.len() > 512 {
        return Some("is longer than 512 characters".to_owned());
    }
    if image.contains("://") {
        return Some(format!("is a URL: {general}"));
    }
    if image.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some(format!("has a space or control character in it: {general}"));
    }
    let (rest, digest) = image.split_once('@').map_or((image, None), |(rest, digest)| (rest, Some(digest)));
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Some("has a wrong digest: after @ come sha256: and 64 hexadecimal digits".to_owned());
    }
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Some("has a wrong tag: after : come at most 128 letters, digits, and . _ -".to_owned());
    }
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            if !is_host(host) {
                return Some(format!("has a wrong registry host before the first /: {general}"));
            }
            path
        }
        _ => name,
    };
    if path.chars().any(char::is_uppercase) {
        let right = if image.len() <= 80 { format!(": write {}", image.to_lowercase()) } else { String::new() };
        return Some(format!("has capitals in its name, which is in lower case{right}"));
    }
    (!path.split('/').all(is_component)).then(|| format!("is no image name: {general}"))
}

fn is_digest(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&tag.len()) && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_host(host: &str) -> bool {
    let (host, port) = host.rsplit_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    port.is_none_or(|port| port.parse::<u16>().is_ok()) && host.split('.').all(label)
}

/// Lower-case words joined by `.`, `_`, `__` or dashes.
fn is_component(component: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(word)
        && component.ends_with(word)
        && component
            .split(word)
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.chars().all(|c| c == '-'))
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn references_that_the_engine_takes_are_taken() {
        let digest = format!("debian@sha256:{}", "a".repeat(64));
        for image in [
            "workspace-base",
            "debian:12",
            "library/debian:bookworm-slim",
            "localhost/app",
            "localhost:5000/team/app:v1.2_3",
            "registry.example.com:5000/a/b__c/d--e",
            &digest,
        ] {
            assert_eq!(fault(image), None, "{image}");
        }
    }

    #[test]
    fn others_are_refused_with_the_right_form() {
        for (image, says) in [
            ("", "empty"),
            ("Debian", "write debian"),
            ("debian:", "tag"),
            ("debian:a b", "space"),
            ("https://example.com/x", "URL"),
            ("debian@sha256:12", "digest"),
            ("-debian", "no image name"),
            ("a//b", "no image name"),
            ("a___b", "no image name"),
            ("exa_mple.com:80/x", "host"),
        ] {
            let message = fault(image).expect(image);
            assert!(message.contains(says), "{image}: {message}");
        }
    }
}
