//! A pool as a simulated venue holds it: what was last seen on the chain or the tape, moved by our own fills.

use crate::amm::cpmm::{Config, Curve, PoolState, Swap};
use crate::amm::transfer_fee::TransferFee;
use crate::amm::{AccountUpdate, Clock, Live, PoolKind, PoolSpec, Quote, QuoteError};
use crate::order::{Hop, Leg, LegAmount};
use crate::units::{Atoms, Slot};

/// The accounts of a pool at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Accounts {
    vaults: [Option<Atoms>; 2],
    pool: Option<PoolState>,
    config: Option<Config>,
}

/// A swap that a pool would make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    /// What it moves and books.
    pub(super) swap: Swap,
    /// The accounts afterwards.
    pub(super) after: Accounts,
}

/// Why a swap fails on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The curve refuses.
    Quote(QuoteError),
    /// The bound of the instruction does not hold.
    Slippage,
}

impl Failure {
    /// The program's own error number: 6000 + its index.
    pub(super) const fn code(self) -> Option<u32> {
        match self {
            Self::Quote(QuoteError::Paused | QuoteError::NotOpen) => Some(6_000),
            Self::Slippage => Some(6_005),
            Self::Quote(QuoteError::TooSmall) => Some(6_006),
            Self::Quote(QuoteError::Overflow) => Some(6_011),
            Self::Quote(QuoteError::NoLiquidity) => Some(6_012),
            Self::Quote(_) => None,
        }
    }
}

impl Accounts {
    /// A pool that holds that much.
    pub(super) const fn of(vaults: [Atoms; 2], pool: PoolState, config: Config) -> Self {
        let [first, second] = vaults;
        Self { vaults: [Some(first), Some(second)], pool: Some(pool), config: Some(config) }
    }

    /// Balances of the vaults; zero where unknown.
    pub(super) fn vaults(&self) -> [Atoms; 2] {
        self.vaults.map(Option::unwrap_or_default)
    }

    /// The state account.
    pub(super) fn state(&self) -> PoolState {
        self.pool.unwrap_or_default()
    }

    /// The rest of the market moves it to these balances.
    pub(super) const fn set_vaults(&mut self, vaults: [Atoms; 2]) {
        self.vaults = [Some(vaults[0]), Some(vaults[1])];
    }

    fn curve(&self) -> Result<Curve, QuoteError> {
        match (self.vaults, &self.pool, &self.config) {
            ([Some(first), Some(second)], Some(pool), Some(config)) => {
                Curve::new([first, second], pool, config, [TransferFee::NONE, TransferFee::NONE])
            }
            _ => Err(QuoteError::Unknown),
        }
    }

    /// Works out a leg against these accounts.
    pub(super) fn swap(&self, leg: &Leg, forward: bool, unix: i64) -> Result<Done, Failure> {
        let curve = self.curve().map_err(Failure::Quote)?;
        let swap = match leg.amount {
            LegAmount::ExactIn { amount_in, min_out } => {
                let swap = curve.swap_exact_in(forward, amount_in, unix).map_err(Failure::Quote)?;
                if swap.received < min_out {
                    return Err(Failure::Slippage);
                }
                swap
            }
            LegAmount::ExactOut { amount_out, max_in } => {
                let swap =
                    curve.swap_exact_out(forward, amount_out, unix).map_err(Failure::Quote)?;
                if swap.paid > max_in {
                    return Err(Failure::Slippage);
                }
                swap
            }
        };
        let after = self.after(&swap, forward).ok_or(Failure::Quote(QuoteError::Overflow))?;
        Ok(Done { swap, after })
    }

    /// The accounts once `swap` has moved its tokens and booked its fees.
    fn after(&self, swap: &Swap, forward: bool) -> Option<Self> {
        let turn = |pair: [Atoms; 2]| if forward { pair } else { [pair[1], pair[0]] };
        let [vault_in, vault_out] = turn([self.vaults[0]?, self.vaults[1]?]);
        let vaults =
            turn([vault_in.checked_add(swap.vault_in)?, vault_out.checked_sub(swap.vault_out)?])
                .map(Some);
        let mut pool = self.pool?;
        let add = |pair: [Atoms; 2], first: bool, fee: Atoms| {
            let [zero, one] = pair;
            Some(if first { [zero.checked_add(fee)?, one] } else { [zero, one.checked_add(fee)?] })
        };
        let creator_first = forward == swap.creator_fee_on_input;
        pool.protocol_fees = add(pool.protocol_fees, forward, swap.protocol_fee)?;
        pool.fund_fees = add(pool.fund_fees, forward, swap.fund_fee)?;
        pool.creator_fees = add(pool.creator_fees, creator_first, swap.creator_fee)?;
        Some(Self { vaults, pool: Some(pool), config: self.config })
    }
}

/// A pool of a simulated venue.
///
/// Raydium CPMM keeps what our fills did to it until the chain tells a new state. A pool of any other kind is as the
/// chain last told it: our own price move counts within a fill, and not for the next one.
#[derive(Clone, Debug)]
pub(super) struct SimPool {
    spec: PoolSpec,
    /// A pool of another kind than Raydium CPMM, as the chain told it.
    other: Option<Box<Live>>,
    /// Accounts as last told, torn or not.
    seen: Accounts,
    /// Slots of vault 0, vault 1 and the state account, as in [`crate::amm::Live`].
    slots: [Slot; 3],
    settled: bool,
    /// The last settled accounts, and what our own fills have done to them since.
    now: Accounts,
}

