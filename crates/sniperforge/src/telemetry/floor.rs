//! What this machine can do at best right now: what times are measured in multiples of.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sniper_wallet::{LocalSigner, Signer as _};

use super::stage::{Stage, nanos, shown};

/// As long as the message of a swap.
const MESSAGE_BYTES: usize = 420;
/// What the journal makes durable for an order, roughly.
const DURABLE_BYTES: usize = 1_024;
/// Numbers that are walked: 256 kB, more than the first cache holds and less than the last.
const WALK: usize = 65_536;
/// Steps of a walk.
const STEPS: usize = 4_096;

/// What a stage's time is a multiple of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    /// A signature and a walk through memory.
    Compute,
    /// A durable write of a kilobyte.
    Disk,
    /// Nothing of this machine: the time is the chain's.
    Clock,
}

impl Against {
    pub(crate) const fn of(stage: Stage) -> Self {
        match stage {
            Stage::Journal => Self::Disk,
            Stage::Confirm | Stage::FullTrade | Stage::Verdict => Self::Clock,
            _ => Self::Compute,
        }
    }
}

/// One look at the floor, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FloorTimes {
    /// An ed25519 signature over the message of a swap, and four thousand dependent reads within 256 kB.
    pub(crate) compute_ns: f64,
    /// A kilobyte written and made durable.
    pub(crate) disk_ns: f64,
}

impl FloorTimes {
    /// By what a time is divided to become a figure.
    pub(crate) const fn unit(&self, against: Against) -> f64 {
        match against {
            Against::Compute => self.compute_ns,
            Against::Disk => self.disk_ns,
            Against::Clock => 1.0,
        }
    }
}

/// Measures it.
pub(crate) struct Floor {
    signer: LocalSigner,
    next: Vec<u32>,
    at: usize,
    file: std::fs::File,
}

impl Floor {
    /// Gets ready; the disk is that of `folder`.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        // One cycle through all places, by a full-period generator, so that no read can be guessed from the last.
        let full = u32::try_from(WALK).unwrap_or(u32::MAX);
        let next =
            (0..full).map(|i| (i.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)) % full);
        let signer = LocalSigner::generate()?;
        Ok(Self { signer, next: next.collect(), at: 0, file: tempfile::tempfile_in(folder)? })
    }

    /// Measures once: about as long as one order takes to be signed and written down.
    pub(crate) fn measure(&mut self) -> anyhow::Result<FloorTimes> {
        let message = [7_u8; MESSAGE_BYTES];
        let begun = Instant::now();
        std::hint::black_box(self.signer.sign(std::hint::black_box(&message))?);
        for _ in 0..STEPS {
            let next = self.next.get(self.at).copied().unwrap_or(0);
            self.at = usize::try_from(next).unwrap_or(0);
        }
        std::hint::black_box(self.at);
        let compute_ns = shown(nanos(begun.elapsed()).max(1));
        let begun = Instant::now();
        // Over and over in the same place: a journal's space is made before it is written, too.
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&[7; DURABLE_BYTES])?;
        self.file.sync_data()?;
        Ok(FloorTimes { compute_ns, disk_ns: shown(nanos(begun.elapsed()).max(1)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_passes_every_place_before_it_repeats() {
        let floor = Floor::new(&std::env::temp_dir()).unwrap();
        let (mut at, mut steps) = (0_usize, 0);
        loop {
            at = usize::try_from(floor.next[at]).unwrap();
            steps += 1;
            if at == 0 {
                break;
            }
        }
        assert_eq!(steps, WALK);
    }

    #[test]
    fn a_floor_is_a_time() {
        let mut floor = Floor::new(&std::env::temp_dir()).unwrap();
        let times = floor.measure().unwrap();
        assert!(times.compute_ns > 1_000.0 && times.disk_ns > 100.0, "{times:?}");
    }
}
