//! What nobody can leave out, as bare as it can be written: the notice over a WebSocket, its parsing, one signature,
//! and the way back over the same socket. And, apart from it, one write that is durable.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use rustix::fs::{FallocateFlags, fallocate, fdatasync};
use serde::Deserialize;
use sniper_wallet::{LocalSigner, Signer as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::node::{accepted, tell};

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    result: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    value: Account<'a>,
}

#[derive(Deserialize)]
struct Account<'a> {
    #[serde(borrow)]
    data: (&'a str, &'a str),
}

/// The client's side, on a thread and a runtime of its own as the engine is; it ends with the node's.
pub(crate) fn echo(address: SocketAddr, message_bytes: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("start the event loop")?.block_on(async move {
        let url = format!("ws://{address}/");
        let connected = tokio_tungstenite::connect_async_with_config(url, None, true).await;
        let (mut socket, _) = connected.context("reach the node")?;
        let key = LocalSigner::generate()?;
        let mut message = vec![0_u8; message_bytes];
        while let Some(Ok(frame)) = socket.next().await {
            let Message::Text(text) = frame else { continue };
            let frame: Frame<'_> = serde_json::from_str(&text).context("read a notice")?;
            let data = STANDARD.decode(frame.params.result.value.data.0).context("read data")?;
            message.iter_mut().zip(&data).for_each(|(to, from)| *to = *from);
            let mut bytes = key.sign(&message)?.to_vec();
            bytes.extend(&message);
            if socket.send(Message::text(STANDARD.encode(&bytes))).await.is_err() {
                break;
            }
        }
        Ok(())
    })
}

/// A client that only looks: takes each notice off its socket, parses it and decodes the account. It ends with the node.
pub(crate) fn listen(address: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("start the event loop")?.block_on(async move {
        let url = format!("ws://{address}/");
        let connected = tokio_tungstenite::connect_async_with_config(url, None, true).await;
        let (mut socket, _) = connected.context("reach the node")?;
        while let Some(Ok(frame)) = socket.next().await {
            let Message::Text(text) = frame else { continue };
            let frame: Frame<'_> = serde_json::from_str(&text).context("read a notice")?;
            let data = STANDARD.decode(frame.params.result.value.data.0).context("read data")?;
            std::hint::black_box(data);
        }
        Ok(())
    })
}

/// The node's side of it.
pub(crate) async fn serve_notices(
    listener: TcpListener,
    mut notices: mpsc::UnboundedReceiver<String>,
) -> anyhow::Result<()> {
    let mut socket = accepted(&listener).await?;
    while let Some(notice) = notices.recv().await {
        tell(&mut socket, notice, &mut notices).await?;
    }
    Ok(())
}

/// The node's side: tells each notice, waits for the way back, and says how long it took.
pub(crate) async fn serve_echo(
    listener: TcpListener,
    mut notices: mpsc::UnboundedReceiver<String>,
    took: mpsc::UnboundedSender<Duration>,
) -> anyhow::Result<()> {
    let mut socket = accepted(&listener).await?;
    while let Some(notice) = notices.recv().await {
        let told = Instant::now();
        socket.send(Message::text(notice)).await?;
        let Some(Ok(Message::Text(_))) = socket.next().await else { break };
        took.send(told.elapsed()).ok();
    }
    Ok(())
}

/// A file with room reserved as the journal's is.
pub(crate) struct Disk {
    file: File,
    at: u64,
}

impl Disk {
    /// Room for eight thousand writes of a kilobyte.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let file = File::create_new(folder.join("floor.bin")).context("make the floor's file")?;
        fallocate(&file, FallocateFlags::empty(), 0, 8 << 20).context("reserve room")?;
        file.sync_all().context("reserve room")?;
        Ok(Self { file, at: 0 })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.file.write_all_at(bytes, self.at).context("write the floor's file")?;
        fdatasync(&self.file).context("sync the floor's file")?;
        self.at += u64::try_from(bytes.len())?;
        Ok(started.elapsed())
    }
}
