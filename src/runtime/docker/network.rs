//! The bridge network that all workspaces share.

use bollard::models::{
    EndpointSettings, Network, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::engine::{Engine, LOOK_LIMIT};
use super::fault::Fault;
use super::{Docker, container, labels};

/// Containers on the network do not reach each other.
const NO_TRAFFIC_BETWEEN: (&str, &str) = ("com.docker.network.bridge.enable_icc", "false");

/// The id of the network of this name; none where there is none.
pub(super) async fn find(engine: &Engine, name: &str, agent: &str) -> Result<Option<String>, Fault> {
    Ok(named(engine, name)
        .await?
        .into_iter()
        .min_by_key(|network| precedence(network, agent))
        .and_then(|network| network.id))
}

/// Makes the network. Finding it there is no error, whoever made it.
pub(super) async fn create(docker: &Docker, name: &str, agent: &str) -> Result<(), Fault> {
    if find(&docker.engine, name, agent).await?.is_some() {
        return Ok(());
    }
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        options: Some([(NO_TRAFFIC_BETWEEN.0.to_owned(), NO_TRAFFIC_BETWEEN.1.to_owned())].into()),
        labels: Some(labels::of_agent(agent)),
        ..NetworkCreateRequest::default()
    };
    let created = docker.engine.call(LOOK_LIMIT, |client| async move { client.create_network(request).await }).await;
    match created {
        Ok(mine) => yield_to_older(docker, name, agent, &mine.id).await,
        Err(fault @ (Fault::Conflict(_) | Fault::Failed(_))) => match find(&docker.engine, name, agent).await? {
            Some(_) => Ok(()),
            None => Err(fault),
        },
        Err(fault) => Err(fault),
    }
}

/// Engines before API 1.44 allow two networks of one name. Of two that were made at once every agent keeps the same.
async fn yield_to_older(docker: &Docker, name: &str, agent: &str, mine: &str) -> Result<(), Fault> {
    let kept = named(&docker.engine, name).await?.into_iter().min_by_key(age).and_then(|network| network.id);
    if kept.as_deref().is_none_or(|kept| kept == mine) {
        return Ok(());
    }
    tracing::debug!(network = name, agent, "another network of this name is older: removing the new one");
    docker.engine.call(LOOK_LIMIT, |client| async move { client.remove_network(mine).await }).await
}

async fn named(engine: &Engine, name: &str) -> Result<Vec<Network>, Fault> {
    // The engine takes the name as a part of one. Listing is cheaper than inspecting, which adds every container.
    let options = ListNetworksOptionsBuilder::new().filters(&[("name", vec![name])].into()).build();
    let listed = engine.call(LOOK_LIMIT, |client| async move { client.list_networks(Some(options)).await }).await?;
    Ok(listed.into_iter().filter(|network| network.name.as_deref() == Some(name)).collect())
}

fn age(network: &Network) -> (String, String) {
    (network.created.clone().unwrap_or_default(), network.id.clone().unwrap_or_default())
}

fn precedence(network: &Network, agent: &str) -> (bool, String, String) {
    let mine = network.labels.as_ref().and_then(|labels| labels.get(labels::AGENT)).is_some_and(|id| id == agent);
    let (created, id) = age(network);
    (!mine, created, id)
}

/// Attaches a stopped container to the network that bears this name now. The container remembers the id of the one it
/// had and does not start without it (tried on engine 26.1); what disconnects it is the name.
pub(super) async fn reattach(docker: &Docker, id: &str, name: &str) -> Result<(), Fault> {
    let found = container::ours(docker, id).await?;
    let current = find(&docker.engine, name, &docker.agent)
        .await?
        .ok_or_else(|| Fault::Missing(format!("there is no network {name}")))?;
    let endpoint = found.network_settings.and_then(|settings| settings.networks).and_then(|mut all| all.remove(name));
    if let Some(endpoint) = endpoint {
        if endpoint.network_id.is_some_and(|attached| attached.is_empty() || attached == current) {
            return Ok(());
        }
        let request = NetworkDisconnectRequest { container: id.to_owned(), force: Some(true) };
        docker.engine.call(LOOK_LIMIT, |client| async move { client.disconnect_network(name, request).await }).await?;
    }
    let request =
        NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(EndpointSettings::default()) };
    docker.engine.call(LOOK_LIMIT, |client| async move { client.connect_network(name, request).await }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(id: &str, created: &str, agent: Option<&str>) -> Network {
        Network {
            id: Some(id.to_owned()),
            created: Some(created.to_owned()),
            labels: agent.map(labels::of_agent),
            ..Network::default()
        }
    }

    #[test]
    fn of_several_networks_of_one_name_ours_comes_first_then_the_oldest() {
        let first = |all: &[Network]| all.iter().min_by_key(|one| precedence(one, "me")).and_then(|one| one.id.clone());
        let (old, new, ours) = (network("o", "1", None), network("n", "2", None), network("m", "3", Some("me")));
        assert_eq!(first(&[new.clone(), old.clone()]).as_deref(), Some("o"));
        assert_eq!(first(&[new, ours, old]).as_deref(), Some("m"));
    }
}
