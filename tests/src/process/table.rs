//! The machine's processes: found by job, signalled by process id.

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to a process, which may be gone.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, signal);
    }
}

/// Process ids and command lines of everything that runs for this job.
pub fn processes(job: &str) -> Vec<(u32, Vec<String>)> {
    let wanted = format!("--job-id={job}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Gone since, or a zombie: an empty command line.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let args: Vec<String> = line.split('\0').map(str::to_owned).collect();
        if args.contains(&wanted) {
            found.push((pid, args));
        }
    }
    found
}
