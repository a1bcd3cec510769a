//! One WebSocket: messages of the node come out late, twice, in another order, in half, or not at all.

use std::collections::VecDeque;
use std::io::Result;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
};

use super::Shared;
use super::fault::{Fault, Place};
use super::plan::{Ending, Verdict};
use super::rewrite::rewrite;
use super::wire::{Client, Head, answer_head, frame_head, write, write_fill};

/// How long the node may take to open a socket.
const PATIENCE: Duration = Duration::from_secs(10);
/// Messages and bytes that may wait for their time; the node is not read while there are more.
const WAITING_MAX: usize = 1_024;
const WAITING_BYTES_MAX: usize = 32 << 20;
/// Longest message from either side.
const MESSAGE_MAX: usize = 16 << 20;
/// A message that is to come after its follower comes all the same when none follows in this time.
const HELD_BACK: Duration = Duration::from_millis(500);
const NOT_JSON: &[u8] = b"{\"jsonrpc\":\"2.0\",\"method\":";

type Node = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a socket to the node and one to the client, and stands between them.
pub(super) async fn serve(shared: &Shared, mut client: Client, head: &Head) -> Result<()> {
    let verdict = shared.plan.judge(Place::Upgrade, &["upgrade"]);
    tokio::time::sleep(verdict.wait).await;
    let refusal = match verdict.ending {
        Some(Ending::Reset) => return client.reset(),
        Some(Ending::HalfOpen) => return client.swallow().await,
        Some(Ending::Status { code, retry_after }) => {
            let wait = retry_after.map(|wait| ("retry-after", wait.as_secs().to_string()));
            Some((code, wait.into_iter().collect::<Vec<_>>()))
        }
        Some(_) => return Ok(()),
        None => None,
    };
    if let Some((code, headers)) = refusal {
        client.stream.write_all(&answer_head(code, Some(0), &headers)).await?;
        return client.stream.shutdown().await;
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let tls = Connector::Rustls(shared.tls.clone());
    let connecting =
        connect_async_tls_with_config(shared.ws.as_str(), Some(config), true, Some(tls));
    let node = tokio::time::timeout(PATIENCE, connecting).await;
    let (Some(key), Ok(Ok((node, _)))) = (head.get("sec-websocket-key"), node) else {
        shared.plan.upstream_failures.fetch_add(1, Ordering::Relaxed);
        client.stream.write_all(&answer_head(502, Some(0), &[])).await?;
        return client.stream.shutdown().await;
    };
    let opened = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    client.stream.write_all(opened.as_bytes()).await?;
    let client = WebSocketStream::from_partially_read(
        client.stream,
        client.unread,
        Role::Server,
        Some(config),
    )
    .await;
    Relay { shared, client, node, waiting: VecDeque::new(), bytes: 0 }.run().await
}

struct Waiting {
    due: Instant,
    text: Utf8Bytes,
    verdict: Verdict,
    /// It lets the next one pass.
    held_back: bool,
}

struct Relay<'a> {
    shared: &'a Shared,
    client: WebSocketStream<TcpStream>,
    node: Node,
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    method: Option<&'a str>,
}

