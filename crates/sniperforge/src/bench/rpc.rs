//! Reads: by one endpoint, by all, and by all with a second asked when the first is slow.

use std::time::{Duration, Instant};

use sniper_core::ids::Address;
use sniper_solana::rpc::{Commitment, RpcConnectionPool};
use tokio::task::JoinSet;

use super::arms::{Arm, figure};
use super::field::Field;
use super::row::Row;

/// Reads a second of each arm at most, and the part of an endpoint's budget that all arms together may take.
const RATE_MAX: u32 = 50;
const BUDGET_PART: u32 = 2;
const ARMS: [&str; 3] = ["rpc.one", "rpc.all", "rpc.hedged"];
/// How much of the unhedged 99th percentile the hedged one may be, and of one endpoint's.
const HEDGED_MAX: f64 = 1.0;
/// What hedges and retries may add to the reads.
const EXTRA_MAX: f64 = 0.2;

pub(super) async fn measure(field: &Field, span: Duration) -> anyhow::Result<Vec<Row>> {
    let share = (1, 3);
    let pools = [
        field.pool(1, share, false).await?,
        field.pool(usize::MAX, share, false).await?,
        field.pool(usize::MAX, share, true).await?,
    ];
    // Whom to prefer and how long to wait before a hedge is known by experience.
    load(&pools, rate(field), span / 5).await;
    let [.., hedging] = &pools;
    let before = requests(hedging);
    let mut arms = load(&pools, rate(field), span).await;
    let asked = requests(hedging).saturating_sub(before);

    let mut rows = Vec::new();
    for (arm, name) in arms.iter_mut().zip(ARMS) {
        rows.extend(arm.rows(name));
    }
    let [one, all, hedged] = &mut arms;
    let local = |limit: f64| field.is_local().then_some(limit);
    let (slow, pool, quick) = (one.ms(99), all.ms(99), hedged.ms(99));
    let ratio = |name: &str, value: f64| Row::told(name, value, "times");
    rows.push(
        ratio("rpc.hedged_to_one.p99", quick / slow)
            .wished(0.5)
            .at_most(local(HEDGED_MAX))
            .in_any_build(),
    );
    rows.push(
        ratio("rpc.hedged_to_all.p99", quick / pool)
            .wished(0.5)
            .at_most(local(HEDGED_MAX))
            .in_any_build(),
    );
    let reads = figure(hedged.count()).max(1.0);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let extra = (asked as f64 / reads - 1.0).max(0.0);
    rows.push(
        Row::told("rpc.hedged.extra_requests", extra, "share")
            .at_most(Some(EXTRA_MAX))
            .in_any_build(),
    );
    Ok(rows)
}

/// Reads a second of each arm.
fn rate(field: &Field) -> u32 {
    let arms = u32::try_from(ARMS.len()).unwrap_or(1);
    (field.rate() / BUDGET_PART / arms).clamp(1, RATE_MAX)
}

fn requests(pool: &RpcConnectionPool) -> u64 {
    pool.report().iter().map(|endpoint| endpoint.requests).sum()
}

/// The arms in turn, each at its rate.
async fn load(pools: &[RpcConnectionPool; 3], rate: u32, span: Duration) -> [Arm; 3] {
    let mut arms: [Arm; 3] = Default::default();
    let every = Duration::from_secs(1) / (rate * 3);
    let begun = Instant::now();
    let mut reads = JoinSet::new();
    for nth in 0_u32.. {
        let due = begun + every * nth;
        if due.duration_since(begun) >= span {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        for (arm, pool) in pools.iter().enumerate().filter(|(arm, _)| *arm == nth as usize % 3) {
            let pool = pool.clone();
            // Of another account each time: what others ask at the same moment would be shared.
            let mut key = [9; 32];
            key.iter_mut().zip(nth.to_le_bytes()).for_each(|(byte, own)| *byte = own);
            let keys = [Address::new_from_array(key)];
            reads.spawn(async move {
                let read = pool.multiple_accounts(&keys, Commitment::Processed, None).await;
                // From when it was to be sent.
                (arm, due.elapsed(), read.is_ok())
            });
        }
        while let Some(done) = reads.try_join_next() {
            take(&mut arms, done.ok());
        }
    }
    while let Some(done) = reads.join_next().await {
        take(&mut arms, done.ok());
    }
    arms
}

fn take(arms: &mut [Arm; 3], done: Option<(usize, Duration, bool)>) {
    let Some((arm, took, good)) = done else { return };
    let Some(arm) = arms.get_mut(arm) else { return };
    if good { arm.took(took) } else { arm.failed() }
}
