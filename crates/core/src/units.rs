//! Integer quantities with a unit in the type.
//!
//! Money is never `f64` and never changes unit without a named function. Products widen to `u128`; every
//! division says which way it rounds. House rule: **round against us**: what we receive rounds down, what we
//! pay or demand rounds up.

use serde::{Deserialize, Serialize};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);
            /// The greatest value.
            pub const MAX: Self = Self(<$inner>::MAX);

            /// Wraps a bare number.
            #[must_use]
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The bare number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }

            /// `self + other`, or `None` past the range.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// `self - other`, or `None` below the range.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// `self + other`, held at the end of the range.
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// `self - other`, held at the end of the range.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

quantity!(
    /// The smallest part of a SOL: 10⁻⁹.
    Lamports(u64)
);
quantity!(
    /// The smallest part of any token. What a whole token is, its mint's decimals say.
    Atoms(u64)
);
quantity!(
    /// Chain time: about 400 ms each, some without a block.
    Slot(u64)
);
quantity!(
    /// Number of blocks below this one. Lags behind [`Slot`], and is what a transaction expires by.
    BlockHeight(u64)
);
quantity!(
    /// Number of an event in the journal.
    Seq(u64)
);
quantity!(
    /// Microseconds since the Unix epoch, or a span of them.
    Timestamp(i64)
);
quantity!(
    /// Signed millionths of a US dollar: for valuing and limiting, never for settling.
    Usd(i64)
);

impl Atoms {
    /// The least output we accept: `self` less `slippage`, rounded up.
    ///
    /// ```
    /// use sniper_core::units::{Atoms, Bps};
    /// let half_percent = Bps::new(50).unwrap();
    /// assert_eq!(Atoms::new(1_001).less(half_percent), Atoms::new(996)); // 995.995 rounds up
    /// ```
    #[must_use]
    pub fn less(self, slippage: Bps) -> Self {
        let kept = u128::from(Bps::WHOLE.saturating_sub(slippage.get()));
        // A share of at most one of a u64 fits a u64.
        Self(mul_div_up(self.0, kept, u128::from(Bps::WHOLE)).unwrap_or(self.0))
    }

    /// `share` of `self`, rounded down.
    #[must_use]
    pub fn share_down(self, share: Bps) -> Self {
        Self(mul_div_down(self.0, u128::from(share.get()), u128::from(Bps::WHOLE)).unwrap_or(0))
    }
}

/// `value * numerator / denominator` rounded down; `None` when it does not fit or `denominator` is zero.
#[must_use]
pub fn mul_div_down(value: u64, numerator: u128, denominator: u128) -> Option<u64> {
    let product = u128::from(value).checked_mul(numerator)?;
    u64::try_from(product.checked_div(denominator)?).ok()
}

/// `value * numerator / denominator` rounded up; `None` when it does not fit or `denominator` is zero.
#[must_use]
pub fn mul_div_up(value: u64, numerator: u128, denominator: u128) -> Option<u64> {
    let product = u128::from(value).checked_mul(numerator)?;
    u64::try_from(quotient_up(product, denominator)?).ok()
}

/// `numerator / denominator` rounded up, with one division; `None` when `denominator` is zero.
#[inline]
pub(crate) const fn quotient_up(numerator: u128, denominator: u128) -> Option<u128> {
    match numerator.checked_div(denominator) {
        // A quotient that is not exact lies below the greatest number.
        Some(down) if down.wrapping_mul(denominator) != numerator => Some(down.saturating_add(1)),
        exact => exact,
    }
}

/// A share in hundredths of a percent, at most one whole.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u16", into = "u16")]
pub struct Bps(u16);

impl Bps {
    /// 10 000: all of it.
    pub const WHOLE: u16 = 10_000;
    /// None of it.
    pub const ZERO: Self = Self(0);

    /// A share; `None` above 10 000.
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        if value <= Self::WHOLE { Some(Self(value)) } else { None }
    }

    /// A share, held at one whole.
    #[must_use]
    pub const fn capped(value: u16) -> Self {
        if value <= Self::WHOLE { Self(value) } else { Self(Self::WHOLE) }
    }

    /// The bare number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Bps {
    type Error = &'static str;

    fn try_from(value: u16) -> Result<Self, Self::Error> {
        Self::new(value).ok_or("a share in basis points is at most 10000")
    }
}

