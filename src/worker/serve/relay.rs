//! A server inside that listens on loopback alone, as many do by default, is reached through a published port all the
//! same: what comes to the container's own address at that port is passed on to it.
//!
//! A relay is there only as long as the server that it leads to: one that binds every address then finds the port free.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::listening;

/// How often it is looked who listens, while there are published ports.
const LOOK: Duration = Duration::from_millis(250);
/// Connections at a time, of all relays; one too many is closed at once.
const CONNECTIONS: usize = 1024;
/// Interfaces that lead to nobody outside: the inner Docker's.
const INNER: [&str; 4] = ["lo", "docker", "br-", "veth"];

/// Where a relay listens, and where it leads.
type Relays = BTreeMap<SocketAddr, SocketAddr>;

/// Keeps relays for the ports that are published, as they change. Without end.
pub(super) async fn keep(mut ports: watch::Receiver<BTreeSet<u16>>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = BTreeMap::new();
    loop {
        let published = ports.borrow_and_update().clone();
        if published.is_empty() {
            open.clear();
            if ports.changed().await.is_err() {
                return;
            }
            continue;
        }
        look(&published, &mut open, &permits).await;
        // Whoever has no more to say leaves the ports as they are.
        let _ = tokio::time::timeout(LOOK, ports.changed()).await;
    }
}

async fn look(published: &BTreeSet<u16>, open: &mut BTreeMap<SocketAddr, Relay>, permits: &Arc<Semaphore>) {
    let there = open.iter().map(|(at, relay)| (*at, relay.leads_to)).collect();
    let wanted = wanted(&listening::tcp(Path::new("/proc")), &own_addresses(), published, &there);
    open.retain(|at, relay| wanted.get(at) == Some(&relay.leads_to));
    for (at, leads_to) in wanted {
        if open.contains_key(&at) {
            continue;
        }
        // Somebody may have taken it just now: the next look tells.
        if let Ok(listener) = TcpListener::bind(at).await {
            let task = tokio::spawn(serve(listener, leads_to, Arc::clone(permits)));
            open.insert(at, Relay { leads_to, task });
        }
    }
}

/// The relays that there should be: for each published port at which somebody listens on loopback and nobody, but for a
/// relay, where a connection from outside would come.
fn wanted(listeners: &BTreeSet<SocketAddr>, own: &[Ipv4Addr], published: &BTreeSet<u16>, there: &Relays) -> Relays {
    let others = || listeners.iter().filter(|listener| !there.contains_key(listener));
    let reached = |port: u16| others().any(|other| other.port() == port && !other.ip().is_loopback());
    let leads_to = |port: u16| others().find(|other| other.port() == port && other.ip().is_loopback()).copied();
    let needed = published.iter().filter(|port| !reached(**port));
    let needed = needed.filter_map(|port| Some((*port, leads_to(*port)?)));
    let at = |(port, leads_to): (u16, SocketAddr)| {
        own.iter().map(move |address| (SocketAddr::new(IpAddr::V4(*address), port), leads_to))
    };
    needed.flat_map(at).collect()
}

/// The container's addresses on networks that lead outside. Engines publish ports over IPv4 inside.
fn own_addresses() -> Vec<Ipv4Addr> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    let outside = all.filter(|one| !INNER.iter().any(|inner| one.interface_name.starts_with(inner)));
    outside.filter_map(|one| one.address?.as_sockaddr_in().map(|address| address.ip())).collect()
}

/// An open relay; it closes when this is dropped. Connections that it passed on live on.
struct Relay {
    leads_to: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, leads_to: SocketAddr, permits: Arc<Semaphore>) {
    loop {
        let Ok((mut outside, _)) = listener.accept().await else {
            // Out of descriptors: until one is free there is nothing to do.
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
        tokio::spawn(async move {
            if let Ok(mut inside) = TcpStream::connect(leads_to).await {
                // A keystroke must not wait for more.
                let _ = (outside.set_nodelay(true), inside.set_nodelay(true));
                // How it ended both ends know.
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            }
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 2);

    fn relays(listeners: &[&str], there: &[(&str, &str)]) -> Vec<String> {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let there = there.iter().map(|(at, to)| (address(at), address(to))).collect();
        let listeners = listeners.iter().map(|text| address(text)).collect();
        let wanted = wanted(&listeners, &[OWN], &[3000, 8080].into(), &there);
        wanted.iter().map(|(at, to)| format!("{at} to {to}")).collect()
    }

    #[test]
    fn a_relay_is_wanted_where_a_published_port_is_served_on_loopback_alone() {
        assert_eq!(relays(&["127.0.0.1:3000", "127.0.0.1:9999"], &[]), ["172.18.0.2:3000 to 127.0.0.1:3000"]);
        assert_eq!(relays(&["[::1]:8080"], &[]), ["172.18.0.2:8080 to [::1]:8080"]);
        for reached in ["0.0.0.0:3000", "[::]:3000", "172.18.0.2:3000"] {
            assert_eq!(relays(&[reached], &[]), [""; 0], "{reached}");
            assert_eq!(relays(&[reached, "127.0.0.1:3000"], &[]), [""; 0], "{reached}");
        }
    }

    #[test]
    fn a_relay_stays_as_long_as_its_server_and_does_not_take_itself_for_one() {
        let there = [("172.18.0.2:3000", "127.0.0.1:3000")];
        let kept = ["172.18.0.2:3000 to 127.0.0.1:3000"];
        assert_eq!(relays(&["172.18.0.2:3000", "127.0.0.1:3000"], &there), kept);
        assert_eq!(relays(&["172.18.0.2:3000"], &there), [""; 0], "its server is gone");
        assert_eq!(relays(&["172.18.0.2:3000", "0.0.0.0:3000", "127.0.0.1:3000"], &there), [""; 0]);
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_one_way_may_end_before_the_other() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let leads_to = server.local_addr().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let relay = Relay { leads_to, task: tokio::spawn(serve(listener, leads_to, Arc::new(Semaphore::new(8)))) };
        let echo = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.expect("a connection");
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.expect("read");
            stream.write_all(&heard).await.expect("written");
        });
        let mut client = TcpStream::connect(at).await.expect("connected");
        client.write_all(&[7; 100_000]).await.expect("written");
        client.shutdown().await.expect("half closed");
        let mut back = Vec::new();
        client.read_to_end(&mut back).await.expect("read");
        assert_eq!(back, [7; 100_000]);
        echo.await.expect("no panic");
        drop(relay);
        let closed = async { while TcpStream::connect(at).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(10), closed).await.expect("the port is free again");
    }
}
