//! Address lookup tables: accounts on the chain whose keys a transaction names by one byte each.
//!
//! Layout and instructions are those of the Address Lookup Table program, as its documentation and its interface crate
//! give them.

use sniper_core::ids::Address;
use sniper_core::units::Slot;
use solana_instruction::{AccountMeta, Instruction};
use thiserror::Error;

use super::instructions::SYSTEM_PROGRAM;
use super::message::LookupTable;

/// The program that owns all tables.
pub const LOOKUP_TABLE_PROGRAM: Address =
    Address::from_str_const("AddressLookupTab1e1111111111111111111111111");
/// Keys that one table holds at most.
pub const TABLE_KEYS_MAX: usize = 256;
/// Keys that one transaction adds: as many as fit beside the rest.
const KEYS_PER_EXTENSION: usize = 24;
/// Bytes before the keys.
const HEAD: usize = 56;

/// Why an account is no table to build on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TableError {
    /// Another program's account.
    #[error("it is not owned by the lookup table program")]
    Owner,
    /// Not the bytes of a table.
    #[error("its bytes are not those of a lookup table")]
    Layout,
    /// Its keys will be gone soon.
    #[error("it was deactivated at slot {0}, and can be closed at any time")]
    Deactivated(Slot),
}

impl LookupTable {
    /// Reads a table's account.
    ///
    /// # Errors
    /// Not a table, or one that is about to end.
    pub fn decode(address: Address, owner: &Address, data: &[u8]) -> Result<Self, TableError> {
        if *owner != LOOKUP_TABLE_PROGRAM {
            return Err(TableError::Owner);
        }
        let (head, keys) = data.split_at_checked(HEAD).ok_or(TableError::Layout)?;
        let (kind, rest) = head.split_first_chunk().ok_or(TableError::Layout)?;
        let (deactivated, _) = rest.split_first_chunk().ok_or(TableError::Layout)?;
        let (keys, []) = keys.as_chunks::<32>() else { return Err(TableError::Layout) };
        if u32::from_le_bytes(*kind) != 1 || keys.len() > TABLE_KEYS_MAX {
            return Err(TableError::Layout);
        }
        let deactivated = u64::from_le_bytes(*deactivated);
        if deactivated != u64::MAX {
            return Err(TableError::Deactivated(Slot::new(deactivated)));
        }
        let addresses = keys.iter().copied().map(Address::new_from_array).collect();
        Ok(Self { address, addresses })
    }

    /// A table to be made by `authority`, which pays its rent, and what makes it: the instructions of as many
    /// transactions as there are lists, in this order. `recent` is a slot that the chain still remembers. Keys beyond
    /// [`TABLE_KEYS_MAX`] are left out.
    ///
    /// Its keys work from the slot after the last transaction on.
    #[must_use]
    pub fn plan(
        authority: Address,
        recent: Slot,
        mut keys: Vec<Address>,
    ) -> (Self, Vec<Vec<Instruction>>) {
        keys.truncate(TABLE_KEYS_MAX);
        let slot = recent.get().to_le_bytes();
        let seeds: [&[u8]; 2] = [authority.as_array(), &slot];
        let (table, bump) = Address::find_program_address(&seeds, &LOOKUP_TABLE_PROGRAM);
        let accounts = vec![
            AccountMeta::new(table, false),
            AccountMeta::new_readonly(authority, true),
            AccountMeta::new(authority, true),
            AccountMeta::new_readonly(SYSTEM_PROGRAM, false),
        ];
        let instruction = |data| Instruction {
            program_id: LOOKUP_TABLE_PROGRAM,
            accounts: accounts.clone(),
            data,
        };
        let create = [&0_u32.to_le_bytes()[..], &slot, &[bump]].concat();
        let extensions = keys.chunks(KEYS_PER_EXTENSION).map(|keys| {
            let count = u64::try_from(keys.len()).unwrap_or(u64::MAX).to_le_bytes();
            let keys = keys.iter().flat_map(|key| *key.as_array());
            instruction(
                [2_u32.to_le_bytes().as_slice(), &count].concat().into_iter().chain(keys).collect(),
            )
        });
        let mut steps: Vec<Vec<Instruction>> =
            extensions.map(|extension| vec![extension]).collect();
        match steps.first_mut() {
            Some(first) => first.insert(0, instruction(create)),
            None => steps.push(vec![instruction(create)]),
        }
        (Self { address: table, addresses: keys }, steps)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Address {
        Address::new_from_array([byte; 32])
    }

    fn account(deactivated: u64, keys: &[Address]) -> Vec<u8> {
        let mut data = vec![0; HEAD];
        data[..4].copy_from_slice(&1_u32.to_le_bytes());
        data[4..12].copy_from_slice(&deactivated.to_le_bytes());
        data.extend(keys.iter().flat_map(|key| *key.as_array()));
        data
    }

    fn decode(data: &[u8]) -> Result<LookupTable, TableError> {
        LookupTable::decode(key(9), &LOOKUP_TABLE_PROGRAM, data)
    }

    #[test]
    fn a_table_is_read_and_one_that_ends_is_not() {
        let data = account(u64::MAX, &[key(1), key(2)]);
        let table = LookupTable { address: key(9), addresses: vec![key(1), key(2)] };
        assert_eq!(decode(&data), Ok(table));
        let ending = account(77, &[key(1)]);
        assert_eq!(decode(&ending), Err(TableError::Deactivated(Slot::new(77))));
        assert_eq!(LookupTable::decode(key(9), &key(3), &data), Err(TableError::Owner));
        let mut other = data.clone();
        other[0] = 0;
        assert_eq!(decode(&other), Err(TableError::Layout));
        assert_eq!(decode(&account(u64::MAX, &[key(1); 257])), Err(TableError::Layout));
    }

    #[test]
    fn every_key_is_added_once_in_transactions_that_fit() {
        let keys: Vec<Address> = (0..100).map(key).collect();
        let (table, steps) = LookupTable::plan(key(200), Slot::new(7), keys.clone());
        assert_eq!(table.addresses, keys);
        let mut added = Vec::new();
        for step in &steps {
            let message = super::super::compile(key(200), step, &solana_hash::Hash::default(), &[]);
            assert!(message.is_ok(), "{message:?}");
            let extension = step.last().unwrap();
            let listed = extension.data[12..].as_chunks::<32>().0;
            added.extend(listed.iter().copied().map(Address::new_from_array));
        }
        assert_eq!(added, keys);
        assert_eq!(steps.iter().flatten().count(), steps.len() + 1, "made once");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(decode(&data));
        }
    }
}
