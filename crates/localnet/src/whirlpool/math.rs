//! Amounts between two prices, the price after an amount, and one step of a swap.
//!
//! Written from the exchange's documented formulas, independently of the engine's own maths, so that a
//! fault in one of the two shows as a difference between them.
//!
//! With `L` the liquidity and `p`, `q` the lower and upper root price: token A between them is
//! `L (q - p) / (p q)`, token B is `L (q - p)`. Rounding: what is paid rounds up, what is received rounds
//! down; the price after an amount of A rounds up, after an amount of B down; the fee rounds up.

use ruint::aliases::U256;

use super::error::{self, Refusal};
use super::tick_math::{MAX_SQRT_PRICE, MIN_SQRT_PRICE};

/// Fee rates are parts of this many.
pub const FEE_ONE: u64 = 1_000_000;
/// Protocol shares are parts of this many.
pub const PROTOCOL_ONE: u64 = 10_000;

/// An amount of atoms between two prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// It is this many.
    Atoms(u64),
    /// It is more than any account holds; the exchange reports it as this.
    TooMany(Refusal),
}

impl Amount {
    fn atoms(self) -> Result<u64, Refusal> {
        match self {
            Self::Atoms(atoms) => Ok(atoms),
            Self::TooMany(refusal) => Err(refusal),
        }
    }
}

fn wide(value: u128) -> U256 {
    U256::from(value)
}

fn ordered(one: u128, other: u128) -> (u128, u128) {
    (one.min(other), one.max(other))
}

/// `liquidity * factor` in Q64.64, which must leave 64 bits free.
fn scaled_product(liquidity: u128, factor: u128) -> Result<U256, Refusal> {
    let product = wide(liquidity) * wide(factor);
    if product.bit_len() > 192 {
        return Err(error::MULTIPLICATION_OVERFLOW);
    }
    Ok(product << 64)
}

/// Atoms of token A between two root prices.
///
/// # Errors
/// An intermediate product above 256 bits.
pub fn amount_a(
    one: u128,
    other: u128,
    liquidity: u128,
    round_up: bool,
) -> Result<Amount, Refusal> {
    let (low, high) = ordered(one, other);
    let numerator = scaled_product(liquidity, high - low)?;
    let denominator = wide(low) * wide(high);
    if denominator.is_zero() {
        return Err(Refusal::Abort);
    }
    let atoms = if round_up { numerator.div_ceil(denominator) } else { numerator / denominator };
    Ok(match (u64::try_from(atoms), u128::try_from(atoms)) {
        (Ok(atoms), _) => Amount::Atoms(atoms),
        (Err(_), Ok(_)) => Amount::TooMany(error::TOKEN_MAX_EXCEEDED),
        (Err(_), Err(_)) => Amount::TooMany(error::NUMBER_DOWN_CAST),
    })
}

/// Atoms of token B between two root prices.
#[must_use]
pub fn amount_b(one: u128, other: u128, liquidity: u128, round_up: bool) -> Amount {
    let (low, high) = ordered(one, other);
    let product = wide(liquidity) * wide(high - low);
    if product.bit_len() > 128 {
        return Amount::TooMany(error::MULTIPLICATION_SHIFT_RIGHT_OVERFLOW);
    }
    let one = U256::ONE << 64;
    let atoms = if round_up { product.div_ceil(one) } else { product / one };
    match u64::try_from(atoms) {
        Ok(atoms) => Amount::Atoms(atoms),
        Err(_) => Amount::TooMany(error::MULTIPLICATION_OVERFLOW),
    }
}

/// Root price after `amount` of token A came in, or went out; rounded up.
///
/// # Errors
/// The amount is more than there is, or the price leaves the range of ticks.
pub fn price_after_a(
    price: u128,
    liquidity: u128,
    amount: u64,
    comes_in: bool,
) -> Result<u128, Refusal> {
    if amount == 0 {
        return Ok(price);
    }
    // p' = L p / (L + amount p), all in Q64.64.
    let numerator = scaled_product(liquidity, price)?;
    let moved = wide(price) * U256::from(amount);
    let held = wide(liquidity) << 64;
    let denominator = if comes_in {
        held + moved
    } else if held > moved {
        held - moved
    } else {
        return Err(error::DIVIDE_BY_ZERO);
    };
    let after =
        u128::try_from(numerator.div_ceil(denominator)).map_err(|_| error::NUMBER_DOWN_CAST)?;
    if after < MIN_SQRT_PRICE {
        return Err(error::TOKEN_MIN_SUBCEEDED);
    }
    if after > MAX_SQRT_PRICE {
        return Err(error::TOKEN_MAX_EXCEEDED);
    }
    Ok(after)
}

