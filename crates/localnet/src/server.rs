//! HTTP and WebSocket in front of the chain.

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::chain::genesis::{MintInfo, PoolInfo, TOKENS, WhirlpoolInfo};
use crate::chain::producer::Producer;
use crate::config::LocalnetConfig;
use crate::error::LocalnetError;
use crate::port::{Fate, Port, Urls};
use crate::pubsub;
use crate::rpc::{self, Node, RpcError};
use crate::{jito, jupiter};

/// Longest request body, as nodes allow by default.
const BODY_MAX: usize = 50 * 1024;
/// Longest message a subscriber may send.
const MESSAGE_MAX: usize = 4_096;
/// Most prices in one request.
const PRICES_MAX: usize = 50;
/// How long a stalled request is held before its connection is given up.
const STALL: Duration = Duration::from_secs(120);
/// Free ports tried until one is found whose neighbour is free too.
const PORT_TRIES: usize = 64;

/// Where a running chain is found and what is on it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// JSON-RPC, one address per configured port.
    pub rpc_urls: Vec<String>,
    /// PubSub, in the same order.
    pub ws_urls: Vec<String>,
    /// Dollar prices that do not depend on any pool.
    pub price_url: String,
    /// Identifies this chain; a chain started anew has another.
    pub genesis_hash: String,
    /// Milliseconds from block to block.
    pub slot_millis: u64,
    /// Tokens of the chain.
    pub mints: Vec<MintInfo>,
    /// Pools of the constant-product exchange.
    pub pools: Vec<PoolInfo>,
    /// Pools of the concentrated exchange.
    pub whirlpools: Vec<WhirlpoolInfo>,
}

struct Bound {
    port: Arc<Port>,
    listeners: [TcpListener; 2],
}

/// Runs a chain and serves it until `shutdown` is done. `on_ready` is called once, when every port
/// answers.
///
/// # Errors
/// [`LocalnetError`] if a setting is impossible, a port is taken, the tape is not readable or the
/// runtime refuses the first state.
pub async fn serve(
    config: LocalnetConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
    on_ready: impl FnOnce(&Ready),
) -> Result<(), LocalnetError> {
    config.check()?;
    let mut bound = Vec::new();
    for port in &config.ports {
        let (number, listeners) = bind(port.port).await?;
        let port = Arc::new(Port::new(number, port.faults.clone(), config.seed));
        bound.push(Bound { port, listeners });
    }
    let producer = Producer::new(&config)?;
    let chain = producer.chain();
    let ready = ready(&bound, &chain);
    let (stop, stopped) = mpsc::channel::<()>();
    let blocks = std::thread::Builder::new()
        .name("localnet-blocks".into())
        .spawn(move || producer.run(&stopped))
        .map_err(|source| LocalnetError::Io { what: "block thread", source })?;

    let (quit, quitting) = watch::channel(false);
    let ports = Arc::new(bound.iter().map(|one| Arc::clone(&one.port)).collect::<Vec<_>>());
    let mut servers = tokio::task::JoinSet::new();
    for Bound { port, listeners } in bound {
        let node = Node { chain: Arc::clone(&chain), port, ports: Arc::clone(&ports) };
        let app = router(Shared { node, quitting: quitting.clone() });
        for listener in listeners {
            let mut quitting = quitting.clone();
            // Small answers must not wait for more to send with them.
            let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
            let server = axum::serve(listener, app.clone()).with_graceful_shutdown(async move {
                drop(quitting.wait_for(|quit| *quit).await);
            });
            servers.spawn(server.into_future());
        }
    }
    on_ready(&ready);
    shutdown.await;
    quit.send_replace(true);
    drop(stop);
    // Stalled requests would hold a graceful end up: their connections are cut after a moment.
    let drained = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(1), drained).await.is_err() {
        servers.shutdown().await;
    }
    if tokio::task::spawn_blocking(move || blocks.join()).await.is_ok_and(|ended| ended.is_err()) {
        tracing::error!("the block thread of the local chain panicked");
    }
    Ok(())
}

/// [`serve`] on a runtime of its own, for callers that have none.
///
/// # Errors
/// Those of [`serve`], and a runtime that cannot start.
pub fn run_blocking(
    config: LocalnetConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
    on_ready: impl FnOnce(&Ready),
) -> Result<(), LocalnetError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| LocalnetError::Io { what: "runtime", source })?
        .block_on(serve(config, shutdown, on_ready))
}

