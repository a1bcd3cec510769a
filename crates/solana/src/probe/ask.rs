//! Requests: who it is, how far it is, how soon it answers, what it bears.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Version;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sniper_core::ids::Address;
use sniper_core::units::Lamports;
use solana_hash::Hash;
use tokio::task::JoinSet;

use super::{Burst, Identity, MethodTimes, ProbeSettings, unix_now};
use crate::rpc::endpoint::{Endpoint, Limits};
use crate::rpc::{RpcError, wire};
use crate::tx::instructions::TOKEN_PROGRAM;
use crate::tx::{Priority, TransactionBuilder};

/// Changes in every slot, and tells the chain's time.
pub(super) const CLOCK: &str = "SysvarC1ock11111111111111111111111111111111";
/// Where the time stands in it.
const CLOCK_TIME_AT: usize = 32;
/// A name that no transaction has.
const NO_SIGNATURE: &str = "1111111111111111111111111111111111111111111111111111111111111111";

const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), answer_bytes: 16 << 20 };
/// Rounds in which slots are compared, and the pause between two.
const LAG_ROUNDS: usize = 8;
const LAG_EVERY: Duration = Duration::from_millis(250);
/// Fastest that methods are asked, requests a second.
const RATE_MAX: u32 = 40;
/// Requests that may be under way at once.
const AT_ONCE: usize = 8;
/// Most requests of a burst, which lasts a second.
const BURST_MAX: u32 = 50;
/// The node's numbers for a method it does not have, or has switched off.
const ABSENT: [i64; 2] = [-32601, -32099];

/// Who needs a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Trading cannot do without it.
    Trading,
    /// The token gate asks it, of mints that nobody vouches for.
    Gate,
}

/// A method that the engine asks while it trades.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Who needs it.
    pub need: Need,
    /// Refusals that our question deserves: they are answers.
    deserved: &'static [i64],
}

const fn method(name: &'static str, need: Need, deserved: &'static [i64]) -> Method {
    Method { name, need, deserved }
}

/// The methods that are asked, in turn. The listing of a program's accounts is not among them: it is as heavy as a node
/// has accounts, and only `scan` asks it. A transaction that cannot be read is sent, which moves nothing.
pub const METHODS: [Method; 15] = [
    method("getSlot", Need::Trading, &[]),
    method("getBlockHeight", Need::Trading, &[]),
    method("getLatestBlockhash", Need::Trading, &[]),
    method("getBalance", Need::Trading, &[]),
    method("getAccountInfo", Need::Trading, &[]),
    method("getMultipleAccounts", Need::Trading, &[]),
    method("getMinimumBalanceForRentExemption", Need::Trading, &[]),
    method("getTokenAccountBalance", Need::Trading, &[-32602]),
    method("getTokenAccountsByOwner", Need::Trading, &[]),
    method("getSignatureStatuses", Need::Trading, &[]),
    method("getTransaction", Need::Trading, &[]),
    method("simulateTransaction", Need::Trading, &[]),
    method("sendTransaction", Need::Trading, &[-32602]),
    method("getTokenSupply", Need::Gate, &[-32602]),
    method("getTokenLargestAccounts", Need::Gate, &[-32602]),
];

/// What a method is asked with.
fn params(method: &str, mint: &Address) -> Value {
    let processed = json!({"commitment": "processed", "encoding": "base64"});
    let confirmed = json!({"commitment": "confirmed"});
    let nobody = Address::default().to_string();
    match method {
        "getSlot" | "getBlockHeight" | "getLatestBlockhash" => json!([confirmed]),
        "getBalance" => json!([CLOCK, confirmed]),
        "getAccountInfo" => json!([CLOCK, processed]),
        "getMultipleAccounts" => json!([[CLOCK, mint.to_string()], processed]),
        "getMinimumBalanceForRentExemption" => json!([165, confirmed]),
        "getTokenAccountBalance" => json!([nobody, confirmed]),
        "getTokenAccountsByOwner" => {
            json!([mint.to_string(), {"programId": TOKEN_PROGRAM.to_string()}, processed])
        }
        "getSignatureStatuses" => json!([[NO_SIGNATURE], {"searchTransactionHistory": false}]),
        "getTransaction" => json!([NO_SIGNATURE, {"commitment": "confirmed", "encoding": "json",
            "maxSupportedTransactionVersion": 0}]),
        "simulateTransaction" => json!([unsigned(), {"encoding": "base64", "sigVerify": false,
            "commitment": "processed", "replaceRecentBlockhash": true}]),
        "sendTransaction" => json!(["AAAA", {"encoding": "base64", "maxRetries": 0}]),
        "getTokenSupply" | "getTokenLargestAccounts" => json!([mint.to_string(), confirmed]),
        _ => json!([]),
    }
}

