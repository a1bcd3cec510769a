//! Coins that have just begun to trade, as a session follows them: announced once they are called safe, let go when
//! their time is over and nothing of them is held.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde::Serialize;
use sniper_core::amm::PoolSpec;
use sniper_core::event::{Event, MarketEvent};
use sniper_core::ids::{Address, MintId, PoolId};
use sniper_core::market::{Market, WRAPPED_SOL};
use sniper_core::units::Slot;
use sniper_solana::feed::{Watch, WatchId};
use tokio::sync::watch;

use super::desk::Desk;
use super::gate::Ward;
use super::prices::Priced;
use super::scout::{Candidate, Find};
use super::session::Session;
use super::universe::{self, Found};
use crate::telemetry::Stage;

/// Coins followed at once: each costs subscriptions, and a judgement every few seconds.
const FOLLOWED_MAX: usize = 32;
/// Mints that a journal numbers at most; sixteen bits hold a few more.
const MINTS_MAX: usize = 60_000;
/// Slots for which a coin is followed beyond those in which it is bought.
const GRACE: u64 = 150;

/// What became of launches, for people and scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LaunchCounts {
    /// Pools that were seen to be made.
    pub seen: u64,
    /// Of them judged.
    pub judged: u64,
    /// Of them called safe.
    pub safe: u64,
    /// Of them announced to the strategies.
    pub announced: u64,
    /// Seen, but of no kind that is traded, or too many at once.
    pub passed: u64,
    /// Seen, but not to be read.
    pub unread: u64,
}

struct Newcomer {
    address: Address,
    pool: PoolId,
    mint: MintId,
    launched: Slot,
    watches: Vec<WatchId>,
}

/// The coins that are followed, and who must hear of them.
pub(super) struct Newcomers {
    followed: Vec<Newcomer>,
    /// Let go: words on them may still lie in the feed's channel.
    gone: BTreeSet<PoolId>,
    counts: LaunchCounts,
    /// Slots after a launch in which a coin is bought.
    window: u64,
    wards: watch::Sender<Vec<Ward>>,
    priced: watch::Sender<Vec<Priced>>,
}

impl Newcomers {
    pub(super) fn new(
        window: u64,
        wards: watch::Sender<Vec<Ward>>,
        priced: watch::Sender<Vec<Priced>>,
    ) -> Self {
        Self {
            followed: Vec::new(),
            gone: BTreeSet::new(),
            counts: LaunchCounts::default(),
            window,
            wards,
            priced,
        }
    }

    /// Whether an event speaks of a pool that was let go: it would bring back what nobody tells of any more.
    pub(super) fn is_past(&self, event: &MarketEvent) -> bool {
        let MarketEvent::Account { pool, .. } = event else { return false };
        !self.gone.is_empty() && self.gone.contains(pool)
    }

    /// Why a safe coin is not followed, if it is not.
    fn unwelcome(&self, market: &Market, coin: &Address) -> Option<&'static str> {
        if market.mint_by_address(coin).is_some() {
            // Another pool of a coin that is traded already is not ours to judge that coin by: anybody can make one.
            return Some("the coin is traded already");
        }
        let full = self.followed.len() >= FOLLOWED_MAX
            || market.mints().len().saturating_add(2) > MINTS_MAX;
        full.then_some("as many are followed as can be")
    }

    pub(super) const fn counts(&self) -> LaunchCounts {
        self.counts
    }

    /// Coins whose time is over, and of which nothing is held or in flight. They are forgotten here.
    fn over(&mut self, desk: &Desk) -> Vec<Newcomer> {
        let (engine, slot) = (desk.engine(), desk.engine().market().slot());
        let last = |newcomer: &Newcomer| {
            newcomer.launched.get().saturating_add(self.window).saturating_add(GRACE)
        };
        let is_held = |newcomer: &Newcomer| {
            engine.ledger().held(newcomer.mint) != 0 || engine.orders().any_touches(newcomer.mint)
        };
        let over: Vec<bool> =
            self.followed.iter().map(|one| slot.get() > last(one) && !is_held(one)).collect();
        let mut gone = Vec::new();
        let mut over = over.into_iter();
        let mut kept = Vec::with_capacity(self.followed.len());
        for newcomer in self.followed.drain(..) {
            if over.next() == Some(true) { gone.push(newcomer) } else { kept.push(newcomer) }
        }
        self.followed = kept;
        gone
    }

    fn forget(&self, newcomer: &Newcomer) {
        self.wards.send_modify(|wards| {
            wards.retain(|ward| ward.launched != Some(newcomer.address));
        });
        self.priced.send_modify(|priced| priced.retain(|(mint, ..)| *mint != newcomer.mint));
    }
}

