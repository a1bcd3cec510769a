//! Mints, pools, pairs, prices and candles, built from events alone.
//!
//! Tables are dense and grow only when a mint or pool is announced: an update touches one pool and its pair.
//!
//! A swap changes several accounts of a pool and each is notified on its own, so between the first and the last
//! notice a pool shows a price it never had. Such a pool is *unsettled* and gives no quote: it settles when its
//! accounts agree on a slot, or when the chain has moved past the newest of them.

mod parts;
mod quotes;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amm::{Clock, Kind, Live, PoolSpec};
use crate::event::{Candle, MarketEvent, MintSpec};
use crate::ids::{Address, MintId, PairId, PoolId, Symbol};
use crate::units::{Atoms, BlockHeight, Lamports, Price, Slot, Timestamp, Usd, mul_div_down};

/// A mint and what an independent source says it is worth.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mint {
    /// As announced.
    pub spec: MintSpec,
    /// Millionths of a dollar per atom, and when that was said.
    pub reference: Option<(Price, Timestamp)>,
    /// What the token gate said last, and as of which slot.
    pub gate: Option<(bool, Slot)>,
    /// What making our token account of it would take; zero once it is there.
    pub rent: Lamports,
    /// Millionths of a dollar per atom, of a dollar.
    dollar: Option<Price>,
    /// The first announced pair that prices it in dollars, or else in SOL.
    dollar_pair: Option<PairId>,
}

/// A pool and what its accounts hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pool {
    /// As announced.
    pub spec: PoolSpec,
    /// The pair it trades.
    pub pair: PairId,
    /// Whether the pair's base is the pool's mint 0.
    pub base_first: bool,
    /// State that changes.
    pub live: Live,
    /// When its last account was seen.
    pub updated: Timestamp,
    /// It is on the market's list of those that are between two states, or were since the last slot.
    listed: bool,
}

/// Two mints that pools trade. The first pool announced is the primary: its price makes the candles.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pair {
    /// What is bought and sold.
    pub base: MintId,
    /// What it is paid with.
    pub quote: MintId,
    /// Its pools, in order of announcement.
    pub pools: Vec<PoolId>,
    /// Last price: quote atoms per base atom.
    pub price: Option<Price>,
    /// The same in millionths of a dollar, where a dollar quotes it.
    usd: Option<Price>,
    candle: Option<Candle>,
    next_after_gap: bool,
}

/// Everything known of the market.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Market {
    mints: Vec<Mint>,
    pools: Vec<Pool>,
    pairs: Vec<Pair>,
    /// Where a pair stands, by base and quote. Follows from `pairs`, and is no state of its own.
    #[serde(skip)]
    places: BTreeMap<(MintId, MintId), PairId>,
    slot: Slot,
    height: BlockHeight,
    heard: Timestamp,
    now: Timestamp,
    candle_width: Timestamp,
    candle_age_max: Timestamp,
    bucket: Timestamp,
    wrapped_sol: Option<MintId>,
    /// Pools between two states: few, and only until the next slots.
    torn: Vec<PoolId>,
    /// Kinds whose programs have changed.
    drifted: Vec<Kind>,
    whole: bool,
    /// The feed was not whole at some moment of the candles under way.
    holed: bool,
}

/// How long the token gate's word holds, in slots: about a quarter of an hour.
pub const GATE_HOLDS: u64 = 2_250;

/// Slots of an epoch on every public cluster.
const SLOTS_PER_EPOCH: u64 = 432_000;

/// Wrapped SOL's mint on every cluster.
pub const WRAPPED_SOL: Address =
    Address::from_str_const("So11111111111111111111111111111111111111112");

impl Market {
    /// An empty market.
    ///
    /// `candle_width` of live candles; zero when candles come from a tape. A live candle whose feed has been
    /// silent for longer than `silence_max` at its close is dropped and leaves a gap.
    #[must_use]
    pub fn new(candle_width: Timestamp, silence_max: Timestamp) -> Self {
        let sol = MintSpec {
            address: Address::new_from_array([0; 32]),
            token_program: Address::new_from_array([0; 32]),
            decimals: 9,
            symbol: Symbol::new("SOL"),
            is_usd: false,
            plain: true,
            trusted: true,
            rent: Lamports::ZERO,
        };
        Self {
            mints: vec![Mint::new(sol)],
            pools: Vec::new(),
            pairs: Vec::new(),
            places: BTreeMap::new(),
            slot: Slot::ZERO,
            height: BlockHeight::ZERO,
            heard: Timestamp::new(i64::MIN),
            now: Timestamp::new(i64::MIN),
            candle_width,
            candle_age_max: silence_max,
            bucket: Timestamp::new(i64::MIN),
            wrapped_sol: None,
            torn: Vec::with_capacity(64),
            drifted: Vec::new(),
            whole: true,
            holed: false,
        }
    }

