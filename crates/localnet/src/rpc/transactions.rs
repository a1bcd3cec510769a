//! Methods that read transactions.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use solana_message::VersionedMessage;
use solana_message::compiled_instruction::CompiledInstruction;
use solana_transaction::versioned::TransactionVersion;

use super::accounts::texts;
use super::encode::token_amount;
use super::params::{self, Params};
use super::{Answer, Bank, Node, RpcError, with_context};
use crate::chain::block::{Record, TokenBalance};
use crate::chain::ledger::Commitment;

const STATUSES_MAX: usize = 256;
const SIGNATURES_MAX: u64 = 1_000;

/// The three banks a status is judged by.
struct Levels {
    confirmed: Bank,
    finalized: Bank,
    processed: Bank,
}

impl Levels {
    fn of(node: &Node, ledger: &crate::chain::ledger::Ledger) -> Self {
        Self {
            processed: node.bank(ledger, Commitment::Processed),
            confirmed: node.bank(ledger, Commitment::Confirmed),
            finalized: node.bank(ledger, Commitment::Finalized),
        }
    }

    fn name(&self, slot: u64) -> &'static str {
        if slot <= self.finalized.slot {
            "finalized"
        } else if slot <= self.confirmed.slot {
            "confirmed"
        } else {
            "processed"
        }
    }
}

pub(super) fn signature_statuses(node: &Node, params: &Params<'_>) -> Answer {
    let signatures = params.list(0)?;
    if signatures.len() > STATUSES_MAX {
        return Err(RpcError::invalid_params(format!(
            "Too many inputs provided; max {STATUSES_MAX}"
        )));
    }
    let signatures = signatures.iter().map(params::signature).collect::<Result<Vec<_>, _>>()?;
    params.config(1)?.flag("searchTransactionHistory")?;
    let ledger = node.chain.read();
    let levels = Levels::of(node, &ledger);
    let values = signatures
        .iter()
        .map(|signature| {
            let record = ledger.transaction(signature)?;
            (record.slot <= levels.processed.slot).then_some(record)
        })
        .map(|record| match record {
            None => Value::Null,
            Some(record) => {
                let name = levels.name(record.slot);
                let confirmations =
                    (name != "finalized").then(|| levels.processed.slot - record.slot);
                json!({
                    "slot": record.slot,
                    "confirmations": confirmations,
                    "err": record.error,
                    "status": status(record),
                    "confirmationStatus": name,
                })
            }
        })
        .collect();
    Ok(with_context(&levels.processed, &Value::Array(values)))
}

fn status(record: &Record) -> Value {
    match &record.error {
        None => json!({"Ok": null}),
        Some(error) => json!({"Err": error}),
    }
}

pub(super) fn signatures_for_address(node: &Node, params: &Params<'_>) -> Answer {
    let address = params.address(0)?;
    let config = params.config(1)?;
    let limit = config.number("limit")?.unwrap_or(SIGNATURES_MAX);
    if limit == 0 || limit > SIGNATURES_MAX {
        return Err(RpcError::invalid_params(format!("Invalid limit; max {SIGNATURES_MAX}")));
    }
    let bound = |name| config.get(name).map(params::signature).transpose();
    let (before, until) = (bound("before")?, bound("until")?);
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, config)?;
    let levels = Levels::of(node, &ledger);
    let mut started = before.is_none();
    let mut found = Vec::new();
    for record in ledger.transactions_of(&address) {
        if Some(record.signature) == until {
            break;
        }
        if started && record.slot <= bank.slot {
            found.push(json!({
                "signature": record.signature.to_string(),
                "slot": record.slot,
                "err": record.error,
                "memo": null,
                "blockTime": record.time,
                "confirmationStatus": levels.name(record.slot),
                "transactionIndex": record.index,
            }));
        }
        started |= Some(record.signature) == before;
        if u64::try_from(found.len()).unwrap_or(u64::MAX) >= limit {
            break;
        }
    }
    Ok(Value::Array(found))
}

