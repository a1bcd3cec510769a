//! Priority fees: what to bid so that a transaction lands in time, and no more.
//!
//! - [`bid()`]: the decision, pure;
//! - [`FeeBoard`]: prices at hand, read without a lock while a transaction is built;
//! - [`FeeEstimator`]: asks nodes what others pay, remembers how our own fared, and writes the board.
//!
//! A pool's price stands for the accounts that every swap of it writes; a route bids the highest of its pools. What an
//! order carries as its price is the most that it may bid: its fee was reserved for that. Without an estimate, or
//! without an estimator, it is what is bid.

mod bid;
mod board;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sniper_core::units::Slot;

pub use bid::{Bounds, Landing, UnknownUrgency, Urgency, bid};
pub use board::{AccountSet, FeeBoard};

use crate::rpc::RpcConnectionPool;

/// The least that is bid, where the cap allows it: with nothing at all a transaction waits behind everybody.
pub const LEAST_PRICE: u64 = 1_000;

/// Pause between two rounds of questions.
const REFRESH: Duration = Duration::from_secs(4);
/// Longest wait for a slot's notice to ask along with others.
const BEAT: Duration = Duration::from_millis(400);
/// Account sets asked for in one round; where there are more, each is asked for every few rounds.
const SETS_A_ROUND: usize = 12;
/// Longest time that a price is believed without a new word of the market.
const AGE_MAX: Duration = Duration::from_secs(90);
/// Our own outcomes that are remembered, and for how many slots.
const LANDINGS_MAX: usize = 64;
const LANDING_SLOTS: u64 = 1_500;

/// Keeps a [`FeeBoard`]; cheap to clone, all clones share what is known.
#[derive(Clone, Debug)]
pub struct FeeEstimator {
    pool: RpcConnectionPool,
    board: FeeBoard,
    bounds: Bounds,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    landings: VecDeque<Landing>,
    /// When each set was last told of, by its place on the board.
    told: BTreeMap<usize, Instant>,
    /// The set to begin the next round with.
    next: usize,
}

impl FeeEstimator {
    /// Estimates for ordinary orders of this urgency, never above `most` millionths of a lamport per compute unit. From
    /// now on the board's orders bid what is estimated; before the first round that is what they carry.
    #[must_use]
    pub fn new(pool: RpcConnectionPool, board: FeeBoard, urgency: Urgency, most: u64) -> Self {
        board.set_urgency(urgency);
        Self { pool, board, bounds: Bounds::new(LEAST_PRICE, most), known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change leaves it whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers how a transaction of ours fared.
    pub fn note(&self, landing: Landing) {
        let mut known = self.known();
        if known.landings.len() >= LANDINGS_MAX {
            known.landings.pop_front();
        }
        known.landings.push_back(landing);
    }

    /// One round: asks for some of the sets, those first that nobody has told of, and writes their prices.
    pub async fn refresh(&self) {
        let sets = self.board.sets();
        let turn = self.turn(sets.len());
        let asked = turn.iter().filter_map(|place| Some((*place, sets.get(*place)?)));
        let asked = asked.map(|(place, set)| async move {
            (place, self.pool.recent_prioritization_fees(set.accounts()).await)
        });
        let told = join_all(asked).await;
        let (now, landings) = (Instant::now(), self.landings());
        for (place, told) in told {
            let Some(set) = sets.get(place) else { continue };
            match told {
                Ok(fees) => {
                    let mut market: Vec<u64> = fees.into_iter().map(|(_, fee)| fee).collect();
                    market.sort_unstable();
                    set.write(|urgency| Some(bid(&market, &landings, urgency, self.bounds)));
                    self.known().told.insert(place, now);
                }
                Err(error) => {
                    tracing::debug!(%error, "priority fees not read");
                    let told = self.known().told.get(&place).copied();
                    if told.is_none_or(|told| now.saturating_duration_since(told) > AGE_MAX) {
                        set.write(|_| None);
                    }
                }
            }
        }
    }

    /// The sets of this round, by place.
    fn turn(&self, sets: usize) -> Vec<usize> {
        let mut known = self.known();
        let first = known.next.checked_rem(sets).unwrap_or(0);
        let mut turn: Vec<usize> =
            (0..sets).filter(|place| !known.told.contains_key(place)).collect();
        turn.truncate(SETS_A_ROUND);
        let others = (first..sets).chain(0..first).filter(|place| known.told.contains_key(place));
        let room = SETS_A_ROUND.saturating_sub(turn.len());
        let others: Vec<usize> = others.take(room).collect();
        if let Some(last) = others.last() {
            known.next = last.saturating_add(1);
        }
        turn.extend(others);
        turn
    }

    /// Our own of late.
    fn landings(&self) -> Vec<Landing> {
        let now: Slot = self.pool.highest_slot();
        let is_recent = |one: &&Landing| now.get().saturating_sub(one.sent.get()) <= LANDING_SLOTS;
        self.known().landings.iter().filter(is_recent).copied().collect()
    }

    /// Keeps the board for ever. Run it as a task of its own.
    pub async fn run(self) {
        loop {
            self.refresh().await;
            tokio::time::sleep(REFRESH).await;
            // With the questions that others have at a new slot.
            self.pool.beat(BEAT).await;
        }
    }
}
