//! From an account notification on a WebSocket to the signed transaction's bytes at an HTTP endpoint.
//!
//! The engine's side is the session of `trade --live` on its own thread: feed, router, journal on disk, four
//! strategies and one that orders on every move of the pool, review, building, ed25519, `fdatasync`, HTTP. The
//! other side is a small node on another thread, which takes both times. Beside each sample, in turns, two floors:
//! a bare WebSocket echo with parsing and a signature, and one durable write of a kilobyte on the same disk.
//!
//! `cargo bench -p sniperforge --bench event_to_wire -- [--samples N] [--dir FOLDER]`
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench may panic"
)]

mod floor;
mod node;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use node::{Chain, Seen, Shared};
use sniper_wallet::{LocalSigner, Signer as _};
use sniperforge::live::harness::{self, Setup};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// A thousand a minute is what review lets through.
const SAMPLE_EVERY: Duration = Duration::from_millis(62);
/// What the journal writes per order, roughly; the true figure is printed.
const DURABLE_BYTES: usize = 1_024;
/// The floor signs a message as long as that of a swap.
const MESSAGE_BYTES: usize = 420;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned()
    };
    // Cargo may build and run benches as tests: a short run then shows that it still works.
    let is_test = !args.iter().any(|arg| arg == "--bench");
    let samples =
        value("--samples").map_or(if is_test { 5 } else { 1_000 }, |n| n.parse().unwrap());
    let parent = value("--dir").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(&parent).unwrap();
    sniper_solana::install_crypto_provider();

    let signer = LocalSigner::generate().unwrap();
    let shared = Arc::new(Mutex::new(Chain::new(signer.address())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (taken, measured, request_bytes) = runtime.block_on(async {
        let wires = Wires::open(&shared).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let setup = Setup {
            http: format!("http://{}/", wires.http),
            ws: format!("ws://{}/", wires.feed),
            prices: format!("http://{}/price", wires.http),
            pool: node::POOL,
            dollars: node::DOLLARS,
            signer,
            folder: folder.path().to_owned(),
        };
        let engine = std::thread::spawn(move || {
            harness::run(setup, async { stopped.await.unwrap_or_default() })
        });
        let disk = floor::Disk::new(folder.path());
        let taken = Driver { shared: Arc::clone(&shared), wires, disk }.drive(samples).await;
        stop.send(()).unwrap();
        while !engine.is_finished() {
            sleep(Duration::from_millis(20)).await;
        }
        let measured = engine.join().unwrap().unwrap();
        (taken, measured, shared.lock().unwrap().request_bytes)
    });
    report(taken, &measured, &parent, request_bytes);
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
    async fn open(shared: &Shared) -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (http, feed, bare) =
            (bind().await.unwrap(), bind().await.unwrap(), bind().await.unwrap());
        let (http_at, feed_at, bare_at) =
            (http.local_addr().unwrap(), feed.local_addr().unwrap(), bare.local_addr().unwrap());
        let (seen_in, seen) = mpsc::unbounded_channel();
        let (notices, told) = mpsc::unbounded_channel();
        let (echo, to_echo) = mpsc::unbounded_channel();
        let (took, echoed) = mpsc::unbounded_channel();
        tokio::spawn(node::serve_http(http, Arc::clone(shared), seen_in));
        tokio::spawn(node::serve_feed(feed, Arc::clone(shared), told));
        tokio::spawn(floor::serve_echo(bare, to_echo, took));
        std::thread::spawn(move || floor::echo(bare_at, MESSAGE_BYTES));
        Self { http: http_at, feed: feed_at, notices, seen, echo, echoed }
    }
}

/// What was measured, sample by sample.
#[derive(Default)]
struct Taken {
    wire: Vec<Duration>,
    echo: Vec<Duration>,
    disk: Vec<Duration>,
    missed: usize,
}

struct Driver {
    shared: Shared,
    wires: Wires,
    disk: floor::Disk,
}

impl Driver {
    async fn drive(mut self, samples: usize) -> Taken {
        const WARM: usize = 30;
        let begun = Instant::now();
        while self.shared.lock().unwrap().subscriptions.len() < 4 {
            assert!(begun.elapsed() < Duration::from_secs(20), "the engine does not subscribe");
            sleep(Duration::from_millis(20)).await;
        }
        // Slots pass; the engine reads its accounts and finds its feed whole.
        for _ in 0..10 {
            self.slot();
            sleep(Duration::from_millis(100)).await;
        }
        let mut taken = Taken::default();
        for nth in 0..samples + WARM {
            let begun = Instant::now();
            let wire = self.wire().await;
            let echo = self.echo().await;
            let disk = self.disk.write(&[7; DURABLE_BYTES]);
            if nth >= WARM {
                match wire {
                    Some(wire) => {
                        taken.wire.push(wire);
                        taken.echo.push(echo);
                        taken.disk.push(disk);
                    }
                    None => taken.missed += 1,
                }
            }
            sleep(SAMPLE_EVERY.saturating_sub(begun.elapsed())).await;
        }
        taken
    }

