//! The scanner: a table, and the ways into it.

use std::time::{Duration, Instant};

use sniper_core::histogram::Histogram;
use sniper_core::ids::Address;
use sniper_core::scan::{Anchor, Figures, PoolTable, RowId, Sweep, TableError};
use sniper_core::units::Slot;

use super::error::ScanError;
use super::program::Program;
use super::reply::ReplyReader;
use super::report::{CycleTimes, Report};
use super::state::{Change, Notice, Pools};
use crate::json::Encoding;
use crate::rpc::Commitment;

/// What is scanned.
#[derive(Clone, Debug)]
pub struct ScanSettings {
    /// Whose pools.
    pub programs: Vec<Program>,
    /// Only pools with this mint on either side.
    pub mint: Option<Address>,
    /// Mints that pools are priced in, the most usual first.
    pub anchors: Vec<Anchor>,
    /// How sure the cluster must be.
    pub commitment: Commitment,
    /// How nodes send data.
    pub encoding: Encoding,
    /// How many pools to expect: room is set aside for so many, and given back after a cold scan that finds fewer.
    pub pools: usize,
}

impl Default for ScanSettings {
    fn default() -> Self {
        Self {
            programs: Program::CONSTANT.to_vec(),
            mint: None,
            anchors: Vec::new(),
            commitment: Commitment::Confirmed,
            encoding: Encoding::Base64,
            pools: 100_000,
        }
    }
}

/// All pools, and how they become known.
#[derive(Debug)]
pub struct Scanner {
    pub(super) settings: ScanSettings,
    pub(super) pools: Pools,
    pub(super) reader: ReplyReader,
    found: Sweep,
    made: Instant,
    cycles: Histogram,
    looking: Duration,
    scans: u64,
    pub(super) new_pools: u64,
    pub(super) opportunities: u64,
    /// A cold scan was made.
    pub(super) warm: bool,
}

impl Scanner {
    /// A scanner that knows nothing yet.
    ///
    /// # Errors
    /// [`TableError::Anchors`] for too many anchors, or one named twice.
    pub fn new(settings: ScanSettings) -> Result<Self, TableError> {
        Ok(Self {
            pools: Pools::new(&settings.anchors, settings.pools, settings.mint)?,
            settings,
            reader: ReplyReader::default(),
            found: Sweep::default(),
            made: Instant::now(),
            cycles: Histogram::new(),
            looking: Duration::ZERO,
            scans: 0,
            new_pools: 0,
            opportunities: 0,
            warm: false,
        })
    }

    /// The pools.
    #[must_use]
    pub fn table(&self) -> &PoolTable {
        &self.pools.table
    }

    /// Bytes set aside for pools, mints, pairs and vaults.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pools.bytes()
    }

    /// The token accounts of a pool, in the order of its mints: what a feed has to follow beside its state account.
    /// None where the state account alone is enough.
    ///
    /// # Errors
    /// [`ScanError::Filed`].
    pub fn vaults(&self, row: RowId) -> Result<Option<[Address; 2]>, ScanError> {
        self.pools.vaults_of(row)
    }

    /// Everything that a pool's row is read from: its state account, then its vaults.
    ///
    /// # Errors
    /// [`ScanError::Filed`].
    pub fn accounts(&self, row: RowId) -> Result<impl Iterator<Item = Address>, ScanError> {
        let state = self.pools.table.get(row).map(|pool| pool.address);
        let vaults = self.vaults(row)?;
        Ok(state.into_iter().chain(vaults.into_iter().flatten()))
    }

    /// Whether a pool's reserves changed since this was last asked of it: see [`PoolTable::take_change`].
    pub fn take_change(&mut self, row: RowId) -> bool {
        self.pools.table.take_change(row)
    }

    /// Takes an account as it is now. `now` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// When a pool's account cannot be a pool, or the table is full. Nothing is changed then.
    pub fn apply(&mut self, notice: &Notice<'_>, now: u64) -> Result<Change, ScanError> {
        let change = self.pools.take_notice(notice, now)?;
        match change {
            Change::New(_) => self.new_pools += u64::from(self.warm),
            Change::Settled(row) => self.look_at(row, notice.slot),
            _ => {}
        }
        Ok(change)
    }

    /// The chain has reached this slot and second: pools whose accounts still disagree take what they have, and
    /// pools whose time has come are open.
    ///
    /// # Errors
    /// When the slot cannot be kept.
    pub fn settle(&mut self, slot: Slot, now: u64) -> Result<(), ScanError> {
        let mut changed = Vec::new();
        self.pools.open_due(slot.get(), now)?;
        self.pools.settle(slot.get(), &mut changed)?;
        for row in changed {
            self.look_at(row, slot.get());
        }
        Ok(())
    }

    /// A changed pool is looked at at once; [`Self::figures`] tells what was seen.
    fn look_at(&mut self, row: RowId, slot: u64) {
        let started = Instant::now();
        std::hint::black_box(self.figures(row, Slot::new(slot)));
        self.looking += started.elapsed();
        self.scans += 1;
    }

    /// All that can be said of a pool.
    #[must_use]
    pub fn figures(&self, row: RowId, now: Slot) -> Option<Figures> {
        self.pools.table.figures(row, now)
    }

    /// Looks at all pools. The verdicts rest on accounts of several slots: see [`Self::confirm`].
    pub fn cycle(&mut self) -> &Sweep {
        let started = Instant::now();
        self.pools.table.sweep(&mut self.found);
        let took = started.elapsed();
        self.looking += took;
        self.scans += u64::try_from(self.found.pools).unwrap_or(0);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.cycles.record(micros);
        &self.found
    }

    /// What was done so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let looking = self.looking.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let scans = self.scans as f64;
        Report {
            pools: self.pools.table.len(),
            seconds: self.made.elapsed().as_secs_f64(),
            scans: self.scans,
            scans_per_second: if looking > 0.0 { scans / looking } else { 0.0 },
            cycle_us: CycleTimes { p50: self.cycles.quantile(500), p99: self.cycles.quantile(990) },
            new_pools: self.new_pools,
            opportunities: self.opportunities,
        }
    }
}
