//! A list read no further than a table needs: it borrows from the answer and copies nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use super::{ClientError, Envelope};
use crate::model::{ConditionStatus, ConditionType, Phase};

/// The answer of `workspaces.list`, not yet read.
#[derive(Debug, Clone)]
pub struct Listing {
    address: String,
    body: Bytes,
}

/// One workspace in a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// One word for what it is doing.
    pub status: Phase,
    /// When the engine was last looked at for it.
    #[serde(default)]
    pub observed_at: Option<Timestamp>,
    /// When the name was first applied.
    pub created: Timestamp,
    /// Its image.
    #[serde(borrow)]
    pub image: Cow<'a, str>,
    /// The host port of each port.
    #[serde(borrow)]
    pub ports: BTreeMap<Cow<'a, str>, u16>,
    /// For selecting.
    #[serde(borrow)]
    pub labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    /// The generation of intent.
    pub generation: u64,
    /// What is true of it.
    #[serde(borrow)]
    pub conditions: Vec<RowCondition<'a>>,
}

/// One condition of a [`Row`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RowCondition<'a> {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, for programs.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// Why, for people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

impl<'a> Row<'a> {
    /// The condition of a type, where it was judged.
    pub fn condition(&self, kind: ConditionType) -> Option<&RowCondition<'a>> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }
}

impl Listing {
    pub(super) fn new(address: &str, body: Bytes) -> Self {
        Self { address: address.to_owned(), body }
    }

    /// The rows, by name.
    ///
    /// # Errors
    /// [`ClientError::Unreadable`].
    pub fn rows(&self) -> Result<Vec<Row<'_>>, ClientError> {
        let read: Result<Envelope<Vec<Row<'_>>>, _> = serde_json::from_slice(&self.body);
        let unreadable = |error: serde_json::Error| ClientError::Unreadable {
            address: self.address.clone(),
            what: error.to_string(),
        };
        Ok(read.map_err(unreadable)?.json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_borrows_from_the_answer() {
        let body = r#"{"json":[{"name":"a","status":"running","created":"2025-01-10T15:30:00Z","image":"i\u0041",
            "ports":{"ssh":22001},"uid":"u","labels":{"team":"web"},"annotations":{},"generation":2,
            "observedGeneration":2,"resourceVersion":"b-1","spec":{"docker":true},"conditions":[{"type":"Ready",
            "status":"True","reason":"Ready","message":"","lastTransitionTime":"2025-01-10T15:30:00Z",
            "observedGeneration":2}]}]}"#;
        let listing = Listing::new("a:1", Bytes::from_static(body.as_bytes()));
        let rows = listing.rows().expect("readable");
        assert!(matches!(rows[0].name, Cow::Borrowed("a")), "{:?}", rows[0].name);
        assert_eq!((rows[0].image.as_ref(), rows[0].ports["ssh"]), ("iA", 22001));
        assert_eq!(rows[0].condition(ConditionType::Ready).map(|c| c.status), Some(ConditionStatus::True));
        assert_eq!(rows[0].condition(ConditionType::Stalled), None);
    }
}
