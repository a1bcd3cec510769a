//! The program's integer steps, in its order. Where it would fail, so does this.
//!
//! The program computes in 128 bits and fails where a result does not fit 64; here each step fails at once where
//! its result does not fit, which refuses exactly the same swaps: a later step never makes a number fit again.

use crate::amm::Quote;
use crate::amm::QuoteError::{self, NoLiquidity, NotOpen, Overflow, Paused, TooSmall};
use crate::amm::cpmm::{Config, Curve, PoolState, RATE_WHOLE, Rates, STATUS_NO_SWAP, Swap};
use crate::amm::divide::{on_top, on_top_factor, product_over, product_over_up};
use crate::units::Atoms;

/// The vaults less the fees accrued in them; both sides must hold something.
pub(super) fn reserves(vaults: [u64; 2], pool: &PoolState) -> Result<[u64; 2], QuoteError> {
    let net = |vault: u64, accrued: [Atoms; 4]| {
        let owed = accrued.into_iter().try_fold(Atoms::ZERO, Atoms::checked_add).ok_or(Overflow)?;
        vault.checked_sub(owed.get()).filter(|rest| *rest > 0).ok_or(NoLiquidity)
    };
    let accrued = [pool.protocol_fees, pool.fund_fees, pool.creator_fees, pool.shared_creator_fees];
    Ok([net(vaults[0], accrued.map(|side| side[0]))?, net(vaults[1], accrued.map(|side| side[1]))?])
}

/// `amount * rate`, in millionths, rounded up.
#[inline]
fn share_up(amount: u64, rate: u64) -> Result<u64, QuoteError> {
    if let Some(product) = amount.checked_mul(rate) {
        return Ok(product.div_ceil(RATE_WHOLE));
    }
    let product = u128::from(amount).saturating_mul(u128::from(rate));
    u64::try_from(product.div_ceil(u128::from(RATE_WHOLE))).map_err(|_| Overflow)
}

/// `amount * rate`, in millionths, rounded down.
#[inline]
fn share_down(amount: u64, rate: u64) -> Result<u64, QuoteError> {
    product_over(amount, rate, RATE_WHOLE)
}

/// The least amount that leaves `rest` after a fee of `rate`.
#[inline]
fn before_fee(rest: u64, rate: u64) -> Result<u64, QuoteError> {
    if rate == 0 {
        return Ok(rest);
    }
    let kept = RATE_WHOLE.checked_sub(rate).ok_or(Overflow)?;
    product_over_up(rest, RATE_WHOLE, kept)
}

