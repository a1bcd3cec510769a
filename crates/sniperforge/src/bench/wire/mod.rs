//! From an account notification on a WebSocket to the signed transaction's bytes at an HTTP endpoint.
//!
//! The engine's side is the session of `trade --live` on its own thread: feed, router, journal on disk, four
//! strategies and one that orders on every move of the pool, review, building, ed25519, `fdatasync`, HTTP. The
//! other side is a small node on another thread, which takes both times. Beside each sample, in turns, two floors:
//! a bare WebSocket echo with parsing and a signature, and one durable write of a kilobyte on the same disk, besides a signature
//! alone.
//!
//! The node stands for another machine: it has a processor of its own, and the engine and the echo share another. Left to
//! itself, the system likes to run the node where it was woken, which is after all that the engine does once its bytes are out.
//! Notices come at a steady rate that does not depend on the engine's answers, but for one thing: while an order is in
//! flight the next would be a duplicate, so its end is told first.

mod efficiency;
mod floor;
mod node;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
pub(crate) use efficiency::efficiency;
use node::{Chain, Seen, Shared, lock};
use rustix::thread::{CpuSet, sched_setaffinity};
use sniper_wallet::{LocalSigner, Signer as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::live::harness::{self, Measured, Setup};

/// A thousand a minute is what review lets through.
const SAMPLE_EVERY: Duration = Duration::from_millis(62);
/// Processors of the node, and of the engine and the echo.
const NODE_ON: usize = 0;
const ENGINE_ON: usize = 1;
/// What the journal writes per order, roughly; the true figure is told.
const DURABLE_BYTES: usize = 1_024;
/// The floor signs a message as long as that of a swap.
const MESSAGE_BYTES: usize = 420;
/// Samples that do not count.
const WARM: usize = 30;

/// What was measured, sample by sample.
#[derive(Default)]
pub struct Taken {
    /// From the notice to the last byte of the request.
    pub wire: Vec<Duration>,
    /// The bare echo with parsing and a signature.
    pub echo: Vec<Duration>,
    /// A durable kilobyte.
    pub disk: Vec<Duration>,
    /// One signature of a message as long.
    pub sign: Vec<Duration>,
    /// Notices that no order followed.
    pub missed: usize,
    /// Node and engine had processors of their own.
    pub apart: bool,
    /// Of a `sendTransaction`.
    pub request_bytes: usize,
}

/// Takes so many samples, with the journal in a folder below `parent`.
///
/// # Errors
///
/// When the engine does not start, ends before, or something cannot be written.
pub fn run(parent: &Path, samples: usize) -> anyhow::Result<(Taken, Measured)> {
    let prepare = async |folder: &Path| Ok((floor::Disk::new(folder)?, LocalSigner::generate()?));
    let drive = async |stage: Stage, (disk, key), has_ended: HasEnded<'_>| {
        let Stage { shared, wires, apart } = stage;
        let driver = Driver { shared: Arc::clone(&shared), wires, disk, key };
        let taken = driver.drive(samples, has_ended).await?;
        let request_bytes = lock(&shared).request_bytes;
        Ok(Taken { apart, request_bytes, ..taken })
    };
    beside_engine(parent, true, prepare, drive)
}

/// What a measurement works with.
struct Stage {
    shared: Shared,
    wires: Wires,
    /// The node has a processor of its own.
    apart: bool,
}

/// Whether the engine has ended.
type HasEnded<'a> = &'a dyn Fn() -> bool;

