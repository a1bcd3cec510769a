//! The exchange's integer arithmetic: fees, the constant product and its two quotes.
//!
//! Written from the recorded behaviour of the venue, independently of the engine's own maths, so that
//! a fault in one of the two shows as a difference between them.
//!
//! Rounding: fees round up, shares of a fee round down, what the user receives rounds down and what
//! the user pays rounds up.

use super::state::{AmmConfig, PoolState};

/// Fee rates are parts of this many.
const RATE_ONE: u128 = 1_000_000;

/// Custom error numbers of the venue (6000 + index in its list).
pub mod code {
    /// The pool does not allow swaps, or is not open yet.
    pub const NOT_APPROVED: u32 = 6000;
    /// The result is worse than the caller's limit.
    pub const EXCEEDED_SLIPPAGE: u32 = 6005;
    /// One side of the trade is zero.
    pub const ZERO_TRADING_TOKENS: u32 = 6006;
    /// The vault holds less than the fees it owes.
    pub const INSUFFICIENT_VAULT: u32 = 6012;
    /// The pool's creator fee mode is unknown.
    pub const INVALID_FEE_MODEL: u32 = 6013;
    /// A `require_gt!` of the venue failed.
    pub const REQUIRE_GT: u32 = 2505;
    /// A `require_gte!` of the venue failed.
    pub const REQUIRE_GTE: u32 = 2506;
}

/// Why the venue refuses a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A custom program error with this number.
    Custom(u32),
    /// Arithmetic on which the program aborts.
    Abort,
}

/// Which way a swap goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Token 0 in, token 1 out.
    ZeroForOne,
    /// Token 1 in, token 0 out.
    OneForZero,
}

/// The fee a Token-2022 mint takes on each transfer; the default takes none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransferFee {
    /// Rate in basis points.
    pub bps: u16,
    /// Upper bound in atoms.
    pub max: u64,
}

impl TransferFee {
    /// The fee withheld when `amount` is sent, rounded up.
    #[must_use]
    pub fn on(self, amount: u64) -> u64 {
        let raw = (u128::from(amount) * u128::from(self.bps)).div_ceil(10_000);
        u64::try_from(raw).unwrap_or(u64::MAX).min(self.max)
    }

    /// The fee withheld when `net` must arrive; `None` when the gross amount does not fit.
    #[must_use]
    pub fn to_deliver(self, net: u64) -> Option<u64> {
        if self.bps >= 10_000 {
            return Some(self.max);
        }
        if self.bps == 0 || net == 0 {
            return Some(0);
        }
        let gross = (u128::from(net) * 10_000).div_ceil(10_000 - u128::from(self.bps));
        let gross = if gross - u128::from(net) >= u128::from(self.max) {
            net.checked_add(self.max)?
        } else {
            u64::try_from(gross).ok()?
        };
        Some(self.on(gross))
    }
}

/// Everything a quote depends on besides the amount.
#[derive(Debug, Clone, Copy)]
pub struct Quote<'a> {
    /// The pool.
    pub pool: &'a PoolState,
    /// Its fee schedule.
    pub config: &'a AmmConfig,
    /// Balance of vault 0, owed fees included.
    pub vault_0: u64,
    /// Balance of vault 1, owed fees included.
    pub vault_1: u64,
    /// Which way the swap goes.
    pub direction: Direction,
    /// Transfer fee of the token paid in.
    pub fee_in: TransferFee,
    /// Transfer fee of the token paid out.
    pub fee_out: TransferFee,
    /// Chain time in seconds.
    pub now: u64,
}

/// What a swap moves and what it adds to the pool's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swap {
    /// Sent by the user, transfer fee included.
    pub user_pays: u64,
    /// Sent by the pool, transfer fee included.
    pub pool_pays: u64,
    /// Arrives at the user.
    pub user_receives: u64,
    /// Arrives at the pool.
    pub input_amount: u64,
    /// Withheld by the input mint.
    pub input_transfer_fee: u64,
    /// Withheld by the output mint.
    pub output_transfer_fee: u64,
    /// Pool fee, in the input token.
    pub trade_fee: u64,
    /// Part of the pool fee owed to the protocol.
    pub protocol_fee: u64,
    /// Part of the pool fee owed to the fund.
    pub fund_fee: u64,
    /// Creator fee, in the token that `creator_fee_on_input` names.
    pub creator_fee: u64,
    /// Whether the creator is paid in the input token.
    pub creator_fee_on_input: bool,
    /// Input reserve before the swap, owed fees excluded.
    pub reserve_in: u64,
    /// Output reserve before the swap, owed fees excluded.
    pub reserve_out: u64,
}

struct Reserves {
    input: u128,
    output: u128,
}

struct CreatorFee {
    rate: u128,
    on_input: bool,
}

