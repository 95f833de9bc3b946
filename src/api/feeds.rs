//! What the API streams: the watch, events, a build's progress.

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::Api;
use crate::contract::{ApiError, BuildProgress, Events, EventsInput, Item, WatchFrame, WatchKind};
use crate::model::{Event, Name, Shown, Variant};
use crate::watch::{Cursor, Frame, FrameKind, WatchError};

/// How many lines of a build may wait for a slow reader; more are dropped.
const LINES: usize = 256;

impl Api {
    pub(super) fn watch(&self, resume: Option<&str>) -> Events<WatchFrame> {
        // What is no cursor is treated like one that is not known any more: from the start.
        let cursor = resume.and_then(|text| text.parse::<Cursor>().ok());
        let frames = stream::unfold(self.parts.hub.subscribe(cursor.as_ref()), |mut subscription| async {
            Some((subscription.next().await.map(frame).map_err(ended), subscription))
        });
        frames.boxed()
    }

    pub(super) fn events(&self, input: EventsInput, resume: Option<&str>) -> Result<Events<Event>, ApiError> {
        // Before the list is taken, so that none is missed in between.
        let receiver = self.parts.controller.follow_events();
        let past = self.parts.controller.events(input.name.as_ref());
        if let Some(name) = input.name.as_ref().filter(|_| past.is_empty()) {
            self.get(name)?;
        }
        let after = resume.and_then(|id| id.parse::<Timestamp>().ok());
        let news = input.follow.then(|| Following { receiver, name: input.name, seen: past.clone() });
        let past = past.into_iter().filter(move |event| after.is_none_or(|after| event.at > after));
        let news = stream::unfold(news, |following| async {
            let mut following = following?;
            Some((following.next().await, Some(following)))
        });
        Ok(stream::iter(past).map(Ok).chain(news).map(|event| event.map(item)).boxed())
    }

    pub(super) fn build(&self, variant: Option<Variant>) -> Result<Events<BuildProgress>, ApiError> {
        let Ok(permit) = self.builds.clone().try_acquire_owned() else {
            return Err(ApiError::TooManyRequests("the image is being built already".to_owned()));
        };
        let (sender, lines) = mpsc::channel(LINES);
        let controller = self.parts.controller.clone();
        // A part of the stream, so that it ends where its reader goes away.
        let run = async move {
            let progress = |line: &str| drop(sender.try_send(line.replace(['\n', '\r'], " ")));
            controller.build_image(variant, &progress).await
        };
        let build = Build { lines, run: Some(run.boxed()), ended: None, _permit: permit };
        let progress = stream::unfold(build, |mut build| async { Some((build.next().await?, build)) });
        Ok(progress.boxed())
    }
}

fn frame(frame: Frame<Shown>) -> Item<WatchFrame> {
    let kind = match frame.kind {
        FrameKind::Reset => WatchKind::Reset,
        FrameKind::Added => WatchKind::Added,
        FrameKind::Modified => WatchKind::Modified,
        FrameKind::Deleted => WatchKind::Deleted,
        FrameKind::Bookmark => WatchKind::Bookmark,
    };
    let value = WatchFrame { kind, workspace: frame.object };
    Item { id: frame.cursor.map(|cursor| cursor.to_string()), value }
}

/// Clients come again after this, with the cursor of the last frame that they have.
fn ended(error: WatchError) -> ApiError {
    ApiError::Unavailable(error.to_string())
}

/// An event's time is where to go on after it.
fn item(event: Event) -> Item<Event> {
    Item { id: Some(event.at.to_string()), value: event }
}

/// Events from now on.
struct Following {
    receiver: broadcast::Receiver<Event>,
    name: Option<Name>,
    /// What was listed, and may come once more.
    seen: Vec<Event>,
}

impl Following {
    async fn next(&mut self) -> Result<Event, ApiError> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => {
                    let wanted = self.name.as_ref().is_none_or(|name| *name == event.name);
                    if wanted && !self.seen.contains(&event) {
                        return Ok(event);
                    }
                }
                // What a slow reader misses is still in the list.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(ApiError::Unavailable("the agent is ending".to_owned())),
            }
        }
    }
}

/// A build: under way, then what it ended with, then told.
struct Build {
    lines: mpsc::Receiver<String>,
    run: Option<BoxFuture<'static, Result<(), String>>>,
    ended: Option<Result<(), String>>,
    _permit: OwnedSemaphorePermit,
}

impl Build {
    /// The next line; after the last one the error, where there is one; then nothing.
    async fn next(&mut self) -> Option<Result<Item<BuildProgress>, ApiError>> {
        let Self { lines, run, ended, .. } = self;
        loop {
            tokio::select! {
                biased;
                Some(line) = lines.recv() => return Some(Ok(Item { id: None, value: BuildProgress { line } })),
                // The other end of `lines` goes with it.
                result = async { run.as_mut()?.await.into() }, if run.is_some() => {
                    *run = None;
                    *ended = result;
                }
                else => break,
            }
        }
        ended.take()?.err().map(|message| Err(ApiError::Unavailable(format!("the image was not built: {message}"))))
    }
}