impl Session {
    /// Takes what the scout has found.
    pub(super) fn take_find(&mut self, find: Find) -> anyhow::Result<()> {
        let counts = &mut self.newcomers.counts;
        counts.seen += u64::from(!matches!(find, Find::Held(_)));
        match find {
            Find::Held(found) => {
                if let Err(error) = self.take_up(&found) {
                    let error = format!("{error:#}");
                    tracing::error!(pool = %found.address, error, "a coin that is held cannot be followed");
                }
            }
            Find::Passed => counts.passed += 1,
            Find::Unread => counts.unread += 1,
            Find::Judged(candidate) => {
                counts.judged += 1;
                self.desk.timers.record(Stage::Verdict, candidate.took);
                if candidate.verdict.safe() {
                    self.newcomers.counts.safe += 1;
                    return self.welcome(*candidate);
                }
            }
        }
        Ok(())
    }

    /// Announces a coin that was called safe, and follows it.
    fn welcome(&mut self, candidate: Candidate) -> anyhow::Result<()> {
        let Candidate { found, verdict, slot, took } = candidate;
        if let Some(why) = self.newcomers.unwelcome(self.desk.engine().market(), &verdict.mint()) {
            tracing::warn!(pool = %found.address, why, "a safe new coin is not followed");
            return Ok(());
        }
        let (pool, spec, news) = universe::introduce(&mut self.desk, &found)?;
        for event in &news {
            self.learn(event)?;
        }
        let mint = match self.enlist(&found, pool, &spec, slot) {
            Ok(mint) => mint,
            Err(error) => {
                // One coin the less, and no reason to end the run.
                let error = format!("{error:#}");
                tracing::error!(pool = %found.address, error, "a safe new coin cannot be followed");
                let lost = Event::Market(MarketEvent::Lost { pool });
                return self.step(lost, std::time::Instant::now());
            }
        };
        self.newcomers.counts.announced += 1;
        let coin = verdict.mint();
        tracing::info!(pool = %found.address, mint = %coin, took_ms = took.as_millis(), "a new coin is followed");
        let gate = MarketEvent::Gate { mint, safe: verdict.safe(), at: verdict.slot() };
        for event in [gate, MarketEvent::Launched { pool, at: slot }] {
            self.step(Event::Market(event), std::time::Instant::now())?;
        }
        Ok(())
    }

    /// Follows again what is held of a coin that an earlier run had announced.
    pub(super) fn take_up(&mut self, found: &Found) -> anyhow::Result<()> {
        let market = self.desk.engine().market();
        let at = market.pools().iter().position(|pool| pool.spec.address == found.address);
        let pool = at.and_then(|at| u32::try_from(at).ok()).map(PoolId);
        let pool = pool.context("find a pool that was announced before")?;
        let spec = market.pool(pool).context("find a pool")?.spec.clone();
        let slot = market.slot();
        self.enlist(found, pool, &spec, slot)?;
        tracing::info!(pool = %found.address, "a coin of an earlier run is followed again");
        Ok(())
    }

    /// Follows a pool's accounts, and has its coin priced and judged from here on. Gives the coin.
    fn enlist(
        &mut self,
        found: &Found,
        pool: PoolId,
        spec: &PoolSpec,
        launched: Slot,
    ) -> anyhow::Result<MintId> {
        let mut coins = found.mints.iter().zip(spec.mints);
        let coin = coins.find(|(mint, _)| mint.address != WRAPPED_SOL && !mint.is_usd);
        let (coin, mint) = coin.context("find the coin of a new pool")?;
        let watches = self.follow(&found.watches(pool, spec))?;
        self.newcomers.priced.send_modify(|all| all.push((mint, coin.address, coin.decimals)));
        let ward = Ward { id: mint, mint: coin.address, launched: Some(found.address) };
        self.newcomers.wards.send_modify(|all| all.push(ward));
        let newcomer = Newcomer { address: found.address, pool, mint, launched, watches };
        self.newcomers.followed.push(newcomer);
        Ok(mint)
    }

