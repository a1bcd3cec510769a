//! Hashes of effects and of state, to compare two runs byte for byte.

use serde::Serialize;

use crate::event::{Effect, EquityPoint};

/// So many bytes are hashed at once, and always a multiple of them but at the end: parts of 1 KiB are taken side by side,
/// as many as the processor has lanes for, as long as each call begins where such a part does.
const TOGETHER: usize = 16 * 1024;
/// Room behind them for a value that was begun before they were full.
const BEYOND: usize = 1024;

/// A running BLAKE3 hash over the postcard form of values.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    hasher: blake3::Hasher,
    /// [`TOGETHER`] bytes and some [`BEYOND`], once anything was added, of which the first `filled` are not hashed yet.
    room: Vec<u8>,
    filled: usize,
    values: u64,
}

impl Digest {
    /// Goes on from a hash and a count that were taken before: what is added from here on is hashed behind `value`, and
    /// not behind all that made it. Two runs compare only where both go on from the same place.
    #[must_use]
    pub fn resumed(value: [u8; 32], values: u64) -> Self {
        let mut digest = Self::default();
        digest.write(&value);
        Self { values, ..digest }
    }

    /// Adds a value. No allocation after the first, but for values of more than 1 KiB.
    pub fn add<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.values = self.values.saturating_add(1);
        let room = self.room.get_mut(self.filled..).unwrap_or_default();
        if let Ok(written) = postcard::to_slice(value, room) {
            self.filled = self.filled.saturating_add(written.len());
            self.flush();
        } else {
            // Writing into a Vec fails only for types whose length is unknown, which the core's are not.
            let bytes = postcard::to_stdvec(value)
                .expect("Invariant: every value of the core has a postcard form");
            self.write(&bytes);
        }
    }

    /// Adds an effect: the same as [`Self::add`], and quicker for those that each candle brings.
    pub fn add_effect(&mut self, effect: &Effect) {
        let Effect::Equity(point) = effect else { return self.add(effect) };
        let room = self.room.get_mut(self.filled..).and_then(|room| room.first_chunk_mut());
        let Some(room) = room else { return self.add(effect) };
        self.filled = self.filled.saturating_add(write_equity(point, room));
        self.values = self.values.saturating_add(1);
        self.flush();
    }

    /// Adds a float by its bits.
    pub fn add_f64(&mut self, value: f64) {
        self.add(&value.to_bits().to_le_bytes());
    }

    /// Lines bytes up behind those that wait.
    fn write(&mut self, mut bytes: &[u8]) {
        self.room.resize(TOGETHER.saturating_add(BEYOND), 0);
        while !bytes.is_empty() {
            let room = self.room.get_mut(self.filled..).unwrap_or_default();
            let count = room.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            room.iter_mut().zip(now).for_each(|(place, byte)| *place = *byte);
            self.filled = self.filled.saturating_add(count);
            bytes = later;
            self.flush();
        }
    }

    fn waiting(&self) -> &[u8] {
        self.room.get(..self.filled).unwrap_or_default()
    }

    /// Hashes what is full.
    #[inline]
    fn flush(&mut self) {
        if self.filled >= TOGETHER {
            self.hasher.update(self.room.get(..TOGETHER).unwrap_or_default());
            self.room.copy_within(TOGETHER..self.filled, 0);
            self.filled = self.filled.saturating_sub(TOGETHER);
        }
    }

    /// How many values were added.
    #[must_use]
    pub const fn values(&self) -> u64 {
        self.values
    }

    /// The hash so far.
    #[must_use]
    pub fn value(&self) -> [u8; 32] {
        *self.hash().as_bytes()
    }

    /// The hash so far, as lower-case hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        self.hash().to_hex().to_string()
    }

    fn hash(&self) -> blake3::Hash {
        let mut hasher = self.hasher.clone();
        hasher.update(self.waiting());
        hasher.finalize()
    }
}

/// Most bytes that are touched by writing an [`Effect::Equity`]: its place among the effects, ten for each of its numbers,
/// and what is written beyond the last.
const EQUITY_MAX: usize = 40;

