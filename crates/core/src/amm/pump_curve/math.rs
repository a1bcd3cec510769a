//! The integer steps of a purchase and a sale, in the SDK's order.

use crate::amm::QuoteError::{self, NoLiquidity, Overflow, TooSmall};
use crate::amm::divide::{product_over, product_over_up};
use crate::amm::pump_curve::{Curve, Swap};
use crate::amm::pump_fees::{Cut, constant_product};
use crate::amm::{Clock, Detail, Quote};
use crate::units::{Atoms, Price};

/// Each of the two fees is rounded up by itself: this much more always covers both.
const ROUNDED_UP: u64 = 2;

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

/// What a sale brings after fees: not nothing.
#[inline]
fn left(before_fees: u64, fee: u64) -> Result<u64, QuoteError> {
    match before_fees.saturating_sub(fee) {
        0 => Err(TooSmall),
        quote => Ok(quote),
    }
}

/// A sale for what it brings.
struct Sale {
    tokens: u64,
    before_fees: u64,
    cut: Cut,
    /// What the fees leave.
    left: u64,
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

    /// [`Self::swap_exact_in`] without telling the fees apart.
    #[inline]
    pub(super) fn brief_exact_in(&self, forward: bool, amount: Atoms) -> Result<Quote, QuoteError> {
        let given = amount.get();
        let (out, fee) = if forward {
            let before_fees = self.sold(given)?;
            let fee = self.rates.total_of(before_fees);
            (left(before_fees, fee)?, fee)
        } else {
            let (tokens, input) = self.bought(given)?;
            (tokens, self.rates_by_supply.total_of(input))
        };
        Ok(Quote { amount_in: amount, amount_out: Atoms::new(out), fee: Atoms::new(fee) })
    }