/// Prepares, has the engine run with its journal in a folder below `parent`, and drives it.
fn beside_engine<P, T: Send>(
    parent: &Path,
    orders: bool,
    prepare: impl AsyncFnOnce(&Path) -> anyhow::Result<P> + Send,
    drive: impl AsyncFnOnce(Stage, P, HasEnded<'_>) -> anyhow::Result<T> + Send,
) -> anyhow::Result<(T, Measured)> {
    let work = || {
        let folder = tempfile::tempdir_in(parent).context("make a folder for the journal")?;
        let apart = on_processor(NODE_ON);
        let signer = LocalSigner::generate()?;
        let shared = Arc::new(Mutex::new(Chain::new(signer.address())?));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("start the event loop")?.block_on(async {
            let wires = Wires::open(&shared).await?;
            let prepared = prepare(folder.path()).await?;
            let (stop, stopped) = oneshot::channel::<()>();
            let setup = wires.setup(signer, orders, folder.path());
            let engine = std::thread::spawn(move || {
                on_processor(ENGINE_ON);
                harness::run(setup, async { stopped.await.unwrap_or_default() })
            });
            let stage = Stage { shared, wires, apart };
            let driven = drive(stage, prepared, &|| engine.is_finished()).await;
            // An engine that has ended hears nothing.
            stop.send(()).ok();
            while !engine.is_finished() {
                sleep(Duration::from_millis(20)).await;
            }
            let measured = engine.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let measured = measured.context("the measured engine")?;
            Ok((driven?, measured))
        })
    };
    // On a thread that ends: which processor it may run on is said for good.
    std::thread::scope(|threads| {
        threads.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Has this thread, and those that it starts, run on that processor alone. False where it cannot.
fn on_processor(number: usize) -> bool {
    let mut set = CpuSet::new();
    set.set(number);
    sched_setaffinity(None, &set).is_ok()
}

/// The node's ends of all connections.
struct Wires {
    http: std::net::SocketAddr,
    feed: std::net::SocketAddr,
    notices: mpsc::UnboundedSender<String>,
    seen: mpsc::UnboundedReceiver<Seen>,
    echo: mpsc::UnboundedSender<String>,
    echoed: mpsc::UnboundedReceiver<Duration>,
}

impl Wires {
    async fn open(shared: &Shared) -> anyhow::Result<Self> {
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (http, feed, bare) = (bind().await?, bind().await?, bind().await?);
        let (http_at, feed_at, bare_at) =
            (http.local_addr()?, feed.local_addr()?, bare.local_addr()?);
        let (seen_in, seen) = mpsc::unbounded_channel();
        let (notices, told) = mpsc::unbounded_channel();
        let (echo, to_echo) = mpsc::unbounded_channel();
        let (took, echoed) = mpsc::unbounded_channel();
        tokio::spawn(node::serve_http(http, Arc::clone(shared), seen_in));
        tokio::spawn(node::serve_feed(feed, Arc::clone(shared), told));
        tokio::spawn(floor::serve_echo(bare, to_echo, took));
        std::thread::spawn(move || {
            on_processor(ENGINE_ON);
            floor::echo(bare_at, MESSAGE_BYTES)
        });
        Ok(Self { http: http_at, feed: feed_at, notices, seen, echo, echoed })
    }
}

impl Wires {
    /// What a measured session is given.
    fn setup(&self, signer: LocalSigner, orders: bool, folder: &Path) -> Setup {
        Setup {
            http: format!("http://{}/", self.http),
            ws: format!("ws://{}/", self.feed),
            prices: format!("http://{}/price", self.http),
            pool: node::POOL,
            dollars: node::DOLLARS,
            signer,
            orders,
            folder: folder.to_owned(),
        }
    }

    /// Waits until the engine has subscribed, and found its feed whole.
    async fn begin(&self, shared: &Shared, has_ended: impl Fn() -> bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        while lock(shared).subscriptions.len() < 4 {
            ensure!(!has_ended(), "the engine ended before it had subscribed");
            ensure!(begun.elapsed() < Duration::from_secs(20), "the engine does not subscribe");
            sleep(Duration::from_millis(20)).await;
        }
        // Slots pass; the engine reads its accounts.
        for _ in 0..10 {
            self.slot(shared)?;
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn tell(&self, notice: String) -> anyhow::Result<()> {
        if self.notices.send(notice).is_err() {
            bail!("the engine's subscriptions have ended");
        }
        Ok(())
    }

    fn slot(&self, shared: &Shared) -> anyhow::Result<()> {
        let notice = {
            let mut chain = lock(shared);
            chain.slot += 1;
            chain.slot_notice()
        };
        self.tell(notice)
    }
}

struct Driver {
    shared: Shared,
    wires: Wires,
    disk: floor::Disk,
    key: LocalSigner,
}

impl Driver {
    async fn drive(
        mut self,
        samples: usize,
        has_ended: impl Fn() -> bool,
    ) -> anyhow::Result<Taken> {
        self.wires.begin(&self.shared, &has_ended).await?;
        let mut taken = Taken::default();
        for nth in 0..samples + WARM {
            let begun = Instant::now();
            let wire = self.wire().await?;
            let echo = self.echo().await?;
            let disk = self.disk.write(&[7; DURABLE_BYTES])?;
            let sign = self.sign()?;
            ensure!(!has_ended(), "the engine ended while it was measured");
            if nth >= WARM {
                match wire {
                    Some(wire) => {
                        taken.wire.push(wire);
                        taken.echo.push(echo);
                        taken.disk.push(disk);
                        taken.sign.push(sign);
                    }
                    None => taken.missed += 1,
                }
            }
            sleep(SAMPLE_EVERY.saturating_sub(begun.elapsed())).await;
        }
        Ok(taken)
    }

    /// One swap told, one order come.
    async fn wire(&mut self) -> anyhow::Result<Option<Duration>> {
        while self.wires.seen.try_recv().is_ok() {}
        let notices = {
            let mut chain = lock(&self.shared);
            let [first, second, state] = chain.swap()?;
            [chain.notice(&first)?, chain.notice(&second)?, chain.notice(&state)?]
        };
        let [first, second, state] = notices;
        // The vaults settle nothing alone: the state account is what the order answers.
        self.wires.tell(first)?;
        self.wires.tell(second)?;
        sleep(Duration::from_millis(3)).await;
        self.wires.tell(state)?;
        let came = timeout(Duration::from_secs(1), async {
            loop {
                match self.wires.seen.recv().await {
                    Some(Seen::Arrived(came)) => return came,
                    Some(Seen::Ended) => {}
                    None => std::future::pending().await,
                }
            }
        });
        let took = came.await.ok().map(|came| came - lock(&self.shared).told);
        // A slot makes the engine ask what became of it; until it knows, the next order would be a duplicate.
        self.wires.slot(&self.shared)?;
        let ended = async { while !matches!(self.wires.seen.recv().await, Some(Seen::Ended)) {} };
        if took.is_some() && timeout(Duration::from_secs(3), ended).await.is_err() {
            return Ok(None);
        }
        sleep(Duration::from_millis(5)).await;
        Ok(took)
    }

    fn sign(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        std::hint::black_box(self.key.sign(std::hint::black_box(&[7; MESSAGE_BYTES]))?);
        Ok(begun.elapsed())
    }

    async fn echo(&mut self) -> anyhow::Result<Duration> {
        let notice = lock(&self.shared).notice(&node::POOL.to_string())?;
        self.wires.echo.send(notice).ok().context("the echo has ended")?;
        self.wires.echoed.recv().await.context("the echo has ended")
    }
}
