//! Methods that take transactions.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use solana_account::AccountSharedData;
use solana_address::Address;
use solana_message::VersionedMessage;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use super::encode::{self, Encoding, Shape};
use super::params::{self, Config, Params};
use super::transactions::return_data;
use super::view::check_min_slot;
use super::{Answer, Bank, Node, RpcError, slots, with_context};
use crate::chain::ledger::{BLOCKHASH_BLOCKS, Commitment, Ledger};
use crate::chain::simulate::Simulated;

/// Longest transaction on the wire.
const WIRE_MAX: usize = 1_232;
/// Longest text of one.
const BASE64_MAX: usize = 1_644;
const BASE58_MAX: usize = 1_683;
const LAMPORTS_PER_SIGNATURE: u64 = 5_000;

pub(super) fn send_transaction(node: &Node, params: &Params<'_>) -> Answer {
    let config = params.config(1)?;
    let transaction = decode(params.text(0)?, config)?;
    let signature = transaction
        .signatures
        .first()
        .map(ToString::to_string)
        .ok_or_else(|| RpcError::invalid_params("invalid transaction: no signature"))?;
    let signed = transaction.verify_with_results().iter().all(|valid| *valid);
    if config.flag("skipPreflight")? {
        // The node forwards it unread; the leader drops it if a signature is bad.
        if !signed {
            return Ok(json!(signature));
        }
    } else {
        slots::health(node)?;
        let commitment = config.commitment_at("preflightCommitment", Commitment::Finalized)?;
        preflight(node, &transaction, signed, commitment, config)?;
    }
    if !node.port.loses_transaction() {
        node.chain.submit(transaction);
    }
    Ok(json!(signature))
}

fn preflight(
    node: &Node,
    transaction: &VersionedTransaction,
    signed: bool,
    commitment: Commitment,
    config: Config<'_>,
) -> Result<(), RpcError> {
    let ledger = node.chain.read();
    let bank = node.bank(&ledger, commitment);
    check_min_slot(bank, config)?;
    let forged = (!signed).then_some(TransactionError::SignatureFailure);
    let simulated = match forged.or_else(|| unusable(&ledger, &bank, transaction)) {
        Some(error) => Simulated::failed(error),
        None => node.chain.simulator().run(&ledger, bank.slot, transaction.clone()),
    };
    let Some(error) = &simulated.error else { return Ok(()) };
    Err(RpcError::with_data(
        -32002,
        format!("Transaction simulation failed: {error}"),
        json!({
            "accounts": null,
            "err": error,
            "innerInstructions": null,
            "logs": simulated.logs,
            "replacementBlockhash": null,
            "returnData": return_data(simulated.return_data.as_ref()),
            "unitsConsumed": simulated.units,
            "fee": simulated.fee,
        }),
    ))
}

/// Why the bank would not even begin with a transaction.
fn unusable(
    ledger: &Ledger,
    bank: &Bank,
    transaction: &VersionedTransaction,
) -> Option<TransactionError> {
    let hash = transaction.message.recent_blockhash();
    let valid = ledger.last_valid_height(hash, bank.slot).is_some_and(|last| bank.height <= last);
    if !valid {
        return Some(TransactionError::BlockhashNotFound);
    }
    already_processed(ledger, bank, transaction)
}

fn already_processed(
    ledger: &Ledger,
    bank: &Bank,
    transaction: &VersionedTransaction,
) -> Option<TransactionError> {
    let record = ledger.transaction(transaction.signatures.first()?)?;
    (record.slot <= bank.slot).then_some(TransactionError::AlreadyProcessed)
}

pub(super) fn simulate_transaction(node: &Node, params: &Params<'_>) -> Answer {
    let config = params.config(1)?;
    let (verify, replace) = (config.flag("sigVerify")?, config.flag("replaceRecentBlockhash")?);
    let mut transaction = decode(params.text(0)?, config)?;
    if verify && replace {
        return Err(RpcError::invalid_params(
            "sigVerify may not be used with replaceRecentBlockhash",
        ));
    }
    let shown = shown_accounts(config)?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, config)?;
    let mut replacement = Value::Null;
    if replace {
        transaction.message.set_recent_blockhash(bank.hash);
        replacement = json!({
            "blockhash": bank.hash.to_string(),
            "lastValidBlockHeight": bank.height + BLOCKHASH_BLOCKS,
        });
    }
    let forged = verify && !transaction.verify_with_results().iter().all(|valid| *valid);
    let refused = match (forged, replace) {
        (true, _) => Some(TransactionError::SignatureFailure),
        // With another blockhash it is another transaction, which nobody has processed.
        (false, true) => None,
        (false, false) => unusable(&ledger, &bank, &transaction),
    };
    let simulated = match refused {
        Some(error) => Simulated::failed(error),
        None => node.chain.simulator().run(&ledger, bank.slot, transaction),
    };
    let accounts = match &shown {
        None => Value::Null,
        Some((addresses, shape)) => show(&ledger, &bank, &simulated, addresses, *shape)?,
    };
    let value = json!({
        "err": simulated.error,
        "logs": simulated.logs,
        "accounts": accounts,
        "unitsConsumed": simulated.units,
        "returnData": return_data(simulated.return_data.as_ref()),
        "innerInstructions": null,
        "replacementBlockhash": replacement,
        "fee": simulated.fee,
    });
    Ok(with_context(&bank, &value))
}

