//! The address under which others reach a process that listens.

use std::net::Ipv6Addr;

/// What is said to others: what was asked for, with the port that was really bound where the one
/// asked for is 0 or missing, so that any free port can be listened on.
pub fn advertised(asked: Option<&str>, bound: &str) -> String {
    let Some(asked) = asked else {
        return bound.to_owned();
    };
    let port = bound.rsplit_once(':').map_or("", |(_, port)| port);
    if asked.parse::<Ipv6Addr>().is_ok() {
        return format!("[{asked}]:{port}");
    }
    match asked.rsplit_once(':') {
        Some((host, "0" | "")) => format!("{host}:{port}"),
        Some((_, end)) if !end.ends_with(']') => asked.to_owned(),
        _ => format!("{asked}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_port_is_the_bound_one() {
        for (asked, said) in [
            (None, "0.0.0.0:4321"),
            (Some("algo-1"), "algo-1:4321"),
            (Some("algo-1:0"), "algo-1:4321"),
            (Some("algo-1:"), "algo-1:4321"),
            (Some("algo-1:2223"), "algo-1:2223"),
            (Some("[::1]:0"), "[::1]:4321"),
            (Some("[::1]"), "[::1]:4321"),
            (Some("fe80::1"), "[fe80::1]:4321"),
            (Some("[::1]:7"), "[::1]:7"),
        ] {
            assert_eq!(advertised(asked, "0.0.0.0:4321"), said, "{asked:?}");
        }
        assert_eq!(advertised(Some("me"), "[::]:7"), "me:7");
    }
}
