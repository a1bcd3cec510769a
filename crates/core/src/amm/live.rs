//! The changing part of a pool: what its accounts hold, and whether they agree.

use serde::{Deserialize, Serialize};

use super::{
    AccountUpdate, Arrays, Clock, Detail, Kind, PoolKind, Quote, QuoteError, amm_v4, clmm, cpmm,
    dlmm, pump_curve, pump_swap, whirlpool,
};
use crate::snapshot::{Reader, Unreadable, Writer};
use crate::units::{Atoms, Price, Slot};

/// What a kind of pool keeps of its accounts, and the curve that they make.
pub(super) trait Hold {
    /// Where an account stands among those that every swap writes, at most [`MOVING`] of them; none for others.
    fn place(&self, update: &AccountUpdate) -> Option<usize>;
    /// How many accounts every swap writes.
    fn moving(&self) -> usize;
    /// Takes an account. It counts for quotes only once [`Self::build`] is called.
    fn take(&mut self, update: &AccountUpdate);
    /// Hears at which slot it took an account. Tells, where a place is not always the same account's, which place that
    /// is and when the account that now has it was last seen.
    fn taken(&mut self, _update: &AccountUpdate, _slot: Slot) -> Option<(usize, Option<Slot>)> {
        None
    }
    /// The accounts agree: makes the curve of them.
    fn build(&mut self);
    /// What comes out.
    fn quote_in(&self, forward: bool, amount: Atoms, clock: &Clock) -> Result<Quote, QuoteError>;
    /// What must go in.
    fn quote_out(&self, forward: bool, amount: Atoms, clock: &Clock) -> Result<Quote, QuoteError>;
    /// What comes out, and what that does.
    fn detail_in(&self, forward: bool, amount: Atoms, clock: &Clock) -> Result<Detail, QuoteError>;
    /// Why there is no curve, if there is none.
    fn state(&self) -> Result<(), QuoteError>;
    /// Atoms of mint 1 per atom of mint 0, without fees.
    fn spot_price(&self) -> Option<Price>;
    /// The tick or bin arrays that a swap may cross, nearest first.
    fn arrays(&self, _forward: bool) -> Arrays {
        Arrays::new()
    }
    /// The arrays that lie nearest to the price, at most `each_way` of them each way, ascending.
    fn around(&self, _each_way: usize) -> Vec<i32> {
        Vec::new()
    }
    /// The arrays that were told of, ascending.
    fn known_arrays(&self) -> Vec<i32> {
        Vec::new()
    }
    /// Forgets an array, at once: what is not known is not quoted through.
    fn forget(&mut self, _array: i32) {}
    /// The balances of its vaults, where they are followed.
    fn vaults(&self) -> Option<[Atoms; 2]> {
        None
    }
    /// An exact output can be asked for.
    fn has_exact_out(&self, _forward: bool) -> bool {
        true
    }
    /// Saves what its own serde form leaves out: the curve of the last moment at which the accounts agreed, which those
    /// held now need not make.
    fn save(&self, to: &mut Writer);
    /// Takes back what [`Self::save`] wrote.
    fn load(&mut self, from: &mut Reader<'_>) -> Result<(), Unreadable>;
}

/// The saving half of [`Hold`], by the fields that serde skips.
macro_rules! keeps {
    ($($field:ident),+) => {
        fn save(&self, to: &mut crate::snapshot::Writer) {
            $(to.put(&self.$field);)+
        }
        fn load(
            &mut self,
            from: &mut crate::snapshot::Reader<'_>,
        ) -> Result<(), crate::snapshot::Unreadable> {
            $(self.$field = from.take()?;)+
            Ok(())
        }
    };
}
pub(super) use keeps;

/// The curve of a pool of which nothing is known.
pub(super) const fn unknown<T>() -> Result<T, QuoteError> {
    Err(QuoteError::Unknown)
}

/// The quoting half of [`Hold`], by the curve that a `Held` keeps.
macro_rules! quotes_by_curve {
    () => {
        fn quote_in(
            &self,
            forward: bool,
            amount: crate::units::Atoms,
            clock: &crate::amm::Clock,
        ) -> Result<crate::amm::Quote, crate::amm::QuoteError> {
            self.curve()?.quote_exact_in(forward, amount, clock)
        }
        fn quote_out(
            &self,
            forward: bool,
            amount: crate::units::Atoms,
            clock: &crate::amm::Clock,
        ) -> Result<crate::amm::Quote, crate::amm::QuoteError> {
            self.curve()?.quote_exact_out(forward, amount, clock)
        }
        fn detail_in(
            &self,
            forward: bool,
            amount: crate::units::Atoms,
            clock: &crate::amm::Clock,
        ) -> Result<crate::amm::Detail, crate::amm::QuoteError> {
            self.curve()?.detail_exact_in(forward, amount, clock)
        }
        fn state(&self) -> Result<(), crate::amm::QuoteError> {
            self.curve().map(|_| ())
        }
        fn spot_price(&self) -> Option<crate::units::Price> {
            self.curve().ok()?.spot_price()
        }
    };
}
pub(super) use quotes_by_curve;

/// Most accounts that one swap always writes.
const MOVING: usize = 3;

/// What each kind keeps. One line a kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "the commonest kinds are read without a hop")]
enum Held {
    Cpmm(cpmm::Held),
    AmmV4(amm_v4::Held),
    Clmm(Box<clmm::Held>),
    Whirlpool(Box<whirlpool::Held>),
    Dlmm(Box<dlmm::Held>),
    PumpSwap(Box<pump_swap::Held>),
    PumpCurve(Box<pump_curve::Held>),
}

impl Held {
    fn new(kind: &PoolKind) -> Self {
        match kind {
            PoolKind::Cpmm(_) => Self::Cpmm(cpmm::Held::default()),
            PoolKind::AmmV4(_) => Self::AmmV4(amm_v4::Held::default()),
            PoolKind::Clmm { .. } => Self::Clmm(Box::default()),
            PoolKind::Whirlpool { .. } => Self::Whirlpool(Box::default()),
            PoolKind::Dlmm(_) => Self::Dlmm(Box::default()),
            PoolKind::PumpSwap(keys) => Self::PumpSwap(Box::new(keys.into())),
            PoolKind::PumpCurve(keys) => Self::PumpCurve(Box::new(keys.into())),
        }
    }

