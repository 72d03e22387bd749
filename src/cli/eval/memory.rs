//! Peak resident memory, from `/proc`; where there is none, no figure.

use std::fs;

/// Watches this process.
pub(super) struct Watch {
    fresh: bool,
}

impl Watch {
    /// Forgets the peak so far. Memory that is still held counts again.
    pub(super) fn start() -> Self {
        // 5: reset the peak; see proc_pid_clear_refs(5).
        Self { fresh: fs::write("/proc/self/clear_refs", "5").is_ok() }
    }

    /// The peak since the start, MiB.
    pub(super) fn peak_mib(&self) -> Option<f64> {
        self.fresh.then(|| peak_kib("self")).flatten().map(mib)
    }
}

/// A process and its descendants, and the sum of their peaks in KiB: a launcher that waits for its child is
/// counted with it.
pub(super) fn tree(pid: u32) -> (Vec<u32>, u64) {
    let mut pids = vec![pid];
    let mut kib = 0;
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        next += 1;
        kib += peak_kib(&pid.to_string()).unwrap_or_default();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|p| p.parse::<u32>().ok()));
        }
    }
    (pids, kib)
}

/// KiB as MiB.
pub(super) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn peak_kib(pid: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_peak() {
        let (pids, kib) = tree(std::process::id());
        assert_eq!(pids.first(), Some(&std::process::id()));
        assert!(mib(kib) > 1.0 && peak_kib("self").is_some());
        assert_eq!(peak_kib("0"), None);
    }
}
