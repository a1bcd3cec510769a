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
        arrays.add((0..).map(WatchId).zip(watches));
        arrays
    }

    /// Takes in what is followed of a pool that was announced while trading.
    pub(super) fn add<'a>(&mut self, watches: impl Iterator<Item = (WatchId, &'a Watch)>) {
        for (id, watch) in watches {
            let Role::Pool { pool, kind, part } = watch.role else { continue };
            if !matches!(kind, Kind::Clmm | Kind::Whirlpool | Kind::Dlmm) {
                continue;
            }
            let followed = self.pools.entry(pool).or_default();
            if let Part::Array(start) = part {
                followed.arrays.insert(start, id);
            }
        }
    }

    /// Forgets a pool. Gives what is followed of its arrays, to be let go.
    pub(super) fn remove(&mut self, pool: PoolId) -> Vec<WatchId> {
        self.changed.retain(|changed| *changed != pool);
        self.pools.remove(&pool).unwrap_or_default().arrays.into_values().collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use sniper_core::amm::PoolKind;
    use sniper_core::amm::whirlpool::{Keys, PoolState, TickArray, sqrt_price_at};
    use sniper_core::event::MintSpec;
    use sniper_core::ids::{Address, MintId, Symbol};
    use sniper_core::units::{Slot, Timestamp};

    const POOL: PoolId = PoolId(0);
    /// Ticks of an array.
    const SPAN: i32 = 88;

    fn spec() -> PoolSpec {
        let keys = Keys {
            oracle: Address::default(),
            vaults: [Address::default(); 2],
            token_programs: [Address::default(); 2],
        };
        let kind = PoolKind::Whirlpool { keys, adaptive: false };
        PoolSpec { address: Address::default(), mints: [MintId(1), MintId(2)], kind }
    }

    fn state(tick: i32) -> AccountUpdate {
        AccountUpdate::Whirlpool(PoolState {
            tick_spacing: 1,
            fee_tier: 1,
            liquidity: 1 << 40,
            sqrt_price: sqrt_price_at(tick),
            tick,
            ..PoolState::default()
        })
    }

    fn array(start: i32) -> AccountUpdate {
        AccountUpdate::WhirlpoolTicks(Box::new(TickArray { start, ticks: Vec::new() }))
    }

    struct World {
        market: Market,
        arrays: Arrays,
        slot: u64,
    }

    impl World {
        /// A pool at tick 0 and the nine arrays around it, followed as watches 1 to 9.
        fn new() -> Self {
            let mut market = Market::new(Timestamp::ZERO, Timestamp::ZERO);
            for byte in [1, 2] {
                let mint = MintSpec {
                    address: Address::new_from_array([byte; 32]),
                    token_program: Address::default(),
                    decimals: 6,
                    symbol: Symbol::new("X"),
                    is_usd: byte == 2,
                    plain: true,
                    trusted: true,
                    rent: sniper_core::units::Lamports::ZERO,
                };
                market.apply(&MarketEvent::Mint(mint), Timestamp::ZERO, &mut Vec::new());
            }
            let event = MarketEvent::Pool(Box::new(spec()));
            market.apply(&event, Timestamp::ZERO, &mut Vec::new());
            let starts: Vec<i32> = (-4..=4).map(|nth| nth * SPAN).collect();
            let zero = Address::default();
            let all = Watch::for_pool(POOL, &spec(), [zero; 2], [zero; 2], &starts);
            let mut world = Self { market, arrays: Arrays::new(&all), slot: 0 };
            for (start, id) in starts.into_iter().zip(1..) {
                assert!(world.tell(id, array(start)));
            }
            assert!(world.tell(0, state(0)));
            assert_eq!(world.changes(Instant::now()), []);
            world
        }

        /// What the feed brings; whether it went to the core.
        fn tell(&mut self, watch: u64, update: AccountUpdate) -> bool {
            self.slot += 1;
            let event = MarketEvent::Account { pool: POOL, slot: Slot::new(self.slot), update };
            let admitted = self.arrays.admits(WatchId(watch), &event);
            if admitted {
                self.market.apply(&event, Timestamp::ZERO, &mut Vec::new());
            }
            admitted
        }

        fn changes(&mut self, now: Instant) -> Vec<Change> {
            self.arrays.changes(&self.market, now)
        }
    }

    #[test]
    fn only_pools_that_have_moved_are_looked_at() {
        let mut world = World::new();
        assert!(world.arrays.changed.is_empty(), "looked at once");
        world.tell(3, array(-2 * SPAN));
        assert!(world.arrays.changed.is_empty(), "ticks do not move the price");
        world.tell(0, state(1));
        world.tell(0, state(2));
        assert_eq!(world.arrays.changed, [POOL]);
        assert_eq!(world.changes(Instant::now()), []);
        assert!(world.arrays.changed.is_empty());
    }

    #[test]
    fn a_late_word_about_an_array_that_was_let_go_is_not_listened_to() {
        let mut world = World::new();
        world.tell(0, state(5 * SPAN));
        let changes = world.changes(Instant::now());
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        let away = [-4, -3, -2].map(|nth| nth * SPAN);
        let gone: Vec<_> = away.into_iter().zip((1..).map(WatchId)).collect();
        assert_eq!(change.release, gone);
        let taken = [5, 6, 7, 8, 9].map(|nth| nth * SPAN);
        assert_eq!(change.take, taken);
        world.arrays.taken(POOL, taken.into_iter().zip((10..).map(WatchId)));
        assert!(!world.tell(1, array(-4 * SPAN)), "nobody follows it");
        // Back, and followed again by another watch: what the old one said is still not listened to.
        world.tell(0, state(0));
        let changes = world.changes(Instant::now());
        assert!(changes[0].take.contains(&(-4 * SPAN)), "{changes:?}");
        let taken = changes[0].take.clone();
        world.arrays.taken(POOL, taken.into_iter().zip((20..).map(WatchId)));
        assert!(!world.tell(1, array(-4 * SPAN)));
        assert!(world.tell(20, array(-4 * SPAN)));
    }

    #[test]
    fn an_array_that_cannot_be_followed_is_tried_again_after_a_pause() {
        let (mut world, now) = (World::new(), Instant::now());
        assert_eq!(world.arrays.refused(WatchId(99), now), None);
        assert_eq!(world.arrays.refused(WatchId(5), now), Some((POOL, 0)));
        assert_eq!(world.changes(now), [], "not at once");
        let later = now + PAUSE;
        let again = Change { pool: POOL, release: Vec::new(), take: vec![0] };
        assert_eq!(world.changes(later), [again]);
    }

    #[test]
    fn an_array_of_an_earlier_run_that_nobody_follows_is_forgotten() {
        let world = World::new();
        let zero = Address::default();
        let starts: Vec<i32> = (0..=8).map(|nth| nth * SPAN).collect();
        let all = Watch::for_pool(POOL, &spec(), [zero; 2], [zero; 2], &starts);
        let unheard = Arrays::new(&all).unheard(&world.market);
        let gone = [-4, -3, -2, -1].map(|nth| nth * SPAN);
        let gone = gone.map(|array| MarketEvent::Forgotten { pool: POOL, array });
        assert_eq!(unheard, gone);
        assert!(world.arrays.unheard(&world.market).is_empty());
    }
}
