//! Peak resident memory, from `/proc`; where there is none, no figure.

use std::{fs, process};

use crate::telemetry::peak_memory_kib;

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
        self.fresh.then(|| peak_memory_kib(process::id())).flatten().map(mib)
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
        kib += peak_memory_kib(pid).unwrap_or_default();
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_peak() {
        let (pids, kib) = tree(process::id());
        assert_eq!(pids.first(), Some(&process::id()));
        assert!(mib(kib) > 1.0 && peak_memory_kib(process::id()).is_some());
        assert_eq!(peak_memory_kib(0), None);
    }
}
