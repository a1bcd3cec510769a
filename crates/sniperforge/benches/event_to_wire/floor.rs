//! What nobody can leave out, as bare as it can be written: the notice over a WebSocket, its parsing, one signature,
//! and the way back over the same socket. And, apart from it, one write that is durable.

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::{SinkExt as _, StreamExt as _};
use rustix::fs::{FallocateFlags, fallocate, fdatasync};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

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

/// The client's side, on a thread and a runtime of its own as the engine is.
pub(crate) fn echo(address: SocketAddr, message_bytes: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let url = format!("ws://{address}/");
        let (mut socket, _) =
            tokio_tungstenite::connect_async_with_config(url, None, true).await.unwrap();
        let key = SigningKey::from_bytes(&[5; 32]);
        let mut message = vec![0_u8; message_bytes];
        while let Some(Ok(frame)) = socket.next().await {
            let Message::Text(text) = frame else { continue };
            let frame: Frame<'_> = serde_json::from_str(&text).unwrap();
            let data = STANDARD.decode(frame.params.result.value.data.0).unwrap();
            let shared = data.len().min(message.len());
            message[..shared].copy_from_slice(&data[..shared]);
            let signature = key.sign(&message);
            let mut bytes = signature.to_bytes().to_vec();
            bytes.extend(&message);
            if socket.send(Message::text(STANDARD.encode(&bytes))).await.is_err() {
                return;
            }
        }
    });
}

/// The node's side: tells each notice, waits for the way back, and says how long it took.
pub(crate) async fn serve_echo(
    listener: TcpListener,
    mut notices: mpsc::UnboundedReceiver<String>,
    took: mpsc::UnboundedSender<Duration>,
) {
    let (stream, _) = listener.accept().await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    while let Some(notice) = notices.recv().await {
        let told = Instant::now();
        socket.send(Message::text(notice)).await.unwrap();
        let Some(Ok(Message::Text(_))) = socket.next().await else { return };
        took.send(told.elapsed()).ok();
    }
}

/// A file with room reserved as the journal's is.
pub(crate) struct Disk {
    file: File,
    at: u64,
}

impl Disk {
    pub(crate) fn new(folder: &Path) -> Self {
        let file = File::create_new(folder.join("floor.bin")).unwrap();
        fallocate(&file, FallocateFlags::empty(), 0, 8 << 20).unwrap();
        file.sync_all().unwrap();
        Self { file, at: 0 }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Duration {
        let started = Instant::now();
        self.file.write_all_at(bytes, self.at).unwrap();
        fdatasync(&self.file).unwrap();
        self.at += bytes.len() as u64;
        started.elapsed()
    }
}
