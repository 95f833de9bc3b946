//! What a workspace occupies on disk. The engine counts the files of every volume for it, so it is only asked when
//! somebody wants to know.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{InspectContainerOptionsBuilder, ListContainersOptionsBuilder};
use futures::try_join;
use serde::Deserialize;

use super::fault::Fault;
use super::{Docker, labels};
use crate::model::Desired;
use crate::model::usage::{DiskUsage, VolumeUsage};

/// How long the engine may count.
const LIMIT: Duration = Duration::from_secs(30);

/// What `/system/df?type=volume` answers. The client's own type knows only the form of API 1.52, and before that the
/// volumes stood under another name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    volumes: Option<Vec<Volume>>,
    volume_usage: Option<Items>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Items {
    items: Option<Vec<Volume>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Volume {
    name: String,
    #[serde(default)]
    usage_data: Option<UsageData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UsageData {
    /// -1 where the driver does not say.
    size: i64,
}

pub(super) async fn disk(docker: &Docker, desired: &Desired) -> Result<DiskUsage, Fault> {
    let (sizes, container) = try_join!(volumes(docker), container(docker, desired))?;
    let known = |plan: &crate::model::desired::VolumePlan| {
        let bytes = *sizes.get(&plan.name)?;
        Some(VolumeUsage { name: plan.name.clone(), path: plan.path.clone(), bytes })
    };
    Ok(DiskUsage { volumes: desired.volumes.iter().filter_map(known).collect(), container })
}

/// The size of each volume that there is.
async fn volumes(docker: &Docker) -> Result<HashMap<String, Option<u64>>, Fault> {
    let body = docker.engine.get("/system/df?type=volume", LIMIT).await?;
    sizes(&body).map_err(|error| Fault::Failed(format!("the engine's disk usage could not be read: {error}")))
}

fn sizes(body: &[u8]) -> Result<HashMap<String, Option<u64>>, serde_json::Error> {
    let answer: Answer = serde_json::from_slice(body)?;
    let listed = answer.volumes.or(answer.volume_usage.and_then(|usage| usage.items)).unwrap_or_default();
    let size = |volume: Volume| {
        let bytes = volume.usage_data.and_then(|usage| u64::try_from(usage.size).ok());
        (volume.name, bytes)
    };
    Ok(listed.into_iter().map(size).collect())
}

/// What is written in its container and in no volume.
async fn container(docker: &Docker, desired: &Desired) -> Result<Option<u64>, Fault> {
    let owner = &desired.owner;
    let wanted = labels::filter(&[(labels::AGENT, &owner.agent), (labels::UID, &owner.uid.0)]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&wanted).build();
    let listed = docker.engine.call(LIMIT, |client| async move { client.list_containers(Some(options)).await }).await?;
    let Some(id) = listed.into_iter().find_map(|one| one.id) else { return Ok(None) };
    let options = InspectContainerOptionsBuilder::new().size(true).build();
    let look =
        docker.engine.call(LIMIT, |client| async move { client.inspect_container(&id, Some(options)).await }).await;
    let found = Fault::absent_as_none(look)?;
    Ok(found.and_then(|container| u64::try_from(container.size_rw?).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_the_form_of_either_api() {
        let expected = HashMap::from([("a".to_owned(), Some(5)), ("b".to_owned(), None), ("c".to_owned(), None)]);
        let items = r#"[{"Name":"a","UsageData":{"Size":5,"RefCount":1}},{"Name":"b","UsageData":{"Size":-1,"RefCount":0}},{"Name":"c"}]"#;
        let old = format!(r#"{{"LayersSize":0,"Images":null,"Volumes":{items}}}"#);
        let new = format!(r#"{{"VolumeUsage":{{"TotalCount":3,"Items":{items}}}}}"#);
        for body in [old, new] {
            assert_eq!(sizes(body.as_bytes()).expect("readable"), expected, "{body}");
        }
        assert_eq!(sizes(br#"{"Volumes":null}"#).expect("readable"), HashMap::new());
        assert!(sizes(b"half an ans").is_err());
    }
}