/// Opens a port and the one above it.
async fn bind(wanted: u16) -> Result<(u16, [TcpListener; 2]), LocalnetError> {
    let open = async |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let failed = |port, source| LocalnetError::Port { port, source };
    let mut last = None;
    for _ in 0..if wanted == 0 { PORT_TRIES } else { 1 } {
        let first = open(wanted).await.map_err(|source| failed(wanted, source))?;
        let number = first.local_addr().map_err(|source| failed(wanted, source))?.port();
        let Some(above) = number.checked_add(1) else { continue };
        match open(above).await {
            Ok(second) => return Ok((number, [first, second])),
            Err(source) => last = Some(failed(above, source)),
        }
    }
    Err(last.unwrap_or_else(|| {
        failed(wanted, std::io::Error::from(std::io::ErrorKind::AddrNotAvailable))
    }))
}

fn ready(bound: &[Bound], chain: &crate::chain::Chain) -> Ready {
    let numbers: Vec<u16> = bound.iter().map(|one| one.port.number).collect();
    let urls = Urls::of(&numbers);
    Ready {
        rpc_urls: urls.rpc,
        ws_urls: urls.ws,
        price_url: urls.price,
        genesis_hash: chain.genesis_hash.to_string(),
        slot_millis: chain.slot_millis,
        mints: chain.mints.clone(),
        pools: chain.pools.clone(),
        whirlpools: chain.whirlpools.clone(),
    }
}

#[derive(Clone)]
struct Shared {
    node: Node,
    quitting: watch::Receiver<bool>,
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(upgrade).post(post))
        .route("/health", get(health))
        .route("/price/v3", get(prices))
        .route("/swap/v2/order", get(swap_order))
        .route("/swap/v2/build", get(swap_build))
        .route("/api/v1/transactions", axum::routing::post(engine))
        .route("/api/v1/bundles", axum::routing::post(engine))
        .route("/api/v1/getTipAccounts", axum::routing::post(engine))
        .route("/api/v1/getBundleStatuses", axum::routing::post(engine))
        .route("/api/v1/getInflightBundleStatuses", axum::routing::post(engine))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(shared)
}

async fn upgrade(State(shared): State<Shared>, socket: WebSocketUpgrade) -> Response {
    socket
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX)
        .on_upgrade(move |socket| pubsub::serve(shared.node, socket, shared.quitting))
}

async fn health(State(shared): State<Shared>) -> &'static str {
    match rpc::call(&shared.node, "getHealth", &Value::Null) {
        Ok(_) => "ok",
        Err(_) => "behind",
    }
}

#[derive(Deserialize)]
struct PriceQuery {
    #[serde(default)]
    ids: String,
}