    /// [`Self::swap_exact_out`] without telling the fees apart.
    #[inline]
    pub(super) fn brief_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
    ) -> Result<Quote, QuoteError> {
        let wanted = amount.get();
        if wanted == 0 {
            return Err(TooSmall);
        }
        if forward {
            return match self.sale_parts(wanted) {
                Some(Sale { tokens, cut, left, .. }) => Ok(Quote {
                    amount_in: Atoms::new(tokens),
                    amount_out: Atoms::new(left),
                    fee: Atoms::new(cut.total),
                }),
                None => self.tried_sale_for(wanted).map(|swap| swap.quote()),
            };
        }
        let before_fees = self.price(wanted)?;
        let fee = self.rates.total_of(before_fees);
        let given = before_fees.checked_add(fee).ok_or(Overflow)?;
        Ok(Quote { amount_in: Atoms::new(given), amount_out: amount, fee: Atoms::new(fee) })
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
        let before_fees = self.sold(tokens)?;
        let cut = self.rates.of(before_fees);
        Ok(swap(true, tokens, before_fees, cut, left(before_fees, cut.total)?))
    }

    /// What selling `tokens` brings before fees.
    #[inline]
    fn sold(&self, tokens: u64) -> Result<u64, QuoteError> {
        let before_fees = constant_product(tokens, self.token, self.quote)?;
        if before_fees > self.real_quote { Err(NoLiquidity) } else { Ok(before_fees) }
    }

    #[inline]
    fn buy_for(&self, quote: u64) -> Result<Swap, QuoteError> {
        let (tokens, input) = self.bought(quote)?;
        Ok(swap(false, tokens, input, self.rates_by_supply.of(input), quote))
    }

    /// The tokens that `quote` buys, and what of it the curve counts.
    #[inline]
    fn bought(&self, quote: u64) -> Result<(u64, u64), QuoteError> {
        let mut input = self.rates_by_supply.within(quote.checked_sub(1).ok_or(TooSmall)?)?;
        let mut tokens = constant_product(input, self.quote, self.token)?;
        if tokens > self.real_token {
            tokens = self.real_token;
            input = input.min(self.cost(tokens)?);
        }
        if tokens == 0 {
            return Err(if self.real_token == 0 { NoLiquidity } else { TooSmall });
        }
        Ok((tokens, input))
    }

    #[inline]
    fn buy(&self, tokens: u64) -> Result<Swap, QuoteError> {
        let before_fees = self.price(tokens)?;
        let cut = self.rates.of(before_fees);
        let quote = before_fees.checked_add(cut.total).ok_or(Overflow)?;
        Ok(swap(false, tokens, before_fees, cut, quote))
    }

    /// What `tokens` cost before fees, where there are so many.
    #[inline]
    fn price(&self, tokens: u64) -> Result<u64, QuoteError> {
        if tokens > self.real_token { Err(NoLiquidity) } else { self.cost(tokens) }
    }

    /// What `tokens` cost before fees: rounded down, and one more.
    #[inline]
    fn cost(&self, tokens: u64) -> Result<u64, QuoteError> {
        let rest = self.token.checked_sub(tokens).filter(|rest| *rest > 0).ok_or(NoLiquidity)?;
        product_over(tokens, self.quote, rest)?.checked_add(1).ok_or(Overflow)
    }

    /// The least sale that brings `quote`, but for the fees' roundings.
    #[inline]
    fn sell_for(&self, quote: u64) -> Result<Swap, QuoteError> {
        match self.sale_for(quote) {
            Some(swap) => Ok(swap),
            None => self.tried_sale_for(quote),
        }
    }

    /// [`Self::tried_sale_for`] where a token brings one atom of quote at most; `None` elsewhere, and where that refuses.
    ///
    /// Of `T` tokens and `Q` quote, `T * b / (Q - b)` tokens bring `b`. One token more brings `(Q - b)^2 / (Q * T)` more
    /// at most, as the curve bends down: less than one where `Q` is `T` at most. So the tokens rounded up bring `b` and
    /// not one more, and nobody needs to try.
    #[inline]
    fn sale_for(&self, quote: u64) -> Option<Swap> {
        let Sale { tokens, before_fees, cut, left } = self.sale_parts(quote)?;
        Some(swap(true, tokens, before_fees, cut, left))
    }

    #[inline]
    fn sale_parts(&self, quote: u64) -> Option<Sale> {
        if self.quote > self.token {
            return None;
        }
        let (before_fees, cut, left) = self.rates.two_before(quote)?;
        if before_fees > self.real_quote || before_fees >= self.quote {
            return None;
        }
        let rest = self.quote.wrapping_sub(before_fees);
        let tokens = product_over_up(self.token, before_fees, rest).ok()?;
        Some(Sale { tokens, before_fees, cut, left })
    }

    #[cold]
    fn tried_sale_for(&self, quote: u64) -> Result<Swap, QuoteError> {
        let swap = self.sell_bringing(self.rates.before(quote)?)?;
        if swap.user_quote.get() >= quote {
            return Ok(swap);
        }
        let more = quote.checked_add(ROUNDED_UP).ok_or(Overflow)?;
        self.sell_bringing(self.rates.before(more)?)
    }

    /// The least sale that brings `before_fees`.
    #[inline]
    fn sell_bringing(&self, before_fees: u64) -> Result<Swap, QuoteError> {
        let rest = self.quote.checked_sub(before_fees).filter(|rest| *rest > 0);
        self.sell(product_over_up(self.token, before_fees, rest.ok_or(NoLiquidity)?)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::amm::pump_fees::{Fees, Rates};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        /// Fails where a sale brings one atom more than it was reckoned for, or a refusal differs.
        #[test]
        fn a_sale_by_its_output_is_the_one_found_by_trying(
            reserves in prop::array::uniform2(1_u64..), thin in prop::array::uniform2(0_u32..64),
            real: u64, protocol_bps in 0_u64..=5_000, creator_bps in 0_u64..=5_000,
            part in 0_u64..=1_100, few in 0_u64..50,
        ) {
            let [token, quote] = [0, 1].map(|side| (reserves[side] >> thin[side]).max(1));
            let rates = Rates::new(Fees { lp_bps: 0, protocol_bps, creator_bps }).unwrap();
            let real_quote = if real % 3 == 0 { real } else { quote };
            let curve =
                Curve { token, quote, real_token: token, real_quote, rates_by_supply: rates, rates };
            let share = u64::try_from(u128::from(quote) * u128::from(part) / 1_000);
            for wanted in [share.unwrap_or(u64::MAX), few] {
                prop_assert_eq!(curve.sell_for(wanted), curve.tried_sale_for(wanted));
            }
        }
    }
}
