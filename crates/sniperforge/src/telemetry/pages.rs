//! Which stage touches memory first.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::stage::Stage;

/// Counts pages that this thread touched for the first time, by the stage at whose end they had been.
///
/// The kernel counts a minor fault for each, exactly and per thread, where resident memory is told only now and then. It
/// costs a read of `/proc` at the end of every stage, so a profile counts in a pass of its own, in which no time is taken.
#[derive(Debug)]
pub(crate) struct PageMeter {
    stat: File,
    last: u64,
    pages: [u64; Stage::ALL.len()],
}

impl PageMeter {
    /// From now on, for the calling thread; none where the system does not tell.
    #[cfg_attr(
        not(any(feature = "localnet", test)),
        expect(dead_code, reason = "a profile needs a chain")
    )]
    pub(crate) fn start() -> Option<Self> {
        let stat = File::open("/proc/thread-self/stat").ok()?;
        let last = faults(&stat)?;
        Some(Self { stat, last, pages: [0; Stage::ALL.len()] })
    }

    /// What was touched since the last lap belongs to this stage.
    pub(crate) fn lap(&mut self, stage: Stage) {
        let Some(now) = faults(&self.stat) else { return };
        if let Some(pages) = self.pages.get_mut(stage as usize) {
            *pages += now.saturating_sub(self.last);
        }
        self.last = now;
    }

    /// Pages so far, in the order of [`Stage::ALL`].
    #[cfg_attr(
        not(any(feature = "localnet", test)),
        expect(dead_code, reason = "a profile needs a chain")
    )]
    pub(crate) const fn pages(&self) -> [u64; Stage::ALL.len()] {
        self.pages
    }
}

/// The tenth field, counted behind the name, which may hold anything but is closed by the last parenthesis.
fn faults(stat: &File) -> Option<u64> {
    let mut buffer = [0_u8; 512];
    let read = stat.read_at(&mut buffer, 0).ok()?;
    let text = std::str::from_utf8(buffer.get(..read)?).ok()?;
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_touched_is_counted_for_the_stage_that_touched_it() {
        let mut meter = PageMeter::start().unwrap();
        meter.lap(Stage::Risk);
        let touched = std::hint::black_box(vec![1_u8; 8 << 20]);
        meter.lap(Stage::Sign);
        drop(touched);
        let pages = meter.pages();
        // Large pages would be fewer; one of them at least was touched.
        assert!(pages[Stage::Sign as usize] >= 4, "{pages:?}");
        assert!(
            pages[Stage::Risk as usize] < pages[Stage::Sign as usize]
                || pages[Stage::Sign as usize] >= 2_000
        );
    }
}
