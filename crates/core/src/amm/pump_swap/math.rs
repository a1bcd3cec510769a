//! The integer steps of a purchase and a sale, in the SDK's order.

use crate::amm::QuoteError::{self, NoLiquidity, Overflow, Paused, TooSmall};
use crate::amm::divide::product_over_up;
use crate::amm::pump_fees::{Cut, constant_product};
use crate::amm::pump_swap::{Curve, FLAG_NO_BUY, FLAG_NO_SELL, Swap};
use crate::amm::{Clock, Detail, Quote};
use crate::units::{Atoms, Price};

/// A swap's numbers from their parts.
#[inline]
const fn swap(forward: bool, base: u64, before_fees: u64, cut: Cut, quote: u64) -> Swap {
    Swap {
        forward,
        base: Atoms::new(base),
        quote_before_fees: Atoms::new(before_fees),
        lp_fee: Atoms::new(cut.lp),
        protocol_fee: Atoms::new(cut.protocol),
        creator_fee: Atoms::new(cut.creator),
        user_quote: Atoms::new(quote),
    }
}

/// What of `quote` buys, when `within` of it is left by fees on top and these, rounded up one by one, are `fee`: what they
/// take too much comes off it.
#[inline]
fn buys(quote: u64, within: u64, fee: u64) -> Result<u64, QuoteError> {
    let over = fee.saturating_sub(quote.saturating_sub(within));
    within.checked_sub(over).ok_or(TooSmall)
}