/// Result of the curve alone, transfer fees aside.
struct Curve {
    input: u128,
    output: u128,
    trade_fee: u128,
    creator_fee: u128,
    after_in: u128,
    after_out: u128,
}

impl Quote<'_> {
    /// Swaps exactly `amount_in` (transfer fee included).
    ///
    /// # Errors
    /// [`Refusal`] with the venue's own error number.
    pub fn base_input(&self, amount_in: u64) -> Result<Swap, Refusal> {
        self.check_open()?;
        let input_transfer_fee = self.fee_in.on(amount_in);
        let arriving = amount_in.saturating_sub(input_transfer_fee);
        if arriving == 0 {
            return Err(Refusal::Custom(code::REQUIRE_GT));
        }
        let reserves = self.reserves()?;
        let creator = self.creator_fee()?;
        let curve = self
            .curve_base_input(u128::from(arriving), &reserves, &creator)
            .ok_or(Refusal::Custom(code::ZERO_TRADING_TOKENS))?;
        check_product(&reserves, &curve)?;
        let pool_pays = narrow(curve.output)?;
        let output_transfer_fee = self.fee_out.on(pool_pays);
        let user_receives = pool_pays.checked_sub(output_transfer_fee).ok_or(Refusal::Abort)?;
        if user_receives == 0 {
            return Err(Refusal::Custom(code::REQUIRE_GT));
        }
        self.finish(
            &reserves,
            &creator,
            &curve,
            Moved { user_pays: amount_in, user_receives, input_transfer_fee, output_transfer_fee },
        )
    }

    /// Swaps so that exactly `amount_out` arrives at the user.
    ///
    /// # Errors
    /// [`Refusal`] with the venue's own error number.
    pub fn base_output(&self, amount_out: u64) -> Result<Swap, Refusal> {
        self.check_open()?;
        let out_fee = self.fee_out.to_deliver(amount_out).ok_or(Refusal::Abort)?;
        let gross_out = amount_out.checked_add(out_fee).ok_or(Refusal::Abort)?;
        if gross_out == 0 {
            return Err(Refusal::Custom(code::REQUIRE_GT));
        }
        let reserves = self.reserves()?;
        let creator = self.creator_fee()?;
        let curve = self.curve_base_output(u128::from(gross_out), &reserves, &creator)?;
        check_product(&reserves, &curve)?;
        let arriving = narrow(curve.input)?;
        if arriving == 0 {
            return Err(Refusal::Custom(code::REQUIRE_GT));
        }
        let input_transfer_fee = self.fee_in.to_deliver(arriving).ok_or(Refusal::Abort)?;
        let user_pays = arriving.checked_add(input_transfer_fee).ok_or(Refusal::Abort)?;
        self.finish(
            &reserves,
            &creator,
            &curve,
            Moved {
                user_pays,
                user_receives: gross_out.saturating_sub(self.fee_out.on(gross_out)),
                input_transfer_fee,
                output_transfer_fee: out_fee,
            },
        )
    }

    fn check_open(&self) -> Result<(), Refusal> {
        if self.pool.swap_disabled() || self.now < self.pool.open_time {
            return Err(Refusal::Custom(code::NOT_APPROVED));
        }
        Ok(())
    }

    fn reserves(&self) -> Result<Reserves, Refusal> {
        let (zero, one) = self
            .pool
            .net_reserves(self.vault_0, self.vault_1)
            .ok_or(Refusal::Custom(code::INSUFFICIENT_VAULT))?;
        Ok(match self.direction {
            Direction::ZeroForOne => Reserves { input: zero.into(), output: one.into() },
            Direction::OneForZero => Reserves { input: one.into(), output: zero.into() },
        })
    }

    fn creator_fee(&self) -> Result<CreatorFee, Refusal> {
        let on_input = match (self.pool.creator_fee_on, self.direction) {
            (0, _) | (1, Direction::ZeroForOne) | (2, Direction::OneForZero) => true,
            (1 | 2, _) => false,
            _ => return Err(Refusal::Custom(code::INVALID_FEE_MODEL)),
        };
        let rate = if self.pool.enable_creator_fee { self.config.creator_fee_rate } else { 0 };
        Ok(CreatorFee { rate: rate.into(), on_input })
    }

    fn curve_base_input(
        &self,
        arriving: u128,
        reserves: &Reserves,
        creator: &CreatorFee,
    ) -> Option<Curve> {
        let trade_rate = u128::from(self.config.trade_fee_rate);
        let (fee, creator_in) = if creator.on_input {
            let total = share_up(arriving, trade_rate.checked_add(creator.rate)?)?;
            let creator_in = split(total, trade_rate, creator.rate)?;
            (total.checked_sub(creator_in)?, creator_in)
        } else {
            (share_up(arriving, trade_rate)?, 0)
        };
        let traded = arriving.checked_sub(fee)?.checked_sub(creator_in)?;
        let leaving = reserves
            .output
            .checked_mul(traded)?
            .checked_div(reserves.input.checked_add(traded)?)?;
        let creator_out = if creator.on_input { 0 } else { share_up(leaving, creator.rate)? };
        Some(Curve {
            input: arriving,
            output: leaving.checked_sub(creator_out)?,
            trade_fee: fee,
            creator_fee: creator_in + creator_out,
            after_in: reserves.input.checked_add(traded)?,
            after_out: reserves.output.checked_sub(leaving)?,
        })
    }

    fn curve_base_output(
        &self,
        wanted: u128,
        reserves: &Reserves,
        creator: &CreatorFee,
    ) -> Result<Curve, Refusal> {
        const ZERO: Refusal = Refusal::Custom(code::ZERO_TRADING_TOKENS);
        let trade_rate = u128::from(self.config.trade_fee_rate);
        let leaving = if creator.on_input { wanted } else { gross_up(wanted, creator.rate)? };
        let rest = reserves.output.checked_sub(leaving).filter(|rest| *rest > 0);
        let rest = rest.ok_or(Refusal::Abort)?;
        let product = reserves.input.checked_mul(leaving).ok_or(Refusal::Abort)?;
        let traded = product.div_ceil(rest);
        let (input, creator_in) = if creator.on_input {
            let input = gross_up(traded, trade_rate + creator.rate)?;
            (input, split(input - traded, trade_rate, creator.rate).ok_or(ZERO)?)
        } else {
            (gross_up(traded, trade_rate)?, 0)
        };
        Ok(Curve {
            input,
            output: leaving - (leaving - wanted),
            trade_fee: input - traded - creator_in,
            creator_fee: creator_in + (leaving - wanted),
            after_in: reserves.input + traded,
            after_out: rest,
        })
    }

    fn finish(
        &self,
        reserves: &Reserves,
        creator: &CreatorFee,
        curve: &Curve,
        moved: Moved,
    ) -> Result<Swap, Refusal> {
        let share = |rate: u64| share_down(curve.trade_fee, rate.into()).ok_or(Refusal::Abort);
        Ok(Swap {
            user_pays: moved.user_pays,
            pool_pays: narrow(curve.output)?,
            user_receives: moved.user_receives,
            input_amount: narrow(curve.input)?,
            input_transfer_fee: moved.input_transfer_fee,
            output_transfer_fee: moved.output_transfer_fee,
            trade_fee: narrow(curve.trade_fee)?,
            protocol_fee: narrow(share(self.config.protocol_fee_rate)?)?,
            fund_fee: narrow(share(self.config.fund_fee_rate)?)?,
            creator_fee: narrow(curve.creator_fee)?,
            creator_fee_on_input: creator.on_input,
            reserve_in: narrow(reserves.input)?,
            reserve_out: narrow(reserves.output)?,
        })
    }
}

