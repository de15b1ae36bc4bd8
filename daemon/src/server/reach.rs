//! Where a server is reached: the socket that it listens on, and the addresses that an invitation
//! names for it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use imgrepo_proto::invitation::{HostPort, MAX_ADDRESSES};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that may wait in the kernel: what the standard library has.
const BACKLOG: i32 = 1024;

/// Listens there; on `[::]` for both families, and where there is no IPv6 for the other one.
pub(super) fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    match listen_at(at) {
        Err(error) if is_any_v6(at) && error.kind() != io::ErrorKind::AddrInUse => {
            let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), at.port());
            let listener = listen_at(v4)?;
            tracing::info!(%error, "this system has no IPv6: listening on {v4} instead of {at}");
            Ok(listener)
        }
        done => done,
    }
}

fn is_any_v6(at: SocketAddr) -> bool {
    at.is_ipv6() && at.ip().is_unspecified()
}

fn listen_at(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    if is_any_v6(at) {
        // Systems differ in what they do unasked.
        socket.set_only_v6(false)?;
    }
    // Without it a server that has just ended keeps the next one out for a minute. On Windows it
    // would let others take the port.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Where others reach a server that listens there, the best first: the name that it is known by, then
/// this system's addresses. Never none.
#[must_use]
pub fn addresses(listen: SocketAddr, public_host: Option<&str>) -> Vec<HostPort> {
    let found = match listen.ip().is_unspecified() {
        true => if_addrs::get_if_addrs().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot list this system's addresses");
            Vec::new()
        }),
        false => Vec::new(),
    };
    let up = found.into_iter().filter(if_addrs::Interface::is_oper_up);
    reached(listen, public_host, up.map(|interface| (interface.ip(), interface.name)))
}

/// The name alone of what people write as `public_host`, without the port that may stand behind it.
#[must_use]
pub fn public_name(public_host: &str) -> Option<String> {
    // Which port is of no interest.
    public_place(public_host, 1).map(|place| place.host)
}

/// As [`addresses`], of a system with these.
fn reached(
    listen: SocketAddr,
    public_host: Option<&str>,
    system: impl Iterator<Item = (IpAddr, String)>,
) -> Vec<HostPort> {
    let place = |ip: IpAddr| HostPort { host: ip.to_string(), port: listen.port() };
    let public = public_host.and_then(|host| public_place(host, listen.port()));
    let mut own: Vec<(IpAddr, String)> = match listen.ip() {
        ip if ip.is_loopback() => Vec::new(),
        ip if ip.is_unspecified() => {
            let either = ip.is_ipv6();
            system.filter(|(ip, _)| is_of_use(*ip) && (either || ip.is_ipv4())).collect()
        }
        ip => vec![(ip, String::new())],
    };
    // Stable: among equals the system's own order.
    own.sort_by_key(|(ip, interface)| (is_inside(interface), ip.is_ipv6()));
    let mut places: Vec<HostPort> = Vec::new();
    for place in public.into_iter().chain(own.into_iter().map(|(ip, _)| place(ip))) {
        if !places.contains(&place) && places.len() < MAX_ADDRESSES {
            places.push(place);
        }
    }
    if places.is_empty() {
        let loopback = Ipv4Addr::LOCALHOST.into();
        places.push(place(if listen.ip().is_loopback() { listen.ip() } else { loopback }));
    }
    places
}

/// The name that it is known by, at this port unless it says another: that of a router or of a proxy.
pub(super) fn public_place(host: &str, port: u16) -> Option<HostPort> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(HostPort { host: ip.to_string(), port });
    }
    let with_port = match host.rsplit_once(':') {
        Some((_, digits)) if !digits.ends_with(']') => host.to_owned(),
        _ => format!("{host}:{port}"),
    };
    with_port.parse().ok()
}

