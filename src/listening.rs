//! Who listens on TCP ports of this network, as /proc/net/tcp and tcp6 show it.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The state TCP_LISTEN, in the files' hexadecimal digits (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// The addresses at which somebody listens. What cannot be read counts as nobody.
pub fn tcp(proc: &Path) -> BTreeSet<SocketAddr> {
    let read = |name: &str| fs::read_to_string(proc.join("net").join(name)).unwrap_or_default();
    [read("tcp"), read("tcp6")].iter().flat_map(|table| table.lines().filter_map(listener)).collect()
}

/// The user whose process listens where a connection to `at` would arrive; `None` where nobody is seen to.
pub fn owner(proc: &Path, at: SocketAddr) -> Option<u32> {
    let read = |name: &str| fs::read_to_string(proc.join("net").join(name)).unwrap_or_default();
    let takes = |address: &SocketAddr| {
        address.port() == at.port() && (address.ip() == at.ip() || address.ip().is_unspecified())
    };
    // The exact address goes before all addresses, as in the kernel.
    let rank = |address: &SocketAddr| address.ip() != at.ip();
    let all: Vec<(SocketAddr, u32)> = [read("tcp"), read("tcp6")]
        .iter()
        .flat_map(|table| table.lines().filter_map(|line| Some((listener(line)?, user(line)?))).collect::<Vec<_>>())
        .collect();
    all.into_iter().filter(|(address, _)| takes(address)).min_by_key(|(address, _)| rank(address)).map(|(_, user)| user)
}

/// The user of a line: the eighth field (proc_pid_net(5)).
fn user(line: &str) -> Option<u32> {
    line.split_ascii_whitespace().nth(7)?.parse().ok()
}

/// The local address of a line, where that socket listens.
fn listener(line: &str) -> Option<SocketAddr> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = fields.next()?;
    (fields.nth(1)? == LISTEN).then(|| address(local)).flatten()
}

/// `0100007F:1F90`: words of 32 bits in the machine's byte order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_user_who_listens_is_told_of_the_exact_address_first() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("net")).expect("made");
        let table = "  sl\n   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001 0 7\n   \
            1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1002 0 8\n";
        fs::write(folder.path().join("net/tcp"), table).expect("written");
        let owner = |text: &str| owner(folder.path(), text.parse().expect("an address"));
        assert_eq!(
            (owner("127.0.0.1:8080"), owner("10.0.0.1:8080"), owner("127.0.0.1:81")),
            (Some(1002), Some(1001), None)
        );
    }

    #[test]
    fn it_is_known_of_a_real_listener() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").expect("Linux"));
        assert_eq!(owner(Path::new("/proc"), socket.local_addr().expect("an address")), Some(own));
    }

    #[test]
    fn only_sockets_that_listen_are_listed_by_address_and_port() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("net")).expect("made");
        let v4 = "  sl  local_address rem_address   st tx_queue\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n   1: 0100007F:1F91 0200007F:1F90 01 0:0\n broken\n   2: 010007F:1F90 0:0 0A\n";
        let v6 = "  sl  local_address\n   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0\n   1: 0000000000000000FFFF00000100007F:0BB8 0:0 0A 0:0\n";
        fs::write(folder.path().join("net/tcp"), v4).expect("written");
        assert_eq!(tcp(folder.path()).len(), 1, "a missing table is an empty one");
        fs::write(folder.path().join("net/tcp6"), v6).expect("written");
        let seen: Vec<String> = tcp(folder.path()).iter().map(ToString::to_string).collect();
        assert_eq!(seen, ["127.0.0.1:3000", "127.0.0.1:8080", "[::]:22"]);
    }

    #[test]
    fn a_real_listener_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        assert!(tcp(Path::new("/proc")).contains(&address));
        drop(listener);
        assert!(!tcp(Path::new("/proc")).contains(&address));
    }
}