    /// Takes an event at its time; candles that closed by then are added to `closed`, but for one that is the event.
    ///
    /// Events that name what was never announced change nothing.
    pub fn apply(&mut self, event: &MarketEvent, now: Timestamp, closed: &mut Vec<Candle>) {
        self.advance(now, closed);
        match event {
            MarketEvent::Mint(spec) => self.add_mint(*spec),
            MarketEvent::Pool(spec) => self.add_pool(spec),
            MarketEvent::Account { pool: id, slot, update } => {
                self.heard = now;
                if let Some(pool) = self.pools.get_mut(id.index()) {
                    pool.live.apply(update, *slot);
                    self.touched(*id);
                }
            }
            MarketEvent::Close { pool: id, slot, vaults, candle } => {
                self.heard = now;
                if let Some(pool) = self.pools.get_mut(id.index()) {
                    pool.live.refill(*vaults, *slot);
                    self.touched(*id);
                }
                self.take_candle(candle, now);
            }
            MarketEvent::Slot { slot, height } => {
                self.heard = now;
                if *slot > self.slot {
                    self.slot = *slot;
                    self.height = self.height.max(*height);
                    self.settle();
                }
            }
            MarketEvent::Reference { mint, usd } => {
                if let Some(mint) = self.mints.get_mut(mint.index()) {
                    mint.reference = (usd.raw() > 0).then_some((*usd, now));
                }
            }
            MarketEvent::Candle(candle) => {
                self.heard = now;
                self.take_candle(candle, now);
            }
            MarketEvent::Feed { whole } => {
                self.whole = *whole;
                self.holed |= !whole;
            }
            // A pool that has just begun to trade is a strategy's business.
            MarketEvent::Launched { .. } => {}
            MarketEvent::Gate { mint, safe, at } => {
                if let Some(mint) = self.mints.get_mut(mint.index()) {
                    mint.gate = Some((*safe, *at));
                }
            }
            MarketEvent::Drifted { kind } => {
                self.drift(*kind);
            }
            MarketEvent::Forgotten { pool, array } => {
                if let Some(pool) = self.pools.get_mut(pool.index()) {
                    pool.live.forget(*array);
                }
            }
            MarketEvent::Lost { pool } => {
                let plain = self.pool(*pool).is_some_and(|pool| self.is_plain(&pool.spec));
                if let Some(pool) = self.pools.get_mut(pool.index()) {
                    let drifted = self.drifted.contains(&pool.spec.kind.kind());
                    pool.live = Live::new(&pool.spec.kind, plain);
                    if drifted {
                        pool.live.drift();
                    }
                }
            }
        }
    }

    /// Lets time pass: closes live candles whose end has come.
    pub fn advance(&mut self, now: Timestamp, closed: &mut Vec<Candle>) {
        self.now = now;
        if self.candle_width <= Timestamp::ZERO {
            return;
        }
        let bucket = now.floor(self.candle_width);
        if bucket == self.bucket {
            return;
        }
        let skipped = bucket != self.bucket.saturating_add(self.candle_width);
        let stale = self.holed || self.heard.saturating_add(self.candle_age_max) < self.bucket;
        self.holed = !self.whole;
        self.bucket = bucket;
        for pair in &mut self.pairs {
            match pair.candle.take() {
                Some(candle) if !stale => {
                    closed.push(candle);
                    pair.next_after_gap = skipped;
                }
                _ => pair.next_after_gap = true,
            }
            pair.open_candle(bucket, self.candle_width, PairId(0));
        }
        for (index, pair) in self.pairs.iter_mut().enumerate() {
            if let (Some(candle), Ok(index)) = (&mut pair.candle, u32::try_from(index)) {
                candle.pair = PairId(index);
            }
        }
    }

    fn add_mint(&mut self, spec: MintSpec) {
        if let Ok(index) = u16::try_from(self.mints.len()) {
            if spec.address == WRAPPED_SOL {
                self.wrapped_sol = Some(MintId(index));
            }
            self.mints.push(Mint::new(spec));
        }
    }

