//! A program on a terminal: what people see of what it writes, as a real pseudo-terminal shows it.

use super::{psrun, wait_until};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// Rows of the terminal: few, so that what is shown scrolls away as it would.
const ROWS: u16 = 24;

/// `psrun` with a terminal as its standard output and error.
pub struct Terminal {
    child: Child,
    reader: JoinHandle<vt100::Parser>,
}

impl Terminal {
    /// Starts `psrun` with these arguments on a terminal of so many columns.
    ///
    /// # Panics
    /// The system has no pseudo-terminals, or refuses to start it.
    pub fn start(columns: u16, args: &[&str]) -> Self {
        let (mut screen, program_side) = pair(columns);
        let clone =
            || program_side.try_clone().unwrap_or_else(|error| panic!("a terminal: {error}"));
        let mut command = Command::new(psrun());
        command.args(args).stdin(Stdio::null()).stdout(clone()).stderr(clone());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PS_") {
                command.env_remove(&name);
            }
        }
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let child = command.spawn().unwrap_or_else(|error| panic!("starting psrun: {error}"));
        // Whoever has it open holds the end of what is read.
        drop((command, program_side));
        let reader = std::thread::spawn(move || {
            let mut parser = vt100::Parser::new(ROWS, columns, 10_000);
            let mut bytes = [0; 4096];
            // A terminal that nobody has open is an error to read from, not an end.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                parser.process(&bytes[..count]);
            }
            parser
        });
        Self { child, reader }
    }

    /// Waits for its end; the exit code and all rows that people could scroll back to.
    ///
    /// # Panics
    /// It does not end in time.
    pub fn wait(mut self, patience: Duration) -> (Option<i32>, Vec<String>) {
        let mut status = None;
        wait_until(patience, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        if status.is_none() {
            let _ = self.child.kill();
        }
        let Ok(mut parser) = self.reader.join() else { panic!("reading the terminal") };
        let rows = rows(&mut parser);
        let Some(status) = status else { panic!("not ended in {patience:?}\n{}", rows.join("\n")) };
        (status.code(), rows)
    }
}

/// Both sides of a new terminal: what it shows is read from the first one.
fn pair(columns: u16) -> (File, File) {
    let opened = || -> std::io::Result<(File, File)> {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&screen)?;
        unlockpt(&screen)?;
        let name = ptsname(&screen, Vec::new())?.to_string_lossy().into_owned();
        let program_side = OpenOptions::new().read(true).write(true).open(name)?;
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&program_side, size)?;
        Ok((File::from(screen), program_side))
    };
    opened().unwrap_or_else(|error| panic!("opening a pseudo-terminal: {error}"))
}

/// Every row of the scrollback and the screen, the oldest first.
fn rows(parser: &mut vt100::Parser) -> Vec<String> {
    let screen = parser.screen_mut();
    screen.set_scrollback(usize::MAX);
    let above = screen.scrollback();
    let columns = screen.size().1;
    let mut rows = Vec::new();
    // A screen at a time, from the top: the last one overlaps the one before.
    for offset in (1..=above).rev() {
        screen.set_scrollback(offset);
        rows.extend(screen.rows(0, columns).next());
    }
    screen.set_scrollback(0);
    rows.extend(screen.rows(0, columns));
    rows
}