pub(super) fn transaction(node: &Node, params: &Params<'_>) -> Answer {
    let signature = params::signature(&json!(params.text(0)?))?;
    // The encoding may stand alone, as it did before there was a configuration object.
    let (encoding, config) = match params.get(1) {
        Some(Value::String(encoding)) => (Some(encoding.as_str()), params.config(2)?),
        _ => {
            let config = params.config(1)?;
            (config.text("encoding")?, config)
        }
    };
    let commitment = config.commitment()?;
    if commitment == Commitment::Processed {
        return Err(RpcError::invalid_params(
            "Method does not support commitment below `confirmed`",
        ));
    }
    let ledger = node.chain.read();
    let bank = node.bank(&ledger, commitment);
    let record = match ledger.transaction(&signature) {
        Some(record) if record.slot <= bank.slot => record,
        _ => return Ok(Value::Null),
    };
    let version = version(record);
    if let Some(number) = version.as_u64()
        && config.number("maxSupportedTransactionVersion")?.is_none_or(|most| number > most)
    {
        return Err(RpcError::new(
            -32015,
            format!(
                "Transaction version ({number}) is not supported by the requesting client. Please \
                 try the request again with the following configuration parameter: \
                 \"maxSupportedTransactionVersion\": {number}"
            ),
        ));
    }
    let encoding = encoding.unwrap_or("json");
    let encoded = encode(record, encoding)?;
    let mut meta = meta(record);
    if encoding == "jsonParsed"
        && let Some(fields) = meta.as_object_mut()
    {
        // The parsed message names the loaded keys itself.
        fields.remove("loadedAddresses");
    }
    let mut result = json!({
        "slot": record.slot,
        "blockTime": record.time,
        "transaction": encoded,
        "meta": meta,
        "transactionIndex": record.index,
    });
    if config.get("maxSupportedTransactionVersion").is_some()
        && let Some(fields) = result.as_object_mut()
    {
        fields.insert("version".into(), version);
    }
    Ok(result)
}

fn version(record: &Record) -> Value {
    match record.transaction.version() {
        TransactionVersion::Legacy(_) => json!("legacy"),
        TransactionVersion::Number(number) => json!(number),
    }
}

fn encode(record: &Record, encoding: &str) -> Answer {
    let bytes = || {
        wincode::serialize(&record.transaction)
            .map_err(|error| RpcError::new(-32603, format!("Internal error: {error}")))
    };
    Ok(match encoding {
        "json" | "jsonParsed" => {
            let signatures: Vec<_> =
                record.transaction.signatures.iter().map(ToString::to_string).collect();
            let message = if encoding == "json" { message(record) } else { parsed(record) };
            json!({"signatures": signatures, "message": message})
        }
        "base64" => json!([BASE64_STANDARD.encode(bytes()?), "base64"]),
        "base58" => json!([bs58::encode(bytes()?).into_string(), "base58"]),
        "binary" => json!(bs58::encode(bytes()?).into_string()),
        other => {
            return Err(RpcError::invalid_params(format!(
                "Invalid params: unknown variant `{other}`, expected one of `json`, \
                 `jsonParsed`, `base58`, `base64`."
            )));
        }
    })
}

fn message(record: &Record) -> Value {
    let message = &record.transaction.message;
    let header = message.header();
    let instructions: Vec<_> =
        message.instructions().iter().map(|one| instruction(one, None)).collect();
    let mut value = json!({
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": texts(message.static_account_keys()),
        "recentBlockhash": message.recent_blockhash().to_string(),
        "instructions": instructions,
    });
    add_lookups(&mut value, message);
    value
}

fn add_lookups(value: &mut Value, message: &VersionedMessage) {
    let (Some(lookups), Some(fields)) = (message.address_table_lookups(), value.as_object_mut())
    else {
        return;
    };
    let lookups: Vec<_> = lookups
        .iter()
        .map(|lookup| {
            json!({
                "accountKey": lookup.account_key.to_string(),
                "writableIndexes": lookup.writable_indexes,
                "readonlyIndexes": lookup.readonly_indexes,
            })
        })
        .collect();
    fields.insert("addressTableLookups".into(), Value::Array(lookups));
}

