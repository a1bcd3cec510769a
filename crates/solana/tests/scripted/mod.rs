//! A scripted node: JSON-RPC and PubSub as documented, and faults on demand.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod feed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use sniper_solana::rpc::{EndpointConfig, PoolSettings, RpcConnectionPool};
use tokio::sync::broadcast;

pub(crate) const GENESIS: &str = "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY";
/// Stands in every URL, as a provider's key would; must appear nowhere else.
pub(crate) const KEY: &str = "s3cr3t-k3y";

/// What goes wrong with requests.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Never answers.
    Hang,
    /// Answers late.
    Delay(Duration),
    /// An HTTP status in place of an answer.
    Status(u16),
    /// Too many requests.
    Throttle,
    /// Too many requests, without a word on when; each so-manieth alone.
    ThrottleEach(usize),
    /// This many bytes.
    Flood(usize),
    /// Something that is not JSON.
    Garbage,
    /// An error of the node.
    Node(i64),
    /// This result in place of the true one.
    Result(Value),
}

/// What it makes of several requests in one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Batching {
    /// An answer to each.
    Well,
    /// The same, the last first.
    Reversed,
    /// All but the last.
    Short,
    /// Two different ones to the first.
    Doubled,
    /// One that is no list.
    OnlyFirst,
    /// An error for the whole.
    Error,
    /// An HTTP status.
    Status(u16),
}

/// What the scripted chain is.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) genesis: String,
    pub(crate) slot: u64,
    pub(crate) height: u64,
    pub(crate) lamports: BTreeMap<String, u64>,
    /// By signature, as `getSignatureStatuses` tells them.
    pub(crate) statuses: BTreeMap<String, Value>,
    /// Told only to those who search the history.
    pub(crate) history: BTreeMap<String, Value>,
    pub(crate) transactions: BTreeMap<String, Value>,
    /// Accounts with content, as `getMultipleAccounts` tells them.
    pub(crate) accounts: BTreeMap<String, Value>,
    /// Slots of an epoch; leaders are known to the end of the present one.
    pub(crate) epoch_slots: u64,
    /// What a method tells of the key that is its first parameter.
    pub(crate) told: BTreeMap<(&'static str, String), Value>,
}

pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    pub(crate) shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

pub(crate) struct Shared {
    chain: Mutex<Chain>,
    faults: Mutex<BTreeMap<&'static str, Fault>>,
    log: Mutex<Vec<(String, Value)>>,
    socket: broadcast::Sender<Told>,
    /// Subscriptions are refused with this.
    pub(crate) refuse: Mutex<Option<i64>>,
    /// Accounts that nobody is subscribed to.
    pub(crate) refused: Mutex<BTreeSet<String>>,
    /// Accounts whose subscriptions are in force, but not acknowledged.
    pub(crate) withheld: Mutex<BTreeSet<String>>,
    /// Subscriptions are not ended, and that is told as an error.
    pub(crate) clings: Mutex<bool>,
    /// The node's number of an account: the same for all who subscribe.
    numbers: Mutex<BTreeMap<String, u64>>,
    /// How many connections are subscribed to each account.
    subscribed: Mutex<BTreeMap<String, u64>>,
    connections: Mutex<u64>,
    pub(crate) batching: Mutex<Batching>,
    batches: Mutex<usize>,
}

impl Shared {
    /// One more slot, told to all.
    pub(crate) fn tick(&self) {
        let mut chain = self.chain.lock().unwrap();
        chain.slot += 1;
        drop(self.socket.send(Told::Slot(chain.slot)));
    }

    pub(crate) fn tell_text(&self, text: &str) {
        drop(self.socket.send(Told::Text(text.to_owned())));
    }
}

/// What the test makes a node tell its subscribers.
#[derive(Clone, Debug)]
enum Told {
    Account(String, u64, u64),
    /// To subscribers of that kind and key, this result; true if that ends the subscription.
    Notice(String, Value, bool),
    Slot(u64),
    Text(String),
    Close,
}

