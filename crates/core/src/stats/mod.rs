//! Streaming indicators: constant time per update, memory set aside once, the only floats in the core.
//!
//! Only `+ - * /` and square roots are used, which every machine computes to the same bits; returns are simple
//! ones, not logarithms. Where [`kand`] has an incremental form that agrees with TA-Lib, it is used.
//!
//! Each indicator has `update`, `value` (none until warm) and `reset`; a caller resets all of its indicators when
//! a bar comes after a gap, because a difference across missing bars is not a difference of neighbours.
//!
//! Running sums drift: adding and taking away the same number does not always cancel. So every indicator that
//! keeps one works it out afresh each time its window has been replaced in full, which bounds the drift and costs
//! a constant per update. The sums count from an anchor near the data, so that squares do not cancel.
#![expect(clippy::float_arithmetic, reason = "statistics decide, they never settle")]

mod average;
pub mod bulk;
mod convert;
mod dispersion;
mod momentum;
mod range;
mod reversion;
mod ring;

pub use average::{Ema, Sma};
pub use convert::{below, price_to_f64, ratio, scale_atoms, scale_usd, share_of, times, whole};
pub use dispersion::{EwmaVolatility, RollingMeanStd};
pub use momentum::{EfficiencyRatio, Momentum, Rsi};
pub use range::{Atr, ChandelierStop, Donchian, Highest, Lowest};
pub use reversion::HalfLife;
