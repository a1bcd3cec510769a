//! A venue of pools without a chain: for backtests, and for paper trading over live pools.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use super::Venue;
use super::pool::{Accounts, Failure, SimPool};
use super::splitmix64;
use crate::amm::{Clock, QuoteError};
use crate::event::{Deltas, MarketEvent, OrderEvent, RejectReason};
use crate::ids::{MintId, OrderId, PoolId, Signature};
use crate::order::{MAX_HOPS, Order};
use crate::risk::Limits;
use crate::units::{Atoms, BlockHeight, Bps, Lamports, Slot, Timestamp};

/// How a simulated venue treats orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimSettings {
    /// What luck is drawn from. The same seed and the same order give the same luck.
    pub seed: u64,
    /// From the submission to the landing, at least.
    pub latency: Timestamp,
    /// Up to this much more, drawn for each order.
    pub jitter: Timestamp,
    /// Share of orders that land at all; the others expire.
    pub landing: Bps,
    /// From the submission until an order that did not land is known to be dead.
    pub expiry: Timestamp,
}

impl Default for SimSettings {
    /// A healthy day on the chain: half a second to a second, nineteen of twenty land, 150 blocks to die.
    fn default() -> Self {
        Self {
            seed: 1,
            latency: Timestamp::from_millis(500),
            jitter: Timestamp::from_millis(500),
            landing: Bps::capped(9_500),
            expiry: Timestamp::from_millis(60_000),
        }
    }
}

/// Why settings of a simulated venue make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct SimSettingsError {
    /// The setting.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl SimSettings {
    /// Whether the numbers make sense together.
    ///
    /// # Errors
    ///
    /// The first setting that does not.
    pub fn check(&self) -> Result<(), SimSettingsError> {
        let spans = [("latency", self.latency), ("jitter", self.jitter), ("expiry", self.expiry)];
        if let Some((field, _)) = spans.into_iter().find(|(_, span)| *span < Timestamp::ZERO) {
            return Err(SimSettingsError { field, problem: "must not be negative" });
        }
        if self.expiry < self.latency.saturating_add(self.jitter) {
            return Err(SimSettingsError {
                field: "expiry",
                problem: "is below latency and jitter, so an order could land after its death",
            });
        }
        Ok(())
    }
}

/// Blocks a transaction lives for.
const BLOCKHASH_AGE_MAX: u64 = 150;

/// What is to be said or done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Say that it was never sent, and why.
    Reject(RejectReason),
    /// Say that it is signed.
    Sign,
    /// Run it against the pools.
    Land,
    /// Say that it is dead.
    Expire,
}

#[derive(Clone, Debug)]
struct Pending {
    due: Timestamp,
    /// Order of submission, which settles what happens at one moment.
    turn: u64,
    submitted: Timestamp,
    step: Step,
    order: Order,
}

/// Constant-product pools that our own fills move, with latency, jitter, landing odds, slippage and fees.
///
/// Orders are filled by the exact integer maths of the program (see [`crate::amm::cpmm`]), against pools as they
/// are at the time of landing. All luck comes from the seed and the order's name, so that one order's luck does
/// not depend on what else is traded.
#[derive(Clone, Debug)]
pub struct SimVenue {
    settings: SimSettings,
    pools: Vec<SimPool>,
    /// In order of `(due, turn)`. Bounded by the engine's limit on orders in flight.
    pending: Vec<Pending>,
    turns: u64,
    slot: Slot,
    height: BlockHeight,
    /// What the pools kept of our swaps, per mint.
    pool_fees: Vec<u128>,
    /// Per mint: a fill has made our account of it.
    made: Vec<bool>,
}

impl SimVenue {
    /// A venue without pools.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense.
    pub fn new(settings: SimSettings) -> Result<Self, SimSettingsError> {
        settings.check()?;
        Ok(Self {
            settings,
            pools: Vec::new(),
            pending: Vec::with_capacity(64),
            turns: 0,
            slot: Slot::ZERO,
            height: BlockHeight::ZERO,
            pool_fees: Vec::new(),
            made: Vec::new(),
        })
    }

