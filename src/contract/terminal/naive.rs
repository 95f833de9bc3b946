//! What naive clients say: everything is typed, but for two texts.

use serde::Deserialize;

use super::Size;
use crate::model::Secret;

/// What a text frame of a naive client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NaiveText {
    /// Who calls; only the first frame can be that.
    Auth(Secret),
    /// Its window changed.
    Resize(Size),
    /// Anything else is typed.
    Typed,
}

/// Exactly these fields and no other, so that JSON that somebody pastes is not swallowed.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Control {
    Resize { cols: u16, rows: u16 },
    Auth { token: Secret },
}

impl NaiveText {
    /// Reads a text frame; `first`: nothing came before it.
    pub fn read(text: &str, first: bool) -> Self {
        // Most text is typed, a key at a time.
        if !(text.starts_with('{') && text.ends_with('}')) || text.len() > 4096 {
            return Self::Typed;
        }
        match serde_json::from_str(text) {
            Ok(Control::Resize { cols, rows }) => Self::Resize(Size { cols, rows }),
            Ok(Control::Auth { token }) if first => Self::Auth(token),
            _ => Self::Typed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exactly_a_resize_is_a_resize_and_only_the_first_frame_can_log_in() {
        let resize = r#"{"type":"resize","cols":80,"rows":24}"#;
        assert_eq!(NaiveText::read(resize, false), NaiveText::Resize(Size::USUAL));
        let auth = r#"{"type":"auth","token":"t"}"#;
        assert_eq!(NaiveText::read(auth, true), NaiveText::Auth(Secret("t".to_owned())));
        for typed in [
            auth,
            "{}",
            "ls\n",
            r#"{"type":"resize","cols":80,"rows":24} "#,
            r#"{"type":"resize","cols":80,"rows":24,"x":1}"#,
            r#"{"type":"resize","cols":80}"#,
            r#"{"type":"resize","cols":99999,"rows":24}"#,
            r#"[{"type":"resize","cols":80,"rows":24}]"#,
        ] {
            assert_eq!(NaiveText::read(typed, false), NaiveText::Typed, "{typed}");
        }
    }
}
