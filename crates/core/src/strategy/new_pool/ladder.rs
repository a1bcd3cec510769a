//! Taking profit in parts.

use crate::strategy::new_pool::Rung;
use crate::units::{Atoms, Bps, Usd, mul_div_down, mul_div_up};

/// What is left of a whole once a rung and those below it are sold: cut from the whole, so that roundings do not add up.
pub(super) fn left(whole: Atoms, ladder: &[Rung], rung: usize) -> Atoms {
    let rungs = ladder.iter().take(rung.saturating_add(1));
    let shares = rungs.map(|rung| u128::from(rung.share.get())).fold(0, u128::saturating_add);
    let sold = mul_div_down(whole.get(), shares, u128::from(Bps::WHOLE));
    whole.saturating_sub(Atoms::new(sold.unwrap_or(u64::MAX)))
}

/// The parts that a ladder cuts a whole into, the last of which is left to the stops. Their sum is the whole.
///
/// ```
/// use sniper_core::strategy::new_pool::{Rung, parts};
/// use sniper_core::units::{Atoms, Bps};
/// let third = Rung { gain: 5_000, share: Bps::new(3_333).unwrap() };
/// assert_eq!(parts(Atoms::new(100), &[third, third]), [33, 33, 34].map(Atoms::new));
/// ```
#[must_use]
pub fn parts(whole: Atoms, ladder: &[Rung]) -> Vec<Atoms> {
    let mut before = whole;
    let mut parts: Vec<Atoms> = (0..ladder.len())
        .map(|rung| {
            let left = left(whole, ladder, rung);
            let part = before.saturating_sub(left);
            before = left;
            part
        })
        .collect();
    parts.push(before);
    parts
}

/// The least that a part of a whole that cost `cost` must bring for a rung, rounded up at every step.
pub(super) fn least(cost: Usd, part: Atoms, whole: Atoms, rung: Rung) -> Option<Usd> {
    let cost = u64::try_from(cost.get()).ok()?;
    let of_part = mul_div_up(cost, u128::from(part.get()), u128::from(whole.get()))?;
    let numerator = u128::from(Bps::WHOLE).saturating_add(u128::from(rung.gain));
    let least = mul_div_up(of_part, numerator, u128::from(Bps::WHOLE))?;
    i64::try_from(least).ok().map(Usd::new)
}
