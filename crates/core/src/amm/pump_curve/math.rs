//! The integer steps of a purchase and a sale, in the SDK's order.

use crate::amm::QuoteError::{self, NoLiquidity, Overflow, TooSmall};
use crate::amm::pump_curve::{Curve, Swap};
use crate::amm::pump_fees::{Cut, constant_product, product_over, product_over_up};
use crate::amm::{Clock, Detail};
use crate::units::{Atoms, Price};

/// A swap's numbers from their parts.
#[inline]
const fn swap(forward: bool, tokens: u64, before_fees: u64, cut: Cut, quote: u64) -> Swap {
    Swap {
        forward,
        tokens: Atoms::new(tokens),
        quote_before_fees: Atoms::new(before_fees),
        protocol_fee: Atoms::new(cut.protocol),
        creator_fee: Atoms::new(cut.creator),
        user_quote: Atoms::new(quote),
    }
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
        if forward { self.sell(amount.get()) } else { self.buy_for(amount.get()) }
    }

    /// What getting `amount` takes, in full; see [`Curve::quote_exact_out`].
    ///
    /// # Errors
    ///
    /// When the program would refuse, or has less than `amount`.
    #[inline]
    pub fn swap_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        _clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        match amount.get() {
            0 => Err(TooSmall),
            quote if forward => self.sell_for(quote),
            tokens => self.buy(tokens),
        }
    }

    pub(super) fn detail(&self, swap: &Swap) -> Result<Detail, QuoteError> {
        let (tokens, moved) = (swap.tokens.get(), swap.quote_before_fees.get());
        let after = if swap.forward {
            Price::of(self.quote.saturating_sub(moved), self.token.saturating_add(tokens))
        } else {
            Price::of(self.quote.saturating_add(moved), self.token.saturating_sub(tokens))
        };
        Ok(Detail {
            quote: swap.quote(),
            price_before: self.spot_price().ok_or(NoLiquidity)?,
            price_after: after.ok_or(NoLiquidity)?,
            arrays: 0,
        })
    }

    #[inline]
    fn sell(&self, tokens: u64) -> Result<Swap, QuoteError> {
        let before_fees = constant_product(tokens, self.token, self.quote)?;
        if before_fees > self.real_quote {
            return Err(NoLiquidity);
        }
        let cut = self.rates.of(before_fees);
        match before_fees.checked_sub(cut.total()) {
            None | Some(0) => Err(TooSmall),
            Some(quote) => Ok(swap(true, tokens, before_fees, cut, quote)),
        }
    }

    #[inline]
    fn buy_for(&self, quote: u64) -> Result<Swap, QuoteError> {
        let mut input = self.rates_by_supply.within(quote.checked_sub(1).ok_or(TooSmall)?)?;
        let mut tokens = constant_product(input, self.quote, self.token)?;
        if tokens > self.real_token {
            tokens = self.real_token;
            input = input.min(self.cost(tokens)?);
        }
        if tokens == 0 {
            return Err(if self.real_token == 0 { NoLiquidity } else { TooSmall });
        }
        Ok(swap(false, tokens, input, self.rates_by_supply.of(input), quote))
    }

    #[inline]
    fn buy(&self, tokens: u64) -> Result<Swap, QuoteError> {
        if tokens > self.real_token {
            return Err(NoLiquidity);
        }
        let before_fees = self.cost(tokens)?;
        let cut = self.rates.of(before_fees);
        let quote = before_fees.checked_add(cut.total()).ok_or(Overflow)?;
        Ok(swap(false, tokens, before_fees, cut, quote))
    }

    /// What `tokens` cost before fees: rounded down, and one more.
    #[inline]
    fn cost(&self, tokens: u64) -> Result<u64, QuoteError> {
        let rest = self.token.checked_sub(tokens).filter(|rest| *rest > 0).ok_or(NoLiquidity)?;
        product_over(tokens, self.quote, rest)?.checked_add(1).ok_or(Overflow)
    }

    #[inline]
    fn sell_for(&self, quote: u64) -> Result<Swap, QuoteError> {
        let swap = self.sell_bringing(self.rates.before(quote)?)?;
        if swap.user_quote.get() >= quote {
            return Ok(swap);
        }
        // Each of the two fees is rounded up by itself: this much more always covers both.
        let more = quote.checked_add(2).ok_or(Overflow)?;
        self.sell_bringing(self.rates.before(more)?)
    }

    /// The least sale that brings `before_fees`.
    #[inline]
    fn sell_bringing(&self, before_fees: u64) -> Result<Swap, QuoteError> {
        let rest = self.quote.checked_sub(before_fees).filter(|rest| *rest > 0);
        self.sell(product_over_up(self.token, before_fees, rest.ok_or(NoLiquidity)?)?)
    }
}
