//! Chance, written out: the same seed gives the same worlds on every machine and for ever.

/// Blackman and Vigna's xoshiro256++, seeded by [`splitmix64`](super::super::splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Dice([u64; 4]);

impl Dice {
    /// Dice of their own for each `purpose`: what one part of a world draws changes no other's luck.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut state = super::super::splitmix64(seed ^ super::super::splitmix64(purpose));
        Self(std::array::from_fn(|_| {
            state = super::super::splitmix64(state);
            state
        }))
    }

    pub(super) const fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let drawn = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        drawn
    }

    /// From 0 up to and without `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// From `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(low.abs_diff(high) + 1)).unwrap_or(0)
    }

    /// True in so many of a thousand.
    pub(super) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < u64::from(per_mille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_within_their_bounds_and_reach_them() {
        let mut dice = Dice::new(1, 2);
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[usize::try_from(dice.below(6)).unwrap()] += 1;
            assert!((-3..=3).contains(&dice.between(-3, 3)));
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        assert!(!dice.chance(0) && dice.chance(1_000));
        assert_ne!(Dice::new(1, 2).next(), Dice::new(1, 3).next());
    }

    /// The authors' own first outputs for the state 1, 2, 3, 4.
    #[test]
    fn the_generator_is_the_published_one() {
        let mut dice = Dice([1, 2, 3, 4]);
        let drawn = [dice.next(), dice.next(), dice.next(), dice.next()];
        assert_eq!(drawn, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }
}
