//! What has been told already of things that are no single account, remembered only so far.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use sniper_core::ids::{Address, Signature};
use sniper_core::units::Slot;

use super::story::Story;

/// Transactions remembered.
const RECENT_MAX: usize = 8_192;
/// Accounts of a program after which those not told of since are forgotten; twice as many are known at most.
const ACCOUNTS_MAX: usize = 2_048;

/// The last transactions told, by slot: in another slot it is another fork's.
#[derive(Debug, Default)]
pub(super) struct Recent {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Recent {
    pub(super) fn is_new(&mut self, slot: Slot, signature: &Signature) -> bool {
        // Among so few, two of 64 bits are as good as never the same.
        let mut hasher = DefaultHasher::new();
        (slot.get(), signature).hash(&mut hasher);
        let print = hasher.finish();
        if !self.known.insert(print) {
            return false;
        }
        self.order.push_back(print);
        if self.order.len() > RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// The accounts of a program that were told of lately, in two generations: when the young one is full, it becomes the
/// old one, and what was old is forgotten unless it was told of in the meantime.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    young: HashMap<Address, Story>,
    old: HashMap<Address, Story>,
}

impl Accounts {
    /// What was told of an account.
    pub(super) fn story(&mut self, address: Address, blank: impl FnOnce() -> Story) -> &mut Story {
        if self.young.len() >= ACCOUNTS_MAX && !self.young.contains_key(&address) {
            let kept = self.old.remove(&address);
            self.old = std::mem::take(&mut self.young);
            self.young.extend(kept.map(|story| (address, story)));
        }
        let old = &mut self.old;
        let entry = self.young.entry(address);
        entry.or_insert_with(|| old.remove(&address).unwrap_or_else(blank))
    }

    /// A connection is gone.
    pub(super) fn lose(&mut self, nth: usize) {
        for story in self.young.values_mut().chain(self.old.values_mut()) {
            story.lose(nth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(nth: usize) -> Signature {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&nth.to_le_bytes());
        Signature(bytes)
    }

    fn address(nth: usize) -> Address {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&nth.to_le_bytes());
        Address::new_from_array(bytes)
    }

    #[test]
    fn a_transaction_is_new_once_in_each_slot_and_only_so_many_are_remembered() {
        let mut recent = Recent::default();
        assert!(recent.is_new(Slot::new(1), &signature(0)));
        assert!(!recent.is_new(Slot::new(1), &signature(0)));
        assert!(recent.is_new(Slot::new(2), &signature(0)));
        for nth in 1..3 * RECENT_MAX {
            assert!(recent.is_new(Slot::new(1), &signature(nth)));
        }
        assert_eq!((recent.known.len(), recent.order.len()), (RECENT_MAX, RECENT_MAX));
    }

    #[test]
    fn what_is_told_of_now_and_then_is_kept_and_the_rest_is_forgotten() {
        let mut accounts = Accounts::default();
        let blank = || Story::new(0, 1);
        accounts.story(address(0), blank).set_cursor(0, 41);
        for nth in 1..10 * ACCOUNTS_MAX {
            accounts.story(address(nth), blank);
            if nth % ACCOUNTS_MAX == 0 {
                assert_eq!(accounts.story(address(0), blank).cursor(0), Some(42));
            }
            assert!(accounts.young.len() + accounts.old.len() <= 2 * ACCOUNTS_MAX);
        }
        assert_eq!(accounts.story(address(1), blank).cursor(0), Some(0), "forgotten");
        accounts.lose(0);
        assert_eq!(accounts.story(address(0), blank).cursor(0), Some(0));
    }
}
