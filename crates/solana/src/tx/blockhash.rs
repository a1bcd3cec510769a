//! A recent blockhash, always at hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::rpc::{Commitment, LatestBlockhash, RpcConnectionPool, RpcError};

/// Pause between two refreshes.
const REFRESH: Duration = Duration::from_millis(600);
/// Longest wait for a slot's notice after that.
const BEAT: Duration = Duration::from_millis(400);
/// A hash older than this is not built on: a third of its life has passed.
const AGE_MAX: Duration = Duration::from_secs(20);

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

/// Keeps a recent blockhash; cheap to clone, all clones share it.
#[derive(Clone, Debug)]
pub struct BlockhashCache {
    kept: Arc<Mutex<Option<Kept>>>,
    pool: RpcConnectionPool,
}

impl BlockhashCache {
    /// An empty one.
    #[must_use]
    pub fn new(pool: RpcConnectionPool) -> Self {
        Self { kept: Arc::default(), pool }
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
    /// # Errors
    /// As every read.
    pub async fn refresh(&self) -> Result<LatestBlockhash, RpcError> {
        let asked = Instant::now();
        let latest = self.pool.latest_blockhash(Commitment::Confirmed).await?.value;
        self.keep(latest, asked);
        Ok(latest)
    }

    fn keep(&self, latest: LatestBlockhash, asked: Instant) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // One whose height only a wrong node can have told must not keep all others out for ever.
        let newer = kept.is_none_or(|kept| {
            latest.last_valid > kept.latest.last_valid
                || asked.saturating_duration_since(kept.asked) > AGE_MAX
        });
        if newer {
            *kept = Some(Kept { latest, asked });
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
