//! Our own standard error, which people read.

use std::io::{IsTerminal, Write};

/// Writes a line over a progress bar, if there is one.
pub fn print_over_progress(line: &str) {
    let mut stderr = std::io::stderr().lock();
    let over = if stderr.is_terminal() { "\r\x1b[K" } else { "" };
    let _ = writeln!(stderr, "{over}{line}");
}

/// Writes a line as it is: a container's terminal is a file in the end.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
