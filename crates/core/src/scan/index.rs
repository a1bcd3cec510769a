//! An open-addressed table of small numbers, for keys that are kept elsewhere.
//!
//! It has no order that anybody could see: nothing walks over it. Keys are hashed by their own bytes with fixed
//! constants, so that the same journal makes the same table. Who makes addresses on purpose could make some fall
//! together; each of them costs a pool on the chain, and all they could do is lengthen a walk.

use crate::ids::Address;

/// A free place. No number is this great, because numbers have [`ID_BITS`].
const FREE: u32 = u32::MAX;

/// A place holds a number, and eight bits of its key's hash so that another key is rarely read.
const ID_BITS: u32 = 24;
const ID_MASK: u32 = (1 << ID_BITS) - 1;

/// The greatest number that fits.
pub const ID_MAX: u32 = ID_MASK - 1;

/// Fractional digits of square roots of small primes.
const SEEDS: [u64; 5] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
];

/// Where a key is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(u64);

/// The hash of an address.
#[must_use]
#[inline]
pub fn hash_address(address: &Address) -> Hash {
    let [a, b, c, d] = words(address);
    hash_words(fold(a ^ SEEDS[0], b ^ SEEDS[1]), fold(c ^ SEEDS[2], d ^ SEEDS[3]))
}

/// The hash of two words.
#[must_use]
#[inline]
pub fn hash_words(a: u64, b: u64) -> Hash {
    Hash(fold(a ^ SEEDS[4], b ^ SEEDS[0]))
}

#[inline]
fn words(address: &Address) -> [u64; 4] {
    let (words, _) = address.as_array().as_chunks::<8>();
    let mut out = [0; 4];
    for (out, word) in out.iter_mut().zip(words) {
        *out = u64::from_le_bytes(*word);
    }
    out
}

/// The two halves of the product, one over the other.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a).wrapping_mul(u128::from(b));
    low(product) ^ low(product >> 64)
}

#[inline]
fn low(value: u128) -> u64 {
    u64::try_from(value & u128::from(u64::MAX)).unwrap_or(u64::MAX)
}

/// Where a walk ends.
enum End {
    Known(usize),
    Free(usize),
}

/// Finds numbers by hash. Whoever has the keys says which number is meant.
#[derive(Clone, Debug, Default)]
pub struct Index {
    places: Vec<u32>,
    used: usize,
}

impl Index {
    /// Room for so many without moving.
    #[must_use]
    pub fn with_capacity(numbers: usize) -> Self {
        Self { places: vec![FREE; Self::places_for(numbers)], used: 0 }
    }

    fn places_for(numbers: usize) -> usize {
        if numbers == 0 { 0 } else { numbers.saturating_mul(5).div_ceil(4).max(16) }
    }

