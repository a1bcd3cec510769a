//! Hashes of effects and of state, to compare two runs byte for byte.

use serde::Serialize;

/// A running BLAKE3 hash over the postcard form of values.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    values: u64,
}

impl Digest {
    /// Goes on from a hash and a count that were taken before: what is added from here on is hashed behind `value`, and
    /// not behind all that made it. Two runs compare only where both go on from the same place.
    #[must_use]
    pub fn resumed(value: [u8; 32], values: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&value);
        Self { hasher, buffer: Vec::new(), values }
    }

    /// Adds a value. Reuses its buffer: no allocation once the largest value has been seen.
    pub fn add<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.buffer.clear();
        let bytes = std::mem::take(&mut self.buffer);
        // Writing into a Vec fails only for types whose length is unknown, which the core's are not.
        self.buffer = postcard::to_extend(value, bytes)
            .expect("Invariant: every value of the core has a postcard form");
        self.hasher.update(&self.buffer);
        self.values = self.values.saturating_add(1);
    }

    /// Adds a float by its bits.
    pub fn add_f64(&mut self, value: f64) {
        self.hasher.update(&value.to_bits().to_le_bytes());
        self.values = self.values.saturating_add(1);
    }

    /// How many values were added.
    #[must_use]
    pub const fn values(&self) -> u64 {
        self.values
    }

    /// The hash so far.
    #[must_use]
    pub fn value(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    /// The hash so far, as lower-case hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}
