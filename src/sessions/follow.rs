//! Hears of the sessions of every workspace that runs, each in a task of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use tokio::task::JoinHandle;

use super::aggregate::Aggregate;
use super::learn::{Learner, Lessons};
use super::{Inner, Workspaces};
use crate::contract::sessions::{SessionChange, SessionFrame};
use crate::model::{Name, Uid};

/// How long after it was lost a worker is asked again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// A task that ends with what holds this.
struct Follower(JoinHandle<()>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Follows all workspaces, without end.
pub(super) async fn all(inner: Arc<Inner>, workspaces: Arc<dyn Workspaces>) {
    let mut followers: BTreeMap<Uid, Follower> = BTreeMap::new();
    loop {
        let there: BTreeMap<Uid, (Name, bool)> = workspaces
            .list()
            .into_iter()
            .map(|workspace| (workspace.uid, (workspace.name, workspace.running)))
            .collect();
        followers.retain(|uid, _| there.get(uid).is_some_and(|(_, running)| *running));
        for (uid, (name, running)) in &there {
            if *running && !followers.contains_key(uid) {
                let follow = one(Arc::clone(&inner), Arc::clone(&workspaces), uid.clone(), name.clone());
                followers.insert(uid.clone(), Follower(tokio::spawn(follow)));
            }
            if !running {
                inner.tell(|aggregate| aggregate.lose(uid));
            }
        }
        let known = inner.aggregate.lock().unwrap_or_else(PoisonError::into_inner).workspaces();
        for uid in known.iter().filter(|uid| !there.contains_key(uid)) {
            inner.tell(|aggregate| aggregate.remove(uid));
            if let Err(error) = inner.texts.remove_workspace(uid) {
                tracing::warn!("sessions of a workspace that was deleted are still in the index: {error:#}");
            }
        }
        workspaces.changed().await;
    }
}

/// Follows one workspace, as long as it runs.
async fn one(inner: Arc<Inner>, workspaces: Arc<dyn Workspaces>, uid: Uid, name: Name) {
    let mut pause = AGAIN.0;
    loop {
        let lessons = Arc::<Lessons>::default();
        let learner = Learner::new(Arc::clone(&inner), Arc::clone(&workspaces), uid.clone(), name.clone());
        let _learner = Follower(tokio::spawn(learner.run(Arc::clone(&lessons))));
        if let Ok(mut changes) = workspaces.follow(&uid).await {
            while let Some(Ok(change)) = changes.next().await {
                pause = AGAIN.0;
                inner.hear(&uid, &name, change, &lessons);
            }
            inner.tell(|aggregate| aggregate.lose(&uid));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(AGAIN.1);
    }
}

impl Inner {
    /// Changes what is known, and tells it.
    fn tell(&self, change: impl FnOnce(&mut Aggregate) -> Vec<SessionFrame>) -> Vec<SessionFrame> {
        let mut aggregate = self.aggregate.lock().unwrap_or_else(PoisonError::into_inner);
        let frames = change(&mut aggregate);
        for frame in &frames {
            // Nobody may be listening.
            let _ = self.frames.send(frame.clone());
        }
        frames
    }

    fn hear(&self, uid: &Uid, name: &Name, change: SessionChange, lessons: &Lessons) {
        if let SessionChange::Upserted { session, news } = &change
            && !session.is_counted_only()
        {
            lessons.changed(session.clone(), news);
        }
        for frame in self.tell(|aggregate| aggregate.take(uid, name, change)) {
            if let SessionFrame::Gone(session) = frame {
                lessons.gone(session.agent, session.session_id);
            }
        }
    }
}
