//! A read of one account through the pool of endpoints, beside the same request over a bare connection, at a local chain.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use sniper_core::ids::Address;
use sniper_solana::rpc::{Commitment, EndpointConfig, PoolSettings, RpcConnectionPool};

use super::load::{Bare, in_turns};
use super::row::Row;
use super::turns::{Bounds, Rejected, Taken, clean};
use crate::live::LocalChain;

/// Requests a second of each.
const RATE: u32 = 50;
/// How many times the bare read ours may take, at the median.
const TIMES: f64 = 1.25;

pub(super) fn measure(span: Duration, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("start the event loop")?;
    let (_chain, told) = LocalChain::start_with(&["--port", "0", "--no-agents"])?;
    let (http, ws) = told.rpc_urls.first().zip(told.ws_urls.first()).context("find its port")?;
    let endpoint = EndpointConfig::new("local", http, ws, 10_000)?;
    let settings = PoolSettings { hedge: false, ..PoolSettings::default() };
    let rpc = runtime.block_on(RpcConnectionPool::connect(vec![endpoint], settings))?;
    clean("rpc read", Bounds::SYSTEM, rejected, || runtime.block_on(run(http, &rpc, span)))
}

/// Another account each time: what others ask at the same moment would be shared.
fn key(nth: u32) -> Address {
    let mut bytes = [11; 32];
    bytes.iter_mut().zip(nth.to_le_bytes()).for_each(|(byte, own)| *byte = own);
    Address::new_from_array(bytes)
}

async fn run(url: &str, rpc: &RpcConnectionPool, span: Duration) -> anyhow::Result<Taken> {
    let bare = Bare::new(url)?;
    let floor = |nth| {
        let bare = bare.clone();
        let options = json!({"encoding": "base64", "commitment": "processed"});
        let params = json!([[key(nth).to_string()], options]);
        let call =
            json!({"jsonrpc": "2.0", "id": nth, "method": "getMultipleAccounts", "params": params});
        async move { bare.ask("/", Some(call.to_string())).await }
    };
    let ours = |nth| {
        let rpc = rpc.clone();
        async move {
            Ok(rpc.multiple_accounts(&[key(nth)], Commitment::Processed, None).await.map(|_| ())?)
        }
    };
    let loaded = in_turns(RATE, span, floor, ours).await?;
    let us = |percent| {
        let row = Row::told(format!("rpc.read.p{percent}"), loaded.ours.at(percent) / 1e3, "us");
        row.beside(loaded.floor.at(percent) / 1e3)
    };
    let failed = Row::told("rpc.read.failed", f64::from(loaded.failed), "reads");
    let rows = vec![us(50).floor_times(TIMES), us(99), failed.at_most(Some(0.0)).in_any_build()];
    Ok(Taken { floor: loaded.floor.0, rows })
}
