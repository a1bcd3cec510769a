//! A disk that loses what was not synced, tears it, flips its bits, and fills up.

use super::dice::Dice;
use super::plan::{Fault, Plan};
use crate::journal::FILE_HEAD;

/// Why a write or a sync did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DiskError;

/// One file that grows at its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// What a reader sees while the machine runs.
    bytes: Vec<u8>,
    /// So much of it outlives the machine's power.
    durable: usize,
    /// And so much did so before the last sync.
    before: usize,
    pub(super) is_full: bool,
    /// The next sync fails.
    pub(super) fails: bool,
    /// A bit of what was durable was flipped.
    pub(super) is_rotten: bool,
}

impl Disk {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What would be left after a power cut at its worst.
    pub(super) fn durable(&self) -> &[u8] {
        &self.bytes[..self.durable]
    }

    pub(super) fn append(&mut self, more: &[u8]) -> Result<(), DiskError> {
        if self.is_full {
            return Err(DiskError);
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), DiskError> {
        if std::mem::take(&mut self.fails) {
            return Err(DiskError);
        }
        if self.durable < self.bytes.len() {
            self.before = std::mem::replace(&mut self.durable, self.bytes.len());
        }
        Ok(())
    }

    /// Cuts a torn tail off.
    pub(super) fn cut(&mut self, length: usize) {
        self.bytes.truncate(length);
        self.durable = self.durable.min(length);
        self.before = self.before.min(length);
    }

    /// A new file in place of the old one.
    pub(super) fn clear(&mut self) {
        *self = Self { is_full: self.is_full, ..Self::default() };
    }

    /// The power fails. Gives what became of it.
    pub(super) fn lose_power(&mut self, plan: &Plan, dice: &mut Dice) -> Vec<Fault> {
        let mut faults = vec![Fault::PowerFails];
        let loose = self.bytes.len() - self.durable;
        let mut kept = 0;
        if loose > 0 && dice.chance(plan.rate(Fault::TornWrite)) {
            faults.push(Fault::TornWrite);
            kept = usize::try_from(dice.below(loose as u64 + 1)).unwrap_or(0);
        }
        self.bytes.truncate(self.durable + kept);
        if kept > 0 && dice.chance(500) {
            // The pages of a write need not reach the disk in order.
            let page = self.durable + usize::try_from(dice.below(kept as u64)).unwrap_or(0);
            let end = (page + 512).min(self.bytes.len());
            self.bytes[page..end].fill(0);
        }
        if kept > 0 && dice.chance(plan.rate(Fault::FlippedBit)) {
            faults.push(Fault::FlippedBit);
            let at = self.durable + usize::try_from(dice.below(kept as u64)).unwrap_or(0);
            self.bytes[at] ^= 1 << dice.below(8);
        }
        if dice.chance(300) {
            // Space that was made ready and holds nothing.
            self.bytes.extend_from_slice(&[0; 700]);
        }
        if self.before > FILE_HEAD + 100 && dice.chance(plan.rate(Fault::Rot)) {
            faults.push(Fault::Rot);
            // Not after the last sync but one: no later record tells that these were durable, so to anybody they look like
            // the torn tail of a crash.
            let end = (self.before - FILE_HEAD) as u64;
            let at = FILE_HEAD + usize::try_from(dice.below(end)).unwrap_or(0);
            self.bytes[at] ^= 1 << dice.below(8);
            self.is_rotten = true;
        }
        faults
    }
}