/// Root price after `amount` of token B came in, or went out; rounded down.
///
/// # Errors
/// No liquidity, or a price below zero or above 128 bits.
pub fn price_after_b(
    price: u128,
    liquidity: u128,
    amount: u64,
    comes_in: bool,
) -> Result<u128, Refusal> {
    let scaled = u128::from(amount) << 64;
    if liquidity == 0 {
        return Err(error::DIVIDE_BY_ZERO);
    }
    let after = if comes_in {
        price.checked_add(scaled / liquidity)
    } else {
        price.checked_sub(scaled.div_ceil(liquidity))
    };
    after.ok_or(error::SQRT_PRICE_OUT_OF_BOUNDS)
}

/// What a swap wants, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Token A in and token B out; the price falls.
    pub a_to_b: bool,
    /// Whether the amount is what goes in, and not what comes out.
    pub exact_in: bool,
}

impl Way {
    /// Whether the fixed amount is one of token A.
    fn fixes_a(self) -> bool {
        self.a_to_b == self.exact_in
    }

    /// The fixed side between two prices: rounded up if it goes in, down if it comes out.
    fn fixed(self, from: u128, to: u128, liquidity: u128) -> Result<Amount, Refusal> {
        if self.fixes_a() {
            amount_a(from, to, liquidity, self.exact_in)
        } else {
            Ok(amount_b(from, to, liquidity, self.exact_in))
        }
    }

    /// The other side between two prices, rounded the other way.
    fn other(self, from: u128, to: u128, liquidity: u128) -> Result<Amount, Refusal> {
        if self.fixes_a() {
            Ok(amount_b(from, to, liquidity, !self.exact_in))
        } else {
            amount_a(from, to, liquidity, !self.exact_in)
        }
    }
}

/// What one stretch of constant liquidity gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Atoms in, fee excluded.
    pub amount_in: u64,
    /// Atoms out.
    pub amount_out: u64,
    /// Fee, in the token that goes in.
    pub fee: u64,
    /// Root price afterwards.
    pub price: u128,
}

/// Swaps at most `budget` between `from` and `target`. `fee_rate` is in parts of [`FEE_ONE`].
///
/// # Errors
/// Amounts that fit no account, with the exchange's number.
pub fn step(
    way: Way,
    budget: u64,
    fee_rate: u16,
    liquidity: u128,
    from: u128,
    target: u128,
) -> Result<Step, Refusal> {
    let keep = FEE_ONE - u64::from(fee_rate);
    let net = if way.exact_in { share(budget, keep, FEE_ONE)? } else { budget };
    let whole = way.fixed(from, target, liquidity)?;
    let price = match whole {
        Amount::Atoms(atoms) if atoms <= net => target,
        _ if way.fixes_a() => price_after_a(from, liquidity, net, way.exact_in)?,
        _ => price_after_b(from, liquidity, net, way.exact_in)?,
    };
    let reached = price == target;
    let other = way.other(from, price, liquidity)?.atoms()?;
    let fixed = match whole {
        Amount::Atoms(atoms) if reached => atoms,
        _ => way.fixed(from, price, liquidity)?.atoms()?,
    };
    let (amount_in, amount_out) =
        if way.exact_in { (fixed, other) } else { (other, fixed.min(budget)) };
    // A swap that ends within the stretch pays all that is left of its budget.
    let fee = if way.exact_in && !reached {
        budget.checked_sub(amount_in).ok_or(Refusal::Abort)?
    } else {
        let fee = (u128::from(amount_in) * u128::from(fee_rate)).div_ceil(u128::from(keep));
        u64::try_from(fee).map_err(|_| error::NUMBER_CAST)?
    };
    Ok(Step { amount_in, amount_out, fee, price })
}

/// `amount * part / whole`, rounded down.
pub(super) fn share(amount: u64, part: u64, whole: u64) -> Result<u64, Refusal> {
    let scaled = (u128::from(amount) * u128::from(part)).checked_div(u128::from(whole));
    scaled.and_then(|scaled| u64::try_from(scaled).ok()).ok_or(Refusal::Abort)
}