    /// Learns of pools and their states from the same events that the engine sees.
    ///
    /// What our own fills did to a pool lasts until its next settled state arrives: the chain never heard of them.
    pub fn observe(&mut self, event: &MarketEvent) {
        match event {
            MarketEvent::Pool(spec) => self.pools.push(SimPool::new(spec)),
            MarketEvent::Account { pool, slot, update } => {
                if let Some(pool) = self.pools.get_mut(pool.index()) {
                    pool.observe(update, *slot);
                }
            }
            MarketEvent::Close { pool, slot, vaults, .. } => {
                if let Some(pool) = self.pools.get_mut(pool.index()) {
                    pool.refill(*vaults, *slot);
                }
            }
            MarketEvent::Slot { slot, height } => {
                self.slot = self.slot.max(*slot);
                self.height = self.height.max(*height);
                for pool in &mut self.pools {
                    pool.settle_before(self.slot);
                }
            }
            MarketEvent::Lost { pool } => {
                if let Some(pool) = self.pools.get_mut(pool.index()) {
                    pool.forget();
                }
            }
            MarketEvent::Forgotten { pool, array } => {
                if let Some(pool) = self.pools.get_mut(pool.index()) {
                    pool.forget_array(*array);
                }
            }
            MarketEvent::Mint(_)
            | MarketEvent::Drifted { .. }
            | MarketEvent::Launched { .. }
            | MarketEvent::Gate { .. }
            | MarketEvent::Reference { .. }
            | MarketEvent::Candle(_)
            | MarketEvent::Feed { .. } => {}
        }
    }

    /// Moves a pool to given vault balances, as the rest of the market would between two of our orders.
    pub fn recentre(&mut self, pool: PoolId, vaults: [Atoms; 2]) {
        if let Some(pool) = self.pools.get_mut(pool.index()) {
            pool.recentre(vaults);
        }
    }

    /// Vault balances of a pool, our own fills included; `None` until both were seen.
    #[must_use]
    pub fn vaults(&self, pool: PoolId) -> Option<[Atoms; 2]> {
        let [first, second] = self.pools.get(pool.index())?.vaults();
        Some([first?, second?])
    }

    /// What pools have kept of our swaps so far, in atoms of `mint`.
    #[must_use]
    pub fn pool_fees(&self, mint: MintId) -> u128 {
        self.pool_fees.get(mint.index()).copied().unwrap_or(0)
    }

    /// Ends every order in flight without a fill: the market was gone for longer than an order lives.
    pub fn expire_all(&mut self, out: &mut Vec<OrderEvent>) {
        for pending in self.pending.drain(..) {
            let order = pending.order.id();
            match pending.step {
                Step::Reject(reason) => out.push(OrderEvent::Rejected { order, reason }),
                Step::Sign => {
                    out.push(OrderEvent::Rejected { order, reason: RejectReason::TooLate });
                }
                Step::Land | Step::Expire => out.push(OrderEvent::Expired { order }),
            }
        }
    }

    fn enqueue(&mut self, pending: Pending) {
        let key = (pending.due, pending.turn);
        let place = self.pending.partition_point(|p| (p.due, p.turn) <= key);
        self.pending.insert(place, pending);
    }

    fn known(&self, order: &Order) -> bool {
        !order.legs().is_empty()
            && order.legs().iter().all(|leg| {
                self.pools
                    .get(leg.hop.pool.index())
                    .is_some_and(|pool| pool.direction(leg.hop).is_some())
            })
    }

    /// Draws for `order`; `purpose` keeps its luck in landing apart from its luck in latency.
    fn draw(&self, order: OrderId, purpose: u64) -> u64 {
        let mut state = self.settings.seed;
        for part in [order.cause.get(), u64::from(order.nth), purpose] {
            state = splitmix64(state ^ splitmix64(part));
        }
        state
    }

