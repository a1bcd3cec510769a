//! All accounts of the scanned programs as they change, over one connection.
//!
//! A program's pools are followed by their owner, and the vaults of all its pools by theirs where one owner has them
//! all: a handful of subscriptions, however many pools there are. Nothing is made up for here. Whoever reads begins with
//! [`super::Scanner::cold`] after [`Told::Live`], and again after every new connection.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use sniper_core::ids::Address;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::program::Program;
use super::state::Notice;
use crate::feed::DownCause;
use crate::rpc::{AccountFilter, Commitment, EndpointConfig, methods};

const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const TOKEN_2022: &str = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
/// Bytes of an SPL token account, and where it names its owner.
const TOKEN_ACCOUNT: u64 = 165;
const OWNER_AT: usize = 32;

/// How long a connection may take to be made, and its subscriptions to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(10);
/// Without a slot for this long a connection is dead.
const STALL: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(10);
/// Unreadable frames after which a connection is given up.
const GARBAGE_MAX: u32 = 10;
/// Largest frame read.
const FRAME_MAX: usize = 8 << 20;

/// An account as a node told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its address.
    pub address: Address,
    /// The program that may write it, in base58.
    pub owner: String,
    /// Of the state that it was read from.
    pub slot: u64,
    /// All its bytes.
    pub data: Vec<u8>,
}

impl Account {
    /// For [`super::Scanner::apply`].
    #[must_use]
    pub fn notice(&self) -> Notice<'_> {
        Notice { address: self.address, owner: &self.owner, slot: self.slot, data: &self.data }
    }
}

/// What a connection tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Every subscription is in force: a state read from now on, and what is told, miss nothing.
    Live,
    /// An account changed.
    Account(Account),
    /// The node started a slot.
    Slot(u64),
}

/// One connection that follows whole programs.
#[derive(Debug)]
pub struct Follower {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Acknowledgements still to come.
    pending: usize,
    begun: Instant,
    last_slot: Instant,
    next_ping: Instant,
    garbage: u32,
}

impl Follower {
    /// Connects and asks for all accounts of these programs' pools, their vaults, and the slots.
    ///
    /// # Errors
    /// [`DownCause`], with which the connection is over.
    pub async fn connect(
        endpoint: &EndpointConfig,
        programs: &[Program],
        commitment: Commitment,
    ) -> Result<Self, DownCause> {
        let config = tungstenite::protocol::WebSocketConfig::default()
            .max_message_size(Some(FRAME_MAX))
            .max_frame_size(Some(FRAME_MAX));
        let url = endpoint.ws().expose().as_str();
        let connecting = tokio_tungstenite::connect_async_with_config(url, Some(config), true);
        let (mut socket, _) = tokio::time::timeout(PATIENCE, connecting)
            .await
            .map_err(|_| DownCause::Connect)?
            // Its text can hold the address.
            .map_err(|_| DownCause::Connect)?;
        let requests = subscriptions(programs, commitment);
        let pending = requests.len();
        for request in requests {
            socket.feed(Message::text(request)).await.map_err(|_| DownCause::Broken)?;
        }
        socket.flush().await.map_err(|_| DownCause::Broken)?;
        let now = Instant::now();
        let next_ping = now + PING_EVERY;
        Ok(Self { socket, pending, begun: now, last_slot: now, next_ping, garbage: 0 })
    }

    /// What comes next. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// [`DownCause`], with which the connection is over.
    pub async fn next(&mut self) -> Result<Told, DownCause> {
        loop {
            let wait = tokio::time::timeout(Duration::from_millis(250), self.socket.next());
            let Ok(frame) = wait.await else {
                self.tick().await?;
                continue;
            };
            let text = match frame {
                None | Some(Ok(Message::Close(_))) => return Err(DownCause::Closed),
                Some(Err(_)) => return Err(DownCause::Broken),
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(_)) => continue,
            };
            if let Some(told) = self.read(&text)? {
                return Ok(told);
            }
        }
    }

    /// Silence is looked at only between frames: while they come, the slots among them tell.
    async fn tick(&mut self) -> Result<(), DownCause> {
        let now = Instant::now();
        if self.pending > 0 && now.saturating_duration_since(self.begun) > PATIENCE {
            return Err(DownCause::NoAcknowledgement);
        }
        if now.saturating_duration_since(self.last_slot) > STALL {
            return Err(DownCause::Stalled);
        }
        if now >= self.next_ping {
            self.next_ping = now + PING_EVERY;
            let sent = self.socket.send(Message::Ping(Bytes::new())).await;
            return sent.map_err(|_| DownCause::Broken);
        }
        Ok(())
    }

    fn read(&mut self, text: &str) -> Result<Option<Told>, DownCause> {
        match parse(text) {
            Some(Incoming::Told(told)) => {
                if matches!(told, Told::Slot(_)) {
                    self.last_slot = Instant::now();
                }
                Ok(Some(told))
            }
            Some(Incoming::Accepted) => {
                self.pending = self.pending.saturating_sub(1);
                Ok((self.pending == 0).then_some(Told::Live))
            }
            Some(Incoming::Refused(code)) => Err(DownCause::Refused { code }),
            Some(Incoming::Other) => Ok(None),
            None => {
                self.garbage += 1;
                if self.garbage >= GARBAGE_MAX { Err(DownCause::Garbage) } else { Ok(None) }
            }
        }
    }
}

