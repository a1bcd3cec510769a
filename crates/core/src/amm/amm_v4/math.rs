//! The program's integer steps, in its order. Where it would fail, so does this.
//!
//! The program computes in 128 bits. Where all numbers of a step fit 64 bits, this does the same step in 64.

use crate::amm::Clock;
use crate::amm::QuoteError::{self, NoLiquidity, NotOpen, Overflow, TooSmall};
use crate::amm::amm_v4::{Curve, Fraction, Swap};
use crate::amm::divide::{product_over, product_over_up};
use crate::units::Atoms;

/// The denominator that all pools have but a few; to divide by a known number is to multiply.
const USUAL: u64 = 10_000;
/// What their fee leaves of it.
const USUAL_KEPT: u64 = 9_975;

/// `amount * share`, rounded up. The share is one at most, so no more than `amount`.
#[inline]
fn share_up(amount: u64, share: Fraction) -> u64 {
    let Fraction { numerator, denominator } = share;
    if let Some(product) = amount.checked_mul(numerator) {
        return if denominator == USUAL {
            product.div_ceil(USUAL)
        } else {
            product.div_ceil(denominator.max(1))
        };
    }
    let product = u128::from(amount).saturating_mul(u128::from(numerator));
    u64::try_from(product.div_ceil(u128::from(denominator.max(1)))).unwrap_or(amount)
}

/// `counted * denominator / kept`, rounded up.
#[inline]
fn before_fee(counted: u64, denominator: u64, kept: u64) -> Result<u64, QuoteError> {
    match counted.checked_mul(USUAL) {
        Some(product) if (denominator, kept) == (USUAL, USUAL_KEPT) => {
            Ok(product.div_ceil(USUAL_KEPT))
        }
        _ => product_over_up(counted, denominator, kept),
    }
}

/// `a * b / (c + a)`, rounded down: less than `b` as long as `c` is not zero.
#[inline]
fn out_of(a: u64, b: u64, c: u64) -> Result<u64, QuoteError> {
    if let Some(depth) = c.checked_add(a) {
        return product_over(a, b, depth);
    }
    let product = u128::from(a).saturating_mul(u128::from(b));
    let depth = u128::from(c).saturating_add(u128::from(a));
    let quotient = product.checked_div(depth).ok_or(Overflow)?;
    u64::try_from(quotient).map_err(|_| Overflow)
}

impl Curve {
    /// What giving `amount` does, in full; see [`Curve::quote_exact_in`]. The fee rounds up, what comes out down.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    #[inline]
    pub fn swap_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        self.check_open(clock)?;
        let [reserve_in, reserve_out] = turn(self.reserves, forward);
        let fee = share_up(amount.get(), self.swap_fee);
        let counted = amount.get().saturating_sub(fee);
        let out = out_of(counted, reserve_out, reserve_in)?;
        if out == 0 {
            return Err(TooSmall);
        }
        self.booked(forward, amount, Atoms::new(out), fee)
    }

    /// What getting `amount` takes, in full; see [`Curve::quote_exact_out`]. Every step rounds up.
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    #[inline]
    pub fn swap_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        self.check_open(clock)?;
        let [reserve_in, reserve_out] = turn(self.reserves, forward);
        let rest = reserve_out.checked_sub(amount.get()).filter(|rest| *rest > 0);
        let rest = rest.ok_or(NoLiquidity)?;
        // Beyond 64 bits the program goes on, but what it then adds for the fee never brings a number back.
        let counted = product_over_up(reserve_in, amount.get(), rest)?;
        let Fraction { numerator, denominator } = self.swap_fee;
        let kept = denominator.saturating_sub(numerator);
        let input = before_fee(counted, denominator, kept)?;
        if input == 0 {
            return Err(TooSmall);
        }
        self.booked(forward, Atoms::new(input), amount, input.saturating_sub(counted))
    }

    #[inline]
    fn check_open(&self, clock: &Clock) -> Result<(), QuoteError> {
        // The program reads its clock as unsigned, too.
        if clock.now.cast_unsigned() < self.opens { Err(NotOpen) } else { Ok(()) }
    }

    /// The token program refuses what a vault's balance cannot count.
    #[inline]
    fn booked(
        &self,
        forward: bool,
        paid: Atoms,
        received: Atoms,
        fee: u64,
    ) -> Result<Swap, QuoteError> {
        let [vault_in, _] = turn(self.vaults, forward);
        vault_in.checked_add(paid.get()).ok_or(Overflow)?;
        Ok(Swap { paid, received, fee: Atoms::new(fee), status_after: self.status_after })
    }
}

#[inline]
fn turn([coin, pc]: [u64; 2], forward: bool) -> [u64; 2] {
    if forward { [coin, pc] } else { [pc, coin] }
}