impl Curve {
    /// What giving `amount` does, in full; see [`Curve::quote_exact_in`].
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    #[inline]
    pub fn swap_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        _clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        self.check_open(forward)?;
        if forward { self.sell(amount.get()) } else { self.buy_for(amount.get()) }
    }

    /// What getting `amount` takes, in full; see [`Curve::quote_exact_out`].
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    #[inline]
    pub fn swap_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        _clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        self.check_open(forward)?;
        match amount.get() {
            0 => Err(TooSmall),
            quote if forward => self.sell_for(quote),
            base => self.buy(base),
        }
    }

    /// [`Self::swap_exact_in`] without telling the fees apart.
    #[inline]
    pub(super) fn brief_exact_in(&self, forward: bool, amount: Atoms) -> Result<Quote, QuoteError> {
        self.check_open(forward)?;
        let given = amount.get();
        let (out, fee) = if forward {
            let before_fees = constant_product(given, self.base, self.quote)?;
            // What stays for the liquidity providers matters only where the vault cannot pay the rest.
            if before_fees > self.payable {
                self.check_payable(before_fees, self.rates.of(before_fees))?;
            }
            let fee = self.rates.total_of(before_fees);
            (before_fees.saturating_sub(fee), fee)
        } else {
            let within = self.rates.within(given)?;
            let fee = self.rates.total_of(within);
            (self.bought(buys(given, within, fee)?)?, fee)
        };
        if out == 0 {
            return Err(TooSmall);
        }
        Ok(Quote { amount_in: amount, amount_out: Atoms::new(out), fee: Atoms::new(fee) })
    }

    /// [`Self::swap_exact_out`] without telling the fees apart.
    #[inline]
    pub(super) fn brief_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
    ) -> Result<Quote, QuoteError> {
        self.check_open(forward)?;
        let wanted = amount.get();
        if wanted == 0 {
            return Err(TooSmall);
        }
        let (given, fee) = if forward {
            let (base, before_fees) = self.sold_for(wanted)?;
            if before_fees > self.payable {
                self.check_payable(before_fees, self.rates.of(before_fees))?;
            }
            (base, self.rates.total_of(before_fees))
        } else {
            let before_fees = self.price(wanted)?;
            let fee = self.rates.total_of(before_fees);
            (before_fees.checked_add(fee).ok_or(Overflow)?, fee)
        };
        Ok(Quote { amount_in: Atoms::new(given), amount_out: amount, fee: Atoms::new(fee) })
    }

    pub(super) fn detail(&self, swap: &Swap) -> Result<Detail, QuoteError> {
        let (base, before_fees) = (swap.base.get(), swap.quote_before_fees.get());
        // The liquidity providers' fee stays in the pool; the others leave, or wait there uncounted.
        let after = if swap.forward {
            let paid = before_fees.saturating_sub(swap.lp_fee.get());
            Price::of(self.quote.saturating_sub(paid), self.base.saturating_add(base))
        } else {
            let kept = before_fees.saturating_add(swap.lp_fee.get());
            Price::of(self.quote.saturating_add(kept), self.base.saturating_sub(base))
        };
        Ok(Detail {
            quote: swap.quote(),
            price_before: self.spot_price().ok_or(NoLiquidity)?,
            price_after: after.ok_or(NoLiquidity)?,
            arrays: 0,
        })
    }

    #[inline]
    fn check_open(&self, forward: bool) -> Result<(), QuoteError> {
        let flag = if forward { FLAG_NO_SELL } else { FLAG_NO_BUY };
        if self.disable_flags & flag != 0 { Err(Paused) } else { Ok(()) }
    }

    /// A sale is paid from the vault, less what stays there for the liquidity providers: of an amount never more than all.
    #[inline]
    fn check_payable(&self, before_fees: u64, cut: Cut) -> Result<(), QuoteError> {
        if before_fees.wrapping_sub(cut.lp) > self.payable { Err(NoLiquidity) } else { Ok(()) }
    }

    #[inline]
    fn sell(&self, base: u64) -> Result<Swap, QuoteError> {
        let before_fees = constant_product(base, self.base, self.quote)?;
        let cut = self.rates.of(before_fees);
        self.check_payable(before_fees, cut)?;
        match before_fees.checked_sub(cut.total) {
            None | Some(0) => Err(TooSmall),
            Some(quote) => Ok(swap(true, base, before_fees, cut, quote)),
        }
    }

    #[inline]
    fn buy_for(&self, quote: u64) -> Result<Swap, QuoteError> {
        let within = self.rates.within(quote)?;
        let cut = self.rates.of(within);
        let before_fees = buys(quote, within, cut.total)?;
        match self.bought(before_fees)? {
            0 => Err(TooSmall),
            base => Ok(swap(false, base, before_fees, cut, quote)),
        }
    }

    /// The base that quote without fees buys: the program gives one atom of it away.
    #[inline]
    fn bought(&self, before_fees: u64) -> Result<u64, QuoteError> {
        let input = before_fees.checked_sub(1).ok_or(TooSmall)?;
        constant_product(input, self.quote, self.base)
    }

    #[inline]
    fn buy(&self, base: u64) -> Result<Swap, QuoteError> {
        let before_fees = self.price(base)?;
        let cut = self.rates.of(before_fees);
        let quote = before_fees.checked_add(cut.total).ok_or(Overflow)?;
        Ok(swap(false, base, before_fees, cut, quote))
    }

    /// What `base` costs before fees.
    #[inline]
    fn price(&self, base: u64) -> Result<u64, QuoteError> {
        let rest = self.base.checked_sub(base).filter(|rest| *rest > 0).ok_or(NoLiquidity)?;
        product_over_up(self.quote, base, rest)
    }

    /// The base whose sale brings `quote`, and what it brings before fees.
    #[inline]
    fn sold_for(&self, quote: u64) -> Result<(u64, u64), QuoteError> {
        if quote > self.payable {
            return Err(NoLiquidity);
        }
        let before_fees = self.rates.before(quote)?;
        let rest = self.quote.checked_sub(before_fees).filter(|rest| *rest > 0);
        let base = product_over_up(self.base, before_fees, rest.ok_or(NoLiquidity)?)?;
        Ok((base, before_fees))
    }

    #[inline]
    fn sell_for(&self, quote: u64) -> Result<Swap, QuoteError> {
        let (base, before_fees) = self.sold_for(quote)?;
        let cut = self.rates.of(before_fees);
        self.check_payable(before_fees, cut)?;
        Ok(swap(true, base, before_fees, cut, quote))
    }
}