/// What the curve says before transfer fees: all in the mint that goes in, except `out` and `out_fee`.
struct Parts {
    input: u64,
    trade_fee: u64,
    creator_fee: u64,
    out: u64,
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
        now: i64,
    ) -> Result<Swap, QuoteError> {
        self.check_open(now)?;
        let [fee_in, fee_out] = self.fees_of(forward);
        let input_transfer_fee = fee_in.of(amount.get());
        let input = amount.get().saturating_sub(input_transfer_fee);
        if input == 0 {
            return Err(TooSmall);
        }
        let parts = self.curve_exact_in(forward, input)?;
        let output_transfer_fee = fee_out.of(parts.out);
        let received = parts.out.checked_sub(output_transfer_fee).ok_or(Overflow)?;
        if received == 0 {
            return Err(TooSmall);
        }
        let swap = Swap {
            paid: amount,
            vault_in: Atoms::new(input),
            vault_out: Atoms::new(parts.out),
            received: Atoms::new(received),
            input_transfer_fee: Atoms::new(input_transfer_fee),
            output_transfer_fee: Atoms::new(output_transfer_fee),
            ..Swap::default()
        };
        self.booked(forward, &parts, swap)
    }

    /// What getting `amount` takes, in full; see [`Curve::quote_exact_out`].
    ///
    /// # Errors
    ///
    /// When the program would refuse.
    pub fn swap_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        now: i64,
    ) -> Result<Swap, QuoteError> {
        if amount == Atoms::ZERO {
            return Err(TooSmall);
        }
        self.check_open(now)?;
        let [fee_in, fee_out] = self.fees_of(forward);
        let output_transfer_fee = fee_out.so_that_arrives(amount.get()).ok_or(Overflow)?;
        let out = amount.get().checked_add(output_transfer_fee).ok_or(Overflow)?;
        let parts = self.curve_exact_out(forward, out)?;
        let input_transfer_fee = fee_in.so_that_arrives(parts.input).ok_or(Overflow)?;
        let paid = parts.input.checked_add(input_transfer_fee).ok_or(Overflow)?;
        // The token program takes its fee of what is really sent, which can be less than reckoned.
        let vault_in = paid.saturating_sub(fee_in.of(paid));
        let received = out.saturating_sub(fee_out.of(out));
        let swap = Swap {
            paid: Atoms::new(paid),
            vault_in: Atoms::new(vault_in),
            vault_out: Atoms::new(out),
            received: Atoms::new(received),
            input_transfer_fee: Atoms::new(input_transfer_fee),
            output_transfer_fee: Atoms::new(output_transfer_fee),
            ..Swap::default()
        };
        self.booked(forward, &parts, swap)
    }

    /// The rates with which [`Self::plain_exact_in`] does what [`Self::swap_exact_in`] does: no transfer fees, and
    /// fees that are sane parts of each other, so that the program's counters cannot overflow before its vault.
    pub(super) fn plain_rates(&self) -> Option<[Rates; 2]> {
        let Config { trade_fee_rate, protocol_fee_rate, fund_fee_rate, .. } = self.config;
        let most = trade_fee_rate.checked_add(self.creator_rate())?;
        let parts = protocol_fee_rate.checked_add(fund_fee_rate)?;
        let sane = trade_fee_rate > 0 && most < RATE_WHOLE && parts <= RATE_WHOLE;
        let free = self.fees.iter().all(|fee| fee.bps == 0);
        let rates = |forward| {
            let input = self.input_fee_rate(forward);
            let on_top = on_top_factor(input, RATE_WHOLE.saturating_sub(input));
            Rates { input, output: self.output_fee_rate(forward), on_top }
        };
        (sane && free).then(|| [rates(false), rates(true)])
    }

    /// The short way: one division, nothing split.
    #[inline]
    pub(super) fn plain_exact_in(
        &self,
        forward: bool,
        rates: Rates,
        amount: Atoms,
        now: i64,
    ) -> Result<Quote, QuoteError> {
        self.check_open(now)?;
        let (reserve_in, reserve_out) = self.reserves_of(forward);
        let vault = if forward { self.vaults[0] } else { self.vaults[1] };
        vault.checked_add(amount.get()).ok_or(Overflow)?;
        let fee = share_up(amount.get(), rates.input)?;
        let swapped = amount.get().checked_sub(fee).ok_or(Overflow)?;
        let depth = reserve_in.checked_add(swapped).ok_or(Overflow)?;
        let mut out = product_over(swapped, reserve_out, depth)?;
        if rates.output != 0 {
            out = out.saturating_sub(share_up(out, rates.output)?);
        }
        if out == 0 {
            return Err(TooSmall);
        }
        Ok(Quote { amount_in: amount, amount_out: Atoms::new(out), fee: Atoms::new(fee) })
    }

    /// The same for an exact output: one division for the curve, one for each fee.
    #[inline]
    pub(super) fn plain_exact_out(
        &self,
        forward: bool,
        rates: Rates,
        amount: Atoms,
        now: i64,
    ) -> Result<Quote, QuoteError> {
        if amount == Atoms::ZERO {
            return Err(TooSmall);
        }
        self.check_open(now)?;
        let (reserve_in, reserve_out) = self.reserves_of(forward);
        let taken = before_fee(amount.get(), rates.output)?;
        let rest = reserve_out.checked_sub(taken).filter(|rest| *rest > 0).ok_or(NoLiquidity)?;
        let swapped = product_over_up(reserve_in, taken, rest)?;
        // Of millionths, so that 44 bits and a millionth's make no 64.
        let input = if rates.on_top != 0 && swapped.wrapping_sub(1) >> 43 == 0 {
            on_top(swapped, rates.on_top)
        } else {
            before_fee(swapped, rates.input)?
        };
        let vault = if forward { self.vaults[0] } else { self.vaults[1] };
        vault.checked_add(input).ok_or(Overflow)?;
        let fee = Atoms::new(input.saturating_sub(swapped));
        Ok(Quote { amount_in: Atoms::new(input), amount_out: amount, fee })
    }

    #[inline]
    fn check_open(&self, now: i64) -> Result<(), QuoteError> {
        if self.pool.status & STATUS_NO_SWAP != 0 {
            return Err(Paused);
        }
        // The program reads its clock as unsigned, too.
        if now.cast_unsigned() < self.pool.open_time {
            return Err(NotOpen);
        }
        Ok(())
    }

    #[inline]
    fn fees_of(&self, forward: bool) -> [super::TransferFee; 2] {
        let [zero, one] = self.fees;
        if forward { [zero, one] } else { [one, zero] }
    }

    #[inline]
    fn reserves_of(&self, forward: bool) -> (u64, u64) {
        let [zero, one] = self.reserves;
        if forward { (zero, one) } else { (one, zero) }
    }

    #[inline]
    fn curve_exact_in(&self, forward: bool, input: u64) -> Result<Parts, QuoteError> {
        let (reserve_in, reserve_out) = self.reserves_of(forward);
        let creator_rate = self.creator_rate();
        let on_input = self.creator_on_input(forward);
        let input_rate = self.total_input_rate(on_input, creator_rate)?;
        let total_fee = share_up(input, input_rate)?;
        let (trade_fee, mut creator_fee) =
            split_input_fee(total_fee, input_rate, if on_input { creator_rate } else { 0 })?;
        let swapped = input.checked_sub(total_fee).ok_or(Overflow)?;
        let depth = reserve_in.checked_add(swapped).ok_or(Overflow)?;
        let mut out = product_over(swapped, reserve_out, depth)?;
        if !on_input && creator_rate != 0 {
            creator_fee = share_up(out, creator_rate)?;
            out = out.checked_sub(creator_fee).ok_or(Overflow)?;
        }
        Ok(Parts { input, trade_fee, creator_fee, out })
    }

    fn curve_exact_out(&self, forward: bool, out: u64) -> Result<Parts, QuoteError> {
        let (reserve_in, reserve_out) = self.reserves_of(forward);
        let creator_rate = self.creator_rate();
        let on_input = self.creator_on_input(forward);
        let taken = if on_input { out } else { before_fee(out, creator_rate)? };
        let rest = reserve_out.checked_sub(taken).filter(|rest| *rest > 0).ok_or(NoLiquidity)?;
        let swapped = product_over_up(reserve_in, taken, rest)?;
        let input_rate = self.total_input_rate(on_input, creator_rate)?;
        let input = before_fee(swapped, input_rate)?;
        let total_fee = input.saturating_sub(swapped);
        let (trade_fee, on_input_fee) =
            split_input_fee(total_fee, input_rate, if on_input { creator_rate } else { 0 })?;
        let creator_fee = if on_input { on_input_fee } else { taken.saturating_sub(out) };
        Ok(Parts { input, trade_fee, creator_fee, out })
    }

    #[inline]
    fn total_input_rate(&self, on_input: bool, creator_rate: u64) -> Result<u64, QuoteError> {
        let trade = self.config.trade_fee_rate;
        if !on_input {
            return Ok(trade);
        }
        // A pool without any fee on this side divides by zero when it splits the fee.
        trade.checked_add(creator_rate).filter(|total| *total != 0).ok_or(Overflow)
    }

    /// Checks that the counters and the vault can take the swap, as the program and the token program do.
    #[inline]
    fn booked(&self, forward: bool, parts: &Parts, swap: Swap) -> Result<Swap, QuoteError> {
        let protocol_fee = Atoms::new(share_down(parts.trade_fee, self.config.protocol_fee_rate)?);
        let fund_fee = Atoms::new(share_down(parts.trade_fee, self.config.fund_fee_rate)?);
        let creator_fee = Atoms::new(parts.creator_fee);
        let creator_fee_on_input = self.creator_on_input(forward);
        let side = |pair: [Atoms; 2], first: bool| if first { pair[0] } else { pair[1] };
        let pool = &self.pool;
        side(pool.protocol_fees, forward).checked_add(protocol_fee).ok_or(Overflow)?;
        side(pool.fund_fees, forward).checked_add(fund_fee).ok_or(Overflow)?;
        side(pool.creator_fees, forward == creator_fee_on_input)
            .checked_add(creator_fee)
            .ok_or(Overflow)?;
        let vault = if forward { self.vaults[0] } else { self.vaults[1] };
        vault.checked_add(swap.vault_in.get()).ok_or(Overflow)?;
        Ok(Swap {
            input_amount: Atoms::new(parts.input),
            trade_fee: Atoms::new(parts.trade_fee),
            protocol_fee,
            fund_fee,
            creator_fee,
            creator_fee_on_input,
            ..swap
        })
    }
}

/// The fee on the input, parted into trade fee and creator's fee; the creator's rounds down.
#[inline]
fn split_input_fee(total: u64, rate: u64, creator_rate: u64) -> Result<(u64, u64), QuoteError> {
    if creator_rate == 0 {
        return Ok((total, 0));
    }
    let creator = product_over(total, creator_rate, rate)?;
    Ok((total.saturating_sub(creator), creator))
}