impl SimPool {
    pub(super) fn new(spec: &PoolSpec) -> Self {
        Self::unseen(spec.clone())
    }

    fn unseen(spec: PoolSpec) -> Self {
        let is_other = !matches!(spec.kind, PoolKind::Cpmm(_));
        // The engine knows which mints are plain and orders through no other pool.
        let other = is_other.then(|| Box::new(Live::new(&spec.kind, true)));
        Self {
            spec,
            other,
            seen: Accounts::default(),
            slots: [Slot::ZERO; 3],
            settled: false,
            now: Accounts::default(),
        }
    }

    /// All of it has to be seen anew.
    pub(super) fn forget(&mut self) {
        *self = Self::unseen(self.spec.clone());
    }

    /// An array has to be seen anew.
    pub(super) fn forget_array(&mut self, array: i32) {
        if let Some(other) = &mut self.other {
            other.forget(array);
        }
    }

    /// Whether a hop goes from mint 0 to mint 1; `None` when it does not go through this pool.
    pub(super) fn direction(&self, hop: Hop) -> Option<bool> {
        let [first, second] = self.spec.mints;
        match (hop.mint_in, hop.mint_out) {
            (a, b) if a == first && b == second => Some(true),
            (a, b) if a == second && b == first => Some(false),
            _ => None,
        }
    }

    /// What a leg moves through a pool of another kind than Raydium CPMM; none for that one.
    pub(super) fn other(
        &self,
        leg: &Leg,
        forward: bool,
        clock: &Clock,
    ) -> Option<Result<Quote, Failure>> {
        let other = self.other.as_ref()?;
        Some(match leg.amount {
            LegAmount::ExactIn { amount_in, min_out } => {
                let quote = other.quote_exact_in(forward, amount_in, clock);
                quote.map_err(Failure::Quote).and_then(|quote| {
                    (quote.amount_out >= min_out).then_some(quote).ok_or(Failure::Slippage)
                })
            }
            LegAmount::ExactOut { amount_out, max_in } => {
                let quote = other.quote_exact_out(forward, amount_out, clock);
                quote.map_err(Failure::Quote).and_then(|quote| {
                    (quote.amount_in <= max_in).then_some(quote).ok_or(Failure::Slippage)
                })
            }
        })
    }

    pub(super) const fn now(&self) -> &Accounts {
        &self.now
    }

    pub(super) const fn commit(&mut self, after: Accounts) {
        self.now = after;
    }

    /// Takes what an account holds at a slot; what our fills had done is forgotten once the accounts agree, for
    /// the chain has never heard of them.
    pub(super) fn observe(&mut self, update: &AccountUpdate, slot: Slot) {
        if let Some(other) = &mut self.other {
            return other.apply(update, slot);
        }
        let place = match update {
            AccountUpdate::Vault { second, .. } => usize::from(*second),
            AccountUpdate::CpmmPool(_) => 2,
            AccountUpdate::CpmmConfig(config) => {
                self.seen.config = Some(*config);
                self.now.config = Some(*config);
                return;
            }
            _ => return,
        };
        match self.slots.get_mut(place) {
            Some(known) if *known <= slot => *known = slot,
            _ => return,
        }
        match update {
            AccountUpdate::Vault { second, amount } => {
                if let Some(vault) = self.seen.vaults.get_mut(usize::from(*second)) {
                    *vault = Some(*amount);
                }
            }
            AccountUpdate::CpmmPool(pool) => self.seen.pool = Some(*pool),
            _ => {}
        }
        let [a, b, c] = self.slots;
        self.settled = a == b && b == c;
        if self.settled {
            self.now = self.seen;
        }
    }

    /// Takes the balances of both vaults as of a slot, all else as it was.
    pub(super) fn refill(&mut self, vaults: [Atoms; 2], slot: Slot) {
        if let Some(other) = &mut self.other {
            return other.refill(vaults, slot);
        }
        for (amount, second) in vaults.into_iter().zip([false, true]) {
            self.observe(&AccountUpdate::Vault { second, amount }, slot);
        }
        if let Some(state) = self.seen.pool {
            self.observe(&AccountUpdate::CpmmPool(state), slot);
        }
    }

    /// The chain has reached `slot`; the rule is that of [`crate::amm::Live::settle_before`].
    pub(super) fn settle_before(&mut self, slot: Slot) {
        if let Some(other) = &mut self.other {
            return other.settle_before(slot);
        }
        let newest = self.slots.iter().copied().max().unwrap_or_default();
        if !self.settled && newest.saturating_add(Slot::new(2)) <= slot {
            self.settled = true;
            self.now = self.seen;
        }
    }

    /// Moves the pool to given balances, as the rest of the market would; accrued fees stay as they are.
    pub(super) const fn recentre(&mut self, vaults: [Atoms; 2]) {
        self.now.vaults = [Some(vaults[0]), Some(vaults[1])];
    }

    /// Balances of the vaults now.
    pub(super) const fn vaults(&self) -> [Option<Atoms>; 2] {
        self.now.vaults
    }
}