impl Node {
    pub(crate) async fn start(name: &'static str) -> Self {
        let chain = Chain {
            genesis: GENESIS.to_owned(),
            slot: 1_000,
            height: 900,
            lamports: BTreeMap::new(),
            statuses: BTreeMap::new(),
            history: BTreeMap::new(),
            transactions: BTreeMap::new(),
            accounts: BTreeMap::new(),
            epoch_slots: 432_000,
            told: BTreeMap::new(),
        };
        let shared = Arc::new(Shared {
            chain: Mutex::new(chain),
            faults: Mutex::default(),
            log: Mutex::default(),
            socket: broadcast::channel(10_000).0,
            refuse: Mutex::default(),
            refused: Mutex::default(),
            withheld: Mutex::default(),
            clings: Mutex::default(),
            numbers: Mutex::default(),
            subscribed: Mutex::default(),
            connections: Mutex::default(),
            batching: Mutex::new(Batching::Well),
            batches: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new()
            .route("/{key}", post(answer))
            .route("/{key}/ws", get(subscribe))
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { name, port, shared, task }
    }

    pub(crate) fn config(&self) -> EndpointConfig {
        let http = format!("http://127.0.0.1:{}/{KEY}", self.port);
        let ws = format!("ws://127.0.0.1:{}/{KEY}/ws", self.port);
        EndpointConfig::new(self.name, &http, &ws, 10_000).unwrap()
    }

    pub(crate) fn chain(&self) -> MutexGuard<'_, Chain> {
        self.shared.chain.lock().unwrap()
    }

    /// From now on a method (or `*`: every one) goes wrong.
    pub(crate) fn fail(&self, method: &'static str, fault: Fault) {
        self.shared.faults.lock().unwrap().insert(method, fault);
    }

    pub(crate) fn heal(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// The parameters of all calls of a method so far.
    pub(crate) fn calls(&self, method: &str) -> Vec<Value> {
        let log = self.shared.log.lock().unwrap();
        log.iter().filter(|(name, _)| name == method).map(|(_, params)| params.clone()).collect()
    }

    /// How many requests were several in one.
    pub(crate) fn batches(&self) -> usize {
        *self.shared.batches.lock().unwrap()
    }

    pub(crate) fn connections(&self) -> u64 {
        *self.shared.connections.lock().unwrap()
    }

    /// Acknowledges a subscription that was withheld, as the answer to that request.
    pub(crate) fn acknowledge(&self, address: &str, id: u64) {
        let number = self.shared.numbers.lock().unwrap()[address];
        self.tell_text(&json!({"jsonrpc": "2.0", "result": number, "id": id}).to_string());
    }

    /// The number under which an account is told of.
    pub(crate) fn number(&self, address: &str) -> u64 {
        self.shared.numbers.lock().unwrap()[address]
    }

    /// How many connections are subscribed to each account now.
    pub(crate) fn subscribed(&self) -> BTreeMap<String, u64> {
        self.shared.subscribed.lock().unwrap().clone()
    }

    /// Sets a balance as of a slot and tells subscribers.
    pub(crate) fn tell(&self, address: &str, slot: u64, lamports: u64) {
        self.set(address, slot, lamports);
        drop(self.shared.socket.send(Told::Account(address.to_owned(), slot, lamports)));
    }

    /// Sets a balance and tells nobody.
    pub(crate) fn set(&self, address: &str, slot: u64, lamports: u64) {
        let mut chain = self.chain();
        chain.slot = chain.slot.max(slot);
        chain.lamports.insert(address.to_owned(), lamports);
    }

    /// Tells subscribers of a kind (`program`, `logs`, `signature`, `root`) and of that key.
    pub(crate) fn tell_kind(&self, kind: &str, key: &str, result: Value) {
        let ends = kind == "signature" && result["value"].is_object();
        drop(self.shared.socket.send(Told::Notice(format!("{kind} {key}"), result, ends)));
    }

    /// Tells what an account of a program holds as of a slot.
    pub(crate) fn tell_program(&self, program: &str, address: &str, slot: u64, lamports: u64) {
        let mut chain = self.chain();
        chain.slot = chain.slot.max(slot);
        drop(chain);
        let account = json!({"lamports": lamports, "owner": program, "data": ["AQID", "base64"],
            "executable": false, "rentEpoch": u64::MAX, "space": 3});
        let value = json!({"pubkey": address, "account": account});
        self.tell_kind("program", program, json!({"context": {"slot": slot}, "value": value}));
    }

    /// Tells a slot that this chain is not at.
    pub(crate) fn tell_foreign_slot(&self, slot: u64) {
        drop(self.shared.socket.send(Told::Slot(slot)));
    }

    pub(crate) fn tell_text(&self, text: &str) {
        self.shared.tell_text(text);
    }

    /// Tears every subscription connection.
    pub(crate) fn tear(&self) {
        drop(self.shared.socket.send(Told::Close));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, Json(request): Json<Value>) -> Response {
    let Value::Array(requests) = request else { return answer_one(&shared, &request).await };
    *shared.batches.lock().unwrap() += 1;
    let manner = *shared.batching.lock().unwrap();
    match manner {
        Batching::Error => {
            let error = json!({"code": -32_600, "message": "no batches here"});
            return Json(json!({"jsonrpc": "2.0", "error": error, "id": null})).into_response();
        }
        Batching::Status(status) => {
            return StatusCode::from_u16(status).unwrap().into_response();
        }
        _ => {}
    }
    let mut parts = Vec::new();
    let answers = requests.iter().map(|request| answer_one(&shared, request));
    let answers = futures_util::future::join_all(answers).await;
    for (request, response) in requests.iter().zip(answers) {
        if response.status() != StatusCode::OK {
            return response;
        }
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let Ok(mut part) = serde_json::from_slice::<Value>(&body) else {
            return body.into_response();
        };
        part["id"] = request["id"].clone();
        parts.push(part);
    }
    match manner {
        Batching::Reversed => parts.reverse(),
        Batching::Short => drop(parts.pop()),
        Batching::Doubled => {
            parts.push(json!({"jsonrpc": "2.0", "result": 0, "id": parts[0]["id"]}))
        }
        Batching::OnlyFirst => return Json(parts.swap_remove(0)).into_response(),
        Batching::Well | Batching::Error | Batching::Status(_) => {}
    }
    Json(parts).into_response()
}

async fn answer_one(shared: &Shared, request: &Value) -> Response {
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    let params = request["params"].clone();
    shared.log.lock().unwrap().push((method.clone(), params.clone()));
    let fault = {
        let faults = shared.faults.lock().unwrap();
        faults.get(method.as_str()).or_else(|| faults.get("*")).cloned()
    };
    let reply =
        |result: Value| Json(json!({"jsonrpc": "2.0", "result": result, "id": 1})).into_response();
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::Status(status)) => {
            return StatusCode::from_u16(status).unwrap().into_response();
        }
        Some(Fault::Throttle) => {
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response();
        }
        Some(Fault::ThrottleEach(nth)) if shared.log.lock().unwrap().len().is_multiple_of(nth) => {
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        }
        Some(Fault::Flood(bytes)) => return vec![b' '; bytes].into_response(),
        Some(Fault::Garbage) => return "<html>welcome</html>".into_response(),
        Some(Fault::Node(code)) => {
            let error = json!({"code": code, "message": "no"});
            return Json(json!({"jsonrpc": "2.0", "error": error, "id": 1})).into_response();
        }
        Some(Fault::Result(result)) => return reply(result),
        Some(Fault::ThrottleEach(_)) | None => {}
    }
    let chain = shared.chain.lock().unwrap().clone();
    if method == "getSlotLeaders" {
        let end = (chain.slot / chain.epoch_slots + 1) * chain.epoch_slots;
        if params[0].as_u64().unwrap() + params[1].as_u64().unwrap() > end {
            let error = json!({"code": -32_602, "message": "Invalid slot range"});
            return Json(json!({"jsonrpc": "2.0", "error": error, "id": 1})).into_response();
        }
    }
    reply(result(&chain, &method, &params))
}

fn result(chain: &Chain, method: &str, params: &Value) -> Value {
    let wrap = |value: Value| json!({"context": {"slot": chain.slot}, "value": value});
    let account = |key: &Value| match chain.lamports.get(key.as_str().unwrap()) {
        Some(lamports) => json!({"lamports": lamports, "owner": "11111111111111111111111111111111",
            "data": ["", "base64"], "executable": false, "rentEpoch": u64::MAX, "space": 0}),
        None => chain.accounts.get(key.as_str().unwrap()).cloned().unwrap_or(Value::Null),
    };
    let key = params[0].as_str().unwrap_or_default();
    let told = chain.told.iter().find(|((name, of), _)| *name == method && of == key);
    if let Some((_, value)) = told {
        return wrap(value.clone());
    }
    match method {
        "getHealth" => json!("ok"),
        "getGenesisHash" => json!(chain.genesis),
        "getSlot" => json!(chain.slot),
        "getBlockHeight" => json!(chain.height),
        "getLatestBlockhash" => {
            wrap(json!({"blockhash": GENESIS, "lastValidBlockHeight": chain.height + 150}))
        }
        "getBalance" => {
            wrap(json!(chain.lamports.get(params[0].as_str().unwrap()).copied().unwrap_or(0)))
        }
        "getMultipleAccounts" => wrap(params[0].as_array().unwrap().iter().map(account).collect()),
        "getSignatureStatuses" => {
            let history = params[1]["searchTransactionHistory"] == json!(true);
            let status = |name: &Value| {
                let name = name.as_str().unwrap();
                let old = chain.history.get(name).filter(|_| history);
                chain.statuses.get(name).or(old).cloned().unwrap_or(Value::Null)
            };
            wrap(params[0].as_array().unwrap().iter().map(status).collect())
        }
        "getTransaction" => {
            chain.transactions.get(params[0].as_str().unwrap()).cloned().unwrap_or(Value::Null)
        }
        "getEpochInfo" => {
            json!({"absoluteSlot": chain.slot, "epoch": chain.slot / chain.epoch_slots,
            "slotIndex": chain.slot % chain.epoch_slots, "slotsInEpoch": chain.epoch_slots})
        }
        "getSlotLeaders" => {
            let first = params[0].as_u64().unwrap();
            (first..first + params[1].as_u64().unwrap()).map(leader_of).collect()
        }
        "getLeaderSchedule" => {
            let (first, name) = (params[0].as_u64().unwrap(), &params[1]["identity"]);
            let first = first - first % chain.epoch_slots;
            let slots = (0..chain.epoch_slots).filter(|slot| leader_of(first + slot) == *name);
            let slots: Vec<u64> = slots.collect();
            if slots.is_empty() { json!({}) } else { json!({name.as_str().unwrap(): slots}) }
        }
        "sendTransaction" => {
            use base64::Engine as _;
            let text = params[0].as_str().unwrap();
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
            json!(bs58::encode(&bytes[1..65]).into_string())
        }
        other => panic!("not scripted: {other}"),
    }
}

/// Four slots in a row each.
pub(crate) fn leader_of(slot: u64) -> String {
    let place = u8::try_from(slot / 4 % 200).unwrap();
    bs58::encode([place + 1; 32]).into_string()
}

async fn subscribe(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    *shared.connections.lock().unwrap() += 1;
    upgrade.on_upgrade(move |socket| serve(shared, socket))
}

/// What one connection is subscribed to.
struct Subscribed {
    shared: Arc<Shared>,
    accounts: BTreeMap<String, u64>,
}

impl Subscribed {
    fn add(&mut self, address: &str) -> u64 {
        let mut numbers = self.shared.numbers.lock().unwrap();
        let next = 100 + u64::try_from(numbers.len()).unwrap();
        let number = *numbers.entry(address.to_owned()).or_insert(next);
        if self.accounts.insert(address.to_owned(), number).is_none() {
            *self.shared.subscribed.lock().unwrap().entry(address.to_owned()).or_default() += 1;
        }
        number
    }

