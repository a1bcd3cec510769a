//! Who makes the blocks of a stretch of slots.

use sniper_core::ids::Address;
use sniper_core::units::Slot;

/// Leaders of consecutive slots, in runs: each leads for a few slots in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaders {
    first: u64,
    /// The slot after each run, ascending, and who leads in it.
    runs: Vec<(u64, u16)>,
    names: Vec<Address>,
}

impl Leaders {
    /// Those of the slots from `first` on.
    #[must_use]
    pub fn new(first: Slot, leaders: &[Address]) -> Self {
        let mut all = Self { first: first.get(), ..Self::default() };
        let mut places = std::collections::BTreeMap::new();
        for (slot, leader) in (first.get()..).zip(leaders) {
            let place = *places.entry(*leader).or_insert_with(|| {
                all.names.push(*leader);
                u16::try_from(all.names.len().saturating_sub(1)).unwrap_or(u16::MAX)
            });
            let end = slot.saturating_add(1);
            match all.runs.last_mut() {
                Some((last, who)) if *who == place => *last = end,
                _ => all.runs.push((end, place)),
            }
        }
        all
    }

    /// The first slot that is known.
    #[must_use]
    pub const fn first(&self) -> Slot {
        Slot::new(self.first)
    }

    /// The slot after the last that is known.
    #[must_use]
    pub fn end(&self) -> Slot {
        Slot::new(self.runs.last().map_or(self.first, |(end, _)| *end))
    }

    /// Who leads in a slot; none where that is not known.
    #[must_use]
    pub fn at(&self, slot: Slot) -> Option<Address> {
        if slot.get() < self.first {
            return None;
        }
        let run = self.runs.partition_point(|(end, _)| *end <= slot.get());
        let (_, who) = self.runs.get(run)?;
        self.names.get(usize::from(*who)).copied()
    }

    /// The next slot of a leader, `from` included; none where that is not known.
    #[must_use]
    pub fn next(&self, leader: &Address, from: Slot) -> Option<Slot> {
        let who = self.names.iter().position(|name| name == leader)?;
        let mut begins = self.first;
        for (end, place) in &self.runs {
            if usize::from(*place) == who && *end > from.get() {
                return Some(Slot::new(begins.max(from.get())));
            }
            begins = *end;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u8) -> Address {
        Address::new_from_array([n; 32])
    }

    proptest! {
        #[test]
        fn runs_tell_what_the_list_told(
            leaders in proptest::collection::vec(0_u8..5, 0..60), first in 0_u64..1_000, ask in 0_u64..1_100,
            whose in 0_u8..6,
        ) {
            let list: Vec<_> = leaders.iter().map(|n| key(*n)).collect();
            let known = Leaders::new(Slot::new(first), &list);
            let place = ask.checked_sub(first).and_then(|at| usize::try_from(at).ok());
            let wanted = place.and_then(|at| list.get(at)).copied();
            prop_assert_eq!(known.at(Slot::new(ask)), wanted);
            let slots = (first..).zip(&list);
            let next = slots.filter(|(slot, name)| *slot >= ask && **name == key(whose));
            let next = next.map(|(slot, _)| Slot::new(slot)).next();
            prop_assert_eq!(known.next(&key(whose), Slot::new(ask)), next);
            prop_assert_eq!(known.end().get(), first + u64::try_from(list.len()).unwrap());
        }
    }
}
