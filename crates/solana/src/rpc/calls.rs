//! What a landed transaction called: its instructions and those that its programs called in turn.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sniper_core::ids::{Address, Signature};
use sniper_core::units::Slot;

use super::error::RpcError;
use super::methods::{Options, base58};
use super::pool::RpcConnectionPool;
use super::raw::{Parsed, Text};
use super::read::Weight;
use super::types::{Commitment, TxError};

/// Most instructions read of one transaction; the runtime allows a quarter of it.
const CALLS_MAX: usize = 256;
/// Most accounts that a transaction can name.
const KEYS_MAX: usize = 256;
/// Most accounts of one instruction.
const ACCOUNTS_MAX: usize = 256;
/// Longest data of an instruction that is read, as base58. Longer data are told as none.
const DATA_MAX: usize = 1_024;

/// One instruction that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whose it was.
    pub program: Address,
    /// The accounts it was given, in their order.
    pub accounts: Vec<Address>,
    /// What it was told; empty if that was long.
    pub data: Vec<u8>,
}

/// The instructions of a landed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// The slot that it is in.
    pub slot: Slot,
    /// It did not fail.
    pub succeeded: bool,
    /// All of them, each followed by those that it called; no order among these but the node's.
    pub calls: Vec<Call>,
    /// Whether the node tells what programs called in turn.
    pub is_whole: bool,
}

#[derive(Deserialize)]
pub(super) struct RawCalls<'a> {
    slot: u64,
    #[serde(borrow)]
    transaction: Body<'a>,
    #[serde(borrow)]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    signatures: Vec<Text<'a>>,
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    account_keys: Vec<Parsed<Address>>,
    #[serde(borrow)]
    instructions: Vec<Instruction<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instruction<'a> {
    program_id_index: usize,
    accounts: Vec<usize>,
    #[serde(borrow)]
    data: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(deserialize_with = "nullable")]
    err: Option<TxError>,
    #[serde(borrow, default)]
    inner_instructions: Option<Vec<Inner<'a>>>,
    #[serde(default)]
    loaded_addresses: Option<Loaded>,
}

/// A field that may be null but must be there: a missing `err` is not a success.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TxError>, D::Error> {
    Option::deserialize(deserializer)
}

#[derive(Deserialize)]
struct Inner<'a> {
    index: usize,
    #[serde(borrow)]
    instructions: Vec<Instruction<'a>>,
}

#[derive(Default, Deserialize)]
struct Loaded {
    writable: Vec<Parsed<Address>>,
    readonly: Vec<Parsed<Address>>,
}

impl RawCalls<'_> {
    fn calls(self, signature: &str) -> Result<Calls, &'static str> {
        let Body { signatures, message } = self.transaction;
        if signatures.first().is_none_or(|first| first.0 != signature) {
            return Err("another transaction than asked for");
        }
        let meta = self.meta.ok_or("a transaction without meta")?;
        let loaded = meta.loaded_addresses.unwrap_or_default();
        let mut keys: Vec<Address> = Vec::new();
        keys.extend(message.account_keys.into_iter().map(|key| key.0));
        keys.extend(loaded.writable.into_iter().chain(loaded.readonly).map(|key| key.0));
        if keys.len() > KEYS_MAX {
            return Err("more accounts than a transaction can name");
        }
        let is_whole = meta.inner_instructions.is_some();
        let mut inner = meta.inner_instructions.unwrap_or_default();
        let within = inner.iter().map(|one| one.instructions.len());
        let count = within.fold(message.instructions.len(), usize::saturating_add);
        if count > CALLS_MAX {
            return Err("more instructions than a transaction can have");
        }
        let mut calls = Vec::with_capacity(count);
        for (nth, instruction) in message.instructions.into_iter().enumerate() {
            calls.push(instruction.call(&keys)?);
            for list in inner.extract_if(.., |list| list.index == nth) {
                for instruction in list.instructions {
                    calls.push(instruction.call(&keys)?);
                }
            }
        }
        if !inner.is_empty() {
            return Err("instructions called by none");
        }
        let succeeded = meta.err.is_none();
        Ok(Calls { slot: Slot::new(self.slot), succeeded, calls, is_whole })
    }
}

impl Instruction<'_> {
    fn call(self, keys: &[Address]) -> Result<Call, &'static str> {
        let key = |index: usize| keys.get(index).copied().ok_or("an account that is not named");
        if self.accounts.len() > ACCOUNTS_MAX {
            return Err("more accounts than an instruction can have");
        }
        let data = match self.data.0.len() {
            0..=DATA_MAX => bs58::decode(self.data.0.as_bytes())
                .into_vec()
                .map_err(|_| "data that are not base58")?,
            _ => Vec::new(),
        };
        Ok(Call {
            program: key(self.program_id_index)?,
            accounts: self.accounts.into_iter().map(key).collect::<Result<_, _>>()?,
            data,
        })
    }
}

