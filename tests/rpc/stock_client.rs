//! The stock TypeScript client, unchanged, under node, and the package that web and mobile share.

use crate::agent::Agent;
use crate::node::Package;

#[tokio::test]
async fn the_stock_orpc_client_works_unchanged_over_http_and_over_websocket() {
    let package = Package::install("tests/orpc-client").await;
    for transport in ["http", "websocket"] {
        let agent = Agent::start().await;
        let url = format!("http://{}", agent.address);
        let output = package.run("node", &["client.mjs", &url, &agent.token, transport], &[]).await;
        assert!(output.contains("all checks passed"), "{transport}: {output}");
        agent.producers(0).await;
    }
}

#[tokio::test]
async fn the_package_of_web_and_mobile_has_the_types_of_the_table_and_passes_its_own_tests() {
    let package = Package::install(".").await;
    package.run("npm", &["run", "check", "-w", "@perry/contract"], &[]).await;
    package.run("npm", &["test", "-w", "@perry/contract"], &[]).await;
}

#[tokio::test]
async fn what_the_package_shows_of_an_agent_behind_a_proxy_that_cuts_ends_up_as_its_list() {
    let package = Package::install(".").await;
    let agent = Agent::start().await;
    let url = format!("http://{}", agent.address);
    let seeds = std::env::var("PERRY_SEEDS").unwrap_or_else(|_| "200".to_owned());
    let env = [("PERRY_URL", url.as_str()), ("PERRY_TOKEN", &agent.token), ("PERRY_SEEDS", &seeds)];
    package.run("npm", &["run", "live", "-w", "@perry/contract", "--", "agent"], &env).await;
    agent.producers(0).await;
}
