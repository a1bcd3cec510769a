//! The tick and bin arrays that are followed as prices move.
//!
//! # Design
//! Which arrays a pool needs is said by the core ([`sniper_core::amm::Live::refollow`]); here it is kept which watch
//! follows each, and which pools have moved since the last look. A look costs what the moved pools cost, however many
//! there are.
//!
//! Of an array that is let go, words may still lie in the feed's channel when the core has forgotten it. They carry
//! the number of their watch, and only the watch that follows an array now is listened to: otherwise such a word would
//! bring an array back whose changes nobody hears of.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sniper_core::amm::{AccountUpdate, Kind, Part, PoolSpec};
use sniper_core::event::MarketEvent;
use sniper_core::ids::PoolId;
use sniper_core::market::Market;
use sniper_solana::feed::{Role, Watch, WatchId};

use super::session::Session;

/// How long a pool is left as it is when a node or the feed does not take one of its arrays.
const PAUSE: Duration = Duration::from_secs(10);

/// One pool that has arrays.
#[derive(Debug, Default)]
struct Followed {
    /// By the tick that each starts at, or the number of a bin array.
    arrays: BTreeMap<i32, WatchId>,
    is_changed: bool,
    not_before: Option<Instant>,
}

/// What is followed of all pools that have arrays.
#[derive(Debug, Default)]
pub(super) struct Arrays {
    pools: BTreeMap<PoolId, Followed>,
    changed: Vec<PoolId>,
}

/// What is to be done for a pool: forget, then let go, then follow.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    pool: PoolId,
    /// To be forgotten by the core before its watch is let go.
    release: Vec<(i32, WatchId)>,
    /// To be followed.
    take: Vec<i32>,
}

impl Arrays {
    /// What a feed begins with: watches are numbered in their order.
    pub(super) fn new(watches: &[Watch]) -> Self {
        let mut arrays = Self::default();
        for (id, watch) in (0..).map(WatchId).zip(watches) {
            let Role::Pool { pool, kind, part } = watch.role else { continue };
            if !matches!(kind, Kind::Clmm | Kind::Whirlpool | Kind::Dlmm) {
                continue;
            }
            let followed = arrays.pools.entry(pool).or_default();
            if let Part::Array(start) = part {
                followed.arrays.insert(start, id);
            }
        }
        arrays
    }

    /// What the core knows of from before and nobody follows: an array of an earlier run, which may have changed since.
    pub(super) fn unheard(&self, market: &Market) -> Vec<MarketEvent> {
        let known = self.pools.iter().filter_map(|(id, followed)| {
            let known = market.pool(*id)?.live.known_arrays();
            Some(known.into_iter().map(move |array| (*id, followed, array)))
        });
        let unheard = known.flatten().filter(|(_, followed, at)| !followed.arrays.contains_key(at));
        unheard.map(|(pool, _, array)| MarketEvent::Forgotten { pool, array }).collect()
    }

    /// Whether this may go to the core: it does not speak of an array that was let go. Notes which pools have moved.
    pub(super) fn admits(&mut self, watch: WatchId, event: &MarketEvent) -> bool {
        let MarketEvent::Account { pool, update, .. } = event else { return true };
        match update {
            AccountUpdate::ClmmTicks(_)
            | AccountUpdate::WhirlpoolTicks(_)
            | AccountUpdate::DlmmBins(_) => {
                let followed = self.pools.get(pool).zip(update.array());
                followed.is_some_and(|(pool, array)| pool.arrays.get(&array) == Some(&watch))
            }
            AccountUpdate::ClmmPool(_)
            | AccountUpdate::ClmmConfig(_)
            | AccountUpdate::ClmmBitmap(_)
            | AccountUpdate::Whirlpool(_)
            | AccountUpdate::DlmmPool(_)
            | AccountUpdate::DlmmBitmap(_) => {
                self.changed(*pool);
                true
            }
            _ => true,
        }
    }

    fn changed(&mut self, pool: PoolId) {
        if let Some(followed) = self.pools.get_mut(&pool)
            && !followed.is_changed
        {
            followed.is_changed = true;
            self.changed.push(pool);
        }
    }

    /// What the pools that have moved need now.
    fn changes(&mut self, market: &Market, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        let pools = &mut self.pools;
        self.changed.retain(|pool| {
            let Some(followed) = pools.get_mut(pool) else { return false };
            if followed.not_before.is_some_and(|moment| now < moment) {
                return true;
            }
            (followed.is_changed, followed.not_before) = (false, None);
            let starts: Vec<i32> = followed.arrays.keys().copied().collect();
            let wanted = market.pool(*pool).map(|pool| pool.live.refollow(&starts));
            let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return false };
            let release = wanted.release.iter();
            let release = release.filter_map(|at| Some((*at, followed.arrays.remove(at)?)));
            changes.push(Change { pool: *pool, release: release.collect(), take: wanted.take });
            false
        });
        changes
    }

    /// These are followed from now on.
    fn taken(&mut self, pool: PoolId, taken: impl Iterator<Item = (i32, WatchId)>) {
        if let Some(followed) = self.pools.get_mut(&pool) {
            followed.arrays.extend(taken);
        }
    }

    /// An array of a pool cannot be followed now: it is looked at again later.
    fn put_off(&mut self, pool: PoolId, now: Instant) {
        if let Some(followed) = self.pools.get_mut(&pool) {
            followed.not_before = Some(now + PAUSE);
        }
        self.changed(pool);
    }

    /// The feed has let a watch go. Gives the pool and the array it followed, if it did.
    pub(super) fn refused(&mut self, watch: WatchId, now: Instant) -> Option<(PoolId, i32)> {
        let (pool, array) = self.pools.iter_mut().find_map(|(pool, followed)| {
            let array = followed.arrays.iter().find(|(_, id)| **id == watch).map(|(at, _)| *at)?;
            followed.arrays.remove(&array);
            Some((*pool, array))
        })?;
        self.put_off(pool, now);
        Some((pool, array))
    }
}

impl Session {
    /// Follows the arrays around the prices that have moved, and lets go those that they left behind.
    pub(super) fn follow_prices(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let changes = self.arrays.changes(self.desk.engine().market(), now);
        for Change { pool, release, take } in changes {
            // Before nobody tells of them any more: nothing is quoted through what may have changed unheard.
            for (array, _) in &release {
                self.step_market(MarketEvent::Forgotten { pool, array: *array }, now)?;
            }
            let released: Vec<_> = release.iter().map(|(_, watch)| *watch).collect();
            self.manager.unfollow(&released);
            let market = self.desk.engine().market();
            let Some(spec) = market.pool(pool).map(|pool| &pool.spec) else { continue };
            let wanted = watches(pool, spec, &take);
            if wanted.is_empty() {
                continue;
            }
            tracing::info!(?pool, ?take, released = release.len(), "following the price");
            match self.manager.follow(&wanted) {
                Ok(ids) => self.arrays.taken(pool, take.into_iter().zip(ids)),
                Err(error) => {
                    tracing::error!(?pool, %error, "the arrays around a price are not followed");
                    self.arrays.put_off(pool, now);
                }
            }
        }
        Ok(())
    }
}

/// The accounts of these arrays.
fn watches(pool: PoolId, spec: &PoolSpec, arrays: &[i32]) -> Vec<Watch> {
    let kind = spec.kind.kind();
    let of = |start: &i32| {
        let role = Role::Pool { pool, kind, part: Part::Array(*start) };
        Some(Watch { address: spec.array(*start)?, owner: kind.program(), role })
    };
    arrays.iter().filter_map(of).collect()
}
