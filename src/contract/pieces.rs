//! Envelopes of events, in pieces: what goes to many watchers is written once, and not copied for each of them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::dispatch::envelope;
use super::error::ApiError;
use super::logs::LogLine;
use super::sessions::SessionFrame;
use super::types::{BuildProgress, WatchFrame};
use super::usage::Usage;
use crate::model::Event;

/// Bytes in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces(Vec<Bytes>);

impl Pieces {
    /// How many bytes all of them are.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Bytes> {
        self.0.iter()
    }

    /// All of them, copied into one.
    pub fn joined(&self) -> Vec<u8> {
        self.0.concat()
    }
}

impl From<Vec<u8>> for Pieces {
    fn from(whole: Vec<u8>) -> Self {
        Self(vec![whole.into()])
    }
}

/// An event's value that can be written as an envelope.
pub trait ToPieces {
    /// `{"json": value}`.
    ///
    /// # Errors
    /// [`ApiError::Internal`]: the value cannot be written as JSON.
    fn to_pieces(&self) -> Result<Pieces, ApiError>;
}

/// The JSON of the workspace is shared; around it is what [`WatchFrame`] derives.
impl ToPieces for WatchFrame {
    fn to_pieces(&self) -> Result<Pieces, ApiError> {
        let Some(workspace) = &self.workspace else { return envelope(self).map(Pieces::from) };
        let json = workspace.json().map_err(|error| ApiError::Internal(format!("encoding: {error}")))?;
        let mut before = envelope(&Self { kind: self.kind, workspace: None })?;
        before.truncate(before.len() - 2);
        before.extend_from_slice(b",\"workspace\":");
        Ok(Pieces(vec![before.into(), Bytes::from_owner(Shared(json.clone())), Bytes::from_static(b"}}")]))
    }
}

struct Shared(Arc<RawValue>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.get().as_bytes()
    }
}

macro_rules! whole {
    ($($value:ty),*) => {
        $(impl ToPieces for $value {
            fn to_pieces(&self) -> Result<Pieces, ApiError> {
                envelope(self).map(Pieces::from)
            }
        })*
    };
}
whole!(BuildProgress, Event, LogLine, SessionFrame, Usage);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::types::WatchKind;
    use crate::model::Shown;

    #[test]
    fn a_frame_in_pieces_is_the_frame_as_a_whole_and_its_json_is_not_copied() {
        let workspace: Arc<Shown> = serde_json::from_value(serde_json::json!({
            "name": "a", "status": "running", "created": "2025-01-10T15:30:00Z", "image": "i", "ports": {}, "uid": "u",
            "labels": {}, "annotations": {}, "generation": 1, "observedGeneration": 1, "resourceVersion": "b-1",
            "spec": {}, "conditions": [],
        }))
        .expect("a view");
        for (kind, workspace) in [
            (WatchKind::Reset, None),
            (WatchKind::Bookmark, None),
            (WatchKind::Added, Some(workspace.clone())),
            (WatchKind::Modified, Some(workspace.clone())),
            (WatchKind::Deleted, Some(workspace)),
        ] {
            let frame = WatchFrame { kind, workspace };
            let pieces = frame.to_pieces().expect("written");
            assert_eq!(pieces.joined(), envelope(&frame).expect("written"));
            assert_eq!(pieces.len(), pieces.joined().len());
            if frame.workspace.is_some() {
                let again = frame.to_pieces().expect("written");
                let places = [&pieces, &again].map(|pieces| pieces.iter().map(|it| it.as_ptr()).nth(1));
                assert_eq!(places[0], places[1]);
            }
        }
    }
}
