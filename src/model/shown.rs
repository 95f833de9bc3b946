//! A view on its way to clients.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use serde_json::value::{RawValue, to_raw_value};
use ts_rs::TS;

use super::{View, mask};

/// What clients see of a workspace.
// A `View` that no longer changes, with its JSON: written when it is first asked for, and once however many lists and
// watchers it goes to. To writing it goes most of the time that a list takes. The line above is all that clients read.
#[derive(Debug, TS)]
#[ts(as = "View", rename = "Workspace")]
pub struct Shown {
    view: View,
    json: OnceLock<Arc<RawValue>>,
    /// The same for those who may only look, where that is another one.
    masked: OnceLock<Option<Arc<Shown>>>,
}

impl Shown {
    /// Changes the view; what was written of it is gone.
    pub fn change(&mut self, change: impl FnOnce(&mut View)) {
        self.json = OnceLock::new();
        self.masked = OnceLock::new();
        change(&mut self.view);
    }

    /// Its JSON, compact: written when it is first asked for, and shared by all who send it.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn json(&self) -> serde_json::Result<&Arc<RawValue>> {
        if let Some(json) = self.json.get() {
            return Ok(json);
        }
        let json = to_raw_value(&self.view)?;
        Ok(self.json.get_or_init(|| json.into()))
    }

    /// What those see of it who may only look: without what looks like a secret.
    pub fn masked(self: &Arc<Self>) -> Arc<Self> {
        let masked = self.masked.get_or_init(|| mask::masked(&self.view).map(|view| Arc::new(view.into())));
        masked.as_ref().unwrap_or(self).clone()
    }
}

impl From<View> for Shown {
    fn from(view: View) -> Self {
        Self { view, json: OnceLock::new(), masked: OnceLock::new() }
    }
}

impl Deref for Shown {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Clone for Shown {
    /// Without the JSON: who clones does so to change it.
    fn clone(&self) -> Self {
        self.view.clone().into()
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.view == other.view
    }
}

impl Eq for Shown {}

/// Into compact JSON only, word for word; another form is written from the [`View`].
impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        View::deserialize(deserializer).map(Self::from)
    }
}

impl JsonSchema for Shown {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        View::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        View::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        View::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Phase;

    fn shown() -> Shown {
        serde_json::from_value(serde_json::json!({
            "name": "a", "status": "running", "created": "2025-01-10T15:30:00Z", "image": "i", "ports": {}, "uid": "u",
            "labels": {}, "annotations": {}, "generation": 1, "observedGeneration": 1, "resourceVersion": "b-1",
            "spec": {}, "conditions": [],
        }))
        .expect("a view")
    }

    #[test]
    fn its_json_is_that_of_the_view_and_is_written_once() {
        let shown = shown();
        let first = serde_json::to_string(&[&shown]).expect("json");
        assert_eq!(first, serde_json::to_string(&[&*shown]).expect("json"));
        let written = shown.json.get().map(|json| json.get().as_ptr());
        assert_eq!(serde_json::to_string(&[&shown]).expect("json"), first);
        assert_eq!(shown.json.get().map(|json| json.get().as_ptr()), written);
    }

    #[test]
    fn who_may_only_look_sees_no_secrets_and_is_given_the_same_view_where_there_are_none() {
        let plain = Arc::new(shown());
        assert!(Arc::ptr_eq(&plain, &plain.masked()));
        let mut secret = shown();
        secret.change(|view| {
            view.spec.env.insert("A_TOKEN".to_owned(), "hunter2".to_owned());
            view.spec.env.insert("EDITOR".to_owned(), "vim".to_owned());
        });
        let secret = Arc::new(secret);
        let text = serde_json::to_string(&secret.masked()).expect("json");
        assert!(!text.contains("hunter2") && text.contains("\"A_TOKEN\":\"***\"") && text.contains("vim"), "{text}");
        assert!(Arc::ptr_eq(&secret.masked(), &secret.masked()), "made once");
        assert!(serde_json::to_string(&secret).expect("json").contains("hunter2"));
    }

    #[test]
    fn a_change_is_seen_in_its_json() {
        let mut shown = shown();
        let before = serde_json::to_string(&shown).expect("json");
        shown.change(|view| view.status = Phase::Stopped);
        let after = serde_json::to_string(&shown).expect("json");
        assert!(before.contains("\"running\"") && after.contains("\"stopped\""), "{before} {after}");
    }
}
