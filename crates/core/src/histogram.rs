//! Where many whole numbers lie, kept to one percent in little memory.
//!
//! # Design
//! Buckets as in an HDR histogram: numbers below 256 are told apart, and from there on each octave has 128 buckets, so
//! that what is told is never too low and less than a 128th too high. A histogram of times usually touches a few dozen of
//! its four thousand buckets, so these are kept in pieces of sixteen that are made when first touched: some hundred bytes to
//! two kilobytes, where an array would have thirty. Once a piece is there, counting allocates nothing.
//!
//! The unit is the caller's. What is above 2^37 (two minutes in nanoseconds, a day and a half in microseconds) is counted
//! as that much; the greatest number of all is kept as it is.

/// Buckets of an octave, as a power of two.
const PARTS_LOG2: u32 = 7;
/// Numbers that are not yet an octave's.
const LINEAR: u64 = 128;
/// Octaves from [`LINEAR`] on.
const OCTAVES: u64 = 30;
/// Buckets of a piece.
const PIECE: usize = 16;
/// All 31 times 128 buckets, in pieces.
const PIECES: usize = 248;
/// A piece that nothing has touched; there are fewer than that.
const ABSENT: u8 = u8::MAX;

/// Counts of whole numbers; see the [module](self).
///
/// ```
/// use sniper_core::histogram::Histogram;
/// let mut times = Histogram::new();
/// (1..=1_000).for_each(|us| times.record(us));
/// assert!((500..504).contains(&times.quantile(500)));
/// assert_eq!((times.len(), times.max(), times.total()), (1_000, 1_000, 500_500));
/// ```
#[derive(Clone)]
pub struct Histogram {
    /// Which of `pieces` a piece of the scale is.
    places: [u8; PIECES],
    pieces: Vec<[u32; PIECE]>,
    count: u64,
    total: u64,
    max: u64,
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// The bucket of a number.
fn bucket(value: u64) -> u64 {
    let octave = value.max(1).ilog2();
    let Some(shift) = octave.checked_sub(PARTS_LOG2) else { return value };
    let part = value.checked_shr(shift).unwrap_or(0) % LINEAR;
    let octaves = u64::from(shift).min(OCTAVES);
    let first = LINEAR.saturating_add(octaves.saturating_mul(LINEAR));
    let last = LINEAR.saturating_add(OCTAVES.saturating_mul(LINEAR)).saturating_sub(1);
    first.saturating_add(part).min(last)
}

/// The highest number of a bucket.
fn top(bucket: u64) -> u64 {
    let Some(above) = bucket.checked_sub(LINEAR) else { return bucket };
    let shift = u32::try_from(above / LINEAR).unwrap_or(0);
    let first = LINEAR.saturating_add(above % LINEAR);
    first.saturating_add(1).checked_shl(shift).unwrap_or(u64::MAX).saturating_sub(1)
}

impl Histogram {
    /// Empty: no memory but its own.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: [ABSENT; PIECES], pieces: Vec::new(), count: 0, total: 0, max: 0 }
    }

    /// Counts a number.
    pub fn record(&mut self, value: u64) {
        let bucket = usize::try_from(bucket(value)).unwrap_or(0);
        let (place, within) = (bucket / PIECE, bucket % PIECE);
        let Some(at) = self.places.get_mut(place) else { return };
        if *at == ABSENT {
            *at = u8::try_from(self.pieces.len()).unwrap_or(0);
            self.pieces.reserve_exact(1);
            self.pieces.push([0; PIECE]);
        }
        if let Some(count) =
            self.pieces.get_mut(usize::from(*at)).and_then(|piece| piece.get_mut(within))
        {
            *count = count.saturating_add(1);
        }
        self.count = self.count.saturating_add(1);
        self.total = self.total.saturating_add(value);
        self.max = self.max.max(value);
    }

    /// How many numbers there were.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether there were none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The greatest, exactly; zero without any.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// All of them together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The number that so many thousandths of all do not exceed: never too low, less than a 128th too high; zero without
    /// any.
    #[must_use]
    pub fn quantile(&self, thousandths: u32) -> u64 {
        let wanted = u128::from(self.count).saturating_mul(u128::from(thousandths.min(1_000)));
        let wanted = wanted.div_ceil(1_000).max(1);
        let mut seen = 0_u128;
        for (place, at) in (0_u64..).zip(&self.places) {
            let Some(piece) = self.pieces.get(usize::from(*at)).filter(|_| *at != ABSENT) else {
                continue;
            };
            for (within, count) in (0_u64..).zip(piece) {
                seen = seen.saturating_add(u128::from(*count));
                if seen >= wanted && *count > 0 {
                    let bucket = place.saturating_mul(16).saturating_add(within);
                    return top(bucket).min(self.max);
                }
            }
        }
        self.max
    }