    fn slot(&self) {
        let notice = {
            let mut chain = self.shared.lock().unwrap();
            chain.slot += 1;
            chain.slot_notice()
        };
        self.wires.notices.send(notice).unwrap();
    }

    /// One swap told, one order come.
    async fn wire(&mut self) -> Option<Duration> {
        while self.wires.seen.try_recv().is_ok() {}
        let notices = {
            let mut chain = self.shared.lock().unwrap();
            chain.swap().map(|address| chain.notice(&address))
        };
        let [first, second, state] = notices;
        // The vaults settle nothing alone: the state account is what the order answers.
        self.wires.notices.send(first).unwrap();
        self.wires.notices.send(second).unwrap();
        sleep(Duration::from_millis(3)).await;
        self.wires.notices.send(state).unwrap();
        let came = timeout(Duration::from_secs(1), async {
            loop {
                match self.wires.seen.recv().await {
                    Some(Seen::Arrived(came)) => return came,
                    Some(Seen::Ended) => {}
                    None => std::future::pending().await,
                }
            }
        });
        let took = came.await.ok().map(|came| came - self.shared.lock().unwrap().told);
        // A slot makes the engine ask what became of it; until it knows, the next order would be a duplicate.
        self.slot();
        let ended = async { while !matches!(self.wires.seen.recv().await, Some(Seen::Ended)) {} };
        if took.is_some() && timeout(Duration::from_secs(3), ended).await.is_err() {
            return None;
        }
        sleep(Duration::from_millis(5)).await;
        took
    }

    async fn echo(&mut self) -> Duration {
        let notice = self.shared.lock().unwrap().notice(&node::POOL.to_string());
        self.wires.echo.send(notice).unwrap();
        self.wires.echoed.recv().await.unwrap()
    }
}

fn report(
    mut taken: Taken,
    measured: &harness::Measured,
    parent: &std::path::Path,
    request_bytes: usize,
) {
    let summary = &measured.summary;
    let mut bare: Vec<Duration> =
        taken.echo.iter().zip(&taken.disk).map(|(echo, disk)| *echo + *disk).collect();
    println!(
        "event_to_wire: {} samples, {} missed, journal in {}",
        taken.wire.len(),
        taken.missed,
        parent.display()
    );
    println!("{:<34}{:>9}{:>9}{:>9}{:>9}", "", "p50 us", "p95 us", "p99 us", "max us");
    let wire = row("notification to wire", &mut taken.wire);
    let echo = row("floor: echo + parse + sign", &mut taken.echo);
    row("floor: write + fdatasync of 1 KiB", &mut taken.disk);
    let both = row("both floors, sample by sample", &mut bare);
    for (name, stage) in &summary.latency_us {
        println!(
            "  of it {name:<26}{:>9}{:>9}{:>9}{:>9}",
            stage.p50, stage.p95, stage.p99, stage.max
        );
    }
    let ratio = |base: f64| wire.0 / base;
    println!(
        "p50 to floor without disk: {:.2} (limit 1.5: {})",
        ratio(echo.0),
        held(ratio(echo.0) <= 1.5)
    );
    println!("p50 to both floors: {:.2}", ratio(both.0));
    println!("p99: {:.0} us (limit 1000: {})", wire.1, held(wire.1 < 1_000.0));
    let orders = summary.orders.submitted.max(1);
    println!(
        "orders {orders}, reverted {}, refusals {:?}; journal {} bytes an order; request {request_bytes} bytes",
        summary.orders.reverted,
        summary.refusals,
        measured.journal_bytes / orders
    );
}

fn held(holds: bool) -> &'static str {
    if holds { "held" } else { "NOT held" }
}

/// Prints a row; p50 and p99 in microseconds.
fn row(what: &str, samples: &mut [Duration]) -> (f64, f64) {
    samples.sort_unstable();
    let at = |share: f64| {
        let at = (samples.len().saturating_sub(1) as f64 * share) as usize;
        samples.get(at).map_or(f64::NAN, |took| took.as_secs_f64() * 1e6)
    };
    println!("{what:<34}{:>9.0}{:>9.0}{:>9.0}{:>9.0}", at(0.5), at(0.95), at(0.99), at(1.0));
    (at(0.5), at(0.99))
}
