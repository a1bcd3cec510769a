//! Which endpoints are slow or behind, by what each answers when all are asked the same at the same time.

use std::time::Duration;

use serde::Serialize;
use sniper_core::market::WRAPPED_SOL;
use sniper_solana::probe::{EndpointProbe, ProbeSettings, probe};

use super::trial::Measured;
use crate::config::Config;
use crate::telemetry::compare::middle;

/// The read that every signal and every check rests on.
const READ: &str = "getMultipleAccounts";
/// Times that each method is asked at most.
const SAMPLES_MAX: usize = 32;
/// How much later than the best is worth anything, in milliseconds: what the pool, too, takes a slot behind for.
const WORTH_MS: f64 = 20.0;
/// Slots behind the furthest that are still none to speak of.
const LAG_GOOD: u32 = 2;

/// One endpoint as it was found.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointFound {
    /// Its configured name.
    pub name: String,
    /// It says which chain it serves.
    pub reachable: bool,
    /// It answers a read much later than the best, surely.
    pub slow: bool,
    /// It is slots behind, or tells its notices much later than the best, surely.
    pub lagging: bool,
    /// How long a read takes, in milliseconds.
    pub read_ms: Option<f64>,
    /// Slots behind the furthest; the median.
    pub lag_slots: Option<u64>,
    /// How much later than the first its notices come, in milliseconds.
    pub notice_ms: Option<f64>,
    /// Against the best of all: reads, slots and notices.
    pub against_best: Vec<Measured>,
    /// What is the matter with it, and what to do.
    pub why: String,
}

/// Figures of one that can be used.
struct Figures {
    reads: Vec<f64>,
    lags: Vec<f64>,
    notices: Vec<f64>,
}

/// Looks at all endpoints at once.
pub(super) async fn look(config: &Config, span: Duration) -> anyhow::Result<Vec<EndpointFound>> {
    let settings = ProbeSettings {
        listen: span / 3,
        ask: span / 2,
        samples: SAMPLES_MAX,
        mint: config.trading.usd_mints.first().copied().unwrap_or(WRAPPED_SOL),
    };
    let probes = probe(config.node.endpoints.clone(), &settings).await?;
    let told = probes.iter().find_map(|probe| Some(probe.identity.as_ref().ok()?.genesis));
    let genesis = config.node.genesis_hash.or(told);
    let usable = |probe: &&EndpointProbe| {
        probe.identity.as_ref().is_ok_and(|identity| Some(identity.genesis) == genesis)
    };
    let all: Vec<Figures> = probes.iter().filter(usable).map(figures).collect();
    let lags = best(&all, |one| &one.lags);
    // One that is behind is the first to tell what is long past.
    let near = |one: &&Figures| middle(&mut one.lags.clone()) <= f64::from(LAG_GOOD) + 1.0;
    let notices = best(all.iter().filter(near), |one| &one.notices);
    let best = Figures { reads: best(&all, |one| &one.reads), lags, notices };
    Ok(probes
        .iter()
        .map(
            |probe| {
                if usable(&probe) { judge(probe, figures(probe), &best) } else { unusable(probe) }
            },
        )
        .collect())
}

fn ms(time: &Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A slot and a millisecond are added to what can be nothing, so that hardly anything is not many times nothing.
fn figures(probe: &EndpointProbe) -> Figures {
    let reads = probe.methods.iter().filter(|row| row.method == READ);
    let reads = reads.flat_map(|row| row.took.iter().map(ms)).collect();
    let slots = |lag: &u64| f64::from(u32::try_from(*lag).unwrap_or(u32::MAX)) + 1.0;
    let heard = probe.heard.as_ref().ok();
    let delays = heard.into_iter().flat_map(|heard| &heard.slot_delays);
    Figures {
        reads,
        lags: probe.lags.iter().map(slots).collect(),
        notices: delays.map(|delay| ms(delay) + 1.0).collect(),
    }
}

/// The figures of whoever has the least; nobody's where nobody has any.
fn best<'a>(
    all: impl IntoIterator<Item = &'a Figures>,
    of: impl Fn(&'a Figures) -> &'a Vec<f64>,
) -> Vec<f64> {
    let some = all.into_iter().map(of).filter(|figures| !figures.is_empty());
    let best = some.min_by(|a, b| middle(&mut (*a).clone()).total_cmp(&middle(&mut (*b).clone())));
    best.cloned().unwrap_or_default()
}

fn judge(probe: &EndpointProbe, own: Figures, best: &Figures) -> EndpointFound {
    let figure = |figures: &[f64], less: f64| {
        (!figures.is_empty()).then(|| middle(&mut figures.to_vec()) - less)
    };
    let (read_ms, notice_ms) = (figure(&own.reads, 0.0), figure(&own.notices, 1.0));
    let reads = Measured::of("a read", "ms", [best.reads.clone(), own.reads]);
    let lags = Measured::of("slots behind and one", "slots", [best.lags.clone(), own.lags]);
    let notices =
        Measured::of("delay of a notice and 1", "ms", [best.notices.clone(), own.notices]);
    let surely = |one: &Measured, worth: f64| {
        one.change.is_some_and(|change| change.is_regression()) && one.after - one.before > worth
    };
    let slow = surely(&reads, WORTH_MS);
    let behind = surely(&lags, 0.5) && probe.lag_slots.is_some_and(|lag| lag > LAG_GOOD.into());
    let late = surely(&notices, WORTH_MS);
    let mut why = Vec::new();
    if slow {
        why.push(format!(
            "slow: a read takes {:.1} ms, of the best {:.1} ms",
            reads.after, reads.before
        ));
    }
    if behind {
        why.push(format!("lagging: {} slots behind the furthest", probe.lag_slots.unwrap_or(0)));
    }
    if late {
        let late = notice_ms.unwrap_or_default();
        why.push(format!("late: its notices come {late:.1} ms after the first"));
    }
    if probe.heard.is_err() {
        why.push(
            "it tells no notices: check its `ws` address with `sniperforge doctor`".to_owned(),
        );
    }
    EndpointFound {
        name: probe.name.to_string(),
        reachable: true,
        slow,
        lagging: behind || late,
        read_ms,
        lag_slots: probe.lag_slots,
        notice_ms,
        against_best: vec![reads, lags, notices],
        why: why.join("; "),
    }
}

fn unusable(probe: &EndpointProbe) -> EndpointFound {
    let why = match &probe.identity {
        Ok(identity) => format!(
            "serves another chain ({}): take it out of node.endpoints, or correct node.genesis_hash",
            identity.genesis
        ),
        Err(error) => {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
            format!(
                "cannot be reached ({error}{}): check its address; the others were tuned without it",
                cause.unwrap_or_default()
            )
        }
    };
    EndpointFound {
        name: probe.name.to_string(),
        reachable: probe.identity.is_ok(),
        slow: false,
        lagging: false,
        read_ms: None,
        lag_slots: None,
        notice_ms: None,
        against_best: Vec::new(),
        why,
    }
}

impl EndpointFound {
    /// Nothing can be read from it.
    pub(super) const fn is_out(&self) -> bool {
        !self.reachable || self.against_best.is_empty()
    }
}
