//! How much memory this process holds.

use procfs::process::{Process, Status};

fn status() -> Option<Status> {
    Process::myself().ok()?.status().ok()
}

/// Kibibytes as the kernel counts them to megabytes of a million bytes, to one decimal.
fn megabytes(kib: u64) -> f64 {
    let tenths = kib.saturating_mul(1_024).div_ceil(100_000);
    f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
}

/// Memory resident now, in megabytes; `None` where the system does not tell.
#[must_use]
pub fn rss_mb() -> Option<f64> {
    status()?.vmrss.map(megabytes)
}

/// The most memory that was ever resident, in megabytes; `None` where the system does not tell.
#[must_use]
pub fn rss_peak_mb() -> Option<f64> {
    status()?.vmhwm.map(megabytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_memory_raises_what_is_reported() {
        let before = rss_mb().unwrap();
        assert!(before > 0.5, "{before}");
        let touched = std::hint::black_box(vec![1_u8; 48 << 20]);
        let (now, peak) = (rss_mb().unwrap(), rss_peak_mb().unwrap());
        assert!(now >= before + 40.0, "{before} then {now}");
        assert!(peak + 1.0 >= now, "{peak} below {now}");
        drop(touched);
    }

    #[test]
    fn a_megabyte_is_a_million_bytes_rounded_against_us() {
        assert!((megabytes(34_180) - 35.1).abs() < 1e-9); // 35 000 320 bytes
        assert!((megabytes(0)).abs() < 1e-9);
    }
}
