//! Account versions by slot, so that every commitment level reads the state it promises.

use std::collections::{HashMap, HashSet};

use solana_account::{AccountSharedData, ReadableAccount};
use solana_address::Address;

struct Version {
    slot: u64,
    account: AccountSharedData,
}

/// All accounts, each with the versions that some readable slot still needs.
#[derive(Default)]
pub(crate) struct AccountStore {
    versions: HashMap<Address, Vec<Version>>,
    by_owner: HashMap<Address, HashSet<Address>>,
}

impl AccountStore {
    /// Records the state of `address` after `slot`. Zero lamports means deleted.
    pub(crate) fn insert(&mut self, slot: u64, address: Address, account: AccountSharedData) {
        self.by_owner.entry(*account.owner()).or_default().insert(address);
        let versions = self.versions.entry(address).or_default();
        match versions.last_mut() {
            Some(last) if last.slot == slot => last.account = account,
            _ => versions.push(Version { slot, account }),
        }
    }

    /// Forgets what came after `slot`.
    pub(crate) fn roll_back(&mut self, address: &Address, slot: u64) {
        if let Some(versions) = self.versions.get_mut(address) {
            versions.retain(|version| version.slot <= slot);
        }
    }

    /// The state of `address` as of `slot`.
    pub(crate) fn get(&self, address: &Address, slot: u64) -> Option<&AccountSharedData> {
        let versions = self.versions.get(address)?;
        let version = versions.iter().rev().find(|version| version.slot <= slot)?;
        (version.account.lamports() > 0).then_some(&version.account)
    }

    /// Accounts owned by `program` as of `slot`, in no particular order.
    pub(crate) fn owned_by<'a>(
        &'a self,
        program: &'a Address,
        slot: u64,
    ) -> impl Iterator<Item = (&'a Address, &'a AccountSharedData)> {
        self.by_owner.get(program).into_iter().flatten().filter_map(move |address| {
            let account = self.get(address, slot)?;
            (account.owner() == program).then_some((address, account))
        })
    }

    /// Drops the versions of `address` that no slot from `horizon` on can see.
    pub(crate) fn prune(&mut self, address: &Address, horizon: u64) {
        let Some(versions) = self.versions.get_mut(address) else { return };
        let keep_from =
            versions.iter().rposition(|version| version.slot <= horizon).unwrap_or_default();
        let mut dropped: Vec<Version> = versions.drain(..keep_from).collect();
        let gone = match versions.as_slice() {
            [only] => only.account.lamports() == 0 && only.slot <= horizon,
            _ => false,
        };
        if gone {
            dropped.append(versions);
        }
        for version in dropped {
            let owner = *version.account.owner();
            let still = versions.iter().any(|kept| *kept.account.owner() == owner);
            if !still && let Some(set) = self.by_owner.get_mut(&owner) {
                set.remove(address);
                if set.is_empty() {
                    self.by_owner.remove(&owner);
                }
            }
        }
        if gone {
            self.versions.remove(address);
        }
    }

    /// How many addresses are known.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.versions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(lamports: u64, owner: u8) -> AccountSharedData {
        AccountSharedData::new(lamports, 0, &Address::new_from_array([owner; 32]))
    }

    #[test]
    fn a_read_sees_the_last_version_at_or_before_its_slot() {
        let mut store = AccountStore::default();
        let key = Address::new_from_array([7; 32]);
        store.insert(10, key, account(1, 1));
        store.insert(12, key, account(2, 1));
        store.insert(12, key, account(3, 1));
        store.insert(15, key, account(0, 0));
        assert!(store.get(&key, 9).is_none());
        assert_eq!(store.get(&key, 11).map(ReadableAccount::lamports), Some(1));
        assert_eq!(store.get(&key, 14).map(ReadableAccount::lamports), Some(3));
        assert!(store.get(&key, 15).is_none(), "deleted");
    }

    #[test]
    fn pruning_keeps_what_the_horizon_can_see_and_forgets_the_deleted() {
        let mut store = AccountStore::default();
        let key = Address::new_from_array([7; 32]);
        for slot in 1..=5 {
            store.insert(slot, key, account(slot, 1));
        }
        store.prune(&key, 3);
        assert!(store.get(&key, 2).is_none(), "older than the horizon");
        assert_eq!(store.get(&key, 3).map(ReadableAccount::lamports), Some(3));
        assert_eq!(store.get(&key, 5).map(ReadableAccount::lamports), Some(5));
        store.insert(6, key, account(0, 0));
        store.prune(&key, 5);
        assert_eq!(store.get(&key, 5).map(ReadableAccount::lamports), Some(5));
        store.prune(&key, 6);
        assert_eq!(store.len(), 0);
        assert!(store.by_owner.is_empty());
    }

    #[test]
    fn ownership_is_as_of_the_slot() {
        let mut store = AccountStore::default();
        let key = Address::new_from_array([7; 32]);
        let (old, new) = (Address::new_from_array([1; 32]), Address::new_from_array([2; 32]));
        store.insert(1, key, account(5, 1));
        store.insert(2, key, account(5, 2));
        assert_eq!(store.owned_by(&old, 1).count(), 1);
        assert_eq!(store.owned_by(&old, 2).count(), 0);
        assert_eq!(store.owned_by(&new, 2).count(), 1);
        store.prune(&key, 2);
        assert_eq!(store.owned_by(&old, 2).count(), 0);
        assert_eq!(store.by_owner.len(), 1);
    }
}
