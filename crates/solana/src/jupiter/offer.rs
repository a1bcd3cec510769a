//! What the aggregator answers, as it is on the wire.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sniper_core::ids::Address;
use sniper_core::units::Atoms;
use solana_instruction::{AccountMeta, Instruction};

use crate::rpc::raw::{AtMost, Parsed, Text};
use crate::tx::{TABLE_KEYS_MAX, WIRE_MAX};

/// Accounts that one instruction can name: a byte counts them.
const ACCOUNTS_MAX: usize = 256;
/// Instructions of one kind.
const INSTRUCTIONS_MAX: usize = 16;
/// Lookup tables of one transaction.
pub(super) const TABLES_MAX: usize = 16;

/// A swap that was built for us. Nothing of it has been looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// What it says should come out.
    pub quoted_out: Atoms,
    /// What would set the budget.
    pub budget: Vec<Instruction>,
    /// What would make accounts.
    pub setup: Vec<Instruction>,
    /// The swap.
    pub swap: Instruction,
    /// What would be done after it.
    pub cleanup: Option<Instruction>,
    /// What else would be done.
    pub others: Vec<Instruction>,
    /// What would be paid to land.
    pub tip: Option<Instruction>,
    /// Lookup tables that make it small enough. What they hold is asked of the chain.
    pub tables: Vec<Address>,
}

/// The quote in an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawQuote {
    pub(super) input_mint: Parsed<Address>,
    pub(super) output_mint: Parsed<Address>,
    pub(super) in_amount: Parsed<u64>,
    pub(super) out_amount: Parsed<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawBuild {
    #[serde(flatten)]
    pub(super) quote: RawQuote,
    compute_budget_instructions: AtMost<RawInstruction, INSTRUCTIONS_MAX>,
    setup_instructions: AtMost<RawInstruction, INSTRUCTIONS_MAX>,
    swap_instruction: RawInstruction,
    cleanup_instruction: Option<RawInstruction>,
    other_instructions: AtMost<RawInstruction, INSTRUCTIONS_MAX>,
    tip_instruction: Option<RawInstruction>,
    addresses_by_lookup_table_address: Option<Keys<AtMost<Parsed<Address>, TABLE_KEYS_MAX>>>,
}

impl From<RawBuild> for Offer {
    fn from(raw: RawBuild) -> Self {
        let all = |list: AtMost<RawInstruction, INSTRUCTIONS_MAX>| {
            list.0.into_iter().map(|RawInstruction(one)| one).collect()
        };
        let tables = raw.addresses_by_lookup_table_address.map(|keys| keys.names);
        Self {
            quoted_out: Atoms::new(raw.quote.out_amount.0),
            budget: all(raw.compute_budget_instructions),
            setup: all(raw.setup_instructions),
            swap: raw.swap_instruction.0,
            cleanup: raw.cleanup_instruction.map(|RawInstruction(one)| one),
            others: all(raw.other_instructions),
            tip: raw.tip_instruction.map(|RawInstruction(one)| one),
            tables: tables.unwrap_or_default(),
        }
    }
}

/// `{"programId","accounts":[{"pubkey","isSigner","isWritable"}],"data"}`
struct RawInstruction(Instruction);

impl<'de> Deserialize<'de> for RawInstruction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Whole<'a> {
            program_id: Parsed<Address>,
            accounts: AtMost<RawMeta, ACCOUNTS_MAX>,
            #[serde(borrow)]
            data: Text<'a>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct RawMeta {
            pubkey: Parsed<Address>,
            is_signer: bool,
            is_writable: bool,
        }
        let raw = Whole::deserialize(deserializer)?;
        let data = STANDARD.decode(raw.data.0.as_bytes()).map_err(D::Error::custom)?;
        if data.len() > WIRE_MAX {
            return Err(D::Error::custom("more data than a transaction holds"));
        }
        let metas = raw.accounts.0.into_iter().map(|raw| AccountMeta {
            pubkey: raw.pubkey.0,
            is_signer: raw.is_signer,
            is_writable: raw.is_writable,
        });
        Ok(Self(Instruction { program_id: raw.program_id.0, accounts: metas.collect(), data }))
    }
}

/// The names of an object whose values are read and let go.
struct Keys<T> {
    names: Vec<Address>,
    values: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Keys<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for KeysVisitor<T> {
            type Value = Keys<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object keyed by address")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys<T>, A::Error> {
                let mut named = BTreeMap::new();
                while let Some((name, _)) = map.next_entry::<String, T>()? {
                    if named.len() >= TABLES_MAX {
                        return Err(A::Error::custom("more tables than a transaction names"));
                    }
                    let address: Address = name.parse().map_err(A::Error::custom)?;
                    named.insert(address, ());
                }
                let names = named.into_keys().collect();
                Ok(Keys { names, values: PhantomData })
            }
        }
        deserializer.deserialize_map(KeysVisitor(PhantomData))
    }
}