    fn lands_after(&self, order: OrderId) -> Timestamp {
        let width = u64::try_from(self.settings.jitter.get()).unwrap_or(0).saturating_add(1);
        let extra = self.draw(order, 1).checked_rem(width).unwrap_or(0);
        self.settings.latency.saturating_add(Timestamp::new(i64::try_from(extra).unwrap_or(0)))
    }

    fn is_lucky(&self, order: OrderId) -> bool {
        // The remainder prefers small numbers by less than one part in 10^15.
        let drawn = self.draw(order, 2).checked_rem(u64::from(Bps::WHOLE)).unwrap_or(0);
        drawn < u64::from(self.settings.landing.get())
    }

    fn signature(&self, order: OrderId) -> Signature {
        let mut hasher = blake3::Hasher::new_derive_key("sniper-core simulated signature v1");
        hasher.update(&self.settings.seed.to_le_bytes());
        hasher.update(&order.cause.get().to_le_bytes());
        hasher.update(&order.nth.to_le_bytes());
        let mut bytes = [0; 64];
        hasher.finalize_xof().fill(&mut bytes);
        Signature(bytes)
    }

    /// Says what is due now of one order; what remains of it goes back into the queue.
    fn advance(&mut self, pending: Pending, out: &mut Vec<OrderEvent>) {
        let order = pending.order.id();
        match pending.step {
            Step::Reject(reason) => out.push(OrderEvent::Rejected { order, reason }),
            Step::Sign => {
                let last_valid = self.height.saturating_add(BlockHeight::new(BLOCKHASH_AGE_MAX));
                out.push(OrderEvent::Signed {
                    order,
                    signature: self.signature(order),
                    last_valid,
                });
                let (step, after) = if self.is_lucky(order) {
                    (Step::Land, self.lands_after(order))
                } else {
                    (Step::Expire, self.settings.expiry)
                };
                let due = pending.submitted.saturating_add(after);
                self.enqueue(Pending { due, step, ..pending });
            }
            Step::Land => {
                let event = self.land(&pending.order, pending.due);
                out.push(event);
            }
            Step::Expire => out.push(OrderEvent::Expired { order }),
        }
    }

    fn land(&mut self, order: &Order, at: Timestamp) -> OrderEvent {
        let (id, slot, fee) = (order.id(), self.slot, network_fee(order));
        match self.run(order, at.get().div_euclid(Timestamp::SECOND.get())) {
            Ok(deltas) => {
                // A tip is paid besides the fee, as rent is.
                let rent = self.make_accounts(order).saturating_add(order.tip());
                OrderEvent::Filled { order: id, slot, deltas, fee, rent }
            }
            Err(failure) => OrderEvent::Reverted { order: id, slot, fee, code: failure.code() },
        }
    }