struct Moved {
    user_pays: u64,
    user_receives: u64,
    input_transfer_fee: u64,
    output_transfer_fee: u64,
}

fn check_product(reserves: &Reserves, curve: &Curve) -> Result<(), Refusal> {
    let before = reserves.input.checked_mul(reserves.output).ok_or(Refusal::Abort)?;
    let after = curve.after_in.checked_mul(curve.after_out).ok_or(Refusal::Abort)?;
    if after < before { Err(Refusal::Custom(code::REQUIRE_GTE)) } else { Ok(()) }
}

fn narrow(value: u128) -> Result<u64, Refusal> {
    u64::try_from(value).map_err(|_| Refusal::Abort)
}

/// `amount * rate`, rounded up.
fn share_up(amount: u128, rate: u128) -> Option<u128> {
    Some(amount.checked_mul(rate)?.div_ceil(RATE_ONE))
}

/// `amount * rate`, rounded down.
fn share_down(amount: u128, rate: u128) -> Option<u128> {
    Some(amount.checked_mul(rate)? / RATE_ONE)
}

/// The creator's part of a fee taken at the sum of both rates, rounded down.
///
/// With both rates zero the venue divides by zero and refuses the swap: so is it here.
fn split(total: u128, trade_rate: u128, creator_rate: u128) -> Option<u128> {
    total.checked_mul(creator_rate)?.checked_div(trade_rate.checked_add(creator_rate)?)
}

/// The least amount of which `net` remains after a fee at `rate`, rounded up. The venue aborts when
/// the rate leaves nothing.
fn gross_up(net: u128, rate: u128) -> Result<u128, Refusal> {
    let keep = RATE_ONE.checked_sub(rate).filter(|keep| *keep > 0).ok_or(Refusal::Abort)?;
    Ok(net.checked_mul(RATE_ONE).ok_or(Refusal::Abort)?.div_ceil(keep))
}