impl From<Bps> for u16 {
    fn from(value: Bps) -> Self {
        value.0
    }
}

/// Quote atoms per base atom, as Q64.64.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Price(u128);

impl Price {
    /// One quote atom for one base atom.
    pub const ONE: Self = Self(1 << 64);

    /// From the raw Q64.64 number.
    #[must_use]
    pub const fn from_raw(raw: u128) -> Self {
        Self(raw)
    }

    /// The raw Q64.64 number.
    #[must_use]
    pub const fn raw(self) -> u128 {
        self.0
    }

    /// `quote / base`, rounded down; `None` when `base` is zero.
    #[must_use]
    pub fn of(quote: u64, base: u64) -> Option<Self> {
        (u128::from(quote) << 64).checked_div(u128::from(base)).map(Self)
    }

    /// What `base` is worth, in quote atoms, rounded down; `None` when it does not fit.
    #[must_use]
    pub fn value_down(self, base: Atoms) -> Option<Atoms> {
        self.value_of(base).map(|(value, _)| value)
    }

    /// What `base` is worth, in quote atoms, rounded down, and what is left over of one, times 2^64.
    fn value_of(self, base: Atoms) -> Option<(Atoms, u64)> {
        const MASK: u128 = (1 << 64) - 1;
        let base = u128::from(base.get());
        // Neither product nor their sum can pass 128 bits: (2^64-1)^2 + (2^64-1) < 2^128.
        let low = (self.0 & MASK).wrapping_mul(base);
        let value = (self.0 >> 64).wrapping_mul(base).wrapping_add(low >> 64);
        let rest = u64::try_from(low & MASK).unwrap_or(u64::MAX);
        u64::try_from(value).ok().map(|value| (Atoms::new(value), rest))
    }

    /// What `base` is worth, in quote atoms, rounded up; `None` when it does not fit.
    #[must_use]
    pub fn value_up(self, base: Atoms) -> Option<Atoms> {
        let (down, rest) = self.value_of(base)?;
        if rest == 0 { Some(down) } else { down.checked_add(Atoms::new(1)) }
    }

    /// `self * other`, rounded down; `None` when it does not fit.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        let (high, low) = widening_mul(self.0, other.0);
        if high >> 64 != 0 {
            return None;
        }
        Some(Self((high << 64) | (low >> 64)))
    }

    /// The price the other way round, rounded down to within one of its last place; none for zero.
    #[must_use]
    pub fn inverse(self) -> Option<Self> {
        u128::MAX.checked_div(self.0).map(Self)
    }

    /// How far `self` lies from `other`, as a share of `other`, rounded up and held at one whole.
    #[must_use]
    pub fn distance(self, other: Self) -> Bps {
        let gap = self.0.abs_diff(other.0);
        if gap == 0 {
            return Bps::ZERO;
        }
        // Both are scaled down together so that the product fits; the share keeps at least 64 bits.
        let shift = 128_u32.saturating_sub(gap.max(other.0).leading_zeros()).saturating_sub(112);
        let (gap, base) = (gap >> shift, other.0 >> shift);
        if base == 0 {
            return Bps::capped(Bps::WHOLE);
        }
        let share = gap.saturating_mul(u128::from(Bps::WHOLE)).div_ceil(base);
        Bps::capped(u16::try_from(share).unwrap_or(u16::MAX))
    }
}

/// The 256-bit product of two 128-bit numbers, as (high, low).
#[must_use]
pub(crate) const fn widening_mul(a: u128, b: u128) -> (u128, u128) {
    const MASK: u128 = (1 << 64) - 1;
    let (a1, a0) = (a >> 64, a & MASK);
    let (b1, b0) = (b >> 64, b & MASK);
    // No partial sum below can pass 128 bits: (2^64-1)^2 + 2 * (2^64-1) = 2^128 - 1.
    let low = a0.wrapping_mul(b0);
    let mid = a1.wrapping_mul(b0).wrapping_add(low >> 64);
    let mid_low = a0.wrapping_mul(b1).wrapping_add(mid & MASK);
    let high = a1.wrapping_mul(b1).wrapping_add(mid >> 64).wrapping_add(mid_low >> 64);
    (high, (mid_low << 64) | (low & MASK))
}

