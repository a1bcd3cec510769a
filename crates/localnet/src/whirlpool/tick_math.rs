//! Ticks and square-root prices (Q64.64, token B for token A in atoms).
//!
//! The price of tick `i` is 1.0001^i. Its root is a product of tabled powers, one for each bit of `|i|`,
//! each factor rounded down: the table and the roundings are part of what the exchange promises. The
//! way back is a search over the same function, which is slow and cannot disagree with it.

use ruint::aliases::U256;

/// Lowest tick.
pub const MIN_TICK: i32 = -443_636;
/// Highest tick.
pub const MAX_TICK: i32 = 443_636;
/// Root price of [`MIN_TICK`].
pub const MIN_SQRT_PRICE: u128 = 4_295_048_016;
/// Root price of [`MAX_TICK`].
pub const MAX_SQRT_PRICE: u128 = 79_226_673_515_401_279_992_447_579_055;

/// 1.0001^(2^k / 2) in Q96, for each k.
const UP: [u128; 19] = [
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

/// 1.0001^(-2^k / 2) in Q64, for each k.
const DOWN: [u128; 19] = [
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

/// Root price of a tick. Ticks out of range have the price of the nearest one in range.
#[must_use]
pub fn sqrt_price_at(tick: i32) -> u128 {
    let tick = tick.clamp(MIN_TICK, MAX_TICK);
    let (table, fraction_bits) = if tick >= 0 { (&UP, 96) } else { (&DOWN, 64) };
    let steps = tick.unsigned_abs();
    let mut root = U256::ONE << fraction_bits;
    for (bit, factor) in table.iter().enumerate() {
        if steps >> bit & 1 == 1 {
            root = (root * U256::from(*factor)) >> fraction_bits;
        }
    }
    root >>= fraction_bits - 64;
    u128::try_from(root).unwrap_or(MAX_SQRT_PRICE)
}

/// The highest tick whose price is not above `sqrt_price`.
#[must_use]
pub fn tick_at(sqrt_price: u128) -> i32 {
    let (mut low, mut high) = (MIN_TICK, MAX_TICK);
    while low < high {
        let middle = low + (high - low + 1) / 2;
        if sqrt_price_at(middle) <= sqrt_price {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}
