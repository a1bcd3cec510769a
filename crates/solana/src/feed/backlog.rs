//! What waits for a receiver that is slower than the feed.
//!
//! # Design
//! While the receiver keeps up this is empty, and nothing comes here. Once its channel is full, what comes waits here in
//! order, and a later word on the same account takes the place of the one that waits: of each account the newest is
//! delivered and what lies between is not. So there is never more here than there are accounts, and the sockets are read
//! on however long the receiver takes.
//!
//! A slot says that everything older was delivered. It waits behind what was told before it; of slots that stand next to
//! each other only the last is kept, so there are no more of them than of the others.

use std::collections::{HashMap, VecDeque};

use sniper_core::ids::Address;

use super::event::FeedEvent;
use super::watch::WatchId;

/// Accounts of programs that may wait. How many a program has is nobody's choice here.
pub(super) const PROGRAM_MAX: usize = 4_096;

/// What an event is about: of two about the same, the later one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A watch, which tells of one thing.
    Watch(WatchId),
    /// An account of a program.
    Program(WatchId, Address),
    /// What could not wait.
    Missed(WatchId),
    /// A gap of a shard begins.
    Gap(usize),
    /// It ends.
    Restored(usize),
    /// A slot; its own number, as it takes nobody's place.
    Slot(u64),
}