impl RpcConnectionPool {
    /// What a landed transaction called; none if the node does not know it (yet).
    ///
    /// # Errors
    /// As every read, and [`RpcError::Impossible`] for one that is not what was asked for, or beyond what a transaction
    /// can be.
    pub async fn transaction_calls(
        &self,
        signature: &Signature,
        commitment: Commitment,
    ) -> Result<Option<Calls>, RpcError> {
        let method = "getTransaction";
        let name = base58(signature);
        let options = Options::transaction(commitment);
        // Read twice: which endpoint is to blame for a wrong answer is known in the first reading only.
        let params = (&name, options);
        let answer = self
            .read::<Box<RawValue>>(method, &params, Weight::Light, |answer| {
                read(answer, &name).map(drop)
            })
            .await?;
        read(&answer, &name).map_err(|what| RpcError::Impossible {
            endpoint: "all".into(),
            method,
            what,
        })
    }
}

fn read(answer: &RawValue, name: &str) -> Result<Option<Calls>, &'static str> {
    let raw: Option<RawCalls<'_>> =
        serde_json::from_str(answer.get()).map_err(|_| "an unreadable transaction")?;
    raw.map(|raw| raw.calls(name)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NAME: &str = "abc";

    fn key(byte: u8) -> String {
        Address::new_from_array([byte; 32]).to_string()
    }

    fn transaction() -> serde_json::Value {
        let call = |program: usize, accounts: &[usize], data: &[u8]| {
            json!({"programIdIndex": program, "accounts": accounts,
                "data": bs58::encode(data).into_string(), "stackHeight": 1})
        };
        json!({"slot": 7, "blockTime": null, "version": 0, "transaction": {"signatures": [NAME], "message": {
            "accountKeys": [key(1), key(2)], "header": {}, "recentBlockhash": key(9),
            "instructions": [call(1, &[0], &[5]), call(3, &[0, 2], &[6, 7])]}},
            "meta": {"err": null, "fee": 5000, "preBalances": [], "postBalances": [],
            "innerInstructions": [{"index": 1, "instructions": [call(2, &[3], &[])]}],
            "loadedAddresses": {"writable": [key(3)], "readonly": [key(4)]}}})
    }

    fn called(value: &serde_json::Value) -> Result<Calls, &'static str> {
        let raw = RawValue::from_string(value.to_string()).unwrap();
        read(&raw, NAME).map(|calls| calls.unwrap())
    }

    #[test]
    fn every_call_is_told_with_its_accounts_looked_up_ones_included() {
        let calls = called(&transaction()).unwrap();
        let at = |byte| Address::new_from_array([byte; 32]);
        let call = |program, accounts: &[u8], data: &[u8]| Call {
            program: at(program),
            accounts: accounts.iter().map(|one| at(*one)).collect(),
            data: data.to_vec(),
        };
        let expected = vec![call(2, &[1], &[5]), call(4, &[1, 3], &[6, 7]), call(3, &[4], &[])];
        let slot = Slot::new(7);
        assert_eq!(calls, Calls { slot, succeeded: true, calls: expected, is_whole: true });
    }

    #[test]
    fn a_failure_is_told_and_what_a_node_does_not_record_is_not_whole() {
        let mut value = transaction();
        value["meta"]["err"] = json!({"InstructionError": [0, {"Custom": 1}]});
        value["meta"]["innerInstructions"] = json!(null);
        let calls = called(&value).unwrap();
        assert!(!calls.succeeded && !calls.is_whole);
        value["meta"].as_object_mut().unwrap().remove("err");
        assert_eq!(called(&value), Err("an unreadable transaction"), "no word of success");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let edit = |path: &str, with: serde_json::Value| {
            let mut value = transaction();
            *value.pointer_mut(path).unwrap() = with;
            called(&value).unwrap_err()
        };
        let instructions = "/transaction/message/instructions";
        let cases = [
            edit("/transaction/signatures/0", json!("other")),
            edit("/meta", json!(null)),
            edit(&format!("{instructions}/0/programIdIndex"), json!(4)),
            edit(&format!("{instructions}/0/accounts/0"), json!(9)),
            edit(&format!("{instructions}/0/data"), json!("0")),
            edit(&format!("{instructions}/0/accounts"), json!(vec![0; 257])),
            edit("/meta/innerInstructions/0/index", json!(2)),
            edit("/meta/loadedAddresses/writable", json!(vec![key(3); 256])),
            edit(
                "/meta/innerInstructions/0/instructions",
                json!(vec![json!({"programIdIndex": 0, "accounts": [], "data": ""}); 300]),
            ),
        ];
        assert_eq!(
            cases,
            [
                "another transaction than asked for",
                "a transaction without meta",
                "an account that is not named",
                "an account that is not named",
                "data that are not base58",
                "more accounts than an instruction can have",
                "instructions called by none",
                "more accounts than a transaction can name",
                "more instructions than a transaction can have",
            ]
        );
    }

    #[test]
    fn long_data_are_not_decoded() {
        let mut value = transaction();
        value["transaction"]["message"]["instructions"][0]["data"] =
            json!("z".repeat(DATA_MAX + 1));
        assert!(called(&value).unwrap().calls[0].data.is_empty());
    }

    proptest! {
        #[test]
        fn any_damage_is_read_or_refused_without_panic(at in 0_usize..900, with: char) {
            let mut text: Vec<char> = transaction().to_string().chars().collect();
            let at = at % text.len();
            text[at] = with;
            if let Ok(raw) = RawValue::from_string(text.into_iter().collect()) {
                drop(read(&raw, NAME));
            }
        }
    }
}
