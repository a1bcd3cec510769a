//! What every quote must hold to, whatever the accounts say.

use std::collections::BTreeMap;

use sniper_core::amm::{AccountUpdate, Detail, Kind, Live, PoolKind, Quote, QuoteError};
use sniper_core::units::{Atoms, Slot};

use super::computed;
use super::input::Ask;

/// What a pool was told, kept apart from it.
#[derive(Debug)]
pub struct Known {
    kind: Kind,
    vaults: [Option<(Slot, u64)>; 2],
    /// Tokens and quote that a bonding curve really holds.
    real: Option<(Slot, [u64; 2])>,
    /// Sums over each array's bins.
    bins: BTreeMap<i32, [u128; 2]>,
    /// Something did not come out of a decoder: then only panics count.
    pub untrusted: bool,
    /// The last update of each account, and whether all had one slot.
    latest: Vec<AccountUpdate>,
    slot: Option<Slot>,
    torn: bool,
    /// Time may have settled it.
    pub timed: bool,
}

impl Known {
    /// Nothing.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            vaults: [None; 2],
            real: None,
            bins: BTreeMap::new(),
            untrusted: false,
            latest: Vec::new(),
            slot: None,
            torn: false,
            timed: false,
        }
    }

    /// Takes an update by the rule of [`Live::apply`].
    pub fn take(&mut self, update: &AccountUpdate, slot: Slot) {
        self.torn |= self.slot.is_some_and(|known| known != slot);
        self.slot = Some(slot);
        match self.latest.iter_mut().find(|known| same_account(known, update)) {
            Some(known) => known.clone_from(update),
            None => self.latest.push(update.clone()),
        }
        match update {
            AccountUpdate::Vault { second, amount } => {
                let vault = &mut self.vaults[usize::from(*second)];
                if vault.is_none_or(|(known, _)| known <= slot) {
                    *vault = Some((slot, amount.get()));
                }
            }
            AccountUpdate::PumpCurve(state) if self.real.is_none_or(|(known, _)| known <= slot) => {
                self.real = Some((slot, [state.real_token.get(), state.real_quote.get()]));
            }
            AccountUpdate::DlmmBins(array) => {
                let mut sums = [0; 2];
                for bin in &array.bins {
                    for (sum, amount) in sums.iter_mut().zip(bin.amounts) {
                        *sum += u128::from(amount.get());
                    }
                    let orders =
                        u128::from(bin.open_orders.get()) + u128::from(bin.started_orders.get());
                    sums[usize::from(!bin.ask)] += orders;
                }
                // An array may be dropped as older: the most it ever held bounds either.
                let most = self.bins.entry(array.index).or_default();
                *most = std::array::from_fn(|side| most[side].max(sums[side]));
            }
            _ => {}
        }
    }

    /// The most that can come out in a direction.
    fn reserve(&self, forward: bool) -> Option<u128> {
        let side = usize::from(forward);
        match self.kind {
            Kind::Cpmm | Kind::AmmV4 | Kind::PumpSwap => {
                self.vaults[side].map(|(_, amount)| amount.into())
            }
            Kind::PumpCurve => self.real.map(|(_, real)| real[side].into()),
            Kind::Dlmm => Some(self.bins.values().map(|sums| sums[side]).sum()),
            Kind::Clmm | Kind::Whirlpool => None,
        }
    }
}

/// Two states of one account.
fn same_account(one: &AccountUpdate, two: &AccountUpdate) -> bool {
    match (one, two) {
        (AccountUpdate::Vault { second: one, .. }, AccountUpdate::Vault { second: two, .. }) => {
            one == two
        }
        (AccountUpdate::ClmmTicks(one), AccountUpdate::ClmmTicks(two)) => one.start == two.start,
        (AccountUpdate::WhirlpoolTicks(one), AccountUpdate::WhirlpoolTicks(two)) => {
            one.start == two.start
        }
        (AccountUpdate::DlmmBins(one), AccountUpdate::DlmmBins(two)) => one.index == two.index,
        _ => std::mem::discriminant(one) == std::mem::discriminant(two),
    }
}

/// What a pool has become by one update after the other is what it would be had it seen the last of each alone.
pub fn grown_is_made_anew(live: &Live, known: &Known, spec: &PoolKind, asks: &[Ask]) {
    let Some(slot) = known.slot.filter(|_| !known.torn) else { return };
    for backwards in [false, true] {
        let mut fresh = Live::new(spec, true);
        let mut latest = known.latest.clone();
        if backwards {
            latest.reverse();
        }
        for update in &latest {
            fresh.apply(update, slot);
        }
        assert_eq!(live.state(), fresh.state());
        assert!(known.timed || live.is_torn() == fresh.is_torn(), "torn, or made anew");
        for ask in asks {
            let answers = |live: &Live| {
                let (forward, amount, clock) = (ask.forward(), ask.atoms(), ask.clock());
                (
                    live.quote_exact_in(forward, amount, &clock),
                    live.quote_exact_out(forward, amount, &clock),
                    live.detail_exact_in(forward, amount, &clock),
                    live.spot_price(forward),
                    live.arrays(forward),
                )
            };
            assert_eq!(answers(live), answers(&fresh), "grown, and made anew ({backwards})");
        }
    }
}

