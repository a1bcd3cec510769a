//! The proof of [`super::parts`]: how much more than a split any other could bring.

use arrayvec::ArrayVec;

use super::parts::{LEGS_MAX, Leg};
use super::size::Given;

/// The split's own input, both ends, and powers of two on both sides.
const SAMPLES_MAX: usize = 136;

/// An input and what comes out for it.
type Samples = ArrayVec<(u64, u64), SAMPLES_MAX>;

/// Atoms out per atoms in.
#[derive(Clone, Copy)]
struct Slope {
    out: u64,
    input: u64,
}

/// How many atoms more than the split `shares` any other split of the same amount can give, rounded up; see the
/// module of [`super::best_parts`] for the proof. It holds for any split, good or bad.
///
/// `None` when the split itself is refused, or when the numbers leave the range of the proof.
pub fn proven_gap(legs: &[Leg], shares: &[u64], give: impl Fn(usize, u64) -> Given) -> Option<u64> {
    let give = |leg: usize, input: u64| match input {
        0 => Some(0),
        _ => give(leg, input).out(),
    };
    let sum = |sum: u64, value: u64| sum.checked_add(value);
    let amount = shares.iter().copied().try_fold(0, sum)?;
    let outs = shares.iter().enumerate().map(|(leg, share)| give(leg, *share));
    let out = outs.into_iter().try_fold(0, |total, out| sum(total, out?))?;
    if legs.len() != shares.len() || legs.len() > LEGS_MAX {
        return None;
    }
    let mut all: ArrayVec<(u64, Leg, Samples), LEGS_MAX> = ArrayVec::new();
    for (nth, (leg, share)) in legs.iter().zip(shares).enumerate() {
        all.push((*share, *leg, samples(*share, amount, |input| give(nth, input))));
    }
    let mut best: Option<i128> = None;
    for (share, _, samples) in all.iter().filter(|(share, ..)| *share > 0) {
        for price in prices(*share, samples) {
            let most = all.iter().try_fold(0_i128, |sum, (share, leg, samples)| {
                sum.checked_add(supremum(*share, leg.rounding, samples, amount, price)?)
            });
            best = match (best, most) {
                (Some(known), Some(most)) => Some(known.min(most)),
                (known, most) => known.or(most),
            };
        }
    }
    u64::try_from(best?.saturating_sub(i128::from(out)).max(0)).ok()
}

fn samples(share: u64, amount: u64, give: impl Fn(u64) -> Option<u64>) -> Samples {
    let mut samples = Samples::new();
    let mut add = |input| {
        if samples.last().is_none_or(|(known, _)| *known < input)
            && let Some(out) = give(input)
        {
            samples.push((input, out));
        }
    };
    add(0);
    for shift in (0..64).rev() {
        if let Some(input) = share.checked_sub(1 << shift) {
            add(input);
        }
    }
    add(share);
    for shift in 0..64 {
        if let Some(input) = share.checked_add(1 << shift).filter(|input| *input < amount) {
            add(input);
        }
    }
    add(amount);
    samples
}

/// Slopes across the split's own input, over a few of the distances at which rounding no longer shows.
fn prices(share: u64, samples: &Samples) -> ArrayVec<Slope, 8> {
    let mut prices = ArrayVec::new();
    let bits = share.ilog2();
    for eighths in [2, 3, 4, 5, 6, 7] {
        let distance = 1_u64 << (bits.saturating_mul(eighths) / 8).min(63);
        let at = |input: Option<u64>| samples.iter().find(|(known, _)| Some(*known) == input);
        let here = at(Some(share));
        let low = at(share.checked_sub(distance)).or(here);
        let high = at(share.checked_add(distance)).or(here);
        if let (Some((low, less)), Some((high, more))) = (low, high)
            && let (Some(input), Some(out)) = (high.checked_sub(*low), more.checked_sub(*less))
            && input > 0
        {
            prices.push(Slope { out, input });
        }
    }
    prices
}

/// `slope * input`, rounded down; `None` past 127 bits.
fn down(slope: Slope, input: u64) -> Option<i128> {
    let product = u128::from(slope.out).checked_mul(u128::from(input))?;
    i128::try_from(product.checked_div(u128::from(slope.input))?).ok()
}

/// The same, rounded up.
fn up(slope: Slope, input: u64) -> Option<i128> {
    let product = u128::from(slope.out).checked_mul(u128::from(input))?;
    let divisor = Some(u128::from(slope.input)).filter(|divisor| *divisor > 0)?;
    i128::try_from(product.div_ceil(divisor)).ok()
}

/// At most `sup over 0 <= y <= amount of g(y) - price * (y - share)`, `g` concave, not falling, and at each sample
/// between the quote and `rounding` more.
fn supremum(
    share: u64,
    rounding: u64,
    samples: &Samples,
    amount: u64,
    price: Slope,
) -> Option<i128> {
    // What is paid at the price for the distance, rounded so that the supremum is not too small.
    let paid = |input: u64| match input.checked_sub(share) {
        Some(more) => down(price, more),
        None => up(price, share.saturating_sub(input))?.checked_neg(),
    };
    let sample = |nth: Option<usize>| nth.and_then(|nth| samples.get(nth)).copied();
    let most = |(input, out): (u64, u64)| {
        let rounding = if input == 0 { 0 } else { rounding };
        i128::from(out).saturating_add(i128::from(rounding))
    };
    // The slope from a to b at its greatest, and at its least; concave, so these bound what lies beyond.
    let steepest = |a: (u64, u64), b: (u64, u64)| {
        let out = u64::try_from(most(b).checked_sub(i128::from(a.1))?.max(0)).ok()?;
        Some(Slope { out, input: b.0.checked_sub(a.0)? })
    };
    let flattest = |a: (u64, u64), b: (u64, u64)| {
        let out = u64::try_from(i128::from(b.1).checked_sub(most(a))?.max(0)).ok()?;
        Some(Slope { out, input: b.0.checked_sub(a.0)? })
    };
    let less = |value: i128, input: u64| value.checked_sub(paid(input)?);
    let mut supremum = i128::MIN;
    // It takes nothing, not even an atom.
    if let [nothing] = samples.as_slice() {
        return less(0, nothing.0);
    }
    for nth in 0..samples.len() {
        let Some(left) = sample(Some(nth)) else { break };
        let right = sample(nth.checked_add(1));
        let end = right.map_or(amount, |right| right.0);
        let width = end.checked_sub(left.0)?;
        // Each way to bound the stretch is a line; the greatest of a line lies at one of its ends.
        let before = sample(nth.checked_sub(1));
        let by_left = || {
            let rise = up(steepest(before?, left)?, width)?;
            Some(less(most(left), left.0)?.max(less(most(left).checked_add(rise)?, end)?))
        };
        let flat = || Some(less(most(right?), left.0)?.max(less(most(right?), end)?));
        let by_right = || {
            let (right, after) = (right?, sample(nth.checked_add(2))?);
            let fall = down(flattest(right, after)?, width)?;
            Some(less(most(right), end)?.max(less(most(right).checked_sub(fall)?, left.0)?))
        };
        let bounds = [by_left(), flat(), by_right()];
        supremum = supremum.max(bounds.into_iter().flatten().min()?);
    }
    Some(supremum)
}