/// Whether others may reach it: no address that is good for one machine or one cable alone.
fn is_of_use(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

/// Whether an interface leads to containers and virtual machines on this computer, as its name says:
/// such an address is hardly ever the one by which another computer gets here.
fn is_inside(interface: &str) -> bool {
    ["docker", "br-", "virbr", "vmnet", "veth", "lxcbr", "lxdbr", "podman", "cni", "vEthernet"]
        .iter()
        .any(|name| interface.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(listen: &str, public_host: Option<&str>, system: &[(&str, &str)]) -> Vec<String> {
        let system = system.iter().map(|(ip, name)| (ip.parse().unwrap(), (*name).to_owned()));
        let found = reached(listen.parse().unwrap(), public_host, system);
        found.iter().map(HostPort::to_string).collect()
    }

    const SYSTEM: &[(&str, &str)] = &[
        ("127.0.0.1", "lo"),
        ("::1", "lo"),
        ("172.17.0.1", "docker0"),
        ("2001:db8::7", "eth0"),
        ("fe80::1", "eth0"),
        ("192.168.1.20", "eth0"),
        ("169.254.3.4", "eth1"),
        ("10.8.0.1", "tun0"),
    ];

    #[test]
    fn the_public_name_comes_first_and_nothing_useless_at_all() {
        let all = ["192.168.1.20:8765", "10.8.0.1:8765", "[2001:db8::7]:8765", "172.17.0.1:8765"];
        assert_eq!(places("[::]:8765", None, SYSTEM), all);
        let v4 = ["192.168.1.20:1", "10.8.0.1:1", "172.17.0.1:1"];
        assert_eq!(places("0.0.0.0:1", None, SYSTEM), v4);
        let named = places("0.0.0.0:1", Some("Photos.example"), SYSTEM);
        assert_eq!(
            (named[0].as_str(), &named[1..]),
            ("photos.example:1", &v4.map(String::from)[..])
        );
        assert_eq!(places("192.168.1.20:1", None, SYSTEM), ["192.168.1.20:1"]);
        let twice = places("192.168.1.20:1", Some("192.168.1.20"), SYSTEM);
        assert_eq!(twice, ["192.168.1.20:1"]);
    }

    #[test]
    fn the_loopback_only_where_there_is_nothing_else() {
        assert_eq!(places("127.0.0.1:1", None, SYSTEM), ["127.0.0.1:1"]);
        assert_eq!(places("[::1]:1", None, SYSTEM), ["[::1]:1"]);
        // It is reached by a proxy or a tunnel then.
        let behind = places("127.0.0.1:8765", Some("photos.example:443"), SYSTEM);
        assert_eq!(behind, ["photos.example:443"]);
        assert_eq!(places("[::]:1", None, &SYSTEM[..2]), ["127.0.0.1:1"], "without a network");
    }

    #[test]
    fn a_public_name_is_read_as_people_write_it() {
        for (told, shown) in [
            ("photos.example", "photos.example:8765"),
            ("photos.example:443", "photos.example:443"),
            ("203.0.113.9", "203.0.113.9:8765"),
            ("2001:db8::9", "[2001:db8::9]:8765"),
            ("[2001:db8::9]", "[2001:db8::9]:8765"),
            ("[2001:db8::9]:443", "[2001:db8::9]:443"),
        ] {
            assert_eq!(places("127.0.0.1:8765", Some(told), SYSTEM), [shown]);
        }
        assert_eq!(places("127.0.0.1:8765", Some("a b"), SYSTEM), ["127.0.0.1:8765"]);
    }

    #[test]
    fn there_are_no_more_than_a_link_takes() {
        let many: Vec<String> = (1..=50).map(|host| format!("10.0.0.{host}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|ip| (ip.as_str(), "eth0")).collect();
        assert_eq!(places("0.0.0.0:1", None, &many).len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn both_families_are_answered_at_once() {
        let listener = listen("[::]:0".parse().unwrap()).unwrap();
        let at = listener.local_addr().unwrap();
        let v4 = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), at.port());
        tokio::net::TcpStream::connect(v4).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip().to_canonical(), v4.ip());
        let error = listen(at).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
