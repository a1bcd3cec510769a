//! Every endpoint says 429: how much is sent in spite of it, and what breaks loose when it ends.

use std::time::{Duration, Instant};

use sniper_localnet::proxy::Fault;

use super::reads::{READS_PER_SECOND, follow_truth, load, ratio};
use super::stage::{Stage, Task};
use super::{Scale, Scenario};

/// Requests sent for each that was wanted, at most.
const AMPLIFICATION_MAX: f64 = 1.2;
/// The busiest tenth of a second after the storm, in times of what was wanted in it, at most.
const HERD_MAX: f64 = 3.0;
/// The method that the readers call.
const METHOD: &str = "getMultipleAccounts";
/// Longest that the endpoints may take to be in use again.
const PATIENCE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);

fn sent(stage: &Stage) -> usize {
    let of = |proxy: &sniper_localnet::proxy::FaultProxy| {
        proxy.report().methods.get(METHOD).copied().unwrap_or(0)
    };
    usize::try_from(stage.proxies.iter().map(of).sum::<u64>()).unwrap_or(usize::MAX)
}

pub(super) async fn run(scale: Scale) -> anyhow::Result<Vec<Scenario>> {
    let stage = std::sync::Arc::new(Stage::set(12).await?);
    let (pool, _monitor) = stage.pool().await?;
    let accounts = stage.pools()?;
    let (truth, _following) = follow_truth(stage.truth().await?);
    load(&pool, &accounts, &truth, Duration::from_secs(1)).await;

    let before = sent(&stage);
    stage.play_all(&[Fault::TooManyRequests(Some(Duration::from_secs(1)))]);
    let storm = load(&pool, &accounts, &truth, scale.storm).await;
    let amplification = ratio(sent(&stage) - before, storm.wanted);

    // How many go out in each tenth of a second, from the moment it ends.
    let (told, busiest) = tokio::sync::watch::channel(0);
    let watching = std::sync::Arc::clone(&stage);
    let _counting = Task::spawn(async move {
        let mut last = sent(&watching);
        let mut every = tokio::time::interval(TENTH);
        loop {
            every.tick().await;
            let now = sent(&watching);
            told.send_modify(|most| *most = (*most).max(now - last));
            last = now;
        }
    });
    let ended = Instant::now();
    stage.play_all(&[]);
    // As in life, readers go on asking while the endpoints come back.
    let mut lost = 0;
    while !pool.report().iter().all(|endpoint| endpoint.healthy) && ended.elapsed() < PATIENCE {
        lost += load(&pool, &accounts, &truth, Duration::from_millis(500)).await.failed;
    }
    let back = ended.elapsed();
    let after = load(&pool, &accounts, &truth, Duration::from_secs(3)).await;
    let per_tenth = usize::try_from(READS_PER_SECOND / 10).unwrap_or(1);
    let herd = ratio(*busiest.borrow(), per_tenth);
    Ok(vec![
        Scenario {
            name: "storm",
            ok: amplification <= AMPLIFICATION_MAX,
            figure: amplification,
            unit: "sent/wanted",
            limit: AMPLIFICATION_MAX,
            detail: format!("{} reads wanted, {} failed", storm.wanted, storm.failed),
        },
        Scenario {
            name: "storm_recovery",
            ok: herd <= HERD_MAX && after.failed == 0 && back < PATIENCE,
            figure: herd,
            unit: "times",
            limit: HERD_MAX,
            detail: format!(
                "all endpoints back after {:.1} s, {lost} reads lost until then and {} after",
                back.as_secs_f64(),
                after.failed
            ),
        },
    ])
}