    /// The shape: of each eighth of an octave that holds any, its highest number and how many there are.
    pub fn shape(&self) -> impl Iterator<Item = (u64, u64)> {
        (0_u64..).zip(&self.places).filter(|(_, at)| **at != ABSENT).filter_map(|(place, at)| {
            let piece = self.pieces.get(usize::from(*at))?;
            let count = piece.iter().fold(0_u64, |sum, n| sum.saturating_add(u64::from(*n)));
            let last = place.saturating_mul(16).saturating_add(15);
            (count > 0).then(|| (top(last), count))
        })
    }

    /// Forgets all numbers, and keeps the memory.
    pub fn clear(&mut self) {
        self.pieces.iter_mut().for_each(|piece| *piece = [0; PIECE]);
        (self.count, self.total, self.max) = (0, 0, 0);
    }

    /// Bytes it takes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        size_of::<Self>()
            .saturating_add(self.pieces.capacity().saturating_mul(size_of::<[u32; PIECE]>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_bucket_ends_where_the_next_begins() {
        let buckets = LINEAR + OCTAVES * LINEAR;
        for at in 0..buckets - 1 {
            assert_eq!(bucket(top(at)), at);
            assert_eq!(bucket(top(at) + 1), at + 1);
        }
        assert_eq!(bucket(u64::MAX), buckets - 1);
        assert_eq!(bucket(0), 0);
    }

    #[test]
    fn times_of_a_usual_stage_take_less_than_two_kilobytes() {
        let mut times = Histogram::new();
        // Two octaves of them and a long tail.
        (0..100_000_u64).for_each(|i| times.record(2_000 + i % 6_000 + (i % 1_000 / 999) * i));
        assert!(times.bytes() < 4_096, "{}", times.bytes());
        let mut steady = Histogram::new();
        (0..100_000_u64).for_each(|i| steady.record(30_000 + i % 3_000));
        assert!(steady.bytes() < 1_024, "{}", steady.bytes());
        assert!(Histogram::new().bytes() <= 304);
    }

    #[test]
    fn the_shape_counts_every_number_once() {
        let mut times = Histogram::new();
        (1..100_000_u64).for_each(|value| times.record(value * value % 1_000_003));
        let shape: Vec<_> = times.shape().collect();
        assert_eq!(shape.iter().map(|(_, count)| count).sum::<u64>(), times.len());
        assert!(shape.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(shape.last().unwrap().0 >= times.max());
    }

    #[test]
    fn what_was_cleared_counts_anew_in_the_same_memory() {
        let mut times = Histogram::new();
        (0..1_000).for_each(|value| times.record(value * 37));
        let bytes = times.bytes();
        times.clear();
        assert!(times.is_empty() && times.quantile(500) == 0);
        times.record(37);
        assert_eq!((times.quantile(1_000), times.bytes()), (37, bytes));
    }

    proptest! {
        #[test]
        fn a_quantile_is_never_too_low_and_less_than_a_128th_too_high(
            mut values in prop::collection::vec((0_u32..37).prop_flat_map(|log| 0..=1_u64 << log), 1..500),
            thousandths in 1_u32..=1_000,
        ) {
            let mut histogram = Histogram::new();
            values.iter().for_each(|value| histogram.record(*value));
            values.sort_unstable();
            let rank = (values.len() * thousandths as usize).div_ceil(1_000).max(1);
            let (told, truth) = (histogram.quantile(thousandths), values[rank - 1]);
            prop_assert!(told >= truth && told <= truth + truth / 128, "{told} of {truth}");
        }

        #[test]
        fn any_number_can_be_counted(value: u64, times in 1_u64..50) {
            let mut histogram = Histogram::new();
            (0..times).for_each(|_| histogram.record(value));
            prop_assert_eq!((histogram.len(), histogram.max()), (times, value));
            prop_assert!(histogram.quantile(500) <= value);
        }
    }
}
