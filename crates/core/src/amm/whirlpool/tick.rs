//! Ticks and square-root prices: tick `t` stands for the price 1.0001^t, kept as its square root in Q64.64.
//!
//! The program multiplies one factor per set bit of the tick, lowest first, and rounds down each time; so does this,
//! with the products of the low eight bits made at compile time.

use crate::units::widening_mul;

/// The lowest tick.
pub const MIN_TICK: i32 = -443_636;
/// The highest tick.
pub const MAX_TICK: i32 = 443_636;
/// The square-root price of [`MIN_TICK`].
pub const MIN_SQRT_PRICE: u128 = 4_295_048_016;
/// The square-root price of [`MAX_TICK`].
pub const MAX_SQRT_PRICE: u128 = 79_226_673_515_401_279_992_447_579_055;

/// 1.0001^(2^n / 2) in Q32.96, `n` from 0, as the program has it.
const RISING: [u128; 19] = [
    79_232_123_823_359_799_118_286_999_567,
    79_236_085_330_515_764_027_303_304_731,
    79_244_008_939_048_815_603_706_035_061,
    79_259_858_533_276_714_757_314_932_305,
    79_291_567_232_598_584_799_939_703_904,
    79_355_022_692_464_371_645_785_046_466,
    79_482_085_999_252_804_386_437_311_141,
    79_736_823_300_114_093_921_829_183_326,
    80_248_749_790_819_932_309_965_073_892,
    81_282_483_887_344_747_381_513_967_011,
    83_390_072_131_320_151_908_154_831_281,
    87_770_609_709_833_776_024_991_924_138,
    97_234_110_755_111_693_312_479_820_773,
    119_332_217_159_966_728_226_237_229_890,
    179_736_315_981_702_064_433_883_588_727,
    407_748_233_172_238_350_107_850_275_304,
    2_098_478_828_474_011_932_436_660_412_517,
    55_581_415_166_113_811_149_459_800_483_533,
    38_992_368_544_603_139_932_233_054_999_993_551,
];

/// 1.0001^(-2^n / 2) in Q64, `n` from 0, as the program has it.
const FALLING: [u128; 19] = [
    18_445_821_805_675_392_311,
    18_444_899_583_751_176_498,
    18_443_055_278_223_354_162,
    18_439_367_220_385_604_838,
    18_431_993_317_065_449_817,
    18_417_254_355_718_160_513,
    18_387_811_781_193_591_352,
    18_329_067_761_203_520_168,
    18_212_142_134_806_087_854,
    17_980_523_815_641_551_639,
    17_526_086_738_831_147_013,
    16_651_378_430_235_024_244,
    15_030_750_278_693_429_944,
    12_247_334_978_882_834_399,
    8_131_365_268_884_726_200,
    3_584_323_654_723_342_297,
    696_457_651_847_595_233,
    26_294_789_957_452_057,
    37_481_735_321_082,
];

const LOW_BITS: u32 = 8;
const LOW: usize = 1 << LOW_BITS;

static LOW_RISING: [u128; LOW] = low_products(&RISING, 1 << 96, 96);
static LOW_FALLING: [u128; LOW] = low_products(&FALLING, 1 << 64, 64);

#[expect(
    clippy::indexing_slicing,
    reason = "runs at compile time only, where a wrong index is an error"
)]
#[expect(clippy::arithmetic_side_effects, reason = "the same")]
const fn low_products(factors: &[u128; 19], one: u128, shift: u32) -> [u128; LOW] {
    let mut products = [one; LOW];
    let mut nth = 1;
    while nth < LOW {
        let mut bit = 0;
        while bit < 8 {
            if nth >> bit & 1 == 1 {
                products[nth] = multiply(products[nth], factors[bit], shift);
            }
            bit += 1;
        }
        nth += 1;
    }
    products
}

/// `a * b / 2^shift`, rounded down; the caller's numbers fit.
#[inline]
const fn multiply(a: u128, b: u128, shift: u32) -> u128 {
    let (high, low) = widening_mul(a, b);
    high.wrapping_shl(128_u32.wrapping_sub(shift)) | low.wrapping_shr(shift)
}

/// The square-root price of `tick`, which is held within the range that has one.
#[must_use]
pub fn sqrt_price_at(tick: i32) -> u128 {
    let tick = tick.clamp(MIN_TICK, MAX_TICK);
    let bits = tick.unsigned_abs();
    let low = usize::from(bits.to_le_bytes()[0]);
    let high = bits >> LOW_BITS;
    if tick >= 0 {
        rise(LOW_RISING.get(low).copied().unwrap_or_default(), high)
    } else {
        fall(LOW_FALLING.get(low).copied().unwrap_or_default(), high)
    }
}

#[inline]
fn rise(mut ratio: u128, mut bits: u32) -> u128 {
    for factor in RISING.iter().skip(8) {
        if bits & 1 == 1 {
            ratio = multiply(ratio, *factor, 96);
        }
        bits >>= 1;
    }
    ratio >> 32
}

#[inline]
fn fall(mut ratio: u128, mut bits: u32) -> u128 {
    for factor in FALLING.iter().skip(8) {
        if bits & 1 == 1 {
            // Both are at most 2^64 and one of them is less.
            ratio = ratio.wrapping_mul(*factor) >> 64;
        }
        bits >>= 1;
    }
    ratio
}

/// `2^32 / log2(sqrt(1.0001))`.
const TICKS_PER_DOUBLING: i128 = 59_543_866_431_248;
const FRACTION_BITS: u32 = 16;

/// The highest tick whose square-root price is not above `sqrt_price`, which is held within the range that has one.
#[must_use]
pub fn tick_at(sqrt_price: u128) -> i32 {
    let sqrt_price = sqrt_price.clamp(MIN_SQRT_PRICE, MAX_SQRT_PRICE);
    let zeros = sqrt_price.leading_zeros();
    let whole = i128::from(63_u32).wrapping_sub(i128::from(zeros));
    // The binary logarithm, bit by bit: squaring a number in [1, 2) doubles its logarithm.
    let mut mantissa = sqrt_price.wrapping_shl(zeros) >> 64;
    let mut fraction = 0_i128;
    for _ in 0..FRACTION_BITS {
        mantissa = mantissa.wrapping_mul(mantissa) >> 63;
        let carry = mantissa >> 64;
        mantissa >>= u32::from(carry == 1);
        fraction = (fraction << 1) | i128::from(carry == 1);
    }
    // Too low by less than 2^-16 doublings, 0.22 ticks: what it gives is the tick, or the one below it.
    let doublings = (whole << 32) | (fraction << (32 - FRACTION_BITS));
    let estimate = doublings.wrapping_mul(TICKS_PER_DOUBLING) >> 64;
    let mut tick = i32::try_from(estimate).unwrap_or(MIN_TICK).clamp(MIN_TICK, MAX_TICK);
    if tick > MIN_TICK && sqrt_price_at(tick) > sqrt_price {
        tick = tick.saturating_sub(1);
    }
    while tick < MAX_TICK && sqrt_price_at(tick.saturating_add(1)) <= sqrt_price {
        tick = tick.saturating_add(1);
    }
    tick
}
