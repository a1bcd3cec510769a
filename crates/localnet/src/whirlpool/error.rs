//! Error numbers of the exchange.

/// Why the exchange refuses a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A custom program error with this number.
    Custom(u32),
    /// Arithmetic on which the program aborts.
    Abort,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $text:literal, $doc:literal;)*) => {
        $(#[doc = $doc] pub const $name: Refusal = Refusal::Custom($number);)*

        /// The exchange's name of an error number, if it has one.
        #[must_use]
        pub fn name(number: u32) -> Option<&'static str> {
            match number { $($number => Some($text),)* _ => None }
        }
    };
}

// 6000 + index in the program's list.
codes! {
    DIVIDE_BY_ZERO = 6006, "DivideByZero", "A division by zero.";
    NUMBER_CAST = 6007, "NumberCastError", "A number does not fit its type.";
    NUMBER_DOWN_CAST = 6008, "NumberDownCastError", "A quotient does not fit its type.";
    SQRT_PRICE_OUT_OF_BOUNDS = 6011, "SqrtPriceOutOfBounds", "A price no tick has.";
    LIQUIDITY_OVERFLOW = 6014, "LiquidityOverflow", "Too much liquidity.";
    LIQUIDITY_UNDERFLOW = 6015, "LiquidityUnderflow", "Less than no liquidity.";
    TOKEN_MAX_EXCEEDED = 6017, "TokenMaxExceeded", "An amount or price above its maximum.";
    TOKEN_MIN_SUBCEEDED = 6018, "TokenMinSubceeded", "A price below its minimum.";
    INVALID_TIMESTAMP = 6022, "InvalidTimestamp", "The clock is behind the pool's.";
    INVALID_TICK_ARRAY_SEQUENCE = 6023, "InvalidTickArraySequence",
        "The first tick array is not that of the pool's price.";
    MULTIPLICATION_SHIFT_RIGHT_OVERFLOW = 6030, "MultiplicationShiftRightOverflow",
        "An amount of token B above what fits.";
    MULTIPLICATION_OVERFLOW = 6033, "MultiplicationOverflow", "A product that does not fit.";
    INVALID_SQRT_PRICE_LIMIT_DIRECTION = 6034, "InvalidSqrtPriceLimitDirection",
        "The price limit is on the wrong side of the price.";
    ZERO_TRADABLE_AMOUNT = 6035, "ZeroTradableAmount", "Nothing to swap.";
    AMOUNT_OUT_BELOW_MINIMUM = 6036, "AmountOutBelowMinimum", "Less out than the caller accepts.";
    AMOUNT_IN_ABOVE_MAXIMUM = 6037, "AmountInAboveMaximum", "More in than the caller accepts.";
    TICK_ARRAY_SEQUENCE_INVALID_INDEX = 6038, "TickArraySequenceInvalidIndex",
        "The swap goes beyond the tick arrays given.";
    AMOUNT_CALC_OVERFLOW = 6039, "AmountCalcOverflow", "The computed side does not fit.";
    AMOUNT_REMAINING_OVERFLOW = 6040, "AmountRemainingOverflow", "More was used than given.";
    REMAINING_ACCOUNTS_INVALID_SLICE = 6048, "RemainingAccountsInvalidSlice",
        "A kind of remaining accounts that a swap does not take.";
    REMAINING_ACCOUNTS_INSUFFICIENT = 6049, "RemainingAccountsInsufficient",
        "Fewer remaining accounts than announced.";
    TRANSFER_FEE_CALCULATION = 6052, "TransferFeeCalculationError",
        "An amount with its transfer fee does not fit.";
    REMAINING_ACCOUNTS_DUPLICATED = 6053, "RemainingAccountsDuplicatedAccountsType",
        "One kind of remaining accounts twice.";
    TOO_MANY_SUPPLEMENTAL_TICK_ARRAYS = 6055, "TooManySupplementalTickArrays",
        "More than three supplemental tick arrays.";
    DIFFERENT_WHIRLPOOL_TICK_ARRAY = 6056, "DifferentWhirlpoolTickArrayAccount",
        "A tick array of another pool.";
    PARTIAL_FILL = 6057, "PartialFillError",
        "Not all of an exact output can be had, and no price limit was set.";
}
