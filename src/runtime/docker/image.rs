//! Brings images onto the engine: pulled, or built from the files inside this program.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bollard::models::{BuildInfo, CreateImageInfo, ImageInspect, ProgressDetail};
use bollard::query_parameters::{BuildImageOptionsBuilder, CreateImageOptionsBuilder};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::engine::LOOK_LIMIT;
use super::fault::{Fault, plain};
use super::progress::{Patience, relay};
use super::reference::Reference;
use super::{Docker, base};
use crate::model::Variant;
use crate::runtime::{Progress, image};

/// Pulls and builds at a time: each takes the whole network or a processor.
const AT_ONCE: usize = 2;
/// Registries are slow to answer and layers slow to unpack, but not that slow.
const PULL_PATIENCE: Patience = Patience { first: Duration::from_secs(120), next: Duration::from_secs(300) };
/// One step of a build may be a large installation over a slow line.
const BUILD_PATIENCE: Patience = Patience { first: Duration::from_secs(120), next: Duration::from_secs(900) };

/// What is being brought, so that two callers who want the same share one pull.
#[derive(Debug)]
pub(super) struct Images {
    wanted: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
    permits: Semaphore,
}

impl Images {
    pub(super) fn new() -> Self {
        Self { wanted: Mutex::new(HashMap::new()), permits: Semaphore::new(AT_ONCE) }
    }

