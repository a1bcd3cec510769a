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
    #[inline]
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

/// Most bytes of an [`Effect::Equity`]: its place among the effects, and ten for each of its numbers.
const EQUITY_MAX: usize = 31;

/// Writes the postcard form of an [`Effect::Equity`] and says how long it is.
///
/// Numbers are zigzag varints: seven bits a byte, the lowest first (postcard wire format, "varint"). They are most of what
/// a backtest hashes, and serde's way takes five times as long for them.
#[inline]
fn write_equity(point: &EquityPoint, room: &mut [u8; EQUITY_MAX]) -> usize {
    /// Where [`Effect::Equity`] stands in its enum.
    const PLACE: u8 = 6;
    let EquityPoint { at, equity, exposure } = *point;
    let mut places = room.iter_mut();
    let mut written = 0_usize;
    let mut put = |byte| {
        if let Some(place) = places.next() {
            *place = byte;
            written = written.saturating_add(1);
        }
    };
    put(PLACE);
    for number in [at.get(), equity.get(), exposure.get()] {
        let mut rest = (number.wrapping_shl(1) ^ (number >> 63)).cast_unsigned();
        while rest >= 0x80 {
            put(low_byte(rest) | 0x80);
            rest >>= 7;
        }
        put(low_byte(rest));
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
