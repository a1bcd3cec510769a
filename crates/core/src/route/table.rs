//! Which edge joins two mints: a table with open addressing, the same on every machine.

use serde::{Deserialize, Serialize};

use crate::ids::MintId;

const EMPTY: u32 = u32::MAX;

/// Two mints to the number of their edge. At most half full; adding is amortised constant time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Table {
    /// Keys and edges; the length is a power of two.
    places: Vec<(u32, u32)>,
    len: usize,
}

/// The lower mint first.
pub(super) fn sorted(a: MintId, b: MintId) -> [MintId; 2] {
    if a <= b { [a, b] } else { [b, a] }
}

fn key([low, high]: [MintId; 2]) -> u32 {
    u32::from(low.0) << 16 | u32::from(high.0)
}

impl Table {
    /// The edge of two mints, the lower first.
    pub(super) fn get(&self, mints: [MintId; 2]) -> Option<u32> {
        let (_, edge) = self.places.get(self.place(key(mints))?)?;
        (*edge != EMPTY).then_some(*edge)
    }

    /// Adds an edge that is not there yet.
    pub(super) fn add(&mut self, mints: [MintId; 2], edge: u32) {
        self.len = self.len.saturating_add(1);
        if self.len.saturating_mul(2) > self.places.len() {
            let room = self.len.saturating_mul(4).next_power_of_two();
            let old = std::mem::replace(&mut self.places, vec![(0, EMPTY); room]);
            for place in old.into_iter().filter(|(_, edge)| *edge != EMPTY) {
                self.put(place);
            }
        }
        self.put((key(mints), edge));
    }

    fn put(&mut self, new: (u32, u32)) {
        if let Some(at) = self.place(new.0)
            && let Some(place) = self.places.get_mut(at)
        {
            *place = new;
        }
    }

    /// Where the key is, or would be.
    fn place(&self, key: u32) -> Option<usize> {
        let last = self.places.len().checked_sub(1)?;
        // Knuth's multiplier spreads neighbouring mints; the high bits are the well mixed ones.
        let hash = u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let mut at = usize::try_from(hash).unwrap_or(0) & last;
        loop {
            match self.places.get(at)? {
                (_, EMPTY) => return Some(at),
                (known, _) if *known == key => return Some(at),
                _ => at = at.wrapping_add(1) & last,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn what_was_added_is_found_and_nothing_else(
            edges in prop::collection::btree_set((0_u16..60, 0_u16..60), 0..400),
        ) {
            let mut table = Table::default();
            let mut plain = BTreeMap::new();
            for (nth, (a, b)) in edges.iter().enumerate() {
                let mints = [MintId(*a), MintId(*b)];
                table.add(mints, nth as u32);
                plain.insert(mints, nth as u32);
            }
            for a in 0..60 {
                for b in 0..60 {
                    let mints = [MintId(a), MintId(b)];
                    prop_assert_eq!(table.get(mints), plain.get(&mints).copied());
                }
            }
        }
    }
}