    fn remove(&mut self, address: &str) {
        if self.accounts.remove(address).is_some() {
            let mut all = self.shared.subscribed.lock().unwrap();
            let count = all.get_mut(address).unwrap();
            *count -= 1;
            if *count == 0 {
                all.remove(address);
            }
        }
    }

    /// The answer to a request, if there is to be one.
    fn answer(&mut self, request: &Value) -> Option<Value> {
        let id = &request["id"];
        let (method, first) = (request["method"].as_str().unwrap(), &request["params"][0]);
        if !method.ends_with("ubscribe") {
            return None; // some clients ping in words
        }
        let first = if method == "logsSubscribe" { &first["mentions"][0] } else { first };
        let refused =
            |code| json!({"jsonrpc": "2.0", "error": {"code": code, "message": "full"}, "id": id});
        let name = first.as_str().unwrap_or_default();
        if let Some(code) = *self.shared.refuse.lock().unwrap() {
            return Some(refused(code));
        }
        if self.shared.refused.lock().unwrap().contains(name) {
            return Some(refused(-32_602));
        }
        let result = match method {
            "accountSubscribe" => {
                assert_eq!(request["params"][1]["encoding"], "base64");
                json!(self.add(name))
            }
            "slotSubscribe" => json!(1),
            subscribe if subscribe.ends_with("Subscribe") => {
                json!(self.add(&format!("{} {name}", &subscribe[..subscribe.len() - 9])))
            }
            _ => {
                if *self.shared.clings.lock().unwrap() {
                    return Some(refused(-32_603));
                }
                let known =
                    self.accounts.iter().find(|(_, number)| **number == first.as_u64().unwrap());
                let Some(known) = known.map(|(address, _)| address.clone()) else {
                    return Some(refused(-32_602));
                };
                self.remove(&known);
                json!(true)
            }
        };
        let withheld = self.shared.withheld.lock().unwrap().contains(name);
        (!withheld).then(|| json!({"jsonrpc": "2.0", "result": result, "id": id}))
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let all: Vec<String> = self.accounts.keys().cloned().collect();
        all.iter().for_each(|address| self.remove(address));
    }
}

async fn serve(shared: Arc<Shared>, mut socket: WebSocket) {
    let mut told = shared.socket.subscribe();
    let mut subscribed = Subscribed { shared, accounts: BTreeMap::new() };
    loop {
        let text = tokio::select! {
            received = socket.recv() => {
                let Some(Ok(message)) = received else { return };
                let Message::Text(text) = message else { continue };
                let request: Value = serde_json::from_str(&text).unwrap();
                let Some(answer) = subscribed.answer(&request) else { continue };
                answer.to_string()
            }
            event = told.recv() => match event {
                Ok(Told::Close) | Err(_) => return,
                Ok(Told::Text(text)) => text,
                Ok(Told::Notice(key, result, ends)) => {
                    let Some(subscription) = subscribed.accounts.get(&key).copied() else { continue };
                    if ends {
                        subscribed.remove(&key);
                    }
                    let method = format!("{}Notification", key.split(' ').next().unwrap());
                    json!({"jsonrpc": "2.0", "method": method, "params":
                        {"result": result, "subscription": subscription}}).to_string()
                }
                Ok(Told::Slot(slot)) => json!({"jsonrpc": "2.0", "method": "slotNotification", "params":
                    {"result": {"slot": slot, "parent": slot - 1, "root": slot - 32}, "subscription": 1}}).to_string(),
                Ok(Told::Account(address, slot, lamports)) => {
                    let Some(subscription) = subscribed.accounts.get(&address) else { continue };
                    json!({"jsonrpc": "2.0", "method": "accountNotification", "params": {"result": {
                        "context": {"slot": slot}, "value": {"lamports": lamports, "data": ["", "base64"],
                        "owner": "11111111111111111111111111111111", "executable": false,
                        "rentEpoch": u64::MAX, "space": 0}}, "subscription": subscription}}).to_string()
                }
            },
        };
        if socket.send(Message::Text(text.into())).await.is_err() {
            return;
        }
    }
}

/// A pool of these nodes.
pub(crate) async fn pool(nodes: &[&Node]) -> RpcConnectionPool {
    let configs = nodes.iter().map(|node| node.config()).collect();
    RpcConnectionPool::connect(configs, PoolSettings::default()).await.unwrap()
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
