//! File descriptors: how many a process may have, and how many connections that leaves room for.

use rustix::process::{Resource, getrlimit, setrlimit};

/// As many as anybody needs: the most `--connections`, and as many again. Not whatever the system allows,
/// because some programs, which inherit the limit, close every number below it.
const WANTED: u64 = 2 * 65_536;

/// What a process has open beside the connections that it serves: its own to others, files, logs, one or two
/// for each thread.
const OTHERS: u64 = 96;

/// Raises the soft limit as far as it may be; the limit from now on.
///
/// The usual soft limit is 1,024, for the sake of programs that call `select`. A server of as many workers
/// would meet it in the middle of a job.
pub fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(u64::MAX);
    let wanted = WANTED.min(limit.maximum.unwrap_or(u64::MAX));
    if wanted <= soft {
        return soft;
    }
    let raised = rustix::process::Rlimit { current: Some(wanted), ..limit };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(_) => soft,
    }
}

/// So many connections, or as many as the process may have beside what else it has open.
///
/// Said where they are fewer: what is refused is then a connection, and never a file or a heartbeat.
pub fn connections_within_limit(connections: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = connections_within(limit);
    if room < connections {
        tracing::warn!(
            "at most {room} connections at once, not {connections}: the process may have {limit} \
             files open (ulimit -n)"
        );
    }
    room.min(connections)
}

/// Half of what is little goes to the rest.
fn connections_within(limit: u64) -> usize {
    let room = limit.saturating_sub(OTHERS).max(limit / 2).max(1);
    usize::try_from(room).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_files() {
        let room = [u64::MAX, 1024, 256, 128, 1].map(connections_within);
        assert_eq!(room, [usize::MAX - 96, 928, 160, 64, 1]);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let raised = raise_limit();
        let limit = getrlimit(Resource::Nofile);
        let hard = limit.maximum.unwrap_or(u64::MAX);
        assert_eq!(limit.current.unwrap_or(u64::MAX), raised);
        assert!(raised >= hard.min(WANTED), "{raised} of {hard}");
        assert_eq!(connections_within_limit(1), 1);
    }
}