    fn follow(&mut self, watches: &[Watch]) -> anyhow::Result<Vec<WatchId>> {
        let ids = self.manager.follow(watches)?;
        self.arrays.add(ids.iter().copied().zip(watches));
        Ok(ids)
    }

    /// Lets coins go whose time is over: first the engine, so that none is traded on what nobody tells any more.
    pub(super) fn let_go(&mut self) -> anyhow::Result<()> {
        for newcomer in self.newcomers.over(&self.desk) {
            let lost = MarketEvent::Lost { pool: newcomer.pool };
            self.step(Event::Market(lost), std::time::Instant::now())?;
            self.newcomers.gone.insert(newcomer.pool);
            self.manager.unfollow(&newcomer.watches);
            // Those that came since, as its price moved.
            self.manager.unfollow(&self.arrays.remove(newcomer.pool));
            self.newcomers.forget(&newcomer);
            tracing::info!(pool = %newcomer.address, "a coin is no longer new, and nothing of it is held");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sniper_core::amm::AccountUpdate;
    use sniper_core::event::MintSpec;
    use sniper_core::ids::Symbol;
    use sniper_core::units::{Atoms, BlockHeight, Lamports, Timestamp};

    use super::*;

    fn newcomers() -> Newcomers {
        Newcomers::new(10, watch::Sender::default(), watch::Sender::default())
    }

    fn announce(market: &mut Market, address: Address) {
        let spec = MintSpec {
            address,
            token_program: Address::default(),
            decimals: 6,
            symbol: Symbol::new("COIN"),
            is_usd: false,
            plain: true,
            trusted: false,
            rent: Lamports::ZERO,
        };
        market.apply(&MarketEvent::Mint(spec), Timestamp::ZERO, &mut Vec::new());
    }

    fn newcomer(nth: u16) -> Newcomer {
        Newcomer {
            address: Address::new_from_array([9; 32]),
            pool: PoolId(u32::from(nth)),
            mint: MintId(nth),
            launched: Slot::ZERO,
            watches: Vec::new(),
        }
    }

    #[test]
    fn a_second_pool_of_a_traded_coin_is_not_what_it_is_judged_by() {
        let (coin, mut market) =
            (Address::new_from_array([1; 32]), Market::new(Timestamp::ZERO, Timestamp::ZERO));
        assert_eq!(newcomers().unwelcome(&market, &coin), None);
        announce(&mut market, coin);
        let why = newcomers().unwelcome(&market, &coin);
        assert_eq!(why, Some("the coin is traded already"));
    }

    #[test]
    fn no_more_coins_are_followed_than_can_be_judged() {
        let (coin, market) =
            (Address::new_from_array([1; 32]), Market::new(Timestamp::ZERO, Timestamp::ZERO));
        let mut newcomers = newcomers();
        newcomers.followed.extend((1..32).map(newcomer));
        assert_eq!(newcomers.unwelcome(&market, &coin), None);
        newcomers.followed.push(newcomer(32));
        assert!(newcomers.unwelcome(&market, &coin).is_some());
    }

    #[test]
    fn words_on_a_pool_that_was_let_go_are_not_taken() {
        let mut newcomers = newcomers();
        let word = |pool| MarketEvent::Account {
            pool: PoolId(pool),
            slot: Slot::new(7),
            update: AccountUpdate::Vault { second: false, amount: Atoms::new(1) },
        };
        assert!(!newcomers.is_past(&word(3)));
        newcomers.gone.insert(PoolId(3));
        assert!(newcomers.is_past(&word(3)));
        assert!(!newcomers.is_past(&word(4)));
        let slot = MarketEvent::Slot { slot: Slot::new(8), height: BlockHeight::ZERO };
        assert!(!newcomers.is_past(&slot));
    }
}