fn shown_accounts(config: Config<'_>) -> Result<Option<(Vec<Address>, Shape)>, RpcError> {
    let Some(Value::Object(fields)) = config.get("accounts") else { return Ok(None) };
    let shape = Shape::read(Config::of(Some(fields)), Encoding::Base64)?;
    if matches!(shape.encoding, Encoding::Base58 | Encoding::Legacy) {
        return Err(RpcError::invalid_params("base58 encoding not supported"));
    }
    let addresses = match fields.get("addresses") {
        Some(Value::Array(keys)) => keys
            .iter()
            .map(|key| params::address(key.as_str().unwrap_or_default()))
            .collect::<Result<_, _>>()?,
        _ => return Err(RpcError::invalid_params("Invalid params: missing field `addresses`.")),
    };
    Ok(Some((addresses, shape)))
}

fn show(
    ledger: &Ledger,
    bank: &Bank,
    simulated: &Simulated,
    addresses: &[Address],
    shape: Shape,
) -> Answer {
    if simulated.error.is_some() {
        return Ok(json!(vec![Value::Null; addresses.len()]));
    }
    if addresses.len() > simulated.keys {
        return Err(RpcError::invalid_params(format!(
            "Too many accounts provided; max {}",
            simulated.keys
        )));
    }
    let decimals = Node::decimals_at(ledger, bank.slot);
    let after = |address: &Address| -> Option<&AccountSharedData> {
        let written = simulated.accounts.iter().find(|(key, _)| key == address);
        written.map(|(_, account)| account).or_else(|| ledger.account(address, bank.slot))
    };
    let values = addresses
        .iter()
        .map(|address| match after(address) {
            Some(account) => encode::account(account, shape, &decimals),
            None => Ok(Value::Null),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Value::Array(values))
}

pub(super) fn fee_for_message(node: &Node, params: &Params<'_>) -> Answer {
    let bytes = BASE64_STANDARD
        .decode(params.text(0)?)
        .map_err(|error| RpcError::invalid_params(format!("invalid base64 encoding: {error:?}")))?;
    let message: VersionedMessage = wincode::deserialize(&bytes).map_err(|error| {
        RpcError::invalid_params(format!(
            "failed to deserialize solana_message::versions::VersionedMessage: {error}"
        ))
    })?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, params.config(1)?)?;
    let known = ledger
        .last_valid_height(message.recent_blockhash(), bank.slot)
        .is_some_and(|last| bank.height <= last);
    let fee = known.then(|| fee(&message));
    Ok(with_context(&bank, &json!(fee)))
}

/// What a message costs: its signatures, and its compute units at its price, rounded up.
pub(crate) fn fee(message: &VersionedMessage) -> u64 {
    const MICRO: u128 = 1_000_000;
    let (price, limit) = crate::chain::mempool::compute_budget(message);
    let priority = (u128::from(price) * u128::from(limit)).div_ceil(MICRO);
    u64::from(message.header().num_required_signatures)
        .saturating_mul(LAMPORTS_PER_SIGNATURE)
        .saturating_add(u64::try_from(priority).unwrap_or(u64::MAX))
}

pub(crate) fn decode(text: &str, config: Config<'_>) -> Result<VersionedTransaction, RpcError> {
    let (name, longest) = match config.text("encoding")? {
        None | Some("base58") => ("base58", BASE58_MAX),
        Some("base64") => ("base64", BASE64_MAX),
        Some(other) => {
            return Err(RpcError::invalid_params(format!(
                "unsupported encoding: {other}. Supported encodings: base58, base64"
            )));
        }
    };
    let too_large = |length: usize| {
        RpcError::invalid_params(format!(
            "{name} encoded solana_transaction::versioned::VersionedTransaction too large: \
             {length} bytes (max: encoded/raw {longest}/{WIRE_MAX})"
        ))
    };
    if text.len() > longest {
        return Err(too_large(text.len()));
    }
    let bytes = if name == "base58" {
        bs58::decode(text).into_vec().map_err(|error| {
            RpcError::invalid_params(format!("invalid base58 encoding: {error:?}"))
        })?
    } else {
        BASE64_STANDARD.decode(text).map_err(|error| {
            RpcError::invalid_params(format!("invalid base64 encoding: {error:?}"))
        })?
    };
    if bytes.len() > WIRE_MAX {
        return Err(too_large(bytes.len()));
    }
    let transaction: VersionedTransaction = wincode::deserialize(&bytes).map_err(|error| {
        RpcError::invalid_params(format!(
            "failed to deserialize solana_transaction::versioned::VersionedTransaction: {error}"
        ))
    })?;
    transaction
        .sanitize()
        .map_err(|error| RpcError::invalid_params(format!("invalid transaction: {error}")))?;
    Ok(transaction)
}
