//! The best split of an amount over parallel ways, and how far from the best it can be.
//!
//! # The bound
//!
//! Let `g_i` be concave, not falling, zero at zero, and what way `i` gives before rounding: its quote is `g_i` less
//! at most `e_i` atoms. For any price `p` and any other split `y` of the same amount as `x`,
//!
//! `sum g_i(y_i) = sum [g_i(y_i) - p (y_i - x_i)] <= sum sup_y [g_i(y) - p (y - x_i)]`,
//!
//! which is the weak duality of convex programs (Boyd and Vandenberghe, *Convex Optimization*, 2004, section 5.1; for
//! routing, Angeris, Evans, Chitra and Boyd, *Optimal Routing for Constant Function Market Makers*, 2022). Each
//! supremum is bounded from quotes alone: `g_i` is sampled at distances of powers of two from `x_i`; between two
//! samples a concave function lies below the lines through the neighbouring pairs of samples, and below its value
//! at the right end. Every step rounds up, and an overflow counts as no bound at all. The price is chosen among the
//! marginal prices of the ways in use; any would be right.

use arrayvec::ArrayVec;

use super::size::Given;

/// Most ways that an amount is split over.
pub const LEGS_MAX: usize = 16;

/// One of the ways, to be asked with [`Given`] for its output.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    /// How far a quote may lie below the concave curve that it rounds, in atoms that come out.
    pub rounding: u64,
}

/// A split in bare numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// What goes into each way; together the whole amount.
    pub shares: ArrayVec<u64, LEGS_MAX>,
    /// What comes out of all.
    pub out: u64,
    /// No split gives more than `out + gap`; `None` when the numbers leave the range of the proof.
    pub gap: Option<u64>,
}

const CHUNKS: u64 = 64;

/// Splits `amount` so that most comes out: in chunks, each to where it brings most, and then by moving ever smaller
/// pieces, down to single atoms, while that gains. `give` says what a way gives; see [`Leg`] for the bound.
///
/// `None` when the ways cannot take the amount, or no output fits 64 bits. More than [`LEGS_MAX`] are not looked at.
pub fn best_parts(legs: &[Leg], amount: u64, give: impl Fn(usize, u64) -> Given) -> Option<Parts> {
    let legs = legs.get(..legs.len().min(LEGS_MAX))?;
    let mut search = Search { give, shares: legs.iter().map(|_| 0).collect() };
    search.fill(amount)?;
    search.refine(amount);
    search.sweep();
    let out = search.outs()?;
    let shares = search.shares.clone();
    let gap = super::proven_gap(legs, &shares, &search.give);
    Some(Parts { shares, out, gap })
}

struct Search<F> {
    give: F,
    shares: ArrayVec<u64, LEGS_MAX>,
}

impl<F: Fn(usize, u64) -> Given> Search<F> {
    /// `None` when it is too much.
    fn out(&self, leg: usize, input: u64) -> Option<u64> {
        if input == 0 {
            return Some(0);
        }
        (self.give)(leg, input).out()
    }

    fn share(&self, leg: usize) -> u64 {
        self.shares.get(leg).copied().unwrap_or(0)
    }

    fn set(&mut self, leg: usize, share: u64) {
        if let Some(known) = self.shares.get_mut(leg) {
            *known = share;
        }
    }

    /// What all ways give now; `None` past 64 bits.
    fn outs(&self) -> Option<u64> {
        (0..self.shares.len())
            .try_fold(0_u64, |sum, leg| sum.checked_add(self.out(leg, self.share(leg))?))
    }

    /// What one way gives more for `more`, if it takes it.
    fn gain(&self, leg: usize, more: u64) -> Option<u64> {
        let share = self.share(leg);
        self.out(leg, share.checked_add(more)?)?.checked_sub(self.out(leg, share)?)
    }

    /// What one way gives less for `less`.
    fn loss(&self, leg: usize, less: u64) -> Option<u64> {
        let share = self.share(leg);
        self.out(leg, share)?.checked_sub(self.out(leg, share.checked_sub(less)?)?)
    }

    /// Gives the amount away in chunks. Equals go to the first.
    fn fill(&mut self, amount: u64) -> Option<()> {
        let mut left = amount;
        let mut chunk = (amount / CHUNKS).max(1);
        while left > 0 {
            let piece = chunk.min(left);
            let mut best: Option<(usize, u64)> = None;
            for leg in 0..self.shares.len() {
                if let Some(gain) = self.gain(leg, piece)
                    && best.is_none_or(|(_, known)| gain > known)
                {
                    best = Some((leg, gain));
                }
            }
            match best {
                Some((leg, _)) => {
                    self.set(leg, self.share(leg).checked_add(piece)?);
                    left = left.checked_sub(piece)?;
                }
                // Nobody takes as much: a smaller piece may fit.
                None if chunk > 1 => chunk >>= 1,
                None => return None,
            }
        }
        Some(())
    }

    /// Moves pieces from where they are missed least to where they bring most, in halving sizes.
    fn refine(&mut self, amount: u64) {
        // From all of it down: where a chunk is too small to bring an atom, it went to the first way.
        let mut piece = amount.checked_next_power_of_two().unwrap_or(1 << 63);
        while piece > 0 {
            // A bound on the walk: each size gets every way as far as the size before could miss, twice over.
            for _ in 0..self.shares.len().saturating_mul(4) {
                if !self.shift(piece) {
                    break;
                }
            }
            piece >>= 1;
        }
    }

    fn shift(&mut self, piece: u64) -> bool {
        let mut best: Option<(u64, usize, usize, u64)> = None;
        for from in 0..self.shares.len() {
            // The rest of a share moves whole.
            let moved = piece.min(self.share(from));
            let Some(loss) =
                Some(moved).filter(|moved| *moved > 0).and_then(|moved| self.loss(from, moved))
            else {
                continue;
            };
            for to in (0..self.shares.len()).filter(|to| *to != from) {
                let Some(gain) = self.gain(to, moved).and_then(|gain| gain.checked_sub(loss))
                else {
                    continue;
                };
                if gain > 0 && best.is_none_or(|(known, ..)| gain > known) {
                    best = Some((gain, from, to, moved));
                }
            }
        }
        let Some((_, from, to, moved)) = best else { return false };
        self.set(from, self.share(from).saturating_sub(moved));
        self.set(to, self.share(to).saturating_add(moved));
        true
    }

    /// Takes back what was given for nothing: a swap that brings nothing is refused by its pool.
    fn sweep(&mut self) {
        for from in 0..self.shares.len() {
            let share = self.share(from);
            if share == 0 || self.out(from, share) != Some(0) {
                continue;
            }
            let to = (0..self.shares.len()).filter(|to| *to != from && self.share(*to) > 0);
            let best = to.filter_map(|to| Some((self.gain(to, share)?, to)));
            // The first of equals.
            if let Some((_, to)) =
                best.reduce(|best, next| if next.0 > best.0 { next } else { best })
            {
                self.set(from, 0);
                self.set(to, self.share(to).saturating_add(share));
            }
        }
    }
}