fn subscriptions(programs: &[Program], commitment: Commitment) -> Vec<String> {
    let commitment = commitment.as_str();
    let mut out = Vec::new();
    let mut ask = |method: &str, params: serde_json::Value| {
        let id = out.len() + 1;
        let request = serde_json::json!(
            {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        );
        out.push(request.to_string());
    };
    let mut program = |owner: &str, filters: &[AccountFilter]| {
        let filters: Vec<_> = filters.iter().map(methods::raw_filter).collect();
        let options = serde_json::json!(
            {"encoding": "base64", "commitment": commitment, "filters": filters}
        );
        ask("programSubscribe", serde_json::json!([owner, options]));
    };
    for scanned in programs {
        program(scanned.text(), &scanned.filters());
        if let Some(owner) = scanned.vaults_owner() {
            let bytes = owner.to_bytes().to_vec();
            let owned = AccountFilter::Memcmp { offset: OWNER_AT, bytes };
            program(TOKEN, &[AccountFilter::DataSize(TOKEN_ACCOUNT), owned.clone()]);
            // AMM v4 knows no other token program. Accounts of this one differ in length.
            if *scanned != Program::AmmV4 {
                program(TOKEN_2022, &[owned]);
            }
        }
    }
    ask("slotSubscribe", serde_json::json!([]));
    out
}

#[derive(Debug, PartialEq, Eq)]
enum Incoming {
    Told(Told),
    Accepted,
    Refused(i64),
    Other,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
    #[serde(default)]
    id: Option<u64>,
    #[serde(default)]
    result: Option<u64>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    result: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    context: Option<Context>,
    #[serde(borrow, default)]
    value: Option<Value<'a>>,
    #[serde(default)]
    slot: Option<u64>,
}

#[derive(Deserialize)]
struct Context {
    slot: u64,
}

#[derive(Deserialize)]
struct Value<'a> {
    pubkey: &'a str,
    #[serde(borrow)]
    account: Raw<'a>,
}

#[derive(Deserialize)]
struct Raw<'a> {
    owner: &'a str,
    data: (&'a str, &'a str),
}

/// Reads a frame; none for what is no JSON-RPC, or an account that cannot be read.
fn parse(text: &str) -> Option<Incoming> {
    let frame: Frame<'_> = serde_json::from_str(text).ok()?;
    if let Some(error) = frame.error {
        return Some(Incoming::Refused(error.code));
    }
    if frame.id.is_some() && frame.result.is_some() {
        return Some(Incoming::Accepted);
    }
    let Some(params) = frame.params else { return Some(Incoming::Other) };
    match params.result {
        Body { context: Some(context), value: Some(value), .. } => {
            let (base64, "base64") = value.account.data else { return None };
            Some(Incoming::Told(Told::Account(Account {
                address: value.pubkey.parse().ok()?,
                owner: value.account.owner.to_owned(),
                slot: context.slot,
                data: STANDARD.decode(base64).ok()?,
            })))
        }
        Body { slot: Some(slot), .. } => Some(Incoming::Told(Told::Slot(slot))),
        _ => Some(Incoming::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNT: &str = r#"{"jsonrpc":"2.0","method":"programNotification","params":{"result":{"context":{"slot":5},"value":{"pubkey":"So11111111111111111111111111111111111111112","account":{"data":["AQID","base64"],"executable":false,"lamports":1,"owner":"x","rentEpoch":0,"space":3}}},"subscription":7}}"#;

    #[test]
    fn each_program_and_the_owner_of_its_vaults_are_subscribed_to() {
        let all = subscriptions(&Program::ALL, Commitment::Confirmed);
        assert_eq!(all.len(), 7 + 2 + 1 + 1, "pools, vaults, Token-2022 vaults and slots");
        assert!(all[1].contains(r#""dataSize":165"#) && all[1].contains(r#""offset":32"#));
        assert!(all.iter().take(10).all(|text| text.contains("programSubscribe")));
    }

    #[test]
    fn notifications_and_answers_are_read() {
        let Some(Incoming::Told(Told::Account(account))) = parse(ACCOUNT) else { panic!("read") };
        assert_eq!((account.slot, account.owner.as_str()), (5, "x"));
        assert_eq!(account.data, [1, 2, 3]);
        let slot = r#"{"method":"slotNotification","params":{"result":{"slot":9,"parent":8,"root":1},"subscription":1}}"#;
        assert_eq!(parse(slot), Some(Incoming::Told(Told::Slot(9))));
        assert_eq!(parse(r#"{"result":3,"id":1}"#), Some(Incoming::Accepted));
        let no = r#"{"error":{"code":-32601,"message":"m"},"id":1}"#;
        assert_eq!(parse(no), Some(Incoming::Refused(-32601)));
        assert_eq!(parse(&ACCOUNT.replace("base64", "base58")), None);
        assert_eq!(parse(&ACCOUNT.replace("AQID", "A")), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text: String) {
            drop(parse(&text));
        }
    }
}
