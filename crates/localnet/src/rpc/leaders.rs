//! Who makes the blocks: this chain has one validator, and it leads in every slot.

use serde_json::{Map, Value, json};

use super::params::{self, Params};
use super::{Answer, Node, RpcError};
use crate::chain::{EPOCH_SLOTS, epoch};

/// Most leaders of one answer.
const LEADERS_MAX: u64 = 5_000;

pub(super) fn slot_leader(node: &Node, params: &Params<'_>) -> Answer {
    let ledger = node.chain.read();
    node.bank_for(&ledger, params.config(0)?)?;
    Ok(json!(node.chain.identity.to_string()))
}

pub(super) fn slot_leaders(node: &Node, params: &Params<'_>) -> Answer {
    let (first, count) = (params.number(0)?, params.number(1)?);
    if !(1..=LEADERS_MAX).contains(&count) {
        return Err(RpcError::invalid_params(format!("Invalid limit; max {LEADERS_MAX}")));
    }
    // A node knows its leaders up to the end of the next epoch.
    let last = first.saturating_add(count - 1);
    if epoch(last) > known_to(node.chain.read().tip().slot) {
        let epoch = epoch(last);
        return Err(RpcError::invalid_params(format!(
            "Invalid slot range: leader schedule for epoch {epoch} is unavailable"
        )));
    }
    let leader = node.chain.identity.to_string();
    Ok((0..count).map(|_| Value::from(leader.as_str())).collect())
}

pub(super) fn leader_schedule(node: &Node, params: &Params<'_>) -> Answer {
    // The slot may be left out, and the configuration stands first then.
    let (slot, config) = match params.get(0) {
        Some(Value::Object(_)) => (None, params.config(0)?),
        Some(_) => (Some(params.number(0)?), params.config(1)?),
        None => (None, params.config(1)?),
    };
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, config)?;
    if epoch(slot.unwrap_or(bank.slot)) > known_to(ledger.tip().slot) {
        return Ok(Value::Null);
    }
    let leader = node.chain.identity.to_string();
    let wanted = config.text("identity")?;
    if let Some(wanted) = wanted {
        params::address(wanted)?;
    }
    let mut schedule = Map::new();
    if wanted.is_none_or(|wanted| wanted == leader) {
        schedule.insert(leader, (0..EPOCH_SLOTS).collect());
    }
    Ok(Value::Object(schedule))
}

/// The last epoch whose leaders are known.
const fn known_to(tip: u64) -> u64 {
    epoch(tip) + 1
}