    #[inline]
    fn get(&self) -> &dyn Hold {
        match self {
            Self::Cpmm(held) => held,
            Self::AmmV4(held) => held,
            Self::Clmm(held) => &**held,
            Self::Whirlpool(held) => &**held,
            Self::Dlmm(held) => &**held,
            Self::PumpSwap(held) => &**held,
            Self::PumpCurve(held) => &**held,
        }
    }

    /// Why there is no curve, if there is none. Asked after each account, so without a hop of the kinds that lie here.
    #[inline]
    fn state(&self) -> Result<(), QuoteError> {
        match self {
            Self::Cpmm(held) => held.state(),
            Self::AmmV4(held) => held.state(),
            other => other.get().state(),
        }
    }

    /// As [`Self::state`].
    #[inline]
    fn spot_price(&self) -> Option<Price> {
        match self {
            Self::Cpmm(held) => held.spot_price(),
            Self::AmmV4(held) => held.spot_price(),
            other => other.get().spot_price(),
        }
    }

    fn get_mut(&mut self) -> &mut dyn Hold {
        match self {
            Self::Cpmm(held) => held,
            Self::AmmV4(held) => held,
            Self::Clmm(held) => &mut **held,
            Self::Whirlpool(held) => &mut **held,
            Self::Dlmm(held) => &mut **held,
            Self::PumpSwap(held) => &mut **held,
            Self::PumpCurve(held) => &mut **held,
        }
    }
}

/// What a pool's accounts hold now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    kind: Kind,
    held: Held,
    /// Slots of the accounts that every swap writes.
    slots: [Option<Slot>; MOVING],
    settled: bool,
    /// Its mints move what a transfer says.
    plain: bool,
    /// Its program has changed.
    drifted: bool,
}

impl Live {
    /// A pool of which no account has been seen. A mint that is not `plain` keeps a part of every transfer or may
    /// refuse it: such a pool gives no quote.
    #[must_use]
    pub fn new(kind: &PoolKind, plain: bool) -> Self {
        let slots = [None; MOVING];
        Self {
            kind: kind.kind(),
            held: Held::new(kind),
            slots,
            settled: false,
            plain,
            drifted: false,
        }
    }

    /// Which kind of pool it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its program is not what it was: no quote from here on, whatever comes.
    pub fn drift(&mut self) {
        self.drifted = true;
    }

    /// The balances of its vaults as of the last settled moment, gross of fees; none for a kind whose vaults are not
    /// followed.
    #[must_use]
    pub fn vaults(&self) -> Option<[Atoms; 2]> {
        self.held.get().vaults().filter(|_| self.settled)
    }

    /// Takes what an account holds at a slot. An account never goes back: older states are dropped.
    pub fn apply(&mut self, update: &AccountUpdate, slot: Slot) {
        let held = self.held.get_mut();
        let Some(place) = held.place(update) else {
            // A swap does not write it, so it is true whatever the others say.
            held.take(update);
            held.taken(update, slot);
            if self.settled {
                held.build();
            }
            return;
        };
        match self.slots.get_mut(place) {
            Some(known) if known.is_none_or(|known| known <= slot) => *known = Some(slot),
            _ => return,
        }
        held.take(update);
        if let Some((place, seen)) = held.taken(update, slot)
            && let Some(known) = self.slots.get_mut(place)
        {
            *known = seen;
        }
        let mut moving = self.slots.iter().take(held.moving());
        // What was never seen disagrees with nothing; there is no curve without it.
        self.settled = moving.all(|known| known.is_none_or(|known| known == slot));
        if self.settled {
            held.build();
        }
    }

