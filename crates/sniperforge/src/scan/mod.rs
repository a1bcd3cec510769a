//! The command `scan`: all pools of the exchanges, kept fresh and judged as they change. It looks and never trades.
//!
//! # Design
//! - Pools are found by their program and read once ([`Scanner::cold`]); then a node tells of every account that
//!   changes, by a handful of subscriptions ([`feed`]). A node without those is asked instead, some pools every slot.
//! - Whenever something may have been missed, everything is read again. Beside that, a few pools are read again every
//!   second, so that a node that forgets to tell is found out.
//! - A scan is counted when bytes came that had not been seen, were decoded, priced and judged. Looking again at what
//!   has not changed is no scan.

mod feed;
mod mints;
mod report;
mod rows;
mod watch;

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write as _;
use std::time::{Duration, Instant};

use sniper_core::ids::Address;
use sniper_core::scan::Anchor;
use sniper_core::units::Atoms;
use sniper_solana::rpc::{
    Commitment, ConnectError, EndpointConfig, PoolSettings, RpcConnectionPool,
};
use sniper_solana::scan::{Program, ScanSettings, Scanner};
use solana_hash::Hash;

pub(crate) use report::ScanReport;
use watch::Watching;

/// How often the screen is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(500);
/// How often a few pools are read again.
const REPAIR_EVERY: Duration = Duration::from_secs(1);
/// How often slots are asked for where no subscription tells them.
const POLL_EVERY: Duration = Duration::from_millis(400);

/// Dollars and wrapped SOL of mainnet: the mint, its decimals, and the least depth at one percent in whole tokens.
const ANCHORS: [(&str, &str, u8, u64); 3] = [
    ("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "USDC", 6, 100),
    ("Es9vMFrzaCERmJfrF4H2FYD4KCoNkKY1McWeUNz8vB1S", "USDT", 6, 100),
    ("So11111111111111111111111111111111111111112", "SOL", 9, 1),
];

/// What is scanned, and for how long.
pub(crate) struct Settings {
    pub(crate) endpoints: Vec<EndpointConfig>,
    pub(crate) genesis: Option<Hash>,
    pub(crate) programs: Vec<Program>,
    pub(crate) mint: Option<Address>,
    /// Labels of mints, as the operator wrote them.
    pub(crate) symbols: Vec<(Address, String)>,
    pub(crate) run_for: Option<Duration>,
    pub(crate) top: usize,
    /// Draw the table while it runs.
    pub(crate) live: bool,
}

/// Scans until the time is up or `ended` is done, and tells what was seen.
pub(crate) async fn run(
    settings: Settings,
    ended: impl Future<Output = ()>,
) -> anyhow::Result<ScanReport> {
    let started = Instant::now();
    let limit = async {
        match settings.run_for {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let ended = async {
        tokio::select! {
            () = ended => {}
            () = limit => {}
        }
    };
    tokio::pin!(ended);
    let (anchors, mut labels) = known_mints();
    labels.extend(settings.symbols.iter().cloned());
    let pool = PoolSettings { genesis: settings.genesis, ..PoolSettings::default() };
    let rpc = tokio::select! {
        rpc = RpcConnectionPool::connect(settings.endpoints.clone(), pool) => rpc.map_err(advise)?,
        () = &mut ended => anyhow::bail!("the time was up before any endpoint had answered"),
    };
    let scanner = Scanner::new(ScanSettings {
        programs: settings.programs.clone(),
        mint: settings.mint,
        anchors,
        commitment: Commitment::Confirmed,
        ..ScanSettings::default()
    })?;
    let mut watching = Watching::new(scanner, rpc.clone(), started);
    let mut feed = feed::start(settings.endpoints.clone(), settings.programs.clone(), rpc.clone());
    let mut mints = mints::Mints::new(labels);
    let mut draw = tokio::time::interval(DRAW_EVERY);
    let mut repair = tokio::time::interval(REPAIR_EVERY);
    let mut poll = tokio::time::interval(POLL_EVERY);
    for timer in [&mut draw, &mut repair, &mut poll] {
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        let step = async {
            tokio::select! {
                told = feed.recv() => watching.take(&mut feed, told).await,
                _ = repair.tick() => watching.repair().await,
                _ = poll.tick() => watching.poll().await,
                _ = draw.tick(), if settings.live => {
                    mints.learn(&rpc, &watching, settings.top).await;
                    let screen = rows::screen(&watching, &mints, settings.top);
                    let mut out = std::io::stdout().lock();
                    // A terminal that is gone ends us by its own signal.
                    out.write_all(screen.as_bytes()).and_then(|()| out.flush()).ok();
                    Ok(())
                }
            }
        };
        tokio::select! {
            done = step => done?,
            () = &mut ended => break,
        }
    }
    drop(feed);
    // The names and decimals for the last table; without them it only shows less.
    tokio::time::timeout(Duration::from_secs(2), mints.learn(&rpc, &watching, settings.top))
        .await
        .ok();
    Ok(report::report(&watching, &mints, settings.top))
}

fn known_mints() -> (Vec<Anchor>, BTreeMap<Address, String>) {
    let known = ANCHORS.iter().filter_map(|(mint, label, decimals, least)| {
        let mint = mint.parse::<Address>().ok()?;
        let least = least.saturating_mul(10_u64.saturating_pow(u32::from(*decimals)));
        Some((Anchor { mint, depth_min: Atoms::new(least) }, (mint, (*label).to_owned())))
    });
    known.unzip()
}

/// The errors of connecting say what to do; this adds where the address can come from.
fn advise(error: ConnectError) -> anyhow::Error {
    match error {
        ConnectError::Unreachable { .. } => anyhow::Error::from(error)
            .context("connect; check the address given by --url or under node.endpoints"),
        error => error.into(),
    }
}
