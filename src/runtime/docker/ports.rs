//! Host ports that somebody else listens on.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpSocket;

use crate::model::desired::PortPlan;

/// The ports of a plan that cannot be had on this machine because somebody listens there.
pub(super) fn taken(plans: &[PortPlan]) -> BTreeSet<u16> {
    plans.iter().filter(|plan| is_taken(&plan.bind, plan.host_port)).map(|plan| plan.host_port).collect()
}

/// Whether somebody listens. An address that this machine does not have, or a port that this user may not take, says
/// nothing: the engine will.
fn is_taken(bind: &str, port: u16) -> bool {
    let Ok(address) = bind.parse::<IpAddr>() else { return false };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let Ok(socket) = socket else { return false };
    // As the engine's own proxy does: with this option the closing connections of a container that has just ended do
    // not count, a listener still does. Never listening itself, this look takes the port from nobody.
    if socket.set_reuseaddr(true).is_err() {
        return false;
    }
    socket.bind(SocketAddr::new(address, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_listener_is_seen_on_its_own_address_and_on_all() {
        for bind in ["127.0.0.1", "0.0.0.0"] {
            let listener = TcpListener::bind((bind, 0)).expect("a listener");
            let port = listener.local_addr().expect("an address").port();
            assert!(is_taken("127.0.0.1", port), "{bind}");
            assert!(is_taken("0.0.0.0", port), "{bind}");
        }
    }

    #[tokio::test]
    async fn a_port_is_free_right_after_its_connections_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let client = std::net::TcpStream::connect(address).expect("connected");
        drop(listener.accept().expect("accepted")); // this side closes first and keeps the port in TIME_WAIT
        drop((listener, client));
        assert!(!is_taken("127.0.0.1", address.port()));
    }

    #[tokio::test]
    async fn what_cannot_be_tried_is_not_taken() {
        assert!(!is_taken("192.0.2.1", 40_000), "no address of this machine");
        assert!(!is_taken("localhost", 40_000), "no address at all");
    }
}
