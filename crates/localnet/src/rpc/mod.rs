//! The JSON-RPC methods.

mod accounts;
pub(crate) mod encode;
mod faucet;
mod leaders;
pub(crate) mod params;
pub(crate) mod send;
mod slots;
mod tokens;
mod transactions;
mod view;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::chain::Chain;
use crate::port::Port;
pub(crate) use accounts::Filter;
use params::Params;
pub(crate) use view::Bank;

/// An error answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(crate) fn with_data(code: i64, message: impl Into<String>, data: Value) -> Self {
        Self { code, message: message.into(), data: Some(data) }
    }

    pub(crate) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.data {
            Some(data) => json!({"code": self.code, "message": self.message, "data": data}),
            None => json!({"code": self.code, "message": self.message}),
        }
    }
}

pub(crate) type Answer = Result<Value, RpcError>;

/// One port's window on the chain.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) chain: Arc<Chain>,
    pub(crate) port: Arc<Port>,
    pub(crate) ports: Arc<Vec<Arc<Port>>>,
}

/// Answers one method call.
pub(crate) fn call(node: &Node, method: &str, params: &Value) -> Answer {
    let params = Params::new(params)?;
    match method {
        "getAccountInfo" => accounts::account_info(node, &params),
        "getMultipleAccounts" => accounts::multiple_accounts(node, &params),
        "getProgramAccounts" => accounts::program_accounts(node, &params),
        "getBalance" => accounts::balance(node, &params),
        "getMinimumBalanceForRentExemption" => accounts::minimum_balance(&params),
        "getTokenAccountsByOwner" => tokens::accounts_by_owner(node, &params),
        "getTokenAccountBalance" => tokens::account_balance(node, &params),
        "getTokenSupply" => tokens::supply(node, &params),
        "getTokenLargestAccounts" => tokens::largest_accounts(node, &params),
        "getLatestBlockhash" => slots::latest_blockhash(node, &params),
        "isBlockhashValid" => slots::is_blockhash_valid(node, &params),
        "getSlot" => slots::slot(node, &params),
        "getBlockHeight" => slots::block_height(node, &params),
        "getBlockTime" => slots::block_time(node, &params),
        "getEpochInfo" => slots::epoch_info(node, &params),
        "getSlotLeader" => leaders::slot_leader(node, &params),
        "getSlotLeaders" => leaders::slot_leaders(node, &params),
        "getLeaderSchedule" => leaders::leader_schedule(node, &params),
        "getHealth" => slots::health(node),
        "getGenesisHash" => Ok(json!(node.chain.genesis_hash.to_string())),
        "getIdentity" => Ok(json!({"identity": node.chain.identity.to_string()})),
        "getVersion" => Ok(slots::version()),
        "getFirstAvailableBlock" | "minimumLedgerSlot" => Ok(slots::first_slot(node)),
        "getTransactionCount" => slots::transaction_count(node, &params),
        "getRecentPrioritizationFees" => slots::prioritization_fees(node, &params),
        "getSignatureStatuses" => transactions::signature_statuses(node, &params),
        "getSignaturesForAddress" => transactions::signatures_for_address(node, &params),
        "getTransaction" => transactions::transaction(node, &params),
        "getFeeForMessage" => send::fee_for_message(node, &params),
        "sendTransaction" => send::send_transaction(node, &params),
        "simulateTransaction" => send::simulate_transaction(node, &params),
        "requestAirdrop" => faucet::request_airdrop(node, &params),
        "localnet_mint" => faucet::mint(node, &params),
        "localnet_info" => Ok(faucet::info(node)),
        "localnet_forks" => faucet::forks(node, &params),
        "localnet_faults" => faucet::faults(node, &params),
        "localnet_disconnect" => faucet::disconnect(node, &params),
        _ => Err(RpcError::new(-32601, "Method not found")),
    }
}

/// Whether a method steers the chain itself and is spared the port's faults.
pub(crate) fn is_control(method: &str) -> bool {
    method.starts_with("localnet_")
}

/// A result with the slot it was read at.
fn with_context(bank: &Bank, value: &Value) -> Value {
    json!({"context": {"slot": bank.slot, "apiVersion": API_VERSION}, "value": value})
}

/// The generation of nodes this one answers like.
pub(crate) const API_VERSION: &str = "4.2.2";