    /// All legs or none, as in one transaction.
    fn run(&mut self, order: &Order, unix: i64) -> Result<Deltas, Failure> {
        const OVERFLOW: Failure = Failure::Quote(QuoteError::Overflow);
        let mut touched: ArrayVec<(PoolId, Accounts), MAX_HOPS> = ArrayVec::new();
        let mut fees: ArrayVec<(MintId, Atoms), MAX_HOPS> = ArrayVec::new();
        let mut deltas = Deltas::new();
        for leg in order.legs() {
            let unknown = Failure::Quote(QuoteError::Unknown);
            let pool = self.pools.get(leg.hop.pool.index()).ok_or(unknown)?;
            let forward = pool.direction(leg.hop).ok_or(unknown)?;
            let clock = Clock { now: unix, slot: self.slot, epoch: 0 };
            if let Some(quote) = pool.other(leg, forward, &clock) {
                let quote = quote?;
                add(&mut deltas, leg.hop.mint_in, quote.amount_in, false).ok_or(OVERFLOW)?;
                add(&mut deltas, leg.hop.mint_out, quote.amount_out, true).ok_or(OVERFLOW)?;
                fees.try_push((leg.hop.mint_in, quote.fee)).map_err(|_| OVERFLOW)?;
                continue;
            }
            let place = touched.iter().position(|(id, _)| *id == leg.hop.pool);
            let accounts = place
                .and_then(|place| touched.get(place))
                .map_or(pool.now(), |(_, accounts)| accounts);
            let done = accounts.swap(leg, forward, unix)?;
            add(&mut deltas, leg.hop.mint_in, done.swap.paid, false).ok_or(OVERFLOW)?;
            add(&mut deltas, leg.hop.mint_out, done.swap.received, true).ok_or(OVERFLOW)?;
            fees.try_push((leg.hop.mint_in, done.swap.quote().fee)).map_err(|_| OVERFLOW)?;
            match place.and_then(|place| touched.get_mut(place)) {
                Some(known) => known.1 = done.after,
                None => {
                    touched.try_push((leg.hop.pool, done.after)).map_err(|_| OVERFLOW)?;
                }
            }
        }
        for (id, after) in touched {
            if let Some(pool) = self.pools.get_mut(id.index()) {
                pool.commit(after);
            }
        }
        for (mint, fee) in fees {
            self.keep_fee(mint, fee);
        }
        Ok(deltas)
    }

    /// Makes the accounts that a fill needs, and says what they lock: nothing where an earlier fill has made them.
    fn make_accounts(&mut self, order: &Order) -> Lamports {
        let mut locked = Lamports::ZERO;
        for (mint, rent) in order.opens() {
            let wanted = mint.index().saturating_add(1);
            if self.made.len() < wanted {
                self.made.resize(wanted, false);
            }
            if let Some(made) = self.made.get_mut(mint.index())
                && !std::mem::replace(made, true)
            {
                locked = locked.saturating_add(*rent);
            }
        }
        locked
    }

    fn keep_fee(&mut self, mint: MintId, fee: Atoms) {
        let wanted = mint.index().saturating_add(1);
        if self.pool_fees.len() < wanted {
            self.pool_fees.resize(wanted, 0);
        }
        if let Some(total) = self.pool_fees.get_mut(mint.index()) {
            *total = total.saturating_add(u128::from(fee.get()));
        }
    }
}

impl Venue for SimVenue {
    fn submit(&mut self, order: &Order, now: Timestamp) {
        let step = if now >= order.expires() {
            Step::Reject(RejectReason::TooLate)
        } else if self.known(order) {
            Step::Sign
        } else {
            Step::Reject(RejectReason::Unbuildable)
        };
        self.turns = self.turns.saturating_add(1);
        let turn = self.turns;
        self.enqueue(Pending { due: now, turn, submitted: now, step, order: order.clone() });
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.pending.first().map(|pending| pending.due)
    }

    fn poll(&mut self, now: Timestamp, out: &mut Vec<OrderEvent>) {
        while self.next_due().is_some_and(|due| due <= now) {
            let pending = self.pending.remove(0);
            self.advance(pending, out);
        }
    }
}

/// What the chain takes for a landed transaction, failed or not: the signature and the priority fee, rounded up.
pub(super) fn network_fee(order: &Order) -> Lamports {
    let micro = u128::from(order.compute_unit_limit())
        .saturating_mul(u128::from(order.compute_unit_price()));
    let priority = u64::try_from(micro.div_ceil(1_000_000)).unwrap_or(u64::MAX);
    Limits::SIGNATURE_FEE.saturating_add(Lamports::new(priority))
}

fn add(deltas: &mut Deltas, mint: MintId, amount: Atoms, gain: bool) -> Option<()> {
    let amount = i64::try_from(amount.get()).ok()?;
    let change = if gain { amount } else { amount.checked_neg()? };
    match deltas.iter_mut().find(|(known, _)| *known == mint) {
        Some((_, sum)) => *sum = sum.checked_add(change)?,
        None => deltas.try_push((mint, change)).ok()?,
    }
    Some(())
}