async fn prices(State(shared): State<Shared>, Query(query): Query<PriceQuery>) -> Response {
    if let Some(refusal) = meet_fate(&shared.node).await {
        return refusal;
    }
    let ids: Vec<&str> = query.ids.split(',').filter(|id| !id.is_empty()).collect();
    if ids.is_empty() || ids.len() > PRICES_MAX {
        let body = json!({"error": format!("ids must name 1 to {PRICES_MAX} mints")});
        return (StatusCode::BAD_REQUEST, axum::Json(body)).into_response();
    }
    let prices = shared.node.chain.prices();
    let mut out = serde_json::Map::new();
    for ((token, (_, price)), (_, first)) in TOKENS.iter().zip(&prices.values).zip(&prices.first) {
        let mint = token.mint.to_string();
        if ids.contains(&mint.as_str()) {
            let change = (price / first - 1.0) * 100.0;
            let value = json!({
                "usdPrice": price,
                "blockId": prices.slot,
                "decimals": token.decimals,
                "priceChange24h": change,
            });
            out.insert(mint, value);
        }
    }
    for coin in &prices.coins {
        let mint = coin.mint.to_string();
        if ids.contains(&mint.as_str()) {
            let value = json!({
                "usdPrice": coin.value,
                "blockId": prices.slot,
                "decimals": coin.decimals,
                "priceChange24h": (coin.value / coin.first - 1.0) * 100.0,
            });
            out.insert(mint, value);
        }
    }
    axum::Json(Value::Object(out)).into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EngineQuery {
    #[serde(default)]
    bundle_only: bool,
}

/// The block engine: whichever of its methods is called at any of its addresses.
async fn engine(
    State(shared): State<Shared>,
    Query(query): Query<EngineQuery>,
    body: Bytes,
) -> Response {
    let node = &shared.node;
    if let Some(refusal) = meet_fate(node).await {
        return refusal;
    }
    if !node.port.admits_to_engine() {
        let error = json!({"code": -32097, "message": "Rate limit exceeded. Limit: 1 per second"});
        let body = json!({"jsonrpc": "2.0", "error": error, "id": null});
        return (StatusCode::TOO_MANY_REQUESTS, axum::Json(body)).into_response();
    }
    let Ok(request @ Value::Object(_)) = serde_json::from_slice::<Value>(&body) else {
        return axum::Json(failure(&Value::Null, -32700, "Parse error")).into_response();
    };
    let answer = answer_by(&request, |method, params| {
        jito::service::call(node, method, params, query.bundle_only)
    });
    axum::Json(answer.unwrap_or(Value::Null)).into_response()
}

async fn swap_order(
    State(shared): State<Shared>,
    Query(query): Query<jupiter::service::Query>,
) -> Response {
    swap(&shared.node, |node| jupiter::service::order(node, &query)).await
}

async fn swap_build(
    State(shared): State<Shared>,
    Query(query): Query<jupiter::service::Query>,
) -> Response {
    swap(&shared.node, |node| jupiter::service::build(node, &query)).await
}

async fn swap(node: &Node, answer: impl FnOnce(&Node) -> Result<Value, String>) -> Response {
    if let Some(refusal) = meet_fate(node).await {
        return refusal;
    }
    match answer(node) {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(error) => {
            (StatusCode::BAD_REQUEST, axum::Json(json!({"error": error}))).into_response()
        }
    }
}

/// Waits as long as this port makes callers wait, and says how it refuses, if it does.
async fn meet_fate(node: &Node) -> Option<Response> {
    let delay = node.port.delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match node.port.fate() {
        Fate::Serve => None,
        Fate::Stall => {
            tokio::time::sleep(STALL).await;
            Some(StatusCode::GATEWAY_TIMEOUT.into_response())
        }
        Fate::TooManyRequests => {
            let error = json!({"code": -32429, "message": "max usage reached"});
            let body = json!({"jsonrpc": "2.0", "error": error, "id": null});
            let again = [(header::RETRY_AFTER, "1")];
            Some((StatusCode::TOO_MANY_REQUESTS, again, axum::Json(body)).into_response())
        }
        Fate::Unavailable => Some(StatusCode::SERVICE_UNAVAILABLE.into_response()),
        Fate::Unhealthy => {
            let error = json!({
                "code": -32005, "message": "Node is unhealthy", "data": {"numSlotsBehind": null},
            });
            let body = json!({"jsonrpc": "2.0", "error": error, "id": null});
            Some(axum::Json(body).into_response())
        }
    }
}

async fn post(State(shared): State<Shared>, body: Bytes) -> Response {
    let request = match serde_json::from_slice::<Value>(&body) {
        Ok(request @ (Value::Object(_) | Value::Array(_))) => request,
        _ => return axum::Json(failure(&Value::Null, -32700, "Parse error")).into_response(),
    };
    let steers = request.get("method").and_then(Value::as_str).is_some_and(rpc::is_control);
    if !steers && let Some(refusal) = meet_fate(&shared.node).await {
        return refusal;
    }
    let reply = match &request {
        Value::Array(requests) => {
            let replies: Vec<_> =
                requests.iter().filter_map(|request| answer(&shared.node, request)).collect();
            (!replies.is_empty()).then_some(Value::Array(replies))
        }
        request => answer(&shared.node, request),
    };
    match reply {
        Some(reply) => axum::Json(reply).into_response(),
        None => StatusCode::OK.into_response(),
    }
}

/// Answers one request; a notification has no answer.
fn answer(node: &Node, request: &Value) -> Option<Value> {
    answer_by(request, |method, params| rpc::call(node, method, params))
}

fn answer_by(
    request: &Value,
    call: impl FnOnce(&str, &Value) -> Result<Value, RpcError>,
) -> Option<Value> {
    let id = request.get("id");
    let version = request.get("jsonrpc").and_then(Value::as_str);
    let (Some("2.0"), Some(method)) = (version, request.get("method").and_then(Value::as_str))
    else {
        return Some(failure(id.unwrap_or(&Value::Null), -32600, "Invalid request"));
    };
    let result = call(method, request.get("params").unwrap_or(&Value::Null));
    let id = id?;
    Some(match result {
        Ok(value) => json!({"jsonrpc": "2.0", "result": value, "id": id}),
        Err(error) => json!({"jsonrpc": "2.0", "error": error.to_json(), "id": id}),
    })
}

fn failure(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "error": RpcError::new(code, message).to_json(), "id": id})
}