    /// Takes the balances of both vaults where all else that a swap writes is what it was. Of a kind that is not Raydium
    /// CPMM, or where something was never seen or is known as of a later slot, each vault counts as far as its account would.
    pub fn refill(&mut self, vaults: [Atoms; 2], slot: Slot) {
        let all_known = self.slots.iter().all(|known| known.is_some_and(|known| known <= slot));
        match &mut self.held {
            Held::Cpmm(held) if all_known => {
                held.refill(vaults);
                held.build();
                self.slots = [Some(slot); MOVING];
                self.settled = true;
            }
            _ => {
                for (amount, second) in vaults.into_iter().zip([false, true]) {
                    self.apply(&AccountUpdate::Vault { second, amount }, slot);
                }
            }
        }
    }

    /// The chain has reached `slot`. Accounts that still disagree two slots after the newest of them really were
    /// changed apart, by a deposit into one vault, say; one slot would race with notices still under way.
    pub fn settle_before(&mut self, slot: Slot) {
        if !self.settled && self.slot().saturating_add(Slot::new(2)) <= slot {
            self.settled = true;
            self.held.get_mut().build();
        }
    }

    /// Whether its accounts disagree, so that only more notices or time can settle it.
    #[must_use]
    pub const fn is_torn(&self) -> bool {
        !self.settled
    }

    /// Whether its accounts agree on one moment and all of them are known.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.settled && self.held.state() != Err(QuoteError::Unknown)
    }

    /// The slot of its newest account.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slots.iter().flatten().copied().max().unwrap_or_default()
    }

    /// Whether it has a curve, as of the last settled moment.
    ///
    /// # Errors
    ///
    /// Why it has none.
    pub fn state(&self) -> Result<(), QuoteError> {
        self.tradable()?.state()
    }

    fn held(&self) -> Result<&dyn Hold, QuoteError> {
        self.tradable().map(Held::get)
    }

    #[inline]
    const fn tradable(&self) -> Result<&Held, QuoteError> {
        match (self.drifted, self.plain) {
            (true, _) => Err(QuoteError::Drifted),
            (false, false) => Err(QuoteError::Unsupported),
            (false, true) => Ok(&self.held),
        }
    }

    /// The curve of a Raydium CPMM pool as of the last settled moment.
    ///
    /// # Errors
    ///
    /// Why there is none; [`QuoteError::Unsupported`] for any other kind.
    pub fn cpmm(&self) -> Result<&cpmm::Curve, QuoteError> {
        match &self.held {
            Held::Cpmm(held) if self.plain && !self.drifted => held.curve(),
            _ => Err(QuoteError::Unsupported),
        }
    }

    /// What comes out for `amount`; `forward` gives mint 0 for mint 1.
    ///
    /// # Errors
    ///
    /// Why nothing comes out.
    pub fn quote_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        self.held()?.quote_in(forward, amount, clock)
    }

    /// What must go in for `amount` to come out; as [`Self::quote_exact_in`].
    ///
    /// # Errors
    ///
    /// Why nothing can come out.
    pub fn quote_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        self.held()?.quote_out(forward, amount, clock)
    }

    /// What comes out for `amount`, and what that does to the price.
    ///
    /// # Errors
    ///
    /// Why nothing comes out.
    pub fn detail_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.held()?.detail_in(forward, amount, clock)
    }

    /// Price from the curve, without fees: atoms of mint 1 per atom of mint 0, or the inverse.
    #[must_use]
    pub fn spot_price(&self, of_first: bool) -> Option<Price> {
        if let (Held::Cpmm(held), false) = (&self.held, of_first) {
            // Exact, where an inverse would round twice.
            let [first, second] = held.curve().ok()?.reserves();
            let price = Price::of(first.get(), second.get());
            return price.filter(|_| self.plain && !self.drifted);
        }
        let price = self.tradable().ok()?.spot_price()?;
        if of_first { Some(price) } else { price.inverse() }
    }

    /// The tick or bin arrays that a swap may cross as of the last settled moment, nearest first.
    #[must_use]
    pub fn arrays(&self, forward: bool) -> Arrays {
        self.held.get().arrays(forward)
    }

    /// The tick or bin arrays nearest to its price, known or not: at most `each_way` of those that its program may walk
    /// through each way, ascending. None while the price is not known.
    #[must_use]
    pub fn around(&self, each_way: usize) -> Vec<i32> {
        self.held.get().around(each_way)
    }

    /// The arrays that were told of and not forgotten since, ascending.
    #[must_use]
    pub fn known_arrays(&self) -> Vec<i32> {
        self.held.get().known_arrays()
    }

    /// Forgets an array, because its changes are no longer heard of: a quote that would walk through it says that it
    /// is missing, until it is seen anew.
    pub fn forget(&mut self, array: i32) {
        self.held.get_mut().forget(array);
    }

    /// Saves what its serde form leaves out.
    pub(crate) fn save(&self, to: &mut Writer) {
        self.held.get().save(to);
    }

    /// Takes back what [`Self::save`] wrote.
    pub(crate) fn load(&mut self, from: &mut Reader<'_>) -> Result<(), Unreadable> {
        self.held.get_mut().load(from)
    }

    /// Whether its program can be asked for an exact output.
    #[must_use]
    pub fn has_exact_out(&self, forward: bool) -> bool {
        self.held.get().has_exact_out(forward)
    }
}
