//! Methods that tell where the chain stands.

use std::sync::Arc;

use serde_json::{Value, json};
use solana_address::Address;

use super::params::{self, Params};
use super::{API_VERSION, Answer, Node, RpcError, with_context};
use crate::chain::block::Record;
use crate::chain::ledger::{BLOCKHASH_BLOCKS, Commitment};
use crate::chain::{EPOCH_SLOTS, epoch};

/// Most accounts whose fees can be asked for.
const FEE_ACCOUNTS_MAX: usize = 128;
/// Blocks whose fees are told.
const FEE_BLOCKS: usize = 150;
/// A node this far behind is unhealthy.
const HEALTHY_LAG: u64 = 32;

pub(super) fn latest_blockhash(node: &Node, params: &Params<'_>) -> Answer {
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, params.config(0)?)?;
    let value = json!({
        "blockhash": bank.hash.to_string(),
        "lastValidBlockHeight": bank.height + BLOCKHASH_BLOCKS,
    });
    Ok(with_context(&bank, &value))
}

pub(super) fn is_blockhash_valid(node: &Node, params: &Params<'_>) -> Answer {
    let text = params.text(0)?;
    let hash = text.parse().map_err(|_| {
        let decodes = bs58::decode(text).into_vec().is_ok();
        RpcError::invalid_params(if decodes { "WrongSize" } else { "Invalid" })
    })?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, params.config(1)?)?;
    let valid = ledger.last_valid_height(&hash, bank.slot).is_some_and(|last| bank.height <= last);
    Ok(with_context(&bank, &json!(valid)))
}

pub(super) fn slot(node: &Node, params: &Params<'_>) -> Answer {
    let ledger = node.chain.read();
    Ok(json!(node.bank_for(&ledger, params.config(0)?)?.slot))
}

pub(super) fn block_height(node: &Node, params: &Params<'_>) -> Answer {
    let ledger = node.chain.read();
    Ok(json!(node.bank_for(&ledger, params.config(0)?)?.height))
}

pub(super) fn block_time(node: &Node, params: &Params<'_>) -> Answer {
    let slot = params.number(0)?;
    let ledger = node.chain.read();
    let found = ledger.blocks_from(node.port.lag()).find(|block| block.slot == slot);
    match found {
        Some(block) => Ok(json!(block.time)),
        None => Err(RpcError::new(-32004, format!("Block not available for slot {slot}"))),
    }
}

pub(super) fn epoch_info(node: &Node, params: &Params<'_>) -> Answer {
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, params.config(0)?)?;
    Ok(json!({
        "absoluteSlot": bank.slot,
        "blockHeight": bank.height,
        "epoch": epoch(bank.slot),
        "slotIndex": bank.slot % EPOCH_SLOTS,
        "slotsInEpoch": EPOCH_SLOTS,
        "transactionCount": ledger.transaction_count(),
    }))
}

pub(super) fn health(node: &Node) -> Answer {
    let behind = node.port.lag();
    if behind > HEALTHY_LAG {
        return Err(RpcError::with_data(
            -32005,
            format!("Node is behind by {behind} slots"),
            json!({"numSlotsBehind": behind}),
        ));
    }
    Ok(json!("ok"))
}

pub(super) fn version() -> Value {
    json!({"solana-core": API_VERSION, "feature-set": 0})
}

pub(super) fn first_slot(node: &Node) -> Value {
    let ledger = node.chain.read();
    json!(ledger.block_behind(u64::MAX).slot)
}

pub(super) fn transaction_count(node: &Node, params: &Params<'_>) -> Answer {
    let ledger = node.chain.read();
    node.bank_for(&ledger, params.config(0)?)?;
    Ok(json!(ledger.transaction_count()))
}

/// What landing in each block took at least: the least price of its transactions, and of those that wrote each account
/// given the least; the highest of all these.
pub(super) fn prioritization_fees(node: &Node, params: &Params<'_>) -> Answer {
    let keys = match params.get(0) {
        None => Vec::<Address>::new(),
        Some(_) => params
            .list(0)?
            .iter()
            .map(|key| params::address(key.as_str().unwrap_or_default()))
            .collect::<Result<_, _>>()?,
    };
    if keys.len() > FEE_ACCOUNTS_MAX {
        return Err(RpcError::invalid_params(format!(
            "Too many inputs provided; max {FEE_ACCOUNTS_MAX}"
        )));
    }
    let ledger = node.chain.read();
    let behind = node.port.lag() + node.chain.depths.of(Commitment::Confirmed);
    let mut fees: Vec<Value> = ledger
        .blocks_from(behind)
        .take(FEE_BLOCKS)
        .map(|block| {
            let writes = |record: &Record, key: &Address| {
                record.keys.iter().zip(&record.writable).any(|(k, w)| *w && k == key)
            };
            let prices = |of: Option<&Address>| {
                let counts = |one: &&Arc<Record>| of.is_none_or(|key| writes(one, key));
                block.transactions.iter().filter(counts).map(|one| one.unit_price).min()
            };
            let least = keys.iter().map(Some).chain([None]).filter_map(prices).max();
            json!({"slot": block.slot, "prioritizationFee": least.unwrap_or(0)})
        })
        .collect();
    fees.reverse();
    Ok(Value::Array(fees))
}