    fn turn(&self, name: &str) -> Arc<AsyncMutex<()>> {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|_, turn| turn.strong_count() > 0);
        let turn = wanted.get(name).and_then(Weak::upgrade).unwrap_or_default();
        wanted.insert(name.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

/// Makes sure that the engine has an image.
pub(super) async fn ensure(
    docker: &Docker,
    name: &str,
    build: Option<Variant>,
    progress: Progress<'_>,
) -> Result<(), Fault> {
    bring(docker, name, false, build, progress).await
}

/// Builds a variant of the agent's image, also when there is one.
pub(super) async fn rebuild(
    docker: &Docker,
    name: &str,
    variant: Variant,
    progress: Progress<'_>,
) -> Result<(), Fault> {
    bring(docker, name, true, Some(variant), progress).await
}

/// All that the engine knows of an image.
pub(super) async fn inspect(docker: &Docker, name: &str) -> Result<Option<ImageInspect>, Fault> {
    // A name that can be no image's is absent; bringing it says what is wrong with it.
    let Ok(name) = Reference::parse(name) else { return Ok(None) };
    let look = docker.engine.call(LOOK_LIMIT, |client| async move { client.inspect_image(name.as_str()).await }).await;
    match Fault::absent_as_none(look) {
        Err(Fault::Refused(_)) => Ok(None),
        result => result,
    }
}

/// Pulls an image again that came from a registry, so that a newer one comes where there is one.
pub(super) async fn refresh(docker: &Docker, name: &str, progress: Progress<'_>) -> Result<(), Fault> {
    let image = inspect(docker, name).await?;
    // Built or loaded here: whatever bears the name is the newest.
    if image.is_some_and(|image| image.repo_digests.unwrap_or_default().is_empty()) {
        return Ok(());
    }
    match bring(docker, name, true, None, progress).await {
        // Its registry no longer has it, or never had: the one that is here must do.
        Err(Fault::Refused(why)) => {
            progress(&format!("no newer one: {why}"));
            Ok(())
        }
        result => result,
    }
}

async fn bring(
    docker: &Docker,
    name: &str,
    anew: bool,
    build: Option<Variant>,
    progress: Progress<'_>,
) -> Result<(), Fault> {
    let reference = Reference::parse(name).map_err(|error| Fault::Refused(error.to_string()))?;
    let turn = docker.images.turn(name);
    let _turn = match turn.try_lock() {
        Ok(turn) => turn,
        Err(_) => {
            progress("waiting for another workspace that needs the same image");
            turn.lock().await
        }
    };
    if !anew && inspect(docker, name).await?.is_some() {
        return Ok(());
    }
    let _permit = docker.images.permits.acquire().await.expect("the permits are never closed");
    match build {
        Some(variant) => make(docker, reference, variant, progress).await,
        None => pull(docker, reference, PULL_PATIENCE, progress).await,
    }
}

/// Pulls an image from its registry.
pub(super) async fn pull(
    docker: &Docker,
    name: Reference<'_>,
    patience: Patience,
    progress: Progress<'_>,
) -> Result<(), Fault> {
    let (repository, tag) = name.split();
    let options = CreateImageOptionsBuilder::new().from_image(repository).tag(tag).build();
    let session = docker.engine.session().await?;
    let lines = session.client().create_image(Some(options), None, None).map(|info| match info {
        Ok(info) => Ok(pull_line(&info)),
        Err(error) => Err(docker.engine.fault(error)),
    });
    match relay(lines, patience, progress).await {
        // What the registry does not know it will not know at the next try either.
        Err(Fault::Missing(message) | Fault::Conflict(message)) => Err(Fault::Refused(message)),
        result => result,
    }
}

fn pull_line(info: &CreateImageInfo) -> Option<String> {
    let status = info.status.as_deref()?;
    let layer = info.id.as_deref().filter(|id| !id.is_empty()).map(|id| format!("{id}: ")).unwrap_or_default();
    let share = match info.progress_detail {
        Some(ProgressDetail { current: Some(current), total: Some(total) }) if total > 0 => {
            format!(" {} %", current.saturating_mul(100) / total)
        }
        _ => String::new(),
    };
    Some(format!("{layer}{status}{share}"))
}

/// Builds the agent's image with the engine's own builder, which needs nothing beside the engine.
async fn make(docker: &Docker, name: Reference<'_>, variant: Variant, progress: Progress<'_>) -> Result<(), Fault> {
    let base = base::ensure(docker, progress).await?;
    let trusted = tokio::fs::read(image::TRUSTED).await.unwrap_or_default();
    let context = image::context(&trusted)
        .map_err(|error| Fault::Failed(format!("the image's files could not be packed: {error}")))?;
    let (repository, tag) = name.split();
    let options = BuildImageOptionsBuilder::new()
        .t(&format!("{repository}:{tag}"))
        .target(variant.stage())
        .buildargs(&[(image::BASE_ARGUMENT.to_owned(), base)].into())
        .rm(true)
        .forcerm(true)
        .build();
    let session = docker.engine.session().await?;
    let last_words = Mutex::new(String::new());
    let lines = session.client().build_image(options, None, Some(bollard::body_full(context))).map_ok(|info| {
        let line = build_line(info);
        if let Some(line) = &line {
            line.clone_into(&mut last_words.lock().unwrap_or_else(PoisonError::into_inner));
        }
        line
    });
    let result = relay(lines.map_err(|error| docker.engine.fault(error)), BUILD_PATIENCE, progress).await;
    if result.is_ok()
        && let Some(size) = inspect(docker, name.as_str()).await?.and_then(|image| image.size)
    {
        progress(&format!("{} has {} MB", name.as_str(), size / 1_000_000));
    }
    result.map_err(|fault| match fault {
        Fault::Failed(why) => {
            let last_words = last_words.into_inner().unwrap_or_else(PoisonError::into_inner);
            Fault::Failed(format!("image {}: {why} (its last words: {})", name.as_str(), last_words.trim()))
        }
        fault => fault,
    })
}

fn build_line(info: BuildInfo) -> Option<String> {
    // Several lines may come at once; the last is the latest.
    plain(&info.stream.or(info.status)?).lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_a_pull_names_layer_and_share() {
        let mut info = CreateImageInfo {
            status: Some("Downloading".to_owned()),
            id: Some("abc".to_owned()),
            ..Default::default()
        };
        assert_eq!(pull_line(&info).as_deref(), Some("abc: Downloading"));
        info.progress_detail = Some(ProgressDetail { current: Some(1), total: Some(4) });
        assert_eq!(pull_line(&info).as_deref(), Some("abc: Downloading 25 %"));
        assert_eq!(pull_line(&CreateImageInfo::default()), None);
    }

    #[test]
    fn callers_who_want_the_same_image_take_turns_and_others_do_not() {
        let images = Images::new();
        let (first, second, other) = (images.turn("a"), images.turn("a"), images.turn("b"));
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &other));
        drop((first, second));
        images.turn("c");
        assert_eq!(images.wanted.lock().expect("not poisoned").len(), 2, "what nobody waits for is forgotten");
    }
}
