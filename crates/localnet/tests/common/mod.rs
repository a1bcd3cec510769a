//! A chain in this process, and a client that knows nothing of its inside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]
#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(unreachable_pub, reason = "shared by several test crates")]

use std::sync::Once;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sniper_localnet::{LocalnetConfig, PortConfig, Ready, serve};
use solana_address::Address;
use solana_hash::Hash;
use solana_instruction::Instruction;
use solana_keypair::Keypair;
use solana_message::{VersionedMessage, v0};
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;

pub struct Net {
    pub ready: Ready,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Net {
    /// Starts a chain on a thread of its own.
    pub fn start(config: LocalnetConfig) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let shutdown = async {
                stopped.await.ok();
            };
            sniper_localnet::run_blocking(config, shutdown, |ready| {
                told.send(ready.clone()).unwrap();
            })
            .unwrap();
        });
        let ready = ready.recv_timeout(Duration::from_secs(60)).unwrap();
        Self { ready, stop: Some(stop), thread: Some(thread) }
    }

    pub fn client(&self) -> Client {
        Client::new(&self.ready.rpc_urls[0])
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the chain's thread panicked");
        }
    }
}

/// A quick and quiet chain: no agents, no skipped slots.
pub fn quiet(slot_millis: u64) -> LocalnetConfig {
    LocalnetConfig {
        ports: vec![PortConfig::default()],
        slot_time: Duration::from_millis(slot_millis),
        agents: false,
        skip_rate: 0.0,
        finalized_depth: 8,
        ..LocalnetConfig::default()
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[derive(Clone)]
pub struct Client {
    pub url: String,
    http: reqwest::Client,
}

impl Client {
    pub fn new(url: &str) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::ring::default_provider().install_default().ok();
        });
        Self { url: url.to_owned(), http: reqwest::Client::new() }
    }

    /// The whole answer, error or not.
    pub async fn raw(&self, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let response = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .timeout(Duration::from_secs(20))
            .body(body)
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Whether something answers there and calls itself healthy.
    pub async fn is_healthy(&self) -> bool {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "getHealth"}).to_string();
        let sent = self.http.post(&self.url).header("content-type", "application/json");
        match sent.body(request).send().await {
            Ok(response) => response.text().await.is_ok_and(|text| text.contains("\"ok\"")),
            Err(_) => false,
        }
    }

    pub async fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let (status, mut answer) = self.raw(request.to_string()).await;
        assert_eq!(status, 200, "{method}: {answer}");
        assert_eq!(answer["id"], 7, "{method}: {answer}");
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["result"].take()),
        }
    }

    pub async fn ok(&self, method: &str, params: Value) -> Value {
        self.call(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    pub async fn error(&self, method: &str, params: Value) -> Value {
        match self.call(method, params).await {
            Ok(value) => panic!("{method} should be refused, answered {value}"),
            Err(error) => error,
        }
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub async fn blockhash(&self, commitment: &str) -> (Hash, u64) {
        let answer = self.ok("getLatestBlockhash", json!([{"commitment": commitment}])).await;
        let value = &answer["value"];
        let hash = value["blockhash"].as_str().unwrap().parse().unwrap();
        (hash, value["lastValidBlockHeight"].as_u64().unwrap())
    }

    pub async fn balance(&self, address: &Address, commitment: &str) -> u64 {
        let params = json!([address.to_string(), {"commitment": commitment}]);
        self.ok("getBalance", params).await["value"].as_u64().unwrap()
    }

    pub async fn slot(&self, commitment: &str) -> u64 {
        self.ok("getSlot", json!([{"commitment": commitment}])).await.as_u64().unwrap()
    }

    /// Sends with the preflight of a freshly fetched blockhash.
    pub async fn send(&self, transaction: &VersionedTransaction) -> Result<String, Value> {
        let config = json!({"encoding": "base64", "preflightCommitment": "processed"});
        let sent = self.call("sendTransaction", json!([wire(transaction), config])).await?;
        Ok(sent.as_str().unwrap().to_owned())
    }

    pub async fn send_unchecked(&self, transaction: &VersionedTransaction) -> String {
        let config = json!({"encoding": "base64", "skipPreflight": true});
        let sent = self.ok("sendTransaction", json!([wire(transaction), config])).await;
        sent.as_str().unwrap().to_owned()
    }

    pub async fn status(&self, signature: &str) -> Value {
        self.ok("getSignatureStatuses", json!([[signature]])).await["value"][0].clone()
    }

    /// Waits until a transaction has reached a commitment level, and gives its status.
    pub async fn wait_for(&self, signature: &str, commitment: &str) -> Value {
        let levels = ["processed", "confirmed", "finalized"];
        let rank = |name: &str| levels.iter().position(|level| *level == name).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            let status = self.status(signature).await;
            if let Some(reached) = status["confirmationStatus"].as_str()
                && rank(reached) >= rank(commitment)
            {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{signature} never reached {commitment}");
    }

    /// A new key with this many SOL.
    pub async fn funded(&self, sol: u64) -> Keypair {
        let key = Keypair::new();
        let params = json!([key.pubkey().to_string(), sol * 1_000_000_000]);
        let signature = self.ok("requestAirdrop", params).await;
        let status = self.wait_for(signature.as_str().unwrap(), "confirmed").await;
        assert_eq!(status["err"], Value::Null);
        key
    }

    /// Mints tokens to an owner and waits for them.
    pub async fn mint(&self, owner: &Address, mint: &str, amount: u64) {
        let params = json!([{"owner": owner.to_string(), "mint": mint, "amount": amount}]);
        let signature = self.ok("localnet_mint", params).await;
        let status = self.wait_for(signature.as_str().unwrap(), "confirmed").await;
        assert_eq!(status["err"], Value::Null, "{status}");
    }

    pub async fn account_bytes(&self, address: &str, commitment: &str) -> Vec<u8> {
        let config = json!({"encoding": "base64", "commitment": commitment});
        let answer = self.ok("getAccountInfo", json!([address, config])).await;
        BASE64_STANDARD.decode(answer["value"]["data"][0].as_str().unwrap()).unwrap()
    }
}

pub fn wire(transaction: &VersionedTransaction) -> String {
    BASE64_STANDARD.encode(wincode::serialize(transaction).unwrap())
}

pub fn sign(
    instructions: &[Instruction],
    blockhash: Hash,
    signers: &[&Keypair],
) -> VersionedTransaction {
    let message =
        v0::Message::try_compile(&signers[0].pubkey(), instructions, &[], blockhash).unwrap();
    VersionedTransaction::try_new(VersionedMessage::V0(message), signers).unwrap()
}

/// A PubSub connection.
pub struct Socket {
    stream: tokio_tungstenite::WebSocketStream<
        tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>,
    >,
    waiting: Vec<Value>,
    next_id: u64,
}

impl Socket {
    pub async fn open(url: &str) -> Self {
        let (stream, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Self { stream, waiting: Vec::new(), next_id: 1 }
    }

    pub async fn send_text(&mut self, text: String) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    pub async fn send_message(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// The next message, or `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(Duration::from_secs(20), self.stream.next());
        match next.await.expect("no message within 20 s") {
            Some(Ok(Message::Close(_)) | Err(_)) | None => None,
            Some(Ok(message)) => Some(message),
        }
    }

    async fn next_json(&mut self) -> Value {
        loop {
            match self.next().await.expect("the connection ended") {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                _ => continue,
            }
        }
    }

    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send_text(request.to_string()).await;
        loop {
            let mut answer = self.next_json().await;
            if answer["id"] == json!(id) {
                return match answer.get_mut("error") {
                    Some(error) => Err(error.take()),
                    None => Ok(answer["result"].take()),
                };
            }
            self.waiting.push(answer);
        }
    }

    pub async fn subscribe(&mut self, method: &str, params: Value) -> u64 {
        let id = self.call(method, params).await.unwrap_or_else(|e| panic!("{method}: {e}"));
        id.as_u64().unwrap()
    }

    /// The next notification of a subscription: its method and result.
    pub async fn notification(&mut self, subscription: u64) -> (String, Value) {
        loop {
            let of = |one: &Value| one["params"]["subscription"] == json!(subscription);
            if let Some(at) = self.waiting.iter().position(of) {
                let mut one = self.waiting.remove(at);
                let method = one["method"].as_str().unwrap().to_owned();
                return (method, one["params"]["result"].take());
            }
            let one = self.next_json().await;
            self.waiting.push(one);
        }
    }

    /// Reads for a while, and tells whether a subscription said anything.
    pub async fn hears(&mut self, subscription: u64, how_long: Duration) -> bool {
        let until = tokio::time::Instant::now() + how_long;
        while let Ok(Some(Ok(message))) = tokio::time::timeout_at(until, self.stream.next()).await {
            if let Message::Text(text) = message {
                self.waiting.push(serde_json::from_str(&text).unwrap());
            }
        }
        self.waiting.iter().any(|one| one["params"]["subscription"] == json!(subscription))
    }
}

/// Used by files that serve inside a runtime of their own.
pub async fn served(config: LocalnetConfig) -> (Ready, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (told, ready) = oneshot::channel();
    tokio::spawn(async move {
        let shutdown = async {
            stopped.await.ok();
        };
        serve(config, shutdown, |ready| told.send(ready.clone()).unwrap()).await.unwrap();
    });
    (ready.await.unwrap(), stop)
}
