//! Our own standard error, which people read.

use crate::log_line::logged;
use std::io::{ErrorKind, IsTerminal, Write};

/// Writes a line as it is, over the bar if there is one.
pub fn print(line: &str) {
    ps_cli::terminal::print_error(line);
}

/// Writes a line for machines. Whoever reads no further has seen enough.
///
/// # Errors
/// Standard output takes nothing, as that of a full disk.
pub fn print_metrics(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a line of a process's log, in colours where there may be some.
pub fn print_log(prefix: &str, line: &str) {
    match logged(line).filter(|_| std::io::stderr().is_terminal()) {
        Some((time, level, text)) => {
            print(&format!(
                "{prefix}\x1b[2m{time}\x1b[0m {}{level:>5}\x1b[0m {text}",
                colour(level)
            ));
        }
        None => print(&format!("{prefix}{line}")),
    }
}

/// As in the logs that processes write to a terminal themselves.
fn colour(level: &str) -> &'static str {
    match level {
        "ERROR" => "\x1b[31m",
        "WARN" => "\x1b[33m",
        "INFO" => "\x1b[32m",
        _ => "\x1b[34m",
    }
}