#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// What waits, each with the number of its place. May name what is gone.
    order: VecDeque<(u64, Key)>,
    waiting: HashMap<Key, (u64, FeedEvent)>,
    /// Number of the next place.
    place: u64,
    /// How many of these are accounts of programs.
    programs: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut FeedEvent> {
        self.waiting.get_mut(key).map(|(_, event)| event)
    }

    /// Lets an event wait.
    pub(super) fn put(&mut self, key: Key, event: FeedEvent) -> Put {
        match key {
            // The receiver has not yet heard that the gap before it was closed: then it never was.
            Key::Gap(shard) if self.take(&Key::Restored(shard)).is_some() => return Put::Replaced,
            Key::Slot(_) => {
                if let Some((_, last @ Key::Slot(_))) = self.order.back().copied() {
                    self.order.pop_back();
                    self.take(&last);
                }
            }
            Key::Program(..) if !self.waiting.contains_key(&key) => {
                if self.programs >= PROGRAM_MAX {
                    return Put::Full;
                }
                self.programs = self.programs.saturating_add(1);
            }
            _ => {}
        }
        if let Some(older) = self.get_mut(&key) {
            *older = event;
            return Put::Replaced;
        }
        self.place = self.place.saturating_add(1);
        self.waiting.insert(key, (self.place, event));
        self.order.push_back((self.place, key));
        self.tidy();
        Put::Waits
    }

    /// The one that has waited longest.
    pub(super) fn next(&mut self) -> Option<FeedEvent> {
        while let Some((place, key)) = self.order.pop_front() {
            if self.stands(place, &key)
                && let Some(event) = self.take(&key)
            {
                if self.waiting.is_empty() {
                    // Rare, and perhaps never again.
                    *self = Self::default();
                }
                return Some(event);
            }
        }
        None
    }

    /// A watch was let go: nothing more is told of it.
    pub(super) fn forget(&mut self, id: WatchId) {
        self.take(&Key::Watch(id));
        self.take(&Key::Missed(id));
        if self.programs > 0 {
            self.waiting.retain(|key, _| !matches!(key, Key::Program(of, _) if *of == id));
            let of_programs = self.waiting.keys().filter(|key| matches!(key, Key::Program(..)));
            self.programs = of_programs.count();
        }
    }

    fn take(&mut self, key: &Key) -> Option<FeedEvent> {
        let (_, event) = self.waiting.remove(key)?;
        if matches!(key, Key::Program(..)) {
            self.programs = self.programs.saturating_sub(1);
        }
        Some(event)
    }

    fn stands(&self, place: u64, key: &Key) -> bool {
        self.waiting.get(key).is_some_and(|(at, _)| *at == place)
    }

    /// Keeps the order from growing with what is gone.
    fn tidy(&mut self) {
        if self.order.len() > self.waiting.len().saturating_mul(2).saturating_add(64) {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|(place, key)| self.stands(*place, key));
            self.order = order;
        }
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Waits,
    /// In place of an older one.
    Replaced,
    /// There is no room for it.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sniper_core::units::{Lamports, Slot};
    use std::collections::BTreeMap;
    use std::time::Instant;

    fn balance(slot: u64) -> FeedEvent {
        FeedEvent::OwnLamports { lamports: Lamports::new(slot), slot: Slot::new(slot) }
    }

    fn slot(slot: u64) -> FeedEvent {
        FeedEvent::Slot { slot: Slot::new(slot), received: Instant::now() }
    }

    #[test]
    fn a_gap_that_opens_before_the_end_of_the_last_was_told_is_the_same_gap() {
        let mut backlog = Backlog::default();
        let restored = FeedEvent::Restored { shard: 0, slot: Slot::new(1) };
        let gap = FeedEvent::Gap { shard: 0, cause: super::super::event::GapCause::Disconnected };
        backlog.put(Key::Watch(WatchId(1)), balance(1));
        backlog.put(Key::Restored(0), restored.clone());
        assert_eq!(backlog.put(Key::Gap(0), gap), Put::Replaced);
        backlog.put(Key::Watch(WatchId(2)), balance(2));
        backlog.put(Key::Restored(0), restored.clone());
        let told: Vec<_> = std::iter::from_fn(|| backlog.next()).collect();
        assert_eq!(told, [balance(1), balance(2), restored], "once, and after what came before");
    }

    #[test]
    fn accounts_of_a_program_wait_up_to_a_bound_and_go_with_their_watch() {
        let mut backlog = Backlog::default();
        let key = |nth: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&nth.to_le_bytes());
            Key::Program(WatchId(1), Address::new_from_array(bytes))
        };
        for nth in 0..PROGRAM_MAX {
            assert_eq!(backlog.put(key(nth), balance(1)), Put::Waits);
        }
        assert_eq!(backlog.put(key(PROGRAM_MAX), balance(1)), Put::Full);
        assert_eq!(backlog.put(key(3), balance(2)), Put::Replaced);
        backlog.forget(WatchId(1));
        assert!(backlog.is_empty() && backlog.next().is_none());
        assert_eq!(backlog.put(key(0), balance(1)), Put::Waits);
    }

    proptest! {
        // Whatever comes while the receiver takes what it likes: of each account the last word arrives, none arrives
        // twice, a slot arrives after all that was told before it, and there is never more here than there are accounts.
        #[test]
        fn the_newest_of_each_arrives_and_no_slot_overtakes_it(
            steps in proptest::collection::vec((0_u64..8, 0_u8..6), 1..400),
        ) {
            let mut backlog = Backlog::default();
            let (mut now, mut told, mut heard) = (0, BTreeMap::new(), BTreeMap::new());
            let mut hear = |event: FeedEvent, told: &BTreeMap<u64, u64>| match event {
                FeedEvent::OwnLamports { lamports, slot } => {
                    let watch = lamports.get();
                    prop_assert!(heard.insert(watch, slot.get()) < Some(slot.get()), "newer each time");
                    Ok(())
                }
                FeedEvent::Slot { slot, .. } => {
                    // Everything told before it was heard, or something newer was.
                    for (watch, at) in told.iter().filter(|(_, at)| **at < slot.get()) {
                        prop_assert!(heard.get(watch) >= Some(at));
                    }
                    Ok(())
                }
                other => panic!("{other:?}"),
            };
            for (watch, what) in steps {
                now += 1;
                match what {
                    0 => { backlog.put(Key::Slot(now), slot(now)); }
                    1 | 2 => if let Some(event) = backlog.next() { hear(event, &told)?; },
                    3 if watch < 2 => {
                        backlog.forget(WatchId(watch));
                        told.remove(&watch);
                    }
                    _ => {
                        let event = FeedEvent::OwnLamports {
                            lamports: Lamports::new(watch),
                            slot: Slot::new(now),
                        };
                        backlog.put(Key::Watch(WatchId(watch)), event);
                        told.insert(watch, now);
                    }
                }
                prop_assert!(backlog.waiting.len() <= 2 * 8 + 1);
                prop_assert!(backlog.order.len() <= 2 * backlog.waiting.len() + 65);
            }
            while let Some(event) = backlog.next() { hear(event, &told)?; }
            for (watch, at) in told {
                prop_assert_eq!(heard.get(&watch), Some(&at), "the last word");
            }
        }
    }
}
