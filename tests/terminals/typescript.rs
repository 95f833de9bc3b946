//! The client that web and mobile share, against these terminals.

use crate::host::Host;
use crate::node::Package;

#[tokio::test]
async fn the_client_of_web_and_mobile_loses_nothing_over_cuts_and_shows_the_same_screen() {
    let host = Host::start().await;
    let package = Package::install(".").await;
    let socket = host.socket();
    let env = [("PERRY_TERMINALS", socket.to_str().expect("a path")), ("PERRY_SECRET", crate::host::SECRET)];
    package.run("npm", &["run", "live", "-w", "@perry/contract", "--", "terminal"], &env).await;
}