impl Timestamp {
    /// One second.
    pub const SECOND: Self = Self(1_000_000);
    /// One day.
    pub const DAY: Self = Self(86_400_000_000);

    /// A span of milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Whole milliseconds, rounded down.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The start of the span of `width` that holds `self`; `self` when `width` is not positive.
    #[must_use]
    pub const fn floor(self, width: Self) -> Self {
        match self.0.checked_rem_euclid(width.0) {
            Some(rest) if width.0 > 0 => Self(self.0.saturating_sub(rest)),
            _ => self,
        }
    }
}

impl Usd {
    /// Whole dollars.
    #[must_use]
    pub const fn dollars(dollars: i64) -> Self {
        Self(dollars.saturating_mul(1_000_000))
    }

    /// `share` of `self`, rounded towards zero.
    #[must_use]
    pub fn share(self, share: Bps) -> Self {
        let product = i128::from(self.0).saturating_mul(i128::from(share.get()));
        let value = product.checked_div(i128::from(Bps::WHOLE)).unwrap_or(0);
        Self(i64::try_from(value).unwrap_or(self.0))
    }

    /// `-self`.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// The absolute value.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_distance_is_symmetric_in_sign_and_capped() {
        let (a, b) = (Price::of(101, 1).unwrap(), Price::of(100, 1).unwrap());
        assert_eq!(a.distance(b), Bps::new(100).unwrap());
        assert_eq!(b.distance(b), Bps::ZERO);
        assert_eq!(a.distance(Price::default()), Bps::new(10_000).unwrap());
    }

    #[test]
    fn a_floor_holds_before_the_epoch() {
        assert_eq!(Timestamp::new(-1).floor(Timestamp::new(10)), Timestamp::new(-10));
        assert_eq!(Timestamp::new(25).floor(Timestamp::new(10)), Timestamp::new(20));
        assert_eq!(Timestamp::new(25).floor(Timestamp::ZERO), Timestamp::new(25));
    }

    proptest! {
        #[test]
        fn a_wide_product_agrees_with_exact_division(a in any::<u128>(), b in 1_u128..) {
            let (high, low) = widening_mul(a, b);
            // (high, low) / b == a, checked in 64-bit limbs by reducing modulo a prime.
            const P: u128 = (1 << 61) - 1;
            let fold = |x: u128| (x >> 64) % P * ((1_u128 << 64) % P) % P + (x & ((1 << 64) - 1)) % P;
            let m128 = ((1_u128 << 64) % P) * ((1_u128 << 64) % P) % P;
            let product = fold(high) % P * m128 % P + fold(low) % P;
            prop_assert_eq!(product % P, (fold(a) % P) * (fold(b) % P) % P);
            prop_assert_eq!(low, a.wrapping_mul(b));
        }

        #[test]
        fn a_value_rounds_to_neighbours(quote in 1_u64.., base in 1_u64.., amount in 0_u64..1 << 40) {
            let price = Price::of(quote, base).unwrap();
            if let (Some(down), Some(up)) = (price.value_down(Atoms::new(amount)), price.value_up(Atoms::new(amount))) {
                prop_assert!(up.get() - down.get() <= 1);
                let exact = u128::from(amount) * u128::from(quote) / u128::from(base);
                prop_assert!(u128::from(down.get()) <= exact);
            }
        }

        #[test]
        fn less_never_accepts_below_the_exact_share(amount in any::<u64>(), bps in 0_u16..=10_000) {
            let kept = Atoms::new(amount).less(Bps::new(bps).unwrap()).get();
            prop_assert!(u128::from(kept) * 10_000 >= u128::from(amount) * u128::from(10_000 - bps));
            prop_assert!(kept <= amount);
        }
    }
}
