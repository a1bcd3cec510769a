//! One of three endpoints is bad: how late reads become, and whether any lie gets through.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sniper_core::ids::Address;
use sniper_core::units::Slot;
use sniper_localnet::proxy::{Fault, Script};
use sniper_solana::rpc::{Commitment, RpcConnectionPool};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::stage::{Stage, Task, always, figure, recovered};
use super::{Scale, Scenario};

/// Reads a second that are wanted.
pub(super) const READS_PER_SECOND: u32 = 100;
/// How much later than on a good day the p99 may be, milliseconds.
const LATER_MAX_MS: f64 = 50.0;
/// Heights above the truth that a reader may be told: what the chain grows while it is asked.
const HEIGHT_SLACK: u64 = 20;

/// What readers saw.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) took: Vec<Duration>,
    pub(super) wanted: usize,
    pub(super) failed: usize,
    pub(super) stale: usize,
}

impl Load {
    /// The 99th percentile, milliseconds.
    fn p99_ms(&mut self) -> f64 {
        self.took.sort_unstable();
        let at = (self.took.len() * 99 / 100).min(self.took.len().saturating_sub(1));
        self.took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
    }
}

/// The newest slot of the chain itself, asked every 20 ms.
pub(super) fn follow_truth(truth: RpcConnectionPool) -> (watch::Receiver<u64>, Task) {
    let (told, newest) = watch::channel(0);
    let task = Task::spawn(async move {
        loop {
            if let Ok(slot) = truth.slot(Commitment::Processed).await {
                told.send_replace(slot.get());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    (newest, task)
}

/// Reads accounts at a steady rate, whether answers come or not: a client that waits would hide how late they are. Every
/// read asks for the slot that the chain was seen at, as the engine's own do.
pub(super) async fn load(
    pool: &RpcConnectionPool,
    accounts: &[Address],
    truth: &watch::Receiver<u64>,
    span: Duration,
) -> Load {
    let mut all = Load::default();
    let mut reads = JoinSet::new();
    let mut every = tokio::time::interval(Duration::from_secs(1) / READS_PER_SECOND);
    let start = Instant::now();
    while start.elapsed() < span {
        every.tick().await;
        let (pool, accounts) = (pool.clone(), accounts.to_vec());
        let least = Slot::new(*truth.borrow());
        all.wanted += 1;
        reads.spawn(async move {
            let begun = Instant::now();
            let read = pool.multiple_accounts(&accounts, Commitment::Processed, Some(least)).await;
            (begun.elapsed(), read.map(|at| at.slot < least))
        });
        while let Some(done) = reads.try_join_next() {
            all.take(done);
        }
    }
    while let Some(done) = reads.join_next().await {
        all.take(done);
    }
    all
}

type Read = (Duration, Result<bool, sniper_solana::rpc::RpcError>);

impl Load {
    fn take(&mut self, done: Result<Read, tokio::task::JoinError>) {
        let Ok((took, read)) = done else {
            self.failed += 1;
            return;
        };
        self.took.push(took);
        match read {
            Ok(stale) => self.stale += usize::from(stale),
            Err(error) => {
                tracing::debug!(%error, "a read failed");
                self.failed += 1;
            }
        }
    }
}

pub(super) async fn run(scale: Scale) -> anyhow::Result<Vec<Scenario>> {
    let stage = Stage::set(11).await?;
    let (pool, _monitor) = stage.pool().await?;
    let accounts = stage.pools()?;
    let (truth, _following) = follow_truth(stage.truth().await?);
    load(&pool, &accounts, &truth, Duration::from_secs(1)).await;
    let healthy = load(&pool, &accounts, &truth, scale.phase).await.p99_ms();
    let bad: [(&'static str, &[Fault]); 4] = [
        ("reads_down", &[Fault::Reset]),
        ("reads_slow", &[Fault::Delay(Duration::from_millis(500))]),
        ("reads_stale", &[Fault::StaleSlot(200)]),
        ("reads_lying", &[Fault::WrongGenesis, Fault::InflatedHeight(1_000_000)]),
    ];
    let mut out = Vec::new();
    let (mut believed, mut told_stale) = (0, 0);
    for (name, faults) in bad {
        recovered(&pool).await?;
        let victim = favourite(&pool);
        stage.play(victim, always(1, faults));
        let asked = tall_tales(&stage, &pool, scale.phase);
        let (mut seen, tales) = tokio::join!(load(&pool, &accounts, &truth, scale.phase), asked);
        believed += tales?;
        if name == "reads_lying" {
            believed += strangers(&stage, victim).await?;
        }
        stage.play(victim, Script::default());
        let later = seen.p99_ms() - healthy;
        let slowest = seen.took.last().map_or(0.0, |took| took.as_secs_f64() * 1_000.0);
        let Load { wanted, failed, stale, .. } = seen;
        told_stale += stale;
        out.push(Scenario {
            name,
            ok: later <= LATER_MAX_MS && failed * 100 <= wanted,
            figure: later,
            unit: "ms",
            limit: LATER_MAX_MS,
            detail: format!(
                "healthy p99 {healthy:.1} ms, slowest read {slowest:.0} ms; of {wanted} reads {failed} \
                 failed"
            ),
        });
    }
    out.push(Scenario {
        name: "reads_true",
        ok: told_stale == 0 && believed == 0,
        figure: figure(told_stale + believed),
        unit: "lies",
        limit: 0.0,
        detail: format!(
            "{told_stale} older states than asked for, {believed} false heights and other chains \
             believed"
        ),
    });
    Ok(out)
}

/// The endpoint that reads go to: breaking another would prove nothing.
fn favourite(pool: &RpcConnectionPool) -> usize {
    let report = pool.report();
    let requests = report.iter().map(|endpoint| endpoint.requests).enumerate();
    requests.max_by_key(|(_, requests)| *requests).map_or(0, |(at, _)| at)
}

/// How often a height above the truth was believed.
async fn tall_tales(
    stage: &Stage,
    pool: &RpcConnectionPool,
    span: Duration,
) -> anyhow::Result<usize> {
    let start = Instant::now();
    let truth = stage.truth().await?;
    let mut believed = 0;
    while start.elapsed() < span {
        let told = pool.block_height_quorum(Commitment::Processed).await;
        let height = truth.block_height(Commitment::Processed).await.context("ask the chain")?;
        let too_high = told.is_ok_and(|told| told.get() > height.get() + HEIGHT_SLACK);
        believed += usize::from(too_high);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(believed)
}

/// How often an endpoint of another chain was let in: at start, and when it could not be reached then.
async fn strangers(stage: &Stage, victim: usize) -> anyhow::Result<usize> {
    let joined = RpcConnectionPool::connect(stage.endpoints()?, stage.settings()?).await;
    let mut let_in = usize::from(joined.is_ok());
    stage.play(victim, always(1, &[Fault::Reset]));
    let (pool, _monitor) = stage.pool().await?;
    stage.play(victim, always(1, &[Fault::WrongGenesis]));
    let start = Instant::now();
    // Twice as long as the monitor takes to look again.
    while start.elapsed() < Duration::from_secs(5) {
        if pool.report().get(victim).is_some_and(|endpoint| endpoint.verified) {
            let_in += 1;
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(let_in)
}

/// [`figure`] of a ratio.
pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    figure(part) / figure(whole.max(1))
}