    /// How many it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Bytes set aside.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.places.capacity().saturating_mul(size_of::<u32>())
    }

    /// The number under `hash` for which `is` holds.
    #[inline]
    pub fn find(&self, hash: Hash, is: impl FnMut(u32) -> bool) -> Option<u32> {
        let at = self.position(hash, is)?;
        self.places.get(at).map(|place| place & ID_MASK)
    }

    /// Adds a number that is not there yet, at most [`ID_MAX`]; `hash_of` tells the hash of any number added before.
    /// A greater number is not added.
    pub fn insert(&mut self, hash: Hash, id: u32, hash_of: impl Fn(u32) -> Hash) {
        self.find_or_insert(hash, id, |_| false, hash_of);
    }

    /// The number under `hash` for which `is` holds; where there is none, `id` is added as by [`Self::insert`].
    #[inline]
    pub fn find_or_insert(
        &mut self,
        hash: Hash,
        id: u32,
        is: impl FnMut(u32) -> bool,
        hash_of: impl Fn(u32) -> Hash,
    ) -> Option<u32> {
        let end = self.walk(hash, is);
        if let Some(End::Known(at)) = end {
            return self.places.get(at).map(|place| place & ID_MASK);
        }
        if id > ID_MAX {
            return None;
        }
        // At most four places of five are taken, so that a walk is short.
        let is_full =
            self.used.saturating_add(1).saturating_mul(5) > self.places.len().saturating_mul(4);
        match end {
            Some(End::Free(at)) if !is_full => self.set(at, tag(hash) | id),
            _ => {
                self.grow(hash_of);
                self.place(hash, id);
            }
        }
        self.used = self.used.saturating_add(1);
        None
    }

    /// Takes the number out for which `is` holds.
    pub fn remove(
        &mut self,
        hash: Hash,
        is: impl FnMut(u32) -> bool,
        hash_of: impl Fn(u32) -> Hash,
    ) -> Option<u32> {
        let mut hole = self.position(hash, is)?;
        let id = self.places.get(hole)? & ID_MASK;
        // Every number after the hole that may stand in it moves there, so that no walk ends early.
        let mut at = hole;
        for _ in 0..self.places.len() {
            at = self.after(at);
            let place = self.places.get(at).copied().unwrap_or(FREE);
            if place == FREE {
                break;
            }
            let home = self.home(hash_of(place & ID_MASK));
            if self.steps(home, at) >= self.steps(hole, at) {
                self.set(hole, place);
                hole = at;
            }
        }
        self.set(hole, FREE);
        self.used = self.used.saturating_sub(1);
        Some(id)
    }

    fn position(&self, hash: Hash, is: impl FnMut(u32) -> bool) -> Option<usize> {
        match self.walk(hash, is)? {
            End::Known(at) => Some(at),
            End::Free(_) => None,
        }
    }

    /// From the hash's home on to the number for which `is` holds, or to the first free place.
    #[inline]
    fn walk(&self, hash: Hash, mut is: impl FnMut(u32) -> bool) -> Option<End> {
        let home = self.home(hash);
        let (before, from) = self.places.split_at_checked(home)?;
        let tag = tag(hash);
        let mut ends =
            |place: &u32| *place == FREE || place & !ID_MASK == tag && is(place & ID_MASK);
        let at = match from.iter().position(&mut ends) {
            Some(steps) => home.saturating_add(steps),
            None => before.iter().position(ends)?,
        };
        let free = self.places.get(at).is_none_or(|place| *place == FREE);
        Some(if free { End::Free(at) } else { End::Known(at) })
    }

    /// Spreads hashes evenly over any number of places: the high half of the product.
    #[inline]
    fn home(&self, hash: Hash) -> usize {
        let places = u128::try_from(self.places.len()).unwrap_or(0);
        usize::try_from(u128::from(hash.0).wrapping_mul(places) >> 64).unwrap_or(0)
    }

    fn after(&self, at: usize) -> usize {
        let next = at.saturating_add(1);
        if next >= self.places.len() { 0 } else { next }
    }

    /// From one place on to another, around the end.
    fn steps(&self, from: usize, to: usize) -> usize {
        if to >= from {
            to.saturating_sub(from)
        } else {
            to.saturating_add(self.places.len()).saturating_sub(from)
        }
    }

    fn set(&mut self, at: usize, value: u32) {
        if let Some(place) = self.places.get_mut(at) {
            *place = value;
        }
    }

    fn place(&mut self, hash: Hash, id: u32) {
        let home = self.home(hash);
        let Some((before, from)) = self.places.split_at_mut_checked(home) else { return };
        let is_free = |place: &&mut u32| **place == FREE;
        if let Some(place) = from.iter_mut().find(is_free) {
            *place = tag(hash) | id;
        } else if let Some(place) = before.iter_mut().find(is_free) {
            *place = tag(hash) | id;
        }
    }

    fn grow(&mut self, hash_of: impl Fn(u32) -> Hash) {
        self.rebuild(self.used.saturating_mul(2).max(12), hash_of);
    }

    /// Gives back room that growing has set aside, but for a sixteenth more than is held.
    pub fn shrink_to_fit(&mut self, hash_of: impl Fn(u32) -> Hash) {
        let room = self.used.saturating_add(self.used >> 4);
        if Self::places_for(room) < self.places.len() {
            self.rebuild(room, hash_of);
        }
    }

    /// Every key is read once more, which is what growing costs; one after the other, as they lie, because numbers are
    /// given out one after the other. A bit for each brings them into order.
    fn rebuild(&mut self, room: usize, hash_of: impl Fn(u32) -> Hash) {
        let Self { places, used } = std::mem::take(self);
        let ids = || places.iter().filter(|place| **place != FREE).map(|place| place & ID_MASK);
        let words = ids().max().map_or(0, |most| word(most).saturating_add(1));
        let mut held = vec![0_u64; words];
        for id in ids() {
            if let Some(word) = held.get_mut(word(id)) {
                *word |= 1_u64.wrapping_shl(id);
            }
        }
        *self = Self::with_capacity(room);
        for (first, mut bits) in (0_u32..).step_by(64).zip(held) {
            while bits != 0 {
                let id = first.saturating_add(bits.trailing_zeros());
                self.place(hash_of(id), id);
                bits &= bits.wrapping_sub(1);
            }
        }
        self.used = used;
    }
}

/// Which of a row of 64 bits each a number has.
fn word(id: u32) -> usize {
    usize::try_from(id >> 6).unwrap_or(usize::MAX)
}

/// The home comes from the highest bits, the tag from the lowest.
#[inline]
fn tag(hash: Hash) -> u32 {
    u32::try_from(hash.0 & 0xff).unwrap_or(0) << ID_BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Fails when a key is lost, found under another's number, or held twice: as tables grow and shrink, and where
        /// walks are long and pass the end.
        #[test]
        fn every_key_has_the_number_that_it_got_first(
            steps in prop::collection::vec((0_u64..40, 0_u8..4), 0..200),
            spread in prop::sample::select(vec![0_u64, 1, u64::MAX / 48, u64::MAX / 41]),
        ) {
            // The keys are the numbers' own; their hashes fall together, or at the end.
            let hash = |key: u64| Hash(u64::MAX - key * spread);
            let (mut index, mut keys) = (Index::default(), Vec::<u64>::new());
            let mut known = std::collections::BTreeMap::<u64, u32>::new();
            for (key, what) in steps {
                let is = |id: u32| keys[id as usize] == key;
                let hash_of = |id: u32| hash(keys[id as usize]);
                match what {
                    0 => prop_assert_eq!(index.remove(hash(key), is, hash_of), known.remove(&key)),
                    1 => index.shrink_to_fit(hash_of),
                    _ => {
                        let new = keys.len() as u32;
                        let found = index.find_or_insert(hash(key), new, is, hash_of);
                        prop_assert_eq!(found, known.get(&key).copied());
                        if found.is_none() {
                            keys.push(key);
                            known.insert(key, new);
                        }
                    }
                }
                prop_assert_eq!(index.len(), known.len());
                for key in 0..40 {
                    let found = index.find(hash(key), |id| keys[id as usize] == key);
                    prop_assert_eq!(found, known.get(&key).copied());
                }
            }
            let before = index.bytes();
            let greater = index.find_or_insert(hash(41), ID_MAX + 1, |_| false, |_| Hash(0));
            prop_assert_eq!((greater, index.len(), index.bytes()), (None, known.len(), before));
        }
    }
}
