//! Subscriptions over a WebSocket.
//!
//! Each connection is one task that reads the blocks it has not told about yet. It owns no queue: a
//! client that does not read holds up its own task alone, and once it is further behind than blocks
//! are kept, the connection ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use serde_json::{Value, json};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_address::Address;
use solana_signature::Signature;
use tokio::sync::watch;

use crate::chain::block::{Block, Record};
use crate::chain::ledger::Commitment;
use crate::rpc::encode::{self, Encoding, Shape};
use crate::rpc::params::{self, Params};
use crate::rpc::{Node, RpcError};

mod filter;

use filter::{Filter, Mention};

/// Subscriptions of one connection.
const SUBSCRIPTIONS_MAX: usize = 10_000;
/// A client that takes this long to read one message is dropped.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

enum Kind {
    Account { address: Address, shape: Shape },
    Program { program: Address, shape: Shape, filters: Vec<Filter> },
    Logs(Mention),
    Signature { signature: Signature, tell_received: bool },
    Slot,
    Root,
}

impl Kind {
    fn method(&self) -> &'static str {
        match self {
            Self::Account { .. } => "accountNotification",
            Self::Program { .. } => "programNotification",
            Self::Logs(_) => "logsNotification",
            Self::Signature { .. } => "signatureNotification",
            Self::Slot => "slotNotification",
            Self::Root => "rootNotification",
        }
    }

    fn unsubscribed_by(&self, method: &str) -> bool {
        let kind = self.method().trim_end_matches("Notification");
        method.strip_suffix("Unsubscribe") == Some(kind)
    }
}

struct Subscription {
    kind: Kind,
    commitment: Commitment,
}

/// One client.
struct Connection {
    node: Node,
    socket: WebSocket,
    subscriptions: BTreeMap<u64, Subscription>,
    /// Sequence number of the last block told about.
    told: u64,
    /// How often blocks had been abandoned by then.
    forks: u64,
}

/// The connection is over.
struct Gone;

/// Serves a client until either side is done.
pub(crate) async fn serve(node: Node, socket: WebSocket, mut shutdown: watch::Receiver<bool>) {
    let mut tip = node.chain.tip.subscribe();
    let mut hang_up = node.port.hang_up.subscribe();
    let told = tip.borrow_and_update().saturating_sub(node.port.lag());
    let forks = node.chain.read().forks().0;
    let mut connection = Connection { node, socket, subscriptions: BTreeMap::new(), told, forks };
    loop {
        // A mute port keeps the socket open and neither reads nor writes.
        let mute = connection.node.port.mute();
        let outcome = tokio::select! {
            message = connection.socket.recv(), if !mute => connection.read(message).await,
            changed = tip.changed() => match changed {
                Ok(()) => {
                    let newest = *tip.borrow_and_update();
                    connection.tell(newest).await
                }
                Err(_) => Err(Gone),
            },
            _ = hang_up.changed() => Err(Gone),
            _ = shutdown.changed() => Err(Gone),
        };
        if outcome.is_err() {
            return;
        }
    }
}

