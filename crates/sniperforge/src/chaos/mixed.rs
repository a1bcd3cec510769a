//! One endpoint after the other has a bad time, in ever other ways: for how much of it could one trade?

use std::time::{Duration, Instant};

use sniper_localnet::proxy::{Fault, Script};

use super::feed::Follower;
use super::reads::ratio;
use super::stage::{Stage, always};
use super::{Scale, Scenario};

/// Share of time that must be good.
const AVAILABILITY_MIN: f64 = 0.999;
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Data older than this is not fresh.
const FRESH: Duration = Duration::from_millis(1_500);
/// How long each fault holds, and the pause after it.
const BAD: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_secs(1);

/// What happens, in this order and then again.
fn kinds() -> Vec<Vec<Fault>> {
    vec![
        vec![Fault::Reset],
        vec![Fault::Delay(Duration::from_millis(400))],
        vec![Fault::HalfOpen],
        vec![Fault::TooManyRequests(None)],
        vec![Fault::Duplicate, Fault::Reorder],
        vec![Fault::StaleSlot(200)],
        vec![Fault::InvalidJson],
        vec![Fault::Truncate],
        vec![Fault::ServerError(503), Fault::Jitter(Duration::from_millis(300))],
    ]
}

pub(super) async fn run(scale: Scale) -> anyhow::Result<Scenario> {
    let stage = Stage::set(15).await?;
    let (pool, _monitor) = stage.pool().await?;
    let mut feed = Follower::start(&stage, &pool).await?;
    let start = Instant::now();
    let (mut looks, mut good, mut torn, mut old, mut alone) = (0, 0, 0, 0, 0);
    let mut turn = None;
    let mut next = tokio::time::Instant::now();
    let kinds = kinds();
    while start.elapsed() < scale.mixed {
        let now = (start.elapsed().as_millis() / (BAD + PAUSE).as_millis(), pausing(&start));
        if turn != Some(now) {
            turn = Some(now);
            let nth = usize::try_from(now.0).unwrap_or(0);
            let faults = kinds.get(nth % kinds.len()).map_or(&[][..], Vec::as_slice);
            let endpoint = nth % stage.proxies.len();
            let script = if now.1 { Script::default() } else { always(7, faults) };
            stage.play(endpoint, script);
        }
        next += LOOK;
        feed.listen(next).await;
        looks += 1;
        let fresh = feed.heard.elapsed() <= FRESH;
        let healthy = pool.report().iter().any(|endpoint| endpoint.healthy);
        torn += usize::from(!feed.is_whole());
        old += usize::from(!fresh);
        alone += usize::from(!healthy);
        good += usize::from(feed.is_whole() && fresh && healthy);
    }
    let availability = ratio(good, looks);
    Ok(Scenario {
        name: "availability",
        ok: availability >= AVAILABILITY_MIN,
        figure: availability,
        unit: "of time",
        limit: AVAILABILITY_MIN,
        detail: format!(
            "{looks} looks: {torn} with the feed torn, {old} with old data, {alone} without a \
             healthy endpoint"
        ),
    })
}

fn pausing(start: &Instant) -> bool {
    start.elapsed().as_millis() % (BAD + PAUSE).as_millis() >= BAD.as_millis()
}
