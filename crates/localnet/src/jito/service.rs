//! The block engine's methods.

use serde_json::{Value, json};

use super::bundles::{Bundle, Fate, is_eligible, name};
use super::{BUNDLE_MAX, TIP_ACCOUNTS};
use crate::chain::ledger::Commitment;
use crate::rpc::params::Params;
use crate::rpc::{Answer, Node, RpcError, send};

/// Answers one call; `bundle_only` is what the address of the request says.
pub(crate) fn call(node: &Node, method: &str, params: &Value, bundle_only: bool) -> Answer {
    let params = Params::new(params)?;
    match method {
        "sendTransaction" => send_transaction(node, &params, bundle_only),
        "sendBundle" => send_bundle(node, &params),
        "getTipAccounts" => {
            Ok(json!(TIP_ACCOUNTS.iter().map(ToString::to_string).collect::<Vec<_>>()))
        }
        "getBundleStatuses" => statuses(node, &params),
        "getInflightBundleStatuses" => in_flight(node, &params),
        _ => Err(RpcError::new(-32601, "Method not found")),
    }
}

fn send_transaction(node: &Node, params: &Params<'_>, bundle_only: bool) -> Answer {
    let transaction = send::decode(params.text(0)?, params.config(1)?)?;
    let signature = transaction.signatures.first().map(ToString::to_string);
    let signed = transaction.verify_with_results().iter().all(|valid| *valid);
    if signed && !node.port.loses_transaction() {
        let bundle = vec![transaction.clone()];
        if is_eligible(&bundle) {
            node.chain.bundles().push(Bundle { id: name(&bundle), transactions: bundle });
        }
        if !bundle_only {
            node.chain.submit(transaction);
        }
    }
    Ok(json!(signature))
}

fn send_bundle(node: &Node, params: &Params<'_>) -> Answer {
    let Some(Value::Array(list)) = params.get(0) else {
        return Err(RpcError::invalid_params("Invalid params: expected a list of transactions."));
    };
    if list.is_empty() || list.len() > BUNDLE_MAX {
        let problem = format!("Bundle must hold 1 to {BUNDLE_MAX} transactions");
        return Err(RpcError::invalid_params(problem));
    }
    let config = params.config(1)?;
    let transactions = list
        .iter()
        .map(|text| send::decode(text.as_str().unwrap_or_default(), config))
        .collect::<Result<Vec<_>, _>>()?;
    let is_signed = transactions
        .iter()
        .all(|transaction| transaction.verify_with_results().iter().all(|valid| *valid));
    if !is_signed {
        return Err(RpcError::invalid_params("bundle contains an invalid signature"));
    }
    if !is_eligible(&transactions) {
        return Err(RpcError::invalid_params(
            "Bundles must write lock at least one tip account to be eligible for the auction.",
        ));
    }
    let id = name(&transactions);
    if !node.port.loses_transaction() {
        node.chain.bundles().push(Bundle { id: id.clone(), transactions });
    }
    Ok(json!(id))
}

/// The names that are asked for.
fn ids<'a>(params: &'a Params<'_>) -> Result<Vec<&'a str>, RpcError> {
    let Some(Value::Array(list)) = params.get(0) else {
        return Err(RpcError::invalid_params("Invalid params: expected a list of bundle ids."));
    };
    if list.len() > BUNDLE_MAX {
        return Err(RpcError::invalid_params(format!("at most {BUNDLE_MAX} bundle ids")));
    }
    Ok(list.iter().map(|id| id.as_str().unwrap_or_default()).collect())
}

fn statuses(node: &Node, params: &Params<'_>) -> Answer {
    let ids = ids(params)?;
    let (processed, depths) = (node.chain.read().tip().slot, node.chain.depths);
    let reached = |commitment| {
        let ledger = node.chain.read();
        ledger.block_behind(depths.of(commitment)).slot
    };
    let (confirmed, finalized) = (reached(Commitment::Confirmed), reached(Commitment::Finalized));
    let bundles = node.chain.bundles();
    let of = |id: &&str| match bundles.fate(id) {
        Some(Fate::Landed { slot, signatures }) => {
            let status = match *slot {
                slot if slot <= finalized => "finalized",
                slot if slot <= confirmed => "confirmed",
                _ => "processed",
            };
            json!({
                "bundle_id": id,
                "transactions": signatures,
                "slot": slot,
                "confirmation_status": status,
                "err": {"Ok": null},
            })
        }
        _ => Value::Null,
    };
    let value: Vec<Value> = ids.iter().map(of).collect();
    Ok(json!({"context": {"slot": processed}, "value": value}))
}

fn in_flight(node: &Node, params: &Params<'_>) -> Answer {
    let ids = ids(params)?;
    let slot = node.chain.read().tip().slot;
    let bundles = node.chain.bundles();
    let of = |id: &&str| {
        let (status, landed) = match bundles.fate(id) {
            None => ("Invalid", None),
            Some(Fate::Pending) => ("Pending", None),
            Some(Fate::Failed) => ("Failed", None),
            Some(Fate::Landed { slot, .. }) => ("Landed", Some(*slot)),
        };
        json!({"bundle_id": id, "status": status, "landed_slot": landed})
    };
    let value: Vec<Value> = ids.iter().map(of).collect();
    Ok(json!({"context": {"slot": slot}, "value": value}))
}
