//! Hashes of effects and of state, to compare two runs byte for byte.

use serde::Serialize;

use crate::event::Effect;

/// So many bytes are hashed at once: a hash of many is several times as quick a byte as one of few, because parts of 1 KiB
/// are taken side by side.
const TOGETHER: usize = 8 * 1024;

/// A running BLAKE3 hash over the postcard form of values.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    hasher: blake3::Hasher,
    /// [`TOGETHER`] bytes once anything was added, of which the first `filled` are not hashed yet.
    room: Vec<u8>,
    filled: usize,
    values: u64,
}

impl Digest {
    /// Goes on from a hash and a count that were taken before: what is added from here on is hashed behind `value`, and
    /// not behind all that made it. Two runs compare only where both go on from the same place.
    #[must_use]
    pub fn resumed(value: [u8; 32], values: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&value);
        Self { hasher, values, ..Self::default() }
    }

    /// Adds a value. No allocation after the first, but for values of more than 8 KiB.
    pub fn add<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.values = self.values.saturating_add(1);
        if self.put(value) {
            return;
        }
        self.flush();
        self.room.resize(TOGETHER, 0);
        if !self.put(value) {
            // Writing into a Vec fails only for types whose length is unknown, which the core's are not.
            let bytes = postcard::to_stdvec(value)
                .expect("Invariant: every value of the core has a postcard form");
            self.hasher.update(&bytes);
        }
    }

    /// Adds an effect: the same as [`Self::add`], built where speed counts for more than size.
    pub fn add_effect(&mut self, effect: &Effect) {
        self.add(effect);
    }

    /// Adds a float by its bits.
    pub fn add_f64(&mut self, value: f64) {
        self.add(&value.to_bits().to_le_bytes());
    }

    /// Writes a value behind what waits, if there is room for all of it.
    fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> bool {
        let room = self.room.get_mut(self.filled..).unwrap_or_default();
        match postcard::to_slice(value, room) {
            Ok(written) => {
                self.filled = self.filled.saturating_add(written.len());
                true
            }
            Err(_) => false,
        }
    }

    fn waiting(&self) -> &[u8] {
        self.room.get(..self.filled).unwrap_or_default()
    }

    fn flush(&mut self) {
        self.hasher.update(self.room.get(..self.filled).unwrap_or_default());
        self.filled = 0;
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(bytes.len() > 4 * TOGETHER);
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
}
