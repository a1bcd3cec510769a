//! What an endpoint must show before it is used: that it is Solana, the right chain, and honest about heights.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join;
use serde::Serialize;
use serde::de::DeserializeOwned;
use solana_hash::Hash;

use super::endpoint::{Endpoint, EndpointConfig};
use super::error::{ConnectError, RpcError};
use super::read::{ask_along, ask_typed, trust};
use super::wire;
use crate::http;

pub(crate) fn make_endpoints(configs: Vec<EndpointConfig>) -> Result<Vec<Endpoint>, ConnectError> {
    let mut names = std::collections::BTreeSet::new();
    for config in &configs {
        if !names.insert(config.name().clone()) {
            return Err(ConnectError::DuplicateName { name: config.name().to_string() });
        }
    }
    let roots = Arc::new(http::roots(configs.iter().any(EndpointConfig::needs_tls)));
    configs.into_iter().map(|config| Endpoint::new(config, &roots)).collect()
}

/// What an endpoint says of itself before it is trusted.
pub(crate) struct Checked {
    pub(crate) genesis: Hash,
    pub(crate) slot: u64,
    height: u64,
}

pub(crate) async fn check(endpoint: &Endpoint) -> Result<Checked, RpcError> {
    let genesis: String = ask_plain(endpoint, "getGenesisHash", &[(); 0]).await?;
    let genesis = genesis.parse().map_err(|_| RpcError::Impossible {
        endpoint: endpoint.name().clone(),
        method: "getGenesisHash",
        what: "not a hash",
    })?;
    // In this order: the slot can only have grown since.
    let height = ask_plain(endpoint, "getBlockHeight", &processed()).await?;
    let slot = ask_plain(endpoint, "getSlot", &processed()).await?;
    let health = ask_plain::<String>(endpoint, "getHealth", &[(); 0]);
    let (health, ()) = join(health, endpoint.learn_batching()).await;
    match health {
        // By its own word it is behind. Any other failure means only that the method is switched off.
        Err(error) if error.node_code() == Some(-32005) => Err(error),
        _ => Ok(()),
    }?;
    Ok(Checked { genesis, slot, height })
}

/// The slot that a verified endpoint is at.
pub(crate) async fn slot_of(endpoint: &Arc<Endpoint>) -> Result<u64, RpcError> {
    endpoint.vitals().budget.take_in_debt(Instant::now());
    let method = "getSlot";
    ask_along(endpoint, method, wire::request(method, &processed())?, &trust).await
}

fn processed() -> impl Serialize {
    [std::collections::BTreeMap::from([("commitment", "processed")])]
}

async fn ask_plain<T: DeserializeOwned>(
    endpoint: &Endpoint,
    method: &'static str,
    params: &impl Serialize,
) -> Result<T, RpcError> {
    endpoint.vitals().budget.take_in_debt(Instant::now());
    ask_typed(endpoint, method, wire::request(method, params)?, &trust).await
}

/// A chain this old has skipped slots; heights equal to slots are then made up.
const OLD_CHAIN_SLOTS: u64 = 10_000_000;

pub(crate) fn admit(
    endpoint: &Endpoint,
    checked: &Checked,
    wanted: Hash,
) -> Result<(), ConnectError> {
    if checked.genesis != wanted {
        let (endpoint, found) = (endpoint.name().clone(), checked.genesis);
        return Err(ConnectError::WrongGenesis { endpoint, wanted, found });
    }
    let slack = if checked.slot > OLD_CHAIN_SLOTS { checked.slot / 1_000 } else { 0 };
    if checked.height > checked.slot.saturating_sub(slack) {
        return Err(ConnectError::ImpossibleHeight {
            endpoint: endpoint.name().clone(),
            slot: checked.slot,
            height: checked.height,
        });
    }
    let mut vitals = endpoint.vitals();
    vitals.verified = true;
    vitals.slot = checked.slot;
    Ok(())
}

/// The way it fails is not the way of a Solana node that has trouble.
pub(crate) fn is_foreign(error: &RpcError) -> bool {
    match error {
        RpcError::Decode { .. } | RpcError::Impossible { .. } => true,
        RpcError::Status { status, .. } => *status < 500,
        RpcError::Node { code, .. } => matches!(code, -32601 | -32600 | -32700),
        _ => false,
    }
}