/// A transfer of nothing by nobody: it can be simulated, and fails there.
fn unsigned() -> String {
    let builder = TransactionBuilder::new(Address::new_from_array([1; 32]));
    let (to, nothing) = (Address::new_from_array([2; 32]), Lamports::ZERO);
    let message = builder.transfer(to, nothing, Priority::default(), &Hash::default());
    let mut bytes = vec![1];
    bytes.extend_from_slice(&[0; 64]);
    bytes.extend(message.unwrap_or_default());
    STANDARD.encode(bytes)
}

/// Asks once, and reads the answer.
async fn question<T: DeserializeOwned>(
    endpoint: &Endpoint,
    method: &'static str,
    params: &Value,
) -> Result<T, RpcError> {
    let answer = endpoint.ask(method, wire::request(method, params)?, LIMITS).await?;
    wire::open(endpoint.name(), method, &answer)
}

/// Who it says it is.
pub(super) async fn identify(endpoint: &Endpoint) -> Result<Identity, RpcError> {
    let method = "getGenesisHash";
    let genesis: String = question(endpoint, method, &json!([])).await?;
    let (name, what) = (endpoint.name(), "not a hash");
    let genesis = genesis.parse();
    let genesis =
        genesis.map_err(|_| RpcError::Impossible { endpoint: name.clone(), method, what })?;
    let processed = json!([{"commitment": "processed"}]);
    // In this order: the slot can only have grown since.
    let height = question(endpoint, "getBlockHeight", &processed).await?;
    let slot = question(endpoint, "getSlot", &processed).await?;
    let health: Result<String, RpcError> = question(endpoint, "getHealth", &json!([])).await;
    let version: Option<Value> = question(endpoint, "getVersion", &json!([])).await.ok();
    let version = version.as_ref().and_then(|version| version.get("solana-core")?.as_str());
    Ok(Identity {
        genesis,
        version: version.map(wire::clean),
        slot,
        height,
        unwell: health.err().and_then(|error| error.node_code()),
        clock_ahead: clock_ahead(endpoint).await,
    })
}

async fn clock_ahead(endpoint: &Endpoint) -> Option<i64> {
    let params = params("getAccountInfo", &Address::default());
    let answer: Value = question(endpoint, "getAccountInfo", &params).await.ok()?;
    let data = STANDARD.decode(answer.pointer("/value/data/0")?.as_str()?).ok()?;
    let time = data.get(CLOCK_TIME_AT..)?.first_chunk()?;
    unix_now()?.checked_sub(i64::from_le_bytes(*time))
}

/// How far each is behind the furthest: the median of rounds in which all are asked at one moment.
pub(super) async fn lags(endpoints: &[&Arc<Endpoint>]) -> Vec<Vec<u64>> {
    let params = json!([{"commitment": "processed"}]);
    let mut lags = vec![Vec::new(); endpoints.len()];
    for _ in 0..LAG_ROUNDS {
        let asked = endpoints.iter().map(|one| question::<u64>(one, "getSlot", &params));
        let slots: Vec<_> = join_all(asked).await.into_iter().map(Result::ok).collect();
        let furthest = slots.iter().flatten().copied().max().unwrap_or_default();
        for (lags, slot) in lags.iter_mut().zip(slots) {
            lags.extend(slot.map(|slot| furthest.saturating_sub(slot)));
        }
        tokio::time::sleep(LAG_EVERY).await;
    }
    lags.iter_mut().for_each(|lags| lags.sort_unstable());
    lags
}

/// What requests have shown.
pub(super) struct Asked {
    pub(super) methods: Vec<MethodTimes>,
    pub(super) http_version: Option<&'static str>,
    pub(super) batch: Option<bool>,
    pub(super) burst: Option<Burst>,
}

pub(super) async fn endpoint(endpoint: &Arc<Endpoint>, settings: &ProbeSettings) -> Asked {
    let http_version = http_version(endpoint).await;
    let batch = batch(endpoint).await;
    let methods = methods(endpoint, settings).await;
    let burst = burst(endpoint).await;
    Asked { methods, http_version, batch, burst }
}

async fn http_version(endpoint: &Endpoint) -> Option<&'static str> {
    let method = "getSlot";
    let response = endpoint.open(method, wire::request(method, &json!([])).ok()?).await.ok()?;
    match response.version() {
        Version::HTTP_2 => Some("HTTP/2"),
        Version::HTTP_11 => Some("HTTP/1.1"),
        Version::HTTP_10 => Some("HTTP/1.0"),
        _ => None,
    }
}

