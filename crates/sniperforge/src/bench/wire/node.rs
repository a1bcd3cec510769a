//! A node as small as the documented protocol allows: JSON-RPC over HTTP, PubSub over WebSocket, and the prices of an
//! independent service. It takes the times itself: when a notice is handed to its socket, and when the last byte of a
//! `sendTransaction` request has come.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sniper_core::amm::cpmm::PROGRAM_ID;
use sniper_core::ids::Address;
use sniper_core::market::WRAPPED_SOL;
use sniper_localnet::cpmm::state::{AmmConfig, POOL_LEN, PoolState};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const TOKEN: Address = Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
pub(crate) const POOL: Address = Address::new_from_array([11; 32]);
pub(crate) const DOLLARS: Address = Address::new_from_array([12; 32]);
const CONFIG: Address = Address::new_from_array([13; 32]);
const VAULTS: [Address; 2] = [Address::new_from_array([14; 32]), Address::new_from_array([15; 32])];
const GENESIS: Address = Address::new_from_array([16; 32]);
/// Ten thousand SOL against a million and a half dollars.
const RESERVES: [u64; 2] = [10_000_000_000_000, 1_500_000_000_000];

/// What the node knows, and what it saw.
pub(crate) struct Chain {
    owner: Address,
    pub(crate) slot: u64,
    accounts: BTreeMap<String, (Address, Vec<u8>)>,
    /// Subscription ids by account, once all are asked for.
    pub(crate) subscriptions: BTreeMap<String, u64>,
    /// In which slot each transaction landed, by its name.
    came: BTreeMap<String, u64>,
    /// When the last notice was handed to the socket.
    pub(crate) told: Instant,
    pub(crate) request_bytes: usize,
}

pub(crate) type Shared = Arc<Mutex<Chain>>;

/// The chain, for a moment.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Chain> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the node tells whoever measures.
pub(crate) enum Seen {
    /// All of a `sendTransaction` request has come.
    Arrived(Instant),
    /// The engine was told how its transaction ended.
    Ended,
}

impl Chain {
    pub(crate) fn new(owner: Address) -> anyhow::Result<Self> {
        let config = AmmConfig {
            bump: 255,
            disable_create_pool: false,
            index: 0,
            trade_fee_rate: 2_500,
            protocol_fee_rate: 120_000,
            fund_fee_rate: 40_000,
            create_pool_fee: 0,
            protocol_owner: CONFIG,
            fund_owner: CONFIG,
            creator_fee_rate: 0,
            creator_fee_share_rate: 0,
        };
        let accounts = BTreeMap::from([
            (CONFIG.to_string(), (PROGRAM_ID, config.encode())),
            (WRAPPED_SOL.to_string(), (TOKEN, mint(9))),
            (DOLLARS.to_string(), (TOKEN, mint(6))),
        ]);
        let mut chain = Self {
            owner,
            slot: 1_000,
            accounts,
            subscriptions: BTreeMap::new(),
            came: BTreeMap::new(),
            told: Instant::now(),
            request_bytes: 0,
        };
        chain.swap()?;
        Ok(chain)
    }

    /// A slot later every account of the pool holds something else. The addresses, in the order to tell them.
    pub(crate) fn swap(&mut self) -> anyhow::Result<[String; 3]> {
        self.slot += 1;
        let moved = self.slot % 1_000;
        for ((vault, mint), amount) in VAULTS.iter().zip([WRAPPED_SOL, DOLLARS]).zip(RESERVES) {
            let data = token_account(&mint, &PROGRAM_ID, amount + moved);
            self.accounts.insert(vault.to_string(), (TOKEN, data));
        }
        let [first, second] = VAULTS;
        let state = PoolState {
            amm_config: CONFIG,
            creator: CONFIG,
            vault_0: first,
            vault_1: second,
            lp_mint: CONFIG,
            mint_0: WRAPPED_SOL,
            mint_1: DOLLARS,
            program_0: TOKEN,
            program_1: TOKEN,
            observation: CONFIG,
            auth_bump: 255,
            status: 0,
            lp_decimals: 9,
            decimals_0: 9,
            decimals_1: 6,
            lp_supply: 1_000_000_000_000,
            protocol_fees_0: moved,
            protocol_fees_1: 0,
            fund_fees_0: 0,
            fund_fees_1: 0,
            open_time: 0,
            recent_epoch: 0,
            creator_fee_on: 0,
            enable_creator_fee: false,
            creator_fees_0: 0,
            creator_fees_1: 0,
        };
        let mut data = vec![0; POOL_LEN];
        state.write(&mut data).context("write the pool's account")?;
        self.accounts.insert(POOL.to_string(), (PROGRAM_ID, data));
        Ok([first, second, POOL].map(|address| address.to_string()))
    }

    pub(crate) fn notice(&self, address: &str) -> anyhow::Result<String> {
        let subscription = self.subscriptions.get(address).context("nobody follows the pool")?;
        let notice = json!({"jsonrpc": "2.0", "method": "accountNotification", "params": {
            "result": {"context": {"slot": self.slot}, "value": self.account(address)},
            "subscription": subscription}});
        Ok(notice.to_string())
    }

