//! How much to send round a cycle: the input that gains most, on the pools' own integer quotes.

use super::rate::PROBE;

/// What a route gives for an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It gives this much; nothing at all for an input that is too small.
    Out(u64),
    /// It cannot take as much.
    TooMuch,
}

impl Given {
    /// What comes out, unless it is too much.
    pub(super) const fn out(self) -> Option<u64> {
        match self {
            Self::Out(out) => Some(out),
            Self::TooMuch => None,
        }
    }
}

/// Most times that [`best_input`] asks for a quote of the whole route.
pub const QUOTES_MAX: u32 = 800;

/// Narrower than this, every input is tried.
const SCAN: u64 = 48;
/// Steps from one top of the rounding's saw-tooth to the next.
const TEETH_MAX: u32 = 16;

/// The input of at most `most` that gains most, and what it brings; `None` when nothing comes out of any. The second
/// number of the answer counts the quotes asked for.
///
/// Every constant-product pool turns `x` into `k x / (c + d x)` and so does a chain of them; then `x / out` is a line
/// in `x`, two quotes tell it, and the gain is greatest at `(sqrt(a) - a) / b` for the line `a + b x`: the closed form
/// of Angeris, Kao, Chiang, Noyes and Chitra, *An Analysis of Uniswap Markets* (2019), for any number of such pools.
/// That is the start; around it the gain, concave but for rounding, is searched in thirds, and at the end of the
/// search the least input for the same output is taken, as far as the neighbouring steps of the output.
pub fn best_input(give: impl Fn(u64) -> Given, most: u64) -> (Option<(u64, u64)>, u32) {
    let mut search = Search { give, most, asked: 0, best: None };
    if most > 0 {
        let (mut low, mut high) = search.bracket();
        search.thirds(&mut low, &mut high);
        for amount in low..=high.min(low.saturating_add(SCAN)) {
            search.out(amount);
        }
        search.align();
    }
    (search.best.map(|(_, amount, out)| (amount, out)), search.asked)
}

struct Search<F> {
    give: F,
    most: u64,
    asked: u32,
    /// Gain, input and output of the best so far.
    best: Option<(i128, u64, u64)>,
}

impl<F: Fn(u64) -> Given> Search<F> {
    /// What comes out; `None` when it is too much. Nothing is asked past the cap.
    fn out(&mut self, amount: u64) -> Option<u64> {
        if self.asked >= QUOTES_MAX {
            return None;
        }
        self.asked = self.asked.saturating_add(1);
        let Given::Out(out) = (self.give)(amount) else { return None };
        let gain = i128::from(out).saturating_sub(i128::from(amount));
        // The least of equals: what is not needed stays here.
        let better =
            |known: (i128, u64, u64)| gain > known.0 || gain == known.0 && amount < known.1;
        if out > 0 && self.best.is_none_or(better) {
            self.best = Some((gain, amount, out));
        }
        Some(out)
    }

    fn gain(&mut self, amount: u64) -> Option<i128> {
        Some(i128::from(self.out(amount)?).saturating_sub(i128::from(amount)))
    }

    /// Where the best input is: around the closed form if it proves itself, or anywhere.
    fn bracket(&mut self) -> (u64, u64) {
        let near = PROBE.saturating_mul(16).min(self.most);
        let mut far = self.most;
        // The line is told once by the greatest input and then by about twice the best.
        for _ in 0..2 {
            let Some(start) = self.closed_form(near, far) else { break };
            let start = start.clamp(1, self.most);
            let width = (start >> 6).saturating_add(SCAN);
            let (low, high) =
                (start.saturating_sub(width).max(1), start.saturating_add(width).min(self.most));
            let gains = [low, start, high].map(|amount| self.gain(amount));
            if let [Some(below), Some(top), above] = gains
                && (low == 1 || below <= top)
                && (high == self.most || above.is_none_or(|above| above <= top))
            {
                return (low, high);
            }
            far = start.saturating_mul(2).min(self.most);
        }
        (1, self.most)
    }

    /// `(sqrt(a) - a) / b` of the line through two quotes, everything in parts of 2^64.
    fn closed_form(&mut self, near: u64, far: u64) -> Option<u64> {
        let mut line = |amount: u64| {
            let out = self.out(amount)?;
            (u128::from(amount) << 64).checked_div(u128::from(out))
        };
        let (at_near, at_far) = (line(near)?, line(far)?);
        let rise = at_far.checked_sub(at_near).filter(|rise| *rise > 0)?;
        let run = u128::from(far.checked_sub(near)?);
        // What the line is at zero: less than one when the cycle gains at the margin.
        let back = rise.checked_mul(u128::from(near))?.checked_div(run)?;
        let a = at_near.checked_sub(back).filter(|a| *a >> 64 == 0)?;
        let over = (a << 64).isqrt().checked_sub(a)?;
        u64::try_from(over.checked_mul(run)?.checked_div(rise)?).ok()
    }

    fn thirds(&mut self, low: &mut u64, high: &mut u64) {
        while high.saturating_sub(*low) > SCAN && self.asked < QUOTES_MAX {
            let third = high.saturating_sub(*low) / 3;
            let (left, right) = (low.saturating_add(third), high.saturating_sub(third));
            match (self.out(left), self.out(right)) {
                (Some(0), _) => *low = left,
                (None, _) => *high = left,
                (_, None) => *high = right,
                (Some(at_left), Some(at_right)) => {
                    // out - in, compared without leaving the range.
                    let (more, cost) = (
                        i128::from(at_right).saturating_sub(i128::from(at_left)),
                        right.saturating_sub(left),
                    );
                    if more > i128::from(cost) { *low = left } else { *high = right }
                }
            }
        }
    }

    /// The least input for the same output, and then for a little more or less while that gains.
    fn align(&mut self) {
        for _ in 0..TEETH_MAX {
            let Some((gain, amount, out)) = self.best else { return };
            self.least_for(out, amount);
            let Some((_, amount, _)) = self.best else { return };
            // The tooth below ends one atom lower; the one above begins where the output changes.
            self.least_below(amount);
            self.next_above(amount, out);
            if self.best.is_none_or(|(now, ..)| now <= gain) {
                return;
            }
        }
    }

    /// Tries the least input that still brings `out`, known to come out of `enough`.
    fn least_for(&mut self, out: u64, mut enough: u64) {
        let (mut step, mut short) = (1_u64, 0_u64);
        while let Some(less) = enough.checked_sub(step).filter(|less| *less > 0) {
            match self.out(less) {
                Some(given) if given >= out => enough = less,
                _ => {
                    short = less;
                    break;
                }
            }
            step = step.saturating_mul(2);
        }
        while enough.saturating_sub(short) > 1 && self.asked < QUOTES_MAX {
            let middle = short.midpoint(enough);
            match self.out(middle) {
                Some(given) if given >= out => enough = middle,
                _ => short = middle,
            }
        }
    }

    fn least_below(&mut self, amount: u64) {
        let Some(less) = amount.checked_sub(1).filter(|less| *less > 0) else { return };
        if let Some(out) = self.out(less).filter(|out| *out > 0) {
            self.least_for(out, less);
        }
    }

    fn next_above(&mut self, amount: u64, out: u64) {
        let mut step = 1_u64;
        // A tooth wider than this costs more than the next output can be worth.
        for _ in 0..32 {
            let more = amount.saturating_add(step).min(self.most);
            match self.out(more) {
                Some(given) if given > out => return self.least_for(out.saturating_add(1), more),
                Some(_) if more < self.most => step = step.saturating_mul(2),
                _ => return,
            }
        }
    }
}
