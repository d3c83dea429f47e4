//! What a process used, as Linux counts it.

use anyhow::Context;

/// Clock ticks a second that Linux reports times in; the same on every architecture that we build for.
const TICKS_PER_S: f64 = 100.0;

/// CPU seconds of a process so far, user and system.
///
/// # Errors
/// It is gone, or this is not Linux.
pub fn cpu_s(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything.
    let fields = stat.rsplit_once(')').context("/proc/PID/stat: no name")?.1;
    let field = |index: usize| -> anyhow::Result<f64> {
        let text = fields.split_whitespace().nth(index).context("/proc/PID/stat: too short")?;
        Ok(text.parse()?)
    };
    Ok((field(11)? + field(12)?) / TICKS_PER_S)
}

/// The most memory that a process had at once, in bytes.
///
/// # Errors
/// It is gone, or this is not Linux.
pub fn memory_peak_bytes(pid: u32) -> anyhow::Result<u64> {
    status_bytes(pid, "VmHWM:")
}

/// The memory that a process has, in bytes; from now on that is the most that it had at once.
///
/// # Errors
/// It is gone, or this is not Linux.
pub fn reset_memory_peak(pid: u32) -> anyhow::Result<u64> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
    status_bytes(pid, "VmRSS:")
}

fn status_bytes(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib = kib.with_context(|| format!("/proc/{pid}/status: no {name}"))?;
    Ok(kib.parse::<u64>()? * 1024)
}
