//! A bare connection of `hyper`, and a load at a steady rate of which every other request goes over it.
//!
//! Requests come whether answers do or not, and are timed from when they were to be sent. The bare side has a connection for
//! each request that is under way, as ours has; it reads the answer to its end and looks at no byte of it.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::turns::Times;

/// Requests of either side that are counted at least.
const LEAST: u32 = 16;

/// Bare connections that nothing is under way on.
#[derive(Clone)]
pub(super) struct Bare {
    address: String,
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
}

impl Bare {
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        let address = url.strip_prefix("http://").context("the local chain speaks HTTP")?;
        Ok(Self { address: address.trim_end_matches('/').to_owned(), idle: Arc::default() })
    }

    /// Asks, and reads the answer to its end. With a body it posts JSON.
    pub(super) async fn ask(&self, path: &str, body: Option<String>) -> anyhow::Result<()> {
        let known = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut line = match known {
            Some(line) if !line.is_closed() => line,
            _ => self.dial().await?,
        };
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body.unwrap_or_default()))
            .context("write a request")?;
        let answer = line.send_request(request).await.context("ask over a bare connection")?;
        ensure!(answer.status().is_success(), "the local chain answered {}", answer.status());
        std::hint::black_box(answer.into_body().collect().await?.to_bytes());
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        Ok(())
    }

    async fn dial(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.address).await.context("reach the local chain")?;
        stream.set_nodelay(true)?;
        let (line, drive) = handshake(TokioIo::new(stream)).await?;
        // It ends with its sender.
        tokio::spawn(drive);
        Ok(line)
    }
}

/// What a load has shown.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) floor: Times,
    pub(super) ours: Times,
    /// Of ours.
    pub(super) failed: u32,
}

/// So many requests a second of each side, in turns. Both are told which request it is.
pub(super) async fn in_turns<A, B>(
    rate: u32,
    span: Duration,
    floor: impl Fn(u32) -> A,
    ours: impl Fn(u32) -> B,
) -> anyhow::Result<Loaded>
where
    A: Future<Output = anyhow::Result<()>> + Send + 'static,
    B: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let every = Duration::from_secs(1) / (rate * 2);
    // The first fifth of a second opens connections.
    let warm = 2 * rate / 5;
    let begun = Instant::now();
    let mut asked = JoinSet::new();
    for nth in 0_u32.. {
        let due = begun + every * nth;
        if nth >= warm + 2 * LEAST && due.duration_since(begun) >= span {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        if nth.is_multiple_of(2) {
            let done = floor(nth);
            asked.spawn(async move { (nth, done.await, due.elapsed()) });
        } else {
            let done = ours(nth);
            asked.spawn(async move { (nth, done.await, due.elapsed()) });
        }
    }
    let mut all = asked.join_all().await;
    all.sort_by_key(|(nth, ..)| *nth);
    let mut loaded = Loaded::default();
    for (nth, done, took) in all {
        let is_floor = nth.is_multiple_of(2);
        match done {
            Err(error) if is_floor => return Err(error),
            Err(_) => loaded.failed += 1,
            Ok(()) if nth < warm => {}
            Ok(()) if is_floor => loaded.floor.took(took, 1),
            Ok(()) => loaded.ours.took(took, 1),
        }
    }
    Ok(loaded)
}
