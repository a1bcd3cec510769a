//! A recent blockhash, always at hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sniper_core::execution::{last_valid_of, not_below, reached};
use sniper_core::units::BlockHeight;
use thiserror::Error;

use crate::rpc::{Commitment, LatestBlockhash, RpcConnectionPool, RpcError};

/// Pause between two refreshes.
const REFRESH: Duration = Duration::from_millis(600);
/// Longest wait for a slot's notice after that.
const BEAT: Duration = Duration::from_millis(400);
/// A hash older than this is not built on: a third of its life has passed.
const AGE_MAX: Duration = Duration::from_secs(20);
/// Blocks after its own that a blockhash can be built on.
const LIFE: BlockHeight = BlockHeight::new(150);
/// For so long heights are taken as they were told: about ten blocks.
const REMEMBERED: Duration = Duration::from_secs(4);
/// No chain makes blocks faster for long: where no majority answers, the height is at most that much further.
const BLOCK_MIN: Duration = Duration::from_millis(350);

/// Why there is no blockhash to build on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockhashError {
    /// None has been read yet.
    #[error("no blockhash has been read yet")]
    None,
    /// The last one is too old: no endpoint has told a newer one.
    #[error("the last blockhash is {age:?} old")]
    Stale {
        /// How old.
        age: Duration,
    },
}

/// A blockhash and when it was asked for.
#[derive(Clone, Copy, Debug)]
struct Kept {
    latest: LatestBlockhash,
    asked: Instant,
}

impl Kept {
    fn replaces(&self, kept: &Self) -> bool {
        self.latest.last_valid > kept.latest.last_valid
            // One whose height only a wrong node can have told must not keep all others out for ever.
            || self.asked.saturating_duration_since(kept.asked) > AGE_MAX
    }
}

/// Confirmed heights, as all endpoints told them.
#[derive(Clone, Debug)]
struct Heights {
    told: Vec<u64>,
    of: u32,
    at: Instant,
}

/// Keeps a recent blockhash; cheap to clone, all clones share it.
#[derive(Clone, Debug)]
pub struct BlockhashCache {
    kept: Arc<Mutex<Option<Kept>>>,
    /// What all endpoints last told of their height.
    heights: Arc<Mutex<Option<Heights>>>,
    pool: RpcConnectionPool,
}

impl BlockhashCache {
    /// An empty one.
    #[must_use]
    pub fn new(pool: RpcConnectionPool) -> Self {
        Self { kept: Arc::default(), heights: Arc::default(), pool }
    }

    /// The hash, if it is fresh enough to build on.
    ///
    /// # Errors
    /// None yet, or too old.
    pub fn get(&self) -> Result<LatestBlockhash, BlockhashError> {
        self.get_at(Instant::now())
    }

    fn get_at(&self, now: Instant) -> Result<LatestBlockhash, BlockhashError> {
        let kept = *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.ok_or(BlockhashError::None)?;
        let age = now.saturating_duration_since(kept.asked);
        if age > AGE_MAX { Err(BlockhashError::Stale { age }) } else { Ok(kept.latest) }
    }

    /// Age of the hash at hand.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.map(|kept| kept.asked.elapsed())
    }

    /// Reads a new one now. One that does not expire later than the one at hand comes from a lagging node, or from a
    /// chain that stands still; it does not make the one at hand any younger.
    ///
    /// The last height it is good for is not one node's word: too low a one would have orders proved dead that can still
    /// land, too high a one would keep dead ones open. See [`last_valid_of`].
    ///
    /// # Errors
    /// As every read, [`RpcError::NoQuorum`] where no majority tells its height, and [`RpcError::Impossible`] for a hash that
    /// would outlive what a majority has reached by far.
    pub async fn refresh(&self) -> Result<LatestBlockhash, RpcError> {
        let asked = Instant::now();
        let told = self.pool.latest_blockhash(Commitment::Confirmed).await?.value;
        let last_valid = self.last_valid(told.last_valid).await?;
        let latest = LatestBlockhash { hash: told.hash, last_valid };
        self.keep(latest, asked);
        Ok(latest)
    }

    async fn last_valid(&self, told: BlockHeight) -> Result<BlockHeight, RpcError> {
        let remembered = self.heights.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(heights) = remembered.as_ref().filter(|known| known.at.elapsed() < REMEMBERED)
            && let Some(last_valid) = last_valid_of(told, &heights.told, heights.of, LIFE)
        {
            return Ok(last_valid);
        }
        let (at, method) = (Instant::now(), "getLatestBlockhash");
        let (told_by, of) = self.pool.heights(Commitment::Confirmed).await;
        if let Some(last_valid) = last_valid_of(told, &told_by, of, LIFE) {
            let heights = Some(Heights { told: told_by, of, at });
            *self.heights.lock().unwrap_or_else(PoisonError::into_inner) = heights;
            return Ok(last_valid);
        }
        let far = RpcError::Impossible {
            endpoint: "all".into(),
            method,
            what: "a last valid height far beyond what a majority has reached",
        };
        let Some(known) = remembered else {
            let (answers, asked) = (told_by.len(), usize::try_from(of).unwrap_or(usize::MAX));
            let is_silent = reached(&told_by, of).is_none();
            return Err(if is_silent {
                RpcError::NoQuorum { method, answers, asked }
            } else {
                far
            });
        };
        // Too few answer, or some of those that do are wrong: by now the chain is at most so far. What is kept open for too
        // long then is closed later.
        let blocks = known.at.elapsed().as_millis() / BLOCK_MIN.as_millis();
        let blocks = BlockHeight::new(u64::try_from(blocks).unwrap_or(u64::MAX));
        let height = BlockHeight::new(not_below(&known.told, known.of).unwrap_or_default());
        let height = height.saturating_add(blocks);
        last_valid_of(told, &[height.get()], 1, LIFE).ok_or(far)
    }

    fn keep(&self, latest: LatestBlockhash, asked: Instant) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Kept { latest, asked };
        if kept.is_none_or(|kept| new.replaces(&kept)) {
            *kept = Some(new);
        }
    }

    /// Refreshes for ever. Run it as a task of its own.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "blockhash not refreshed");
            }
            tokio::time::sleep(REFRESH).await;
            // With the questions that others have at a new slot.
            self.pool.beat(BEAT).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use sniper_core::units::BlockHeight;

    use super::*;

    fn read(last_valid: u64, asked: Instant) -> Kept {
        let last_valid = BlockHeight::new(last_valid);
        Kept { latest: LatestBlockhash { hash: solana_hash::Hash::default(), last_valid }, asked }
    }

    #[test]
    fn a_hash_that_expires_no_later_does_not_make_the_one_at_hand_younger() {
        let begun = Instant::now();
        let kept = read(150, begun);
        let later = begun + Duration::from_secs(1);
        assert!(!read(150, later).replaces(&kept));
        assert!(!read(149, later).replaces(&kept));
        assert!(read(151, later).replaces(&kept));
    }

    #[test]
    fn an_inflated_height_keeps_others_out_no_longer_than_its_hash_may_be_built_on() {
        let begun = Instant::now();
        let lie = read(u64::MAX, begun);
        assert!(!read(151, begun + AGE_MAX).replaces(&lie));
        assert!(read(151, begun + AGE_MAX + Duration::from_millis(1)).replaces(&lie));
    }
}
