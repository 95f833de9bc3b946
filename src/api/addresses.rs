//! Addresses of this machine: which there are, which of them the internet reaches, and how others write them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::ifaddrs::getifaddrs;

/// Every address of this machine; none where the system does not say.
pub(super) fn own() -> Vec<IpAddr> {
    let Ok(all) = getifaddrs() else { return Vec::new() };
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    all.filter_map(|one| ip(one.address?)).collect()
}

/// Whether the internet does not lead there: only those reach it who share a machine, a local network or a tailnet with it.
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            // What is for documentation is routed nowhere (RFC 5737).
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_documentation() || is_shared(v4)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10 (RFC 6598), of which tailnets take theirs.
fn is_shared(v4: Ipv4Addr) -> bool {
    let [first, second, ..] = v4.octets();
    first == 100 && (64..128).contains(&second)
}

/// Where an agent that listens on these can be reached, best for another device first.
pub fn urls(scheme: &str, bound: &[SocketAddr]) -> Vec<String> {
    let mut found = Vec::new();
    for address in bound {
        let same_family = |ip: &IpAddr| ip.is_ipv4() == address.is_ipv4() || address.is_ipv6();
        match address.ip() {
            ip if ip.is_unspecified() => found.extend(own().into_iter().filter(same_family)),
            ip => found.push(ip),
        }
    }
    // Link-local ones of IPv6 mean nothing without the name of an interface.
    found.retain(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    found.sort_by_key(|ip| (ip.is_loopback(), is_docker(*ip), ip.is_ipv6()));
    found.dedup();
    let port = bound.first().map_or(0, SocketAddr::port);
    found.into_iter().map(|ip| format!("{scheme}://{}", SocketAddr::new(ip, port))).collect()
}

/// The usual networks of an engine's bridges, which no other machine reaches.
fn is_docker(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 172 && (17..32).contains(&v4.octets()[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_is_what_only_the_same_network_reaches() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.255.254",
            "169.254.1.1",
            "192.0.2.2",
        ] {
            assert!(is_private(ip.parse().expect("an address")), "{ip}");
        }
        for ip in ["::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"] {
            assert!(is_private(ip.parse().expect("an address")), "{ip}");
        }
        for ip in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:4860::1", "::ffff:8.8.8.8"] {
            assert!(!is_private(ip.parse().expect("an address")), "{ip}");
        }
    }

    #[test]
    fn urls_begin_with_what_other_devices_reach() {
        let bound =
            ["127.0.0.1:7391", "192.168.1.5:7391", "[fd00::1]:7391"].map(|text| text.parse().expect("an address"));
        let expected = ["http://192.168.1.5:7391", "http://[fd00::1]:7391", "http://127.0.0.1:7391"];
        assert_eq!(urls("http", &bound), expected);
        assert!(urls("https", &["0.0.0.0:1".parse().expect("an address")]).contains(&"https://127.0.0.1:1".to_owned()));
    }
}