impl Connection {
    async fn read(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Gone> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            // Pings are answered by the protocol's own machinery.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => return Err(Gone),
        };
        let reply = match serde_json::from_str::<Value>(&text) {
            Ok(Value::Array(requests)) => {
                let replies: Vec<_> =
                    requests.iter().filter_map(|request| self.answer(request)).collect();
                (!replies.is_empty()).then_some(Value::Array(replies))
            }
            Ok(request) => self.answer(&request),
            Err(_) => Some(failure(&Value::Null, &RpcError::new(-32700, "Parse error"))),
        };
        let delay = self.node.port.delay();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match reply {
            Some(reply) => self.send(&reply).await,
            None => Ok(()),
        }
    }

    fn answer(&mut self, request: &Value) -> Option<Value> {
        let Some(method) = request.get("method").and_then(Value::as_str) else {
            let id = request.get("id").unwrap_or(&Value::Null);
            return Some(failure(id, &RpcError::new(-32600, "Invalid request")));
        };
        let params = request.get("params").unwrap_or(&Value::Null);
        let result = Params::new(params).and_then(|params| self.call(method, &params));
        let id = request.get("id")?;
        Some(match result {
            Ok(value) => json!({"jsonrpc": "2.0", "result": value, "id": id}),
            Err(error) => failure(id, &error),
        })
    }

    fn call(&mut self, method: &str, params: &Params<'_>) -> Result<Value, RpcError> {
        if method.ends_with("Unsubscribe") {
            return self.unsubscribe(method, params);
        }
        let (kind, config_at) = match method {
            "accountSubscribe" => {
                let shape = Shape::read(params.config(1)?, Encoding::Legacy)?;
                (Kind::Account { address: params.address(0)?, shape }, 1)
            }
            "programSubscribe" => {
                let config = params.config(1)?;
                let shape = Shape::read(config, Encoding::Legacy)?;
                let filters = Filter::read_all(config)?;
                (Kind::Program { program: params.address(0)?, shape, filters }, 1)
            }
            "logsSubscribe" => (Kind::Logs(Mention::read(params.get(0))?), 1),
            "signatureSubscribe" => {
                let signature = params::signature(&json!(params.text(0)?))?;
                let tell_received = params.config(1)?.flag("enableReceivedNotification")?;
                (Kind::Signature { signature, tell_received }, 1)
            }
            "slotSubscribe" => (Kind::Slot, 0),
            "rootSubscribe" => (Kind::Root, 0),
            _ => return Err(RpcError::new(-32601, "Method not found")),
        };
        let commitment = params.config(config_at)?.commitment()?;
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return Err(RpcError::new(
                -32603,
                "Internal Error: Subscription refused. Node subscription limit reached",
            ));
        }
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        self.subscriptions.insert(id, Subscription { kind, commitment });
        Ok(json!(id))
    }

    fn unsubscribe(&mut self, method: &str, params: &Params<'_>) -> Result<Value, RpcError> {
        let id = params.number(0)?;
        let known = self.subscriptions.get(&id).is_some_and(|one| one.kind.unsubscribed_by(method));
        if !known {
            return Err(RpcError::invalid_params("Invalid subscription id."));
        }
        self.subscriptions.remove(&id);
        Ok(json!(true))
    }

    /// Tells about every block up to the newest that this port shows.
    async fn tell(&mut self, newest: u64) -> Result<(), Gone> {
        let faults = self.node.port.faults();
        if faults.mute {
            return Ok(());
        }
        let (forks, left) = self.node.chain.read().forks();
        if forks != self.forks {
            // What was told of blocks that never were is told again as it is.
            (self.forks, self.told) = (forks, self.told.min(left));
        }
        let shown = newest.saturating_sub(faults.lag_blocks);
        while self.told < shown {
            self.told += 1;
            let Some(blocks) = Blocks::at(&self.node, self.told) else {
                // Abandoned a moment ago; or too old, and nothing can be told any more.
                self.told -= 1;
                let is_to_come = self.told >= self.node.chain.read().tip().sequence;
                return if is_to_come { Ok(()) } else { Err(Gone) };
            };
            let due = blocks.processed.produced + Duration::from_millis(faults.delay_ms);
            if faults.delay_ms > 0 {
                tokio::time::sleep_until(due.into()).await;
            }
            for message in self.messages(&blocks) {
                self.send(&message).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, message: &Value) -> Result<(), Gone> {
        let message = Message::Text(message.to_string().into());
        match tokio::time::timeout(WRITE_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    fn messages(&mut self, blocks: &Blocks) -> Vec<Value> {
        let mut out = Vec::new();
        let mut done = Vec::new();
        for (id, subscription) in &mut self.subscriptions {
            let mut results = Vec::new();
            match &mut subscription.kind {
                Kind::Slot => results.push(blocks.slot()),
                Kind::Root => results.extend(blocks.root()),
                Kind::Signature { signature, tell_received } => {
                    let gained = blocks.of(subscription.commitment);
                    let found = gained.and_then(|block| {
                        let record =
                            block.transactions.iter().find(|r| r.signature == *signature)?;
                        Some((block.slot, record))
                    });
                    if *tell_received && (found.is_some() || blocks.received(&self.node, signature))
                    {
                        *tell_received = false;
                        let slot = blocks.processed.slot;
                        results.push(context(slot, &json!("receivedSignature")));
                    }
                    if let Some((slot, record)) = found {
                        results.push(context(slot, &json!({"err": record.error})));
                        done.push(*id);
                    }
                }
                kind => {
                    if let Some(block) = blocks.of(subscription.commitment) {
                        changes(&self.node, kind, block, &mut results);
                    }
                }
            }
            out.extend(results.into_iter().map(|result| {
                json!({
                    "jsonrpc": "2.0",
                    "method": subscription.kind.method(),
                    "params": {"result": result, "subscription": id},
                })
            }));
        }
        for id in done {
            self.subscriptions.remove(&id);
        }
        out
    }
}

/// The blocks that reached each commitment level in one step of the chain.
struct Blocks {
    processed: Arc<Block>,
    confirmed: Option<Arc<Block>>,
    finalized: Option<Arc<Block>>,
    root: u64,
}

impl Blocks {
    fn at(node: &Node, sequence: u64) -> Option<Self> {
        let ledger = node.chain.read();
        let depths = node.chain.depths;
        // The genesis block is never news.
        let behind = |depth: u64| match sequence.checked_sub(depth) {
            Some(reached) if reached > 0 => ledger.block(reached).cloned(),
            _ => None,
        };
        let finalized = behind(depths.finalized);
        let root = match &finalized {
            Some(block) => block.slot,
            None => ledger.block_behind(u64::MAX).slot,
        };
        Some(Self {
            processed: ledger.block(sequence).cloned()?,
            confirmed: behind(depths.confirmed),
            finalized,
            root,
        })
    }

    fn of(&self, commitment: Commitment) -> Option<&Arc<Block>> {
        match commitment {
            Commitment::Processed => Some(&self.processed),
            Commitment::Confirmed => self.confirmed.as_ref(),
            Commitment::Finalized => self.finalized.as_ref(),
        }
    }

    fn slot(&self) -> Value {
        json!({"slot": self.processed.slot, "parent": self.processed.parent, "root": self.root})
    }

    fn root(&self) -> Option<Value> {
        self.finalized.as_ref().map(|block| json!(block.slot))
    }

    /// Whether the node has the transaction, in a block or waiting for one.
    fn received(&self, node: &Node, signature: &Signature) -> bool {
        self.processed.transactions.iter().any(|record| record.signature == *signature)
            || node.chain.mempool().contains(signature)
    }
}

fn changes(node: &Node, kind: &Kind, block: &Block, results: &mut Vec<Value>) {
    let ledger = node.chain.read();
    let decimals = Node::decimals_at(&ledger, block.slot);
    let show = |account: &AccountSharedData, shape: &Shape| {
        // Data too long for base58 is refused in a read; a subscriber gets the account all the same.
        encode::account(account, *shape, &decimals)
            .or_else(|_| encode::account(account, shape.as_base64(), &decimals))
            .ok()
    };
    match kind {
        Kind::Account { address, shape } => {
            let changed = block.accounts.iter().find(|(key, _)| key == address);
            if let Some((_, account)) = changed
                && let Some(account) = show(account, shape)
            {
                results.push(context(block.slot, &account));
            }
        }
        Kind::Program { program, shape, filters } => {
            for (key, account) in &block.accounts {
                if account.owner() == program
                    && account.lamports() > 0
                    && filters.iter().all(|filter| filter.admits(account))
                    && let Some(account) = show(account, shape)
                {
                    let value = json!({"pubkey": key.to_string(), "account": account});
                    results.push(context(block.slot, &value));
                }
            }
        }
        Kind::Logs(mention) => {
            let told = block.transactions.iter().filter(|record| mention.admits(record));
            results.extend(told.map(|record| context(block.slot, &logs(record))));
        }
        Kind::Signature { .. } | Kind::Slot | Kind::Root => {}
    }
}

fn logs(record: &Record) -> Value {
    json!({
        "signature": record.signature.to_string(),
        "err": record.error,
        "logs": record.logs,
    })
}

fn context(slot: u64, value: &Value) -> Value {
    json!({"context": {"slot": slot}, "value": value})
}

fn failure(id: &Value, error: &RpcError) -> Value {
    json!({"jsonrpc": "2.0", "error": error.to_json(), "id": id})
}
