//! What bears this agent's id but belongs to no known workspace. It is counted, and removed by `perry prune` alone.

use std::collections::BTreeSet;

use bollard::query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder};
use futures::try_join;

use super::Docker;
use super::engine::LOOK_LIMIT;
use super::fault::Fault;
use super::labels::{self, Labels};
use super::observe;
use crate::model::Uid;
use crate::runtime::{OrphanedContainer, Orphans};

pub(super) async fn list(docker: &Docker, known: &BTreeSet<Uid>) -> Result<Orphans, Fault> {
    let mine = labels::filter(&[(labels::AGENT, &docker.agent)]);
    let containers = ListContainersOptionsBuilder::new().all(true).filters(&mine).build();
    let volumes = ListVolumesOptionsBuilder::new().filters(&mine).build();
    let (containers, volumes) = try_join!(
        docker.engine.call(LOOK_LIMIT, |client| async move { client.list_containers(Some(containers)).await }),
        docker.engine.call(LOOK_LIMIT, |client| async move { client.list_volumes(Some(volumes)).await }),
    )?;
    // A label that is missing or empty belongs to nobody either.
    let uid = |labels: Option<&Labels>| labels.and_then(|labels| labels.get(labels::UID)).cloned().map(Uid);
    let unknown = |uid: &Option<Uid>| uid.as_ref().is_none_or(|uid| !known.contains(uid));
    let name = |names: Option<Vec<String>>| Some(names?.first()?.trim_start_matches('/').to_owned());
    let containers = containers.into_iter().filter_map(|one| {
        let (id, uid) = (one.id?, uid(one.labels.as_ref()));
        unknown(&uid).then(|| (name(one.names).unwrap_or_else(|| id.clone()), OrphanedContainer { id, uid }))
    });
    let volumes = volumes.volumes.unwrap_or_default().into_iter().filter(|one| unknown(&uid(Some(&one.labels))));
    let volumes = volumes.map(|one| (one.name.clone(), observe::volume_seen(&one)));
    Ok(Orphans { containers: containers.collect(), volumes: volumes.collect() })
}
