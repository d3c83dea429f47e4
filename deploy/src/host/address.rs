//! Addresses of hosts, IPv4 and IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether sockets that listen on all addresses of IPv6 do so on those of IPv4, too: `0`. Not there
/// where the system has no IPv6.
const IPV6_ONLY: &str = "/proc/sys/net/ipv6/bindv6only";

/// A host and a port as one word. An address of IPv6 is in brackets, as everywhere.
pub fn join(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(_) => format!("[{host}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
}

/// Splits such a word; an address of IPv6 loses its brackets.
pub fn split(word: &str) -> Option<(&str, u16)> {
    let (host, port) = word.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().is_ok().then_some(bare)?,
        None => host,
    };
    // Without brackets nobody knows where an address ends and its port begins.
    let is_host = !host.is_empty() && (bare.is_some() || !host.contains([':', '[', ']']));
    is_host.then_some((host, port.parse().ok()?))
}

/// What to listen on to be reached at any address of this host, of whatever kind.
pub fn everywhere() -> IpAddr {
    let setting = std::fs::read_to_string(IPV6_ONLY).unwrap_or_default();
    match setting.trim() {
        "0" => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_joined() {
        for (word, host, port) in [
            ("algo-1:2222", "algo-1", 2222),
            ("10.0.0.1:1", "10.0.0.1", 1),
            ("[::1]:22250", "::1", 22250),
            ("[fe80::1]:0", "fe80::1", 0),
        ] {
            assert_eq!(split(word), Some((host, port)));
            assert_eq!(join(host, port), word);
        }
        for word in
            ["", ":1", "a", "a:", "a:b", "a:70000", "::1", "[::1]", "[a]:1", "[]:1", "fe80::1:2222"]
        {
            assert_eq!(split(word), None, "{word}");
        }
    }

    /// A listener there takes callers of both kinds, as far as the machine has them.
    #[test]
    fn everywhere_is_reached_by_ipv4() {
        let listener = std::net::TcpListener::bind((everywhere(), 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if everywhere().is_ipv6() && std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }
}