    pub(crate) fn slot_notice(&self) -> String {
        json!({"jsonrpc": "2.0", "method": "slotNotification", "params": {
            "result": {"slot": self.slot, "parent": self.slot - 1, "root": self.slot - 32},
            "subscription": 1}})
        .to_string()
    }

    fn account(&self, address: &str) -> Value {
        let (owner, data, lamports) = match self.accounts.get(address) {
            Some((owner, data)) => (*owner, data.clone(), 2_039_280),
            None if *address == self.owner.to_string() => {
                (Address::default(), Vec::new(), 100_000_000_000_u64)
            }
            // Whatever else is asked for are the token accounts of the wallet.
            None => (TOKEN, token_account(&DOLLARS, &self.owner, 10_000_000_000), 2_039_280),
        };
        json!({"lamports": lamports, "owner": owner.to_string(), "executable": false,
            "data": [STANDARD.encode(&data), "base64"], "rentEpoch": u64::MAX, "space": data.len()})
    }

    fn answer(
        &mut self,
        method: &str,
        params: &Value,
        seen: &mpsc::UnboundedSender<Seen>,
    ) -> anyhow::Result<Value> {
        let nth = |at: usize| params.get(at).context("a parameter is missing");
        let first = || nth(0)?.as_str().context("a parameter is no text");
        let wrap = |value: Value| json!({"context": {"slot": self.slot}, "value": value});
        let height = self.slot - 100;
        Ok(match method {
            "getGenesisHash" => json!(GENESIS.to_string()),
            "getSlot" => json!(self.slot),
            "getBlockHeight" => json!(height),
            "getHealth" => json!("ok"),
            "getEpochInfo" => json!({"absoluteSlot": self.slot, "epoch": 0,
                "slotIndex": self.slot, "slotsInEpoch": 432_000}),
            "getSlotLeaders" => {
                let count = nth(1)?.as_u64().context("a count is no number")?;
                (0..count).map(|_| self.owner.to_string()).collect()
            }
            "getLatestBlockhash" => {
                let mut hash = [17; 32];
                hash.iter_mut().zip(self.slot.to_le_bytes()).for_each(|(to, from)| *to = from);
                let hash = Address::new_from_array(hash).to_string();
                wrap(json!({"blockhash": hash, "lastValidBlockHeight": height + 150}))
            }
            "getMultipleAccounts" => {
                let keys = nth(0)?.as_array().context("keys are no list")?;
                let keys = keys.iter().map(|key| key.as_str().unwrap_or_default());
                wrap(keys.map(|key| self.account(key)).collect())
            }
            "getSignatureStatuses" => {
                let status = |name: &Value| {
                    let failed = failure();
                    if let Some(slot) = self.came.get(name.as_str().unwrap_or_default()) {
                        json!({"slot": slot, "confirmations": null, "err": failed,
                            "status": {"Err": failed}, "confirmationStatus": "finalized"})
                    } else {
                        Value::Null
                    }
                };
                let names = nth(0)?.as_array().context("names are no list")?;
                wrap(names.iter().map(status).collect())
            }
            "getTransaction" => {
                seen.send(Seen::Ended).ok();
                let before = 100_000_000_000_u64;
                let slot = self.came.get(first()?).context("no such transaction")?;
                json!({"slot": slot, "blockTime": null, "version": 0,
                    "transaction": {"signatures": [nth(0)?],
                        "message": {"accountKeys": [self.owner.to_string()]}},
                    "meta": {"err": failure(), "fee": 5_000, "preBalances": [before],
                        "postBalances": [before - 5_000], "preTokenBalances": [],
                        "postTokenBalances": []}})
            }
            "sendTransaction" => {
                let bytes = STANDARD.decode(first()?).context("read a transaction")?;
                let name = bytes.get(1..65).context("a transaction is too short")?;
                let name = bs58::encode(name).into_string();
                self.came.entry(name.clone()).or_insert(self.slot);
                json!(name)
            }
            // Nothing is said of a program whose swaps fail.
            "simulateTransaction" => wrap(json!({"err": failure(), "logs": []})),
            other => bail!("not expected of an engine: {other}"),
        })
    }
}

/// How every transaction ends here: it costs its fee and moves nothing, so that the next order is like the last.
fn failure() -> Value {
    json!({"InstructionError": [2, {"Custom": 6_005}]})
}

fn put(data: &mut [u8], at: usize, bytes: &[u8]) {
    data.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// A mint that nobody can add to.
fn mint(decimals: u8) -> Vec<u8> {
    let mut data = vec![0; 82];
    put(&mut data, 44, &[decimals, 1]);
    data
}

fn token_account(mint: &Address, owner: &Address, amount: u64) -> Vec<u8> {
    let mut data = vec![0; 165];
    put(&mut data, 0, mint.as_array());
    put(&mut data, 32, owner.as_array());
    put(&mut data, 64, &amount.to_le_bytes());
    put(&mut data, 108, &[1]);
    data
}

/// Answers HTTP until the process ends.
pub(crate) async fn serve_http(
    listener: TcpListener,
    shared: Shared,
    seen: mpsc::UnboundedSender<Seen>,
) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(stream, Arc::clone(&shared), seen.clone()));
    }
}