/// Writes the postcard form of an [`Effect::Equity`] and says how long it is.
///
/// Numbers are zigzag varints: seven bits a byte, the lowest first (postcard wire format, "varint"). Such points are most of
/// what a backtest hashes: one for each bar.
fn write_equity(point: &EquityPoint, room: &mut [u8; EQUITY_MAX]) -> usize {
    /// Where [`Effect::Equity`] stands in its enum.
    const PLACE: u8 = 6;
    let EquityPoint { at, equity, exposure } = *point;
    room[0] = PLACE;
    let mut written = 1;
    for number in [at.get(), equity.get(), exposure.get()] {
        let number = (number.wrapping_shl(1) ^ (number >> 63)).cast_unsigned();
        let places = room.get_mut(written..).unwrap_or_default();
        let length = match places.first_chunk_mut::<8>() {
            Some(places) if number < 0x80 => {
                places[0] = low_byte(number);
                1
            }
            Some(places) if number >> 56 == 0 => short_varint(number, places),
            _ => long_varint(number, places),
        };
        written = written.saturating_add(length);
    }
    written
}

/// Writes a varint of at most eight bytes, all at once: groups of 28, of 14 and of 7 bits move to where their bytes are. Says
/// how many of the eight it is.
fn short_varint(number: u64, places: &mut [u8; 8]) -> usize {
    /// The bit of a byte that says that another follows.
    const MORE: u64 = 0x8080_8080_8080_8080;
    let spread = |x: u64, low: u64, high: u64, by: u32| (x & low) | ((x & high) << by);
    let x = spread(number, 0x0fff_ffff, 0x00ff_ffff_f000_0000, 4);
    let x = spread(x, 0x0000_3fff_0000_3fff, 0x0fff_c000_0fff_c000, 2);
    let x = spread(x, 0x007f_007f_007f_007f, 0x3f80_3f80_3f80_3f80, 1);
    // The last byte that holds anything is the last of it.
    let last = 7_u32.saturating_sub((x | 1).leading_zeros() >> 3);
    let more = MORE & !(u64::MAX << (last << 3));
    *places = (x | more).to_le_bytes();
    usize::try_from(last).unwrap_or(0).saturating_add(1)
}

/// Writes any varint.
#[cold]
fn long_varint(mut number: u64, places: &mut [u8]) -> usize {
    let mut written = 0_usize;
    for place in places {
        let low = low_byte(number);
        number >>= 7;
        *place = if number == 0 { low } else { low | 0x80 };
        written = written.saturating_add(1);
        if number == 0 {
            break;
        }
    }
    written
}

const fn low_byte(number: u64) -> u8 {
    let [byte, ..] = number.to_le_bytes();
    byte
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::{Timestamp, Usd};

    #[test]
    fn it_is_the_hash_of_all_bytes_at_every_moment() {
        let (mut digest, mut bytes) = (Digest::default(), Vec::new());
        for nth in 0_u64..3_000 {
            digest.add(&(nth, "effect"));
            bytes.extend(postcard::to_stdvec(&(nth, "effect")).unwrap());
            digest.add_f64(0.5);
            bytes.extend(0.5_f64.to_bits().to_le_bytes());
            if nth % 97 == 0 {
                assert_eq!(digest.value(), *blake3::hash(&bytes).as_bytes());
            }
        }
        assert!(bytes.len() > 2 * TOGETHER);
        let great = vec![3_u8; 3 * TOGETHER];
        digest.add(&great);
        bytes.extend(postcard::to_stdvec(&great).unwrap());
        assert_eq!(digest.hex(), blake3::hash(&bytes).to_hex().to_string());
        assert_eq!(digest.values(), 6_001);
        let mut again = Digest::resumed(digest.value(), digest.values());
        again.add(&7_u8);
        let all = [digest.value().as_slice(), &[7]].concat();
        assert_eq!((again.value(), again.values()), (*blake3::hash(&all).as_bytes(), 6_002));
    }

    proptest! {
        #[test]
        fn an_equity_point_is_written_as_postcard_does(
            numbers in prop::collection::vec(prop::array::uniform3(any_size()), 0..1_500),
        ) {
            let (mut quick, mut plain) = (Digest::default(), Digest::default());
            for [at, equity, exposure] in numbers {
                let (at, equity) = (Timestamp::new(at), Usd::new(equity));
                let effect = Effect::Equity(EquityPoint { at, equity, exposure: Usd::new(exposure) });
                quick.add_effect(&effect);
                plain.add(&effect);
                prop_assert_eq!(quick.waiting(), plain.waiting());
            }
            prop_assert_eq!(quick.value(), plain.value());
            prop_assert_eq!(quick.values(), plain.values());
        }
    }

    /// As many small numbers as great ones.
    fn any_size() -> impl Strategy<Value = i64> {
        (any::<i64>(), 0_u32..64).prop_map(|(number, shift)| number >> shift)
    }
}
