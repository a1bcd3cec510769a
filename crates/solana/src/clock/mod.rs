//! The chain's own clock: which slot it is now, and who makes its block.
//!
//! # Design
//! Slots are told by notices; between them they pass at a measured pace. Leaders are read ahead in stretches, as an
//! epoch's whole schedule is megabytes of text, and only the next minutes of it matter; a stretch is renewed before it is
//! used up, and where the epoch ends before it does and the next one's leaders are not known yet, at the epoch's end.
//! What is not known is said to be so, and why.

mod leaders;
mod slots;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sniper_core::ids::Address;
use sniper_core::units::Slot;
use thiserror::Error;

pub use leaders::Leaders;
pub use slots::SlotClock;

use crate::rpc::{Commitment, EpochInfo, RpcConnectionPool, RpcError};

/// Leaders read at once: about a quarter of an hour.
const STRETCH: u64 = 2_048;
/// A new stretch is read when fewer slots of the last are left.
const AHEAD: u64 = 512;
/// Slots before the present one that are kept, to tell who led when something landed.
const BEHIND: u64 = 128;
/// Pause after a reading.
const PAUSE: Duration = Duration::from_secs(5);
/// The node's number for a question that it will not answer, such as for an epoch it does not know.
const INVALID: i64 = -32602;

/// Why a question about slots or leaders has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClockError {
    /// Nobody has told a slot yet.
    #[error("no slot was told yet")]
    NoSlot,
    /// The last slot was told too long ago to tell where the chain is.
    #[error("no slot was told for {silent:?}")]
    Silent {
        /// How long ago.
        silent: Duration,
    },
    /// The slot lies outside of those whose leaders are known.
    #[error(
        "the leader of slot {slot} is not known: leaders are known from {first} to before {end}"
    )]
    Beyond {
        /// Which.
        slot: Slot,
        /// The first that is known.
        first: Slot,
        /// After the last that is known.
        end: Slot,
    },
    /// The leader has none of the slots whose leaders are known.
    #[error("{leader} leads in no slot before {end}")]
    NotSoon {
        /// Who.
        leader: Address,
        /// After the last slot that is known.
        end: Slot,
    },
}

/// Slots and leaders of one chain; cheap to clone, all clones share what is known.
#[derive(Clone, Debug)]
pub struct ChainClock {
    pool: RpcConnectionPool,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    slots: SlotClock,
    leaders: Leaders,
    epoch: Option<EpochInfo>,
}

impl ChainClock {
    /// A clock that knows nothing until [`Self::run`] is run.
    #[must_use]
    pub fn new(pool: RpcConnectionPool) -> Self {
        Self { pool, known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Parts are replaced whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot it is now.
    ///
    /// # Errors
    /// No slot was told, or none for too long.
    pub fn slot(&self) -> Result<Slot, ClockError> {
        self.known().slots.slot(Instant::now())
    }

    /// How long a slot lasts; none while too few were told.
    #[must_use]
    pub fn pace(&self) -> Option<Duration> {
        self.known().slots.pace()
    }

    /// The epoch, as last read.
    #[must_use]
    pub fn epoch(&self) -> Option<EpochInfo> {
        self.known().epoch
    }

    /// Who makes the block of a slot.
    ///
    /// # Errors
    /// [`ClockError::Beyond`].
    pub fn leader_at(&self, slot: Slot) -> Result<Address, ClockError> {
        let known = self.known();
        let (first, end) = (known.leaders.first(), known.leaders.end());
        known.leaders.at(slot).ok_or(ClockError::Beyond { slot, first, end })
    }

    /// Slots from now until `leader` makes a block, zero if it does now.
    ///
    /// # Errors
    /// The present slot is not known, or the leader has no slot among those known.
    pub fn slots_until(&self, leader: &Address) -> Result<u64, ClockError> {
        let now = self.slot()?;
        let known = self.known();
        let next = known.leaders.next(leader, now);
        let next =
            next.ok_or_else(|| ClockError::NotSoon { leader: *leader, end: known.leaders.end() })?;
        Ok(next.get().saturating_sub(now.get()))
    }

    /// The next slot of `leader`, the present one included: among those known, else by asking for all its slots in this
    /// epoch. None where it has no more in it.
    ///
    /// # Errors
    /// As every read; without a slot or an epoch nothing is asked and nothing is told.
    pub async fn next_slot_of(&self, leader: &Address) -> Result<Option<Slot>, RpcError> {
        let (Ok(now), Some(epoch)) = (self.slot(), self.epoch()) else { return Ok(None) };
        let near = self.known().leaders.next(leader, now);
        if near.is_some() {
            return Ok(near);
        }
        let all = self.pool.leader_slots(&epoch, leader).await?;
        Ok(all.into_iter().find(|slot| *slot >= now))
    }

    /// Follows the pool's slots for ever and reads leaders ahead. Run it as a task of its own.
    pub async fn run(self) {
        let mut slots = self.pool.slots();
        let mut not_before = Instant::now();
        loop {
            let (slot, now) = (Slot::new(*slots.borrow_and_update()), Instant::now());
            self.known().slots.observe(slot, now);
            if self.is_due(slot) && now >= not_before {
                let read = self.read_ahead(slot).await;
                if let Err(error) = &read {
                    tracing::debug!(%error, "leaders not read");
                }
                // After success as well: a node that is behind may have told of an epoch that is over.
                not_before = Instant::now() + PAUSE;
            }
            if slots.changed().await.is_err() {
                return;
            }
        }
    }

    fn is_due(&self, slot: Slot) -> bool {
        let known = self.known();
        let Some(epoch) = known.epoch else { return slot > Slot::ZERO };
        let end = known.leaders.end();
        let (slot, left) = (slot.get(), end.get().saturating_sub(slot.get()));
        // Up to the epoch's end there may be no more to read.
        let is_all = end == epoch.end() && left > 0;
        slot >= epoch.end().get() || slot < known.leaders.first().get() || (left < AHEAD && !is_all)
    }

    /// Reads the leaders of the slots around `slot`, and the epoch where a new one has begun.
    ///
    /// # Errors
    /// As every read.
    pub async fn read_ahead(&self, slot: Slot) -> Result<(), RpcError> {
        let epoch = self.known().epoch.filter(|epoch| slot < epoch.end());
        let epoch = match epoch {
            Some(epoch) => epoch,
            None => self.pool.epoch_info(Commitment::Processed).await?,
        };
        // No further back than the epoch: a node need not know its leaders any longer.
        let first = slot.get().saturating_sub(BEHIND).max(epoch.first.get());
        let ask = |slots: u64| {
            let count = usize::try_from(slots).unwrap_or(0);
            self.pool.slot_leaders(Slot::new(first), count)
        };
        let rest = epoch.end().get().saturating_sub(first);
        let leaders = match ask(STRETCH).await {
            // Those of the next epoch are not known yet.
            Err(error) if error.node_code() == Some(INVALID) && (1..STRETCH).contains(&rest) => {
                ask(rest).await?
            }
            leaders => leaders?,
        };
        let leaders = Leaders::new(Slot::new(first), &leaders);
        let mut known = self.known();
        known.epoch = Some(epoch);
        known.leaders = leaders;
        Ok(())
    }
}
