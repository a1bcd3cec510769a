//! What this process takes of the machine.

use procfs::process::Process;
use serde::Serialize;

/// Taken of the machine so far, and now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Resources {
    /// Processor time, in seconds.
    pub cpu_seconds: f64,
    /// Threads now.
    pub threads: u64,
    /// Open file descriptors now.
    pub descriptors: u64,
    /// Page faults that needed the disk.
    pub major_faults: u64,
    /// Bytes that came in over all network interfaces that this process sees, loopback included. The kernel counts them
    /// for the interfaces, not for a process.
    pub network_received_bytes: u64,
    /// Bytes that went out over them.
    pub network_sent_bytes: u64,
    /// Bytes read from disks.
    pub disk_read_bytes: u64,
    /// Bytes written to disks.
    pub disk_written_bytes: u64,
}

impl Resources {
    /// Asks the kernel; what it does not tell is zero.
    #[must_use]
    pub fn now() -> Self {
        let Ok(process) = Process::myself() else { return Self::default() };
        let stat = process.stat().ok();
        let ticks = procfs::ticks_per_second().max(1);
        let seconds =
            |ticks_used: u64| super::stage::shown(ticks_used) / super::stage::shown(ticks);
        let network = process.dev_status().unwrap_or_default();
        let bytes =
            |of: fn(&procfs::net::DeviceStatus) -> u64| network.values().map(of).sum::<u64>();
        let disk = process.io().ok();
        Self {
            cpu_seconds: stat.as_ref().map_or(0.0, |s| seconds(s.utime + s.stime)),
            threads: stat.as_ref().map_or(0, |s| u64::try_from(s.num_threads).unwrap_or(0)),
            descriptors: process.fd_count().map_or(0, |n| u64::try_from(n).unwrap_or(0)),
            major_faults: stat.as_ref().map_or(0, |s| s.majflt),
            network_received_bytes: bytes(|device| device.recv_bytes),
            network_sent_bytes: bytes(|device| device.sent_bytes),
            disk_read_bytes: disk.map_or(0, |io| io.read_bytes),
            disk_written_bytes: disk.map_or(0, |io| io.write_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_seen() {
        let before = Resources::now();
        let files: Vec<_> =
            (0..8).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        let begun = std::time::Instant::now();
        while begun.elapsed() < std::time::Duration::from_millis(60) {
            std::hint::spin_loop();
        }
        let after = Resources::now();
        assert!(after.descriptors >= before.descriptors + 8, "{before:?} {after:?}");
        assert!(after.cpu_seconds > before.cpu_seconds && after.threads > 0);
        drop(files);
    }
}