fn instruction(one: &CompiledInstruction, stack_height: Option<u8>) -> Value {
    json!({
        "programIdIndex": one.program_id_index,
        "accounts": one.accounts,
        "data": bs58::encode(&one.data).into_string(),
        "stackHeight": stack_height.unwrap_or(1),
    })
}

/// Keys spelled out; instructions stay undecoded, as of programs no parser knows.
fn parsed(record: &Record) -> Value {
    let message = &record.transaction.message;
    let fixed = record.static_keys();
    let keys: Vec<_> = record
        .keys
        .iter()
        .zip(&record.writable)
        .enumerate()
        .map(|(index, (key, writable))| {
            json!({
                "pubkey": key.to_string(),
                "signer": message.is_signer(index),
                "writable": writable,
                "source": if index < fixed { "transaction" } else { "lookupTable" },
            })
        })
        .collect();
    let instructions: Vec<_> =
        message.instructions().iter().map(|one| parsed_instruction(record, one, 1)).collect();
    let mut value = json!({
        "accountKeys": keys,
        "recentBlockhash": message.recent_blockhash().to_string(),
        "instructions": instructions,
    });
    add_lookups(&mut value, message);
    value
}

fn parsed_instruction(record: &Record, one: &CompiledInstruction, stack_height: u8) -> Value {
    let key = |index: u8| record.keys.get(usize::from(index)).map(ToString::to_string);
    let accounts: Vec<_> = one.accounts.iter().filter_map(|index| key(*index)).collect();
    json!({
        "programId": key(one.program_id_index),
        "accounts": accounts,
        "data": bs58::encode(&one.data).into_string(),
        "stackHeight": stack_height,
    })
}

fn meta(record: &Record) -> Value {
    let inner: Vec<_> = record
        .inner
        .iter()
        .enumerate()
        .filter(|(_, list)| !list.is_empty())
        .map(|(index, list)| {
            let instructions: Vec<_> = list
                .iter()
                .map(|one| instruction(&one.instruction, Some(one.stack_height)))
                .collect();
            json!({"index": index, "instructions": instructions})
        })
        .collect();
    let fixed = record.static_keys();
    let loaded = record.keys.get(fixed..).unwrap_or_default();
    let (writable, readonly) = loaded.split_at(record.loaded_writable.min(loaded.len()));
    let mut value = json!({
        "err": record.error,
        "status": status(record),
        "fee": record.fee,
        "preBalances": record.pre_balances,
        "postBalances": record.post_balances,
        "innerInstructions": inner,
        "logMessages": record.logs,
        "preTokenBalances": token_balances(&record.pre_tokens),
        "postTokenBalances": token_balances(&record.post_tokens),
        "rewards": [],
        "loadedAddresses": {"writable": texts(writable), "readonly": texts(readonly)},
        "computeUnitsConsumed": record.units,
    });
    if let (Some(data), Some(fields)) =
        (return_data(record.return_data.as_ref()), value.as_object_mut())
    {
        fields.insert("returnData".into(), data);
    }
    value
}

/// Returned data as JSON, if there is any.
pub(super) fn return_data(data: Option<&(solana_address::Address, Vec<u8>)>) -> Option<Value> {
    let (program, bytes) = data?;
    let mut fields = Map::new();
    fields.insert("programId".into(), json!(program.to_string()));
    fields.insert("data".into(), json!([BASE64_STANDARD.encode(bytes), "base64"]));
    Some(Value::Object(fields))
}

fn token_balances(balances: &[TokenBalance]) -> Vec<Value> {
    balances
        .iter()
        .map(|balance| {
            json!({
                "accountIndex": balance.index,
                "mint": balance.mint.to_string(),
                "owner": balance.owner.to_string(),
                "programId": balance.program.to_string(),
                "uiTokenAmount": token_amount(balance.amount, balance.decimals),
            })
        })
        .collect()
}