impl Relay<'_> {
    async fn run(mut self) -> Result<()> {
        loop {
            let due = self.waiting.front().map(|first| first.due);
            let room = self.waiting.len() < WAITING_MAX && self.bytes < WAITING_BYTES_MAX;
            tokio::select! {
                said = self.client.next() => match said {
                    Some(Ok(said @ (Message::Text(_) | Message::Binary(_)))) => {
                        if self.node.send(said).await.is_err() {
                            return Ok(());
                        }
                    }
                    // Pings are answered by the proxy's own end.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return Ok(()),
                },
                told = self.node.next(), if room => match told {
                    Some(Ok(Message::Text(text))) => self.admit(text),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return Ok(()),
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let Some(first) = self.waiting.pop_front() else { continue };
                    self.bytes = self.bytes.saturating_sub(first.text.len());
                    match first.verdict.ending {
                        None => self.deliver(&first).await?,
                        Some(Ending::InvalidJson) => {
                            self.frame(NOT_JSON, NOT_JSON.len(), &first).await?;
                        }
                        Some(Ending::Gigantic(bytes)) => self.gigantic(&first, bytes).await?,
                        Some(ending) => return self.end(&first, ending).await,
                    }
                }
            }
        }
    }

    /// Judges a message and puts it where its time will come. Lateness keeps the order.
    fn admit(&mut self, text: Utf8Bytes) {
        let named = serde_json::from_str::<Named<'_>>(&text).ok().and_then(|named| named.method);
        let name = named.unwrap_or("reply").to_owned();
        let verdict = self.shared.plan.judge(Place::Message, &[&name]);
        let text = self.rewritten(text, &name, &verdict);
        let now = Instant::now();
        let mut due = now + verdict.wait;
        self.bytes = self.bytes.saturating_add(text.len());
        if let Some(last) = self.waiting.back_mut() {
            if last.held_back {
                // This is the follower: it goes first, and the one that was held back right after it.
                last.held_back = false;
                last.due = due;
                let at = self.waiting.len().saturating_sub(1);
                self.waiting.insert(at, Waiting { due, text, verdict, held_back: false });
                return;
            }
            due = due.max(last.due);
        }
        let held_back = verdict.reorder;
        if held_back {
            due += HELD_BACK;
        }
        self.waiting.push_back(Waiting { due, text, verdict, held_back });
    }

    fn rewritten(&self, text: Utf8Bytes, name: &str, verdict: &Verdict) -> Utf8Bytes {
        if !verdict.rewrite.is_any() {
            return text;
        }
        let Ok(mut message) = serde_json::from_str::<Value>(&text) else { return text };
        if !rewrite(&mut message, name, verdict.rewrite) {
            return text;
        }
        self.shared.plan.count(&Fault::StaleSlot(verdict.rewrite.slots));
        message.to_string().into()
    }

    async fn deliver(&mut self, message: &Waiting) -> Result<()> {
        let copies = if message.verdict.duplicate { 2 } else { 1 };
        for _ in 0..copies {
            if message.verdict.pace.is_none() {
                let text = Message::Text(message.text.clone());
                self.client.send(text).await.map_err(std::io::Error::other)?;
            } else {
                self.frame(message.text.as_bytes(), message.text.len(), message).await?;
            }
        }
        Ok(())
    }

    /// Writes the first `length` bytes of a frame by hand, once nothing of an earlier one is left to write.
    async fn frame(&mut self, text: &[u8], length: usize, message: &Waiting) -> Result<()> {
        self.client.flush().await.map_err(std::io::Error::other)?;
        let mut all = frame_head(u64::try_from(text.len()).unwrap_or(u64::MAX));
        all.extend(text.iter().take(length));
        write(self.client.get_mut(), &all, message.verdict.pace).await
    }

    async fn gigantic(&mut self, message: &Waiting, bytes: u64) -> Result<()> {
        self.client.flush().await.map_err(std::io::Error::other)?;
        let (before, after) = ("{\"jsonrpc\":\"2.0\",\"result\":\"", "\"}");
        let around = u64::try_from(before.len() + after.len()).unwrap_or(u64::MAX);
        let fill = bytes.saturating_sub(around);
        let stream = self.client.get_mut();
        let pace = message.verdict.pace;
        write(stream, &frame_head(fill.saturating_add(around)), pace).await?;
        write(stream, before.as_bytes(), pace).await?;
        write_fill(stream, fill, pace).await?;
        write(stream, after.as_bytes(), pace).await
    }

    /// The last that this socket sees.
    async fn end(mut self, message: &Waiting, ending: Ending) -> Result<()> {
        match ending {
            Ending::Reset => return self.client.get_ref().set_zero_linger(),
            Ending::HalfOpen => {
                // The node is let go of at once: it should not hold notices for somebody who reads none.
                drop(self.node);
                let mut client = Client::new(self.client.into_inner());
                return client.swallow().await;
            }
            Ending::Truncate => {
                let text = message.text.as_bytes();
                self.frame(text, text.len() / 2, message).await?;
            }
            _ => {}
        }
        self.client.get_mut().shutdown().await
    }
}