    fn add_pool(&mut self, spec: &PoolSpec) {
        let Ok(id) = u32::try_from(self.pools.len()).map(PoolId) else { return };
        let [first, second] = spec.mints;
        // Dollars quote everything; wrapped SOL quotes what dollars do not.
        let base_first = if self.is_usd(second) != self.is_usd(first) {
            self.is_usd(second)
        } else {
            Some(first) != self.wrapped_sol
        };
        let (base, quote) = if base_first { (first, second) } else { (second, first) };
        // There are no more pairs than pools.
        let new = PairId(u32::try_from(self.pairs.len()).unwrap_or(u32::MAX));
        let pair = *self.places.entry((base, quote)).or_insert(new);
        if pair == new {
            self.pairs.push(Pair {
                base,
                quote,
                pools: Vec::new(),
                price: None,
                usd: None,
                candle: None,
                next_after_gap: true,
            });
            // What nothing but SOL quotes is priced through SOL, until a pair in dollars comes.
            let known = self.mint(base).and_then(|mint| self.pair(mint.dollar_pair?));
            let better = match known.map(|known| self.is_usd(known.quote)) {
                None => self.is_usd(quote) || (Some(quote) == self.wrapped_sol && base != quote),
                Some(in_dollars) => !in_dollars && self.is_usd(quote),
            };
            if let Some(mint) = self.mints.get_mut(base.index())
                && better
            {
                mint.dollar_pair = Some(pair);
            }
        }
        if let Some(pair) = self.pairs.get_mut(pair.index()) {
            pair.pools.push(id);
        }
        let mut live = Live::new(&spec.kind, self.is_plain(spec));
        if self.drifted.contains(&spec.kind.kind()) {
            live.drift();
        }
        self.pools.push(Pool {
            spec: spec.clone(),
            pair,
            base_first,
            live,
            updated: Timestamp::new(i64::MIN),
            listed: false,
        });
    }

    /// Takes all pools of a kind out of trading. Says whether they were in it.
    pub fn drift(&mut self, kind: Kind) -> bool {
        if self.drifted.contains(&kind) {
            return false;
        }
        self.drifted.push(kind);
        let of_kind = |pool: &&mut Pool| pool.live.kind() == kind;
        self.pools.iter_mut().filter(of_kind).for_each(|pool| pool.live.drift());
        true
    }

    fn is_plain(&self, spec: &PoolSpec) -> bool {
        spec.mints.iter().all(|mint| self.mint(*mint).is_some_and(|mint| mint.spec.plain))
    }

    fn settle(&mut self) {
        let mut at = 0;
        while let Some(id) = self.torn.get(at).copied() {
            let slot = self.slot;
            let still_torn = self.pools.get_mut(id.index()).is_some_and(|pool| {
                pool.live.settle_before(slot);
                pool.listed = pool.live.is_torn();
                pool.listed
            });
            if still_torn {
                at = at.saturating_add(1);
            } else {
                self.torn.swap_remove(at);
                self.reprice(id);
            }
        }
    }

    /// An account of the pool was taken.
    fn touched(&mut self, id: PoolId) {
        let Some(pool) = self.pools.get_mut(id.index()) else { return };
        pool.updated = self.now;
        if pool.live.is_torn() && !pool.listed {
            pool.listed = true;
            self.torn.push(id);
        }
        self.reprice(id);
    }

    fn reprice(&mut self, id: PoolId) {
        let Some(pool) = self.pools.get(id.index()) else { return };
        if !pool.live.is_settled() {
            return;
        }
        let (Some(price), pair_id) = (pool.price(), pool.pair) else { return };
        let (bucket, width) = (self.bucket, self.candle_width);
        if let Some(pair) = self.pairs.get_mut(pair_id.index())
            && pair.pools.first() == Some(&id)
        {
            pair.at(price, &self.mints);
            if width > Timestamp::ZERO && pair.candle.is_none() {
                pair.open_candle(bucket, width, pair_id);
            }
            if let Some(candle) = &mut pair.candle {
                candle.high = candle.high.max(price);
                candle.low = candle.low.min(price);
                candle.close = price;
            }
        }
    }

    fn take_candle(&mut self, candle: &Candle, now: Timestamp) {
        let Some(pair) = self.pairs.get_mut(candle.pair.index()) else { return };
        if pair.pools.is_empty() {
            pair.at(candle.close, &self.mints);
        }
        let (base, quote) = (pair.base, pair.quote);
        let usd = self.usd_per_atom(quote).and_then(|per_quote| candle.close.times(per_quote));
        if let (Some(mint), Some(usd)) = (self.mints.get_mut(base.index()), usd) {
            mint.reference = Some((usd, now));
        }
    }

    /// The newest slot heard of.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The greatest block height heard of.
    #[must_use]
    pub const fn height(&self) -> BlockHeight {
        self.height
    }

    /// Whether the feed says that it delivers everything.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// How long nothing has been heard.
    #[must_use]
    pub const fn silence(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(self.heard)
    }

    /// All mints; 0 is native SOL.
    #[must_use]
    pub fn mints(&self) -> &[Mint] {
        &self.mints
    }

    /// A mint.
    #[must_use]
    pub fn mint(&self, id: MintId) -> Option<&Mint> {
        self.mints.get(id.index())
    }

