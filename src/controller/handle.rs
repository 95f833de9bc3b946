//! What others may ask of the controller.

use async_trait::async_trait;

use crate::model::observed::{EngineSeen, Seen};
use crate::model::{Action, Event, Name, Reason, Workspace};

/// What others may ask of the controller. None of it changes what is wanted: that is written to the store.
#[async_trait]
pub trait Handle: Send + Sync {
    /// The intent of a workspace was committed: shows it to watchers at once, with what is known so far, and wakes the
    /// loop.
    fn changed(&self, name: &Name);

    /// What the loop would do now if this were the intent.
    async fn preview(&self, workspace: &Workspace) -> Preview;

    /// The latest events, oldest first: of one workspace or of all.
    fn events(&self, name: Option<&Name>) -> Vec<Event>;

    /// The next events as they happen; a reader that falls behind misses some.
    fn follow_events(&self) -> tokio::sync::broadcast::Receiver<Event>;

    /// What the engine says of itself.
    async fn engine(&self) -> Seen<EngineSeen>;

    /// Builds the agent's own image, also when there is one; progress line by line.
    ///
    /// # Errors
    /// What the engine said.
    async fn build_image(&self, progress: &(dyn for<'a> Fn(&'a str) + Send + Sync)) -> Result<(), String>;
}

/// What the loop would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// In order. More may follow once these are done, since some ids are known only then.
    pub actions: Vec<Action>,
    /// Why nothing can be done, where that is so.
    pub blocked: Option<Reason>,
    /// A running container would be replaced: work in it would end.
    pub replaces: bool,
}