/// Asks all there is to ask, and holds the answers against each other.
pub fn hold(live: &Live, known: &Known, ask: Ask, other: Ask) {
    let (forward, clock) = (ask.forward(), ask.clock());
    for of_first in [true, false] {
        computed(live.spot_price(of_first));
        assert!(live.arrays(of_first).len() <= 3);
        computed(live.has_exact_out(of_first));
    }
    let sold = live.quote_exact_in(forward, ask.atoms(), &clock);
    let bought = live.quote_exact_out(forward, ask.atoms(), &clock);
    let detail = live.detail_exact_in(forward, ask.atoms(), &clock);
    let amounts = [ask.amount.wrapping_add(1), other.amount, ask.amount.max(other.amount) / 2];
    let others =
        amounts.map(|amount| (amount, live.quote_exact_in(forward, Atoms::new(amount), &clock)));
    let back = sold.map(|sold| live.quote_exact_out(forward, sold.amount_out, &clock));
    if known.untrusted {
        return;
    }
    if live.state().is_err() {
        assert!(sold.is_err() && bought.is_err(), "no curve, but {sold:?} {bought:?}");
    }
    agree(known.kind, &sold, &detail);
    let reserve = known.reserve(forward).filter(|_| live.is_settled());
    for quote in [sold.ok(), bought.ok()].into_iter().flatten() {
        let out = u128::from(quote.amount_out.get());
        assert!(quote.amount_in > Atoms::ZERO && out > 0, "nothing for something: {quote:?}");
        assert!(reserve.is_none_or(|most| out <= most), "{quote:?} of {reserve:?}");
    }
    if let Ok(bought) = bought {
        assert!(bought.amount_out >= ask.atoms(), "{bought:?} for {ask:?}");
    }
    if let Ok(sold) = sold {
        assert_eq!(sold.amount_in, ask.atoms());
        for (amount, quote) in others {
            if let Ok(quote) = quote {
                monotone(known.kind, live, forward, sold, (amount, quote));
            }
        }
        if let Ok(Ok(back)) = back {
            consistent(known.kind, live, ask, sold, back);
        }
    }
}

/// A detail is the quote, with prices that moved the way of the trade.
fn agree(kind: Kind, sold: &Result<Quote, QuoteError>, detail: &Result<Detail, QuoteError>) {
    if let Ok(detail) = detail {
        assert_eq!(sold.as_ref(), Ok(&detail.quote), "a detail is the quote");
        computed(detail.impact());
    }
    let unpriced = matches!(detail, Err(QuoteError::Overflow | QuoteError::NoLiquidity));
    assert_eq!(sold.is_ok(), detail.is_ok() || sold.is_ok() && unpriced, "{kind:?} {detail:?}");
}

/// More in never gives less out, but for what each kind's own rounding of several fees allows.
fn monotone(kind: Kind, live: &Live, forward: bool, one: Quote, (amount, two): (u64, Quote)) {
    let (small, large) = if amount < one.amount_in.get() { (two, one) } else { (one, two) };
    let slack = match kind {
        Kind::PumpSwap if forward => 2,
        Kind::PumpCurve if forward => 1,
        Kind::PumpSwap => by_price(live, 2),
        _ => 0,
    };
    let most = large.amount_out.get().saturating_add(slack);
    assert!(small.amount_out.get() <= most, "{kind:?} {forward}: {small:?} but {large:?}");
}

/// What an exact input gave can be had for that input, and the price of an exact output buys it.
///
/// The programs of tick pools take a whole span where its output, rounded down, is what was asked: the last atom can
/// cost as much as all of a thin span. There the law is that nobody gets more for the same input. A bonding curve sells
/// a little more where its two fees are rounded up, and reckons the two ways to buy at two rates.
fn consistent(kind: Kind, live: &Live, ask: Ask, sold: Quote, back: Quote) {
    let again = live.quote_exact_in(ask.forward(), back.amount_in, &ask.clock());
    let cheap = back.amount_in <= sold.amount_in;
    match kind {
        Kind::Cpmm | Kind::AmmV4 | Kind::Dlmm => {
            let bought = again.is_err_and(|error| error != QuoteError::TooSmall)
                || again.is_ok_and(|again| again.amount_out >= sold.amount_out);
            assert!(cheap && bought, "{kind:?}: {sold:?}, {back:?}, {again:?}");
        }
        Kind::Clmm | Kind::Whirlpool => {
            let more = again.is_ok_and(|again| again.amount_out.get() > back.amount_out.get() + 2);
            assert!(cheap || !more, "{kind:?}: {sold:?}, {back:?}, {again:?}");
        }
        Kind::PumpSwap => assert!(cheap, "{kind:?}: {sold:?}, {back:?}"),
        Kind::PumpCurve if ask.forward() => {
            assert_eq!(again, Ok(back), "{kind:?}: {sold:?}");
            assert!(cheap || back.amount_out > sold.amount_out, "{kind:?}: {sold:?}, {back:?}");
        }
        Kind::PumpCurve => {}
    }
}

/// `atoms` of mint 1 in atoms of mint 0, rounded up twice.
fn by_price(live: &Live, atoms: u64) -> u64 {
    let each = live
        .spot_price(false)
        .map_or(u64::MAX, |price| u64::try_from(price.raw() >> 64).unwrap_or(u64::MAX));
    each.saturating_add(1).saturating_mul(atoms)
}