/// Whether two questions in one request get two answers.
async fn batch(endpoint: &Endpoint) -> Option<bool> {
    let question = |id: u32| json!({"jsonrpc": "2.0", "id": id, "method": "getSlot", "params": []});
    let body = Bytes::from(json!([question(1), question(2)]).to_string());
    match endpoint.ask("batch", body, LIMITS).await {
        Ok(answer) => Some(is_batch(&answer)),
        // A gateway that takes none says so by its status.
        Err(RpcError::Status { .. }) => Some(false),
        Err(_) => None,
    }
}

fn is_batch(answer: &[u8]) -> bool {
    let answers: Vec<Value> = serde_json::from_slice(answer).unwrap_or_default();
    let told = |id: u32| {
        let own = answers.iter().filter(|one| one.get("id") == Some(&json!(id)));
        own.filter(|one| one.get("result").is_some_and(Value::is_u64)).count()
    };
    answers.len() == 2 && told(1) == 1 && told(2) == 1
}

/// Asks the methods in turn at a steady pace, whether answers come or not.
async fn methods(endpoint: &Arc<Endpoint>, settings: &ProbeSettings) -> Vec<MethodTimes> {
    let mut rows: Vec<_> = METHODS
        .iter()
        .map(|method| MethodTimes {
            method: method.name,
            need: method.need,
            took: Vec::new(),
            failed: 0,
            throttled: 0,
            absent: false,
            error: None,
        })
        .collect();
    let rate = endpoint.config.requests_per_second().clamp(1, RATE_MAX);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    for method in METHODS.iter().cycle().take(METHODS.len().saturating_mul(settings.samples)) {
        ticks.tick().await;
        if begun.elapsed() >= settings.ask {
            break;
        }
        while under_way.len() >= AT_ONCE {
            book(&mut rows, under_way.join_next().await);
        }
        let (endpoint, mint) = (Arc::clone(endpoint), settings.mint);
        under_way.spawn(async move {
            let begun = Instant::now();
            let params = params(method.name, &mint);
            let answer: Result<Box<RawValue>, RpcError> =
                question(&endpoint, method.name, &params).await;
            (method, begun.elapsed(), answer.map(drop))
        });
    }
    while let Some(done) = under_way.join_next().await {
        book(&mut rows, Some(done));
    }
    rows.iter_mut().for_each(|row| row.took.sort_unstable());
    rows
}

type Done = Result<(&'static Method, Duration, Result<(), RpcError>), tokio::task::JoinError>;

fn book(rows: &mut [MethodTimes], done: Option<Done>) {
    let Some(Ok((method, took, outcome))) = done else { return };
    let Some(row) = rows.iter_mut().find(|row| row.method == method.name) else { return };
    let code = outcome.as_ref().err().and_then(RpcError::node_code);
    match outcome {
        Ok(()) => row.took.push(took),
        Err(_) if code.is_some_and(|code| method.deserved.contains(&code)) => row.took.push(took),
        Err(error) => {
            row.failed += 1;
            row.throttled += usize::from(matches!(error, RpcError::RateLimited { .. }));
            row.absent |= code.is_some_and(|code| ABSENT.contains(&code));
            row.error = Some(error.to_string());
        }
    }
}

/// A second of small questions at the rate that the endpoint was given.
async fn burst(endpoint: &Arc<Endpoint>) -> Option<Burst> {
    let rate = endpoint.config.requests_per_second().clamp(1, BURST_MAX);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut under_way = JoinSet::new();
    for _ in 0..rate {
        ticks.tick().await;
        let endpoint = Arc::clone(endpoint);
        under_way.spawn(async move {
            let params = json!([{"commitment": "processed"}]);
            let answer = question::<u64>(&endpoint, "getSlot", &params).await;
            matches!(answer, Err(RpcError::RateLimited { .. }))
        });
    }
    let asked = under_way.len();
    let mut throttled = 0;
    while let Some(done) = under_way.join_next().await {
        throttled += usize::from(done.unwrap_or(false));
    }
    Some(Burst { rate, asked, throttled })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_two_answers_to_two_questions() {
        let yes = br#"[{"id":2,"result":8},{"id":1,"result":7}]"#;
        assert!(is_batch(yes));
        for no in [
            &br#"{"error":{"code":-32600}}"#[..],
            br#"[{"id":1,"result":7}]"#,
            br#"[{"id":1,"result":7},{"id":1,"result":7}]"#,
            br#"[{"id":1,"result":7},{"id":2,"error":{"code":-32600}}]"#,
            b"[[[[",
        ] {
            assert!(!is_batch(no), "{}", String::from_utf8_lossy(no));
        }
    }

    #[test]
    fn every_method_is_asked_with_something_it_takes() {
        for method in METHODS {
            assert_ne!(params(method.name, &Address::default()), json!([]), "{}", method.name);
        }
        assert!(STANDARD.decode(unsigned()).unwrap().len() > 65 + 32, "a whole transaction");
    }
}