    /// The mint of that address.
    #[must_use]
    pub fn mint_by_address(&self, address: &Address) -> Option<MintId> {
        let index = self.mints.iter().skip(1).position(|m| m.spec.address == *address)?;
        u16::try_from(index.checked_add(1)?).ok().map(MintId)
    }

    /// All pools.
    #[must_use]
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// A pool.
    #[must_use]
    pub fn pool(&self, id: PoolId) -> Option<&Pool> {
        self.pools.get(id.index())
    }

    /// All pairs.
    #[must_use]
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// A pair.
    #[must_use]
    pub fn pair(&self, id: PairId) -> Option<&Pair> {
        self.pairs.get(id.index())
    }

    /// The pair that trades a base for a quote, if a pool does.
    #[must_use]
    pub fn pair_between(&self, base: MintId, quote: MintId) -> Option<PairId> {
        self.places.get(&(base, quote)).copied()
    }

    /// Whether a mint may be bought: dollars and SOL, what the operator vouches for, and what the token gate found
    /// safe not more than [`GATE_HOLDS`] slots ago.
    #[must_use]
    pub fn may_be_bought(&self, mint: MintId) -> bool {
        let Some(known) = self.mint(mint) else { return false };
        let vouched = known.spec.trusted || known.spec.is_usd || Some(mint) == self.wrapped_sol;
        let fresh = |(safe, at): (bool, Slot)| {
            safe && self.slot <= at.saturating_add(Slot::new(GATE_HOLDS))
        };
        vouched || known.gate.is_some_and(fresh)
    }

    /// Whether a mint counts as a dollar.
    #[must_use]
    pub fn is_usd(&self, mint: MintId) -> bool {
        self.mint(mint).is_some_and(|m| m.spec.is_usd)
    }

    /// Wrapped SOL, if announced.
    #[must_use]
    pub const fn wrapped_sol(&self) -> Option<MintId> {
        self.wrapped_sol
    }

    /// What an atom would bring at the pools' prices, in millionths of a dollar.
    #[inline]
    #[must_use]
    pub fn usd_per_atom(&self, mint: MintId) -> Option<Price> {
        let known = self.mint(if mint == MintId::SOL { self.wrapped_sol? } else { mint })?;
        if known.spec.is_usd {
            return known.dollar;
        }
        let pair = self.pair(known.dollar_pair?)?;
        // A pair that dollars do not quote keeps no price in them.
        if pair.usd.is_some() { pair.usd } else { self.through_quote(pair) }
    }

    /// What an atom of a pair's base would bring, where dollars do not quote it.
    #[cold]
    fn through_quote(&self, pair: &Pair) -> Option<Price> {
        if self.is_usd(pair.quote) {
            return None;
        }
        pair.price?.times(self.usd_per_atom(pair.quote)?)
    }

    /// The same by the independent source, if it spoke within `age_max`.
    #[must_use]
    pub fn reference(&self, mint: MintId, now: Timestamp, age_max: Timestamp) -> Option<Price> {
        let known = self.mint(mint)?;
        if known.spec.is_usd {
            return self.usd_per_atom(mint);
        }
        let mint = if mint == MintId::SOL { self.mint(self.wrapped_sol?)? } else { known };
        let (price, at) = mint.reference?;
        (now.saturating_sub(at) <= age_max).then_some(price)
    }

    /// What `amount` would bring at the pools' prices, rounded down.
    #[must_use]
    pub fn value(&self, mint: MintId, amount: Atoms) -> Option<Usd> {
        to_usd(self.usd_per_atom(mint)?.value_down(amount)?)
    }

    /// The same, rounded up: for what we pay.
    #[must_use]
    pub fn value_up(&self, mint: MintId, amount: Atoms) -> Option<Usd> {
        to_usd(self.usd_per_atom(mint)?.value_up(amount)?)
    }

    /// How many atoms a value buys at the pools' prices, rounded down.
    #[must_use]
    pub fn atoms(&self, mint: MintId, value: Usd) -> Option<Atoms> {
        let per_atom = self.usd_per_atom(mint)?;
        let value = u64::try_from(value.get()).ok()?;
        mul_div_down(value, 1 << 64, per_atom.raw()).map(Atoms::new)
    }

    /// The time, in whole seconds, that pools compare their opening with.
    #[must_use]
    pub const fn unix_seconds(&self) -> i64 {
        self.now.get().div_euclid(1_000_000)
    }

    /// The moment that pools are quoted for.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let epoch = self.slot.get().checked_div(SLOTS_PER_EPOCH).unwrap_or(0);
        Clock { now: self.unix_seconds(), slot: self.slot, epoch }
    }
}

fn to_usd(value: Atoms) -> Option<Usd> {
    i64::try_from(value.get()).ok().map(Usd::new)
}
