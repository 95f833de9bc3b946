//! What bears this agent's id but belongs to no known workspace. It is counted, never removed unasked.

use std::collections::BTreeSet;

use bollard::query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder};
use futures::try_join;

use super::Docker;
use super::engine::LOOK_LIMIT;
use super::fault::Fault;
use super::labels::{self, Labels};
use crate::model::Uid;
use crate::runtime::Orphans;

pub(super) async fn list(docker: &Docker, known: &BTreeSet<Uid>) -> Result<Orphans, Fault> {
    let mine = labels::filter(&[(labels::AGENT, &docker.agent)]);
    let containers = ListContainersOptionsBuilder::new().all(true).filters(&mine).build();
    let volumes = ListVolumesOptionsBuilder::new().filters(&mine).build();
    let (containers, volumes) = try_join!(
        docker.engine.call(LOOK_LIMIT, |client| async move { client.list_containers(Some(containers)).await }),
        docker.engine.call(LOOK_LIMIT, |client| async move { client.list_volumes(Some(volumes)).await }),
    )?;
    // A label that is missing or empty belongs to nobody either.
    let unknown = |labels: Option<&Labels>| {
        let uid = labels.and_then(|labels| labels.get(labels::UID)).cloned().unwrap_or_default();
        !known.contains(&Uid(uid))
    };
    let name = |names: Option<Vec<String>>| Some(names?.first()?.trim_start_matches('/').to_owned());
    let containers = containers.into_iter().filter(|one| unknown(one.labels.as_ref()));
    let volumes = volumes.volumes.unwrap_or_default().into_iter().filter(|one| unknown(Some(&one.labels)));
    Ok(Orphans {
        containers: containers.filter_map(|one| name(one.names).or(one.id)).collect(),
        volumes: volumes.map(|one| one.name).collect(),
    })
}
