//! Answers, in our own types.

use serde::Deserialize;
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, BlockHeight, Lamports, Slot};
use solana_hash::Hash;

/// How sure the cluster is of what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Commitment {
    /// One node has executed it; a fork may still undo it.
    Processed,
    /// Two thirds of the stake voted for it.
    #[default]
    Confirmed,
    /// It cannot be undone.
    Finalized,
}

impl Commitment {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Confirmed => "confirmed",
            Self::Finalized => "finalized",
        }
    }
}

/// A value and the slot of the state it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The slot of the state that answered: not when the value last changed.
    pub slot: Slot,
    /// The value.
    pub value: T,
}

/// A blockhash to build on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatestBlockhash {
    /// The hash.
    pub hash: Hash,
    /// After this height a transaction built on it can no longer land.
    pub last_valid: BlockHeight,
}

/// An account as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Its native balance.
    pub lamports: Lamports,
    /// The program that may write it.
    pub owner: Address,
    /// Its bytes.
    pub data: Vec<u8>,
    /// It is a program.
    pub executable: bool,
}

/// The part of a token account that matters here; the same in SPL Token and Token-2022.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenAccount {
    /// Of which mint.
    pub mint: Address,
    /// Whose.
    pub owner: Address,
    /// How much.
    pub amount: Atoms,
    /// It cannot move.
    pub frozen: bool,
    /// Who else may move some of it.
    pub delegate: Option<Address>,
    /// Who may close the account, where that is not its owner.
    pub close_authority: Option<Address>,
}

/// Length of a token account without extensions.
const TOKEN_ACCOUNT: usize = 165;

impl TokenAccount {
    /// Reads the bytes of a token account; `None` if they are not one.
    #[must_use]
    pub fn decode(data: &[u8]) -> Option<Self> {
        // With extensions a type byte follows: 2 is an account, 1 would be a mint.
        let extended = data.get(TOKEN_ACCOUNT).is_none_or(|kind| *kind == 2);
        if data.len() < TOKEN_ACCOUNT || !extended {
            return None;
        }
        let key = |at: usize| {
            let bytes: [u8; 32] = data.get(at..at.checked_add(32)?)?.try_into().ok()?;
            Some(Address::new_from_array(bytes))
        };
        let state = *data.get(108)?;
        if !matches!(state, 1 | 2) {
            return None;
        }
        let option = |at: usize| match data.get(at..at.checked_add(4)?)? {
            [0, 0, 0, 0] => Some(None),
            [1, 0, 0, 0] => key(at.checked_add(4)?).map(Some),
            _ => None,
        };
        Some(Self {
            mint: key(0)?,
            owner: key(32)?,
            amount: Atoms::new(u64::from_le_bytes(data.get(64..72)?.try_into().ok()?)),
            frozen: state == 2,
            delegate: option(72)?,
            close_authority: option(129)?,
        })
    }
}

/// A token account and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnedToken {
    /// Its address.
    pub address: Address,
    /// What it holds.
    pub token: TokenAccount,
    /// Lamports locked in it as rent, or wrapped.
    pub lamports: Lamports,
}

/// A token amount as a node tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenAmount {
    /// Atoms.
    pub amount: Atoms,
    /// Atoms per whole token, as a power of ten.
    pub decimals: u8,
}

/// How far a transaction has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureStatus {
    /// Where it was executed.
    pub slot: Slot,
    /// How sure that is.
    pub commitment: Commitment,
    /// It failed, and why.
    pub err: Option<TxError>,
}

/// Why a transaction that was executed, or simulated, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxError {
    /// The program's own number, where a program gave one.
    pub custom: Option<u32>,
    /// The error as JSON: for people, never for decisions.
    pub text: String,
}

impl<'de> Deserialize<'de> for TxError {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let custom = value
            .get("InstructionError")
            .and_then(|pair| pair.get(1))
            .and_then(|error| error.get("Custom"))
            .and_then(serde_json::Value::as_u64)
            .and_then(|code| u32::try_from(code).ok());
        Ok(Self { custom, text: super::wire::clean(&value.to_string()) })
    }
}

/// A transaction that is in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// Where.
    pub slot: Slot,
    /// It failed: nothing moved but the fee.
    pub err: Option<TxError>,
    /// Base and priority fee together.
    pub fee: Lamports,
    /// Native balance of our key before.
    pub lamports_before: Lamports,
    /// And after.
    pub lamports_after: Lamports,
    /// Changes of token accounts of ours, per mint, zeroes left out.
    pub deltas: Vec<(Address, i64)>,
    /// Compute units used, where told.
    pub compute_units: Option<u64>,
}

/// What a node thinks would happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// Why it would fail.
    pub err: Option<TxError>,
    /// What the programs said; may be cut.
    pub logs: Vec<String>,
    /// Compute units used.
    pub units: Option<u64>,
}

/// A condition on accounts of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountFilter {
    /// Exactly this many bytes.
    DataSize(u64),
    /// These bytes at this offset.
    Memcmp {
        /// Where.
        offset: usize,
        /// What; at most 128 bytes.
        bytes: Vec<u8>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mint_with_extensions_is_not_taken_for_an_account() {
        let mut data = vec![0; 200];
        data[108] = 1;
        data[165] = 2;
        data[64] = 7;
        assert_eq!(TokenAccount::decode(&data).unwrap().amount, Atoms::new(7));
        data[165] = 1;
        assert_eq!(TokenAccount::decode(&data), None);
        assert!(TokenAccount::decode(&data[..165]).is_some());
        data[108] = 0;
        assert_eq!(TokenAccount::decode(&data[..165]), None, "not initialised");
    }

    #[test]
    fn a_programs_error_number_is_found_and_nothing_else_is_taken_for_one() {
        let read = |text| serde_json::from_str::<TxError>(text).unwrap().custom;
        assert_eq!(read(r#"{"InstructionError":[2,{"Custom":6005}]}"#), Some(6005));
        assert_eq!(read(r#"{"InstructionError":[2,"InvalidAccountData"]}"#), None);
        assert_eq!(read(r#"{"InstructionError":[2,{"Custom":4294967296}]}"#), None);
        assert_eq!(read(r#""BlockhashNotFound""#), None);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_do_not(data in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Some(token) = TokenAccount::decode(&data) {
                prop_assert_eq!(&token.amount.get().to_le_bytes()[..], &data[64..72]);
            }
        }
    }
}
