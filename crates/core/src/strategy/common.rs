//! What the strategies that trade on candles share: bars as floats, memory per pair, entering and leaving.

use serde::{Deserialize, Serialize};

use super::Context;
use crate::event::Candle;
use crate::ids::{MintId, PairId};
use crate::order::{Intent, Reason};
use crate::risk::Mode;
use crate::stats::{price_to_f64, scale_usd};
use crate::units::{Bps, Price, Timestamp, Usd};

/// Why parameters make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ParamsError {
    /// The parameter.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The first of several conditions that does not hold.
pub(super) fn demand(rules: &[(bool, &'static str, &'static str)]) -> Result<(), ParamsError> {
    match rules.iter().find(|(holds, ..)| !holds) {
        Some((_, field, problem)) => Err(ParamsError { field, problem }),
        None => Ok(()),
    }
}

/// An entry below this is not worth its fee.
pub(super) const ENTRY_MIN: Usd = Usd::dollars(1);

/// The longest window of any indicator: a bound on memory.
pub(super) const WINDOW_MAX: u16 = 10_000;

/// A candle in floats; quote atoms per base atom.
#[derive(Clone, Copy)]
pub(super) struct Bar {
    pub(super) high: f64,
    pub(super) low: f64,
    pub(super) close: f64,
    pub(super) width: Timestamp,
    pub(super) after_gap: bool,
}

impl Bar {
    /// `None` for a candle that cannot be: a price of zero, or a close outside its range.
    pub(super) fn of(candle: &Candle) -> Option<Self> {
        let [low, close, high] = [candle.low, candle.close, candle.high].map(Price::raw);
        let sound = low > 0 && low <= close && close <= high;
        sound.then(|| Self {
            high: price_to_f64(candle.high),
            low: price_to_f64(candle.low),
            close: price_to_f64(candle.close),
            width: candle.width,
            after_gap: candle.after_gap,
        })
    }
}

/// A pair that is traded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Traded {
    pub(super) pair: PairId,
    pub(super) base: MintId,
    pub(super) quote: MintId,
}

/// Memory per pair, made when its first candle comes.
///
/// A mint is traded through one pair only, the first that is quoted in dollars, so that a position has one
/// master.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pairs<T> {
    known: Vec<(Traded, T)>,
}

impl<T> Pairs<T> {
    pub(super) fn new() -> Self {
        Self { known: Vec::with_capacity(16) }
    }

    /// The pair's memory; `None` for a pair that is not traded.
    pub(super) fn of(
        &mut self,
        cx: &Context<'_>,
        pair: PairId,
        make: impl FnOnce() -> T,
    ) -> Option<(Traded, &mut T)> {
        let at = match self.known.iter().position(|(traded, _)| traded.pair == pair) {
            Some(at) => at,
            None => {
                let found = cx.market.pair(pair)?;
                let traded = Traded { pair, base: found.base, quote: found.quote };
                let taken = self.known.iter().any(|(other, _)| other.base == traded.base);
                if taken || !cx.market.is_usd(traded.quote) {
                    return None;
                }
                self.known.push((traded, make()));
                self.known.len().checked_sub(1)?
            }
        };
        self.known.get_mut(at).map(|(traded, state)| (*traded, state))
    }
}

impl Traded {
    /// Buys for `share` of the budget, as far as limits and cash allow.
    pub(super) fn enter(
        self,
        cx: &Context<'_>,
        share: f64,
        slippage: Bps,
        reason: Reason,
    ) -> Option<Intent> {
        if cx.mode != Mode::Run || cx.book.stopped().is_some() {
            return None;
        }
        let wanted = scale_usd(cx.book.allowance().budget, share);
        let value = cx.size(self.quote, wanted);
        if value < ENTRY_MIN { None } else { cx.buy(self.pair, value, slippage, reason) }
    }

    /// Sells all that is held.
    pub(super) fn leave(self, cx: &Context<'_>, slippage: Bps, reason: Reason) -> Option<Intent> {
        if cx.mode > Mode::ReduceOnly { None } else { cx.sell_all(self.pair, slippage, reason) }
    }
}
