//! Why a command line was not parsed, and what the program exits with.

use std::process::ExitCode;

/// Bad usage, as in sysexits.h; clap's own 2 means something else to shells.
pub const EXIT_USAGE: u8 = 64;

/// Why a command line was not parsed.
#[derive(Debug)]
pub enum Unparsed {
    /// What clap says: a mistake, or the answer to `--help`.
    Clap(Box<clap::Error>),
    /// What the configuration file or the caller finds wrong.
    Other(String),
}

impl Unparsed {
    /// Prints it where it belongs; the exit code to leave with.
    pub fn print(&self) -> ExitCode {
        match self {
            Unparsed::Clap(error) => {
                let _ = error.print();
            }
            Unparsed::Other(message) => eprintln!("error: {message}"),
        }
        ExitCode::from(self.exit_code())
    }

    /// 0 for `--help` and `--version`, which are answers, not errors.
    pub fn exit_code(&self) -> u8 {
        match self {
            Unparsed::Clap(error) if !error.use_stderr() => 0,
            _ => EXIT_USAGE,
        }
    }
}

impl std::fmt::Display for Unparsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Its first paragraph; what follows is usage for people at a terminal.
            Unparsed::Clap(error) => {
                let text = error.to_string();
                let first = text.split("\n\n").next().unwrap_or_default().trim();
                f.write_str(first.strip_prefix("error: ").unwrap_or(first))
            }
            Unparsed::Other(message) => f.write_str(message),
        }
    }
}