async fn connection(
    mut stream: TcpStream,
    shared: Shared,
    seen: mpsc::UnboundedSender<Seen>,
) -> anyhow::Result<()> {
    let mut read = Vec::with_capacity(16 << 10);
    loop {
        let (head, length) = loop {
            if let Some(head) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                let length = content_length(read.get(..head).unwrap_or_default())?;
                if read.len() >= head + 4 + length {
                    break (head, length);
                }
            }
            read.reserve(8 << 10);
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let came = Instant::now();
        // The buffer keeps its room: a request is read in one piece.
        let request: Vec<u8> = read.drain(..head + 4 + length).collect();
        let reply = if request.starts_with(b"GET") {
            json!({WRAPPED_SOL.to_string(): {"usdPrice": 150.0},
                DOLLARS.to_string(): {"usdPrice": 1.0}})
        } else {
            let body = request.get(head + 4..).unwrap_or_default();
            let call: Value = serde_json::from_slice(body).context("read a request")?;
            let mut chain = lock(&shared);
            let mut one = |call: &Value| {
                let method = call.get("method").and_then(Value::as_str).unwrap_or_default();
                if method == "sendTransaction" {
                    chain.request_bytes = request.len();
                    seen.send(Seen::Arrived(came)).ok();
                }
                let params = call.get("params").unwrap_or(&Value::Null);
                let result = chain.answer(method, params, &seen)?;
                anyhow::Ok(json!({"jsonrpc": "2.0", "result": result, "id": call.get("id")}))
            };
            match &call {
                Value::Array(calls) => calls.iter().map(one).collect::<Result<Value, _>>()?,
                call => one(call)?,
            }
        };
        let body = reply.to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}

fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let head = std::str::from_utf8(head).context("read a request's head")?.to_ascii_lowercase();
    let line = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    line.map_or(Ok(0), |text| text.trim().parse().context("read a request's length"))
}

/// The next connection, as a WebSocket.
pub(crate) async fn accepted(listener: &TcpListener) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(tokio_tungstenite::accept_async(stream).await?)
}

/// Sends a notice, and what waits behind it already, in one write.
pub(crate) async fn tell(
    socket: &mut WebSocketStream<TcpStream>,
    notice: String,
    behind: &mut mpsc::UnboundedReceiver<String>,
) -> anyhow::Result<()> {
    socket.feed(Message::text(notice)).await?;
    while let Ok(notice) = behind.try_recv() {
        socket.feed(Message::text(notice)).await?;
    }
    Ok(socket.flush().await?)
}

/// Serves the engine's subscriptions; every text of `notices` is sent on, and the moment kept.
pub(crate) async fn serve_feed(
    listener: TcpListener,
    shared: Shared,
    mut notices: mpsc::UnboundedReceiver<String>,
) -> anyhow::Result<()> {
    let mut socket = accepted(&listener).await?;
    loop {
        tokio::select! {
            frame = socket.next() => match frame {
                Some(Ok(Message::Text(text))) => {
                    let call: Value = serde_json::from_str(&text)?;
                    let id = call.get("id").and_then(Value::as_u64).context("a call has no id")?;
                    let method = call.get("method").and_then(Value::as_str).unwrap_or_default();
                    if method == "accountSubscribe" {
                        let address = call.pointer("/params/0").and_then(Value::as_str);
                        let address = address.context("a subscription names no account")?;
                        lock(&shared).subscriptions.insert(address.to_owned(), id + 100);
                    }
                    let result =
                        if method.ends_with("Unsubscribe") { json!(true) } else { json!(id + 100) };
                    let accepted = json!({"jsonrpc": "2.0", "result": result, "id": id});
                    socket.send(Message::text(accepted.to_string())).await?;
                }
                Some(Ok(_)) => {}
                _ => return Ok(()),
            },
            notice = notices.recv() => {
                let Some(notice) = notice else { return Ok(()) };
                let told = Instant::now();
                tell(&mut socket, notice, &mut notices).await?;
                lock(&shared).told = told;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_subscription_is_answered_with_its_number_and_its_end_with_true() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Chain::new(Address::default()).unwrap()));
        let (_notices, told) = mpsc::unbounded_channel();
        tokio::spawn(serve_feed(listener, shared, told));
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        for (method, result) in
            [("signatureSubscribe", json!(107)), ("signatureUnsubscribe", json!(true))]
        {
            let call = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": ["x"]});
            socket.send(Message::text(call.to_string())).await.unwrap();
            let Some(Ok(Message::Text(answer))) = socket.next().await else {
                panic!("{method} was not answered");
            };
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!((&answer["id"], &answer["result"]), (&json!(7), &result), "{method}");
        }
    }
}
