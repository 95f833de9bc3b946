//! "Did you mean": the nearest of some right names.

/// The one of `names` that `wrong` is most likely meant to be, if any is near enough: it differs only in case, dashes
/// and underscores, one begins or ends with the other, or is at most a third of its length in typing errors away.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.replace(['-', '_', ' '], "").to_lowercase();
    // Longer texts are no slips of the finger, and distances cost the product of the lengths.
    if wrong.len() > 64 {
        return None;
    }
    let sought = plain(wrong);
    let allowed = (sought.chars().count() / 3).max(1);
    names
        .into_iter()
        .filter_map(|name| {
            let candidate = plain(name);
            let distance = strsim::osa_distance(&sought, &candidate);
            let (short, long) =
                if sought.len() < candidate.len() { (&sought, &candidate) } else { (&candidate, &sought) };
            let within = short.len() >= 3 && (long.starts_with(short) || long.ends_with(short));
            (distance <= allowed || within).then_some((distance, name))
        })
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const NAMES: [&str; 5] = ["ports", "env", "authorizedKeys", "hostPort", "ssh"];

    #[test]
    fn slips_are_recognised() {
        assert_eq!(nearest("prots", NAMES), Some("ports"));
        assert_eq!(nearest("port", NAMES), Some("ports"));
        assert_eq!(nearest("host_port", NAMES), Some("hostPort"));
        assert_eq!(nearest("authorized-keys", NAMES), Some("authorizedKeys"));
        assert_eq!(nearest("environment", NAMES), Some("env"));
    }

    #[test]
    fn something_else_is_left_alone() {
        assert_eq!(nearest("replicas", NAMES), None);
        assert_eq!(nearest("x", NAMES), None);
        assert_eq!(nearest("", NAMES), None);
    }
}
