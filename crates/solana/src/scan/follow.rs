//! All accounts of the scanned programs as they change, over one connection.
//!
//! A program's pools are followed by their owner, and the vaults of all its pools by theirs where one owner has them
//! all: a handful of subscriptions, however many pools there are. Nothing is made up for here. Whoever reads begins with
//! [`super::Scanner::cold`] after [`Told::Live`], and again after every new connection.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use sniper_core::ids::Address;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::program::Program;
use super::state::Notice;
use crate::feed::{DownCause, Frame, FrameReader};
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
    reader: FrameReader,
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
            .read_buffer_size(16 << 10)
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
        let reader = FrameReader::default();
        Ok(Self { socket, pending, begun: now, last_slot: now, next_ping, garbage: 0, reader })
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
        match self.reader.read(text) {
            Ok(Frame::Accepted { .. }) => {
                self.pending = self.pending.saturating_sub(1);
                Ok((self.pending == 0).then_some(Told::Live))
            }
            Ok(Frame::Refused { code, .. }) => Err(DownCause::Refused { code }),
            Ok(frame) => {
                let told = told(frame);
                if matches!(told, Some(Told::Slot(_))) {
                    self.last_slot = Instant::now();
                }
                Ok(told)
            }
            Err(_) => {
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

/// What of a frame is told; none for one that only keeps the connection going, or is no concern here.
fn told(frame: Frame<'_>) -> Option<Told> {
    match frame {
        Frame::Program { slot, address, account, .. } => Some(Told::Account(Account {
            address,
            owner: account.owner.into_owned(),
            slot,
            data: account.data.to_vec(),
        })),
        Frame::Slot { slot, .. } => Some(Told::Slot(slot)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_and_the_owner_of_its_vaults_are_subscribed_to() {
        let all = subscriptions(&Program::ALL, Commitment::Confirmed);
        assert_eq!(all.len(), 7 + 2 + 1 + 1, "pools, vaults, Token-2022 vaults and slots");
        assert!(all[1].contains(r#""dataSize":165"#) && all[1].contains(r#""offset":32"#));
        assert!(all.iter().take(10).all(|text| text.contains("programSubscribe")));
    }
}
