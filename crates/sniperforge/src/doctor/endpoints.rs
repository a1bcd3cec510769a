//! What an endpoint's figures mean.

use std::time::Duration;

use serde::Serialize;
use sniper_solana::probe::{Burst, EndpointProbe, Heard, Identity, MethodTimes, Need, NotHeard};
use solana_hash::Hash;

use crate::telemetry::safe_text;

/// Slots behind the furthest beyond which the engine ejects an endpoint, and those that still are no lag to speak of.
const LAG_REFUSED: u64 = 50;
const LAG_GOOD: u64 = 2;
/// Slowest 95th percentile of a method that is still good: a slot. Beyond the other a read is past its time.
const P95_GOOD: Duration = Duration::from_millis(400);
const P95_REFUSED: Duration = Duration::from_secs(5);
/// Latest notice that is still good, by the 95th percentile: the feed leaves slower connections.
const DELAY_GOOD: Duration = Duration::from_millis(100);
/// Share of questions, in hundredths, of which no more may fail: for good, and for use at all.
const FAILED_GOOD: usize = 1;
const FAILED_REFUSED: usize = 25;
/// A chain this old has skipped slots, one in a thousand at the very least.
const OLD_CHAIN_SLOTS: u64 = 10_000_000;
/// Skipped slots since the beginning, by two endpoints of one chain that are not equally far, differ by less.
const SKIPPED_APART_MAX: u64 = 300;

/// Whether to trade by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Good,
    Usable,
    Refuse,
}

/// A method's times.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MethodRow {
    pub(crate) method: &'static str,
    pub(crate) answers: usize,
    pub(crate) failed: usize,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

/// What its notices were like.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FeedRow {
    pub(crate) connect_ms: f64,
    pub(crate) acknowledge_ms: f64,
    pub(crate) slots: usize,
    pub(crate) account_notices: usize,
    /// Slots that another endpoint told and this one did not.
    pub(crate) missed: usize,
    /// After the first of all endpoints that told the same.
    pub(crate) delay_p50_ms: Option<f64>,
    pub(crate) delay_p95_ms: Option<f64>,
}

/// How it bore its configured rate for a second.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LimitRow {
    pub(crate) requests_per_second: u32,
    pub(crate) asked: usize,
    pub(crate) refused: usize,
}

/// One endpoint: what was found, what it means, what to do.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EndpointRow {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    pub(crate) reachable: bool,
    pub(crate) genesis: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) slot: Option<u64>,
    pub(crate) lag_slots: Option<u64>,
    pub(crate) clock_ahead_seconds: Option<i64>,
    pub(crate) http: Option<&'static str>,
    pub(crate) batch: Option<bool>,
    pub(crate) feed: Option<FeedRow>,
    pub(crate) limit: Option<LimitRow>,
    pub(crate) methods: Vec<MethodRow>,
    /// Why the verdict is not better, and what to do; the worst first.
    pub(crate) advice: Vec<String>,
}

impl EndpointRow {
    /// What decides, on one line.
    pub(crate) fn summary(&self) -> String {
        match (self.verdict, self.advice.first()) {
            (Verdict::Refuse, Some(why)) => why.clone(),
            (verdict, _) => {
                let genesis = self.genesis.as_deref().unwrap_or("-");
                let verdict = if verdict == Verdict::Good { "good" } else { "usable" };
                format!("{verdict}: chain {genesis}, slot {}", self.slot.unwrap_or_default())
            }
        }
    }
}

/// Judges each endpoint for itself and all of them together. Without a configured chain the first that answers says which
/// is meant, as at a start.
pub(super) fn judge(
    probes: &[EndpointProbe],
    genesis: Option<Hash>,
) -> (Vec<EndpointRow>, Vec<String>) {
    let told = probes.iter().find_map(|probe| Some(probe.identity.as_ref().ok()?.genesis));
    let wanted = genesis.or(told);
    let skipped: Vec<u64> = probes.iter().filter_map(skipped).collect();
    let rows: Vec<_> = probes.iter().map(|probe| row(probe, wanted, &skipped)).collect();
    let advice = together(&rows, genesis.is_some());
    (rows, advice)
}

/// Slots without a block since the chain began, as an endpoint tells it.
fn skipped(probe: &EndpointProbe) -> Option<u64> {
    let identity = probe.identity.as_ref().ok()?;
    Some(identity.slot.saturating_sub(identity.height))
}

/// `skipped` are those of all endpoints, this one's among them.
fn row(probe: &EndpointProbe, wanted: Option<Hash>, skipped: &[u64]) -> EndpointRow {
    let mut says = Says::default();
    let identity = match &probe.identity {
        Ok(identity) => {
            says.of_identity(identity, wanted);
            says.of_height(identity, skipped);
            Some(identity)
        }
        Err(error) => {
            says.refuse(unreachable(error));
            None
        }
    };
    if identity.is_some() {
        says.of_lag(probe.lag_slots);
        says.of_methods(&probe.methods);
        says.of_feed(&probe.heard);
        says.of_burst(probe.burst);
    }
    let heard = probe.heard.as_ref().ok();
    EndpointRow {
        name: probe.name.to_string(),
        verdict: says.verdict(),
        reachable: identity.is_some(),
        genesis: identity.map(|identity| identity.genesis.to_string()),
        version: identity.and_then(|identity| Some(safe_text(identity.version.as_ref()?, 24))),
        slot: identity.map(|identity| identity.slot),
        lag_slots: probe.lag_slots,
        clock_ahead_seconds: identity.and_then(|identity| identity.clock_ahead),
        http: probe.http_version,
        batch: probe.batch,
        feed: heard.map(feed_row),
        limit: probe.burst.map(|Burst { rate, asked, throttled }| LimitRow {
            requests_per_second: rate,
            asked,
            refused: throttled,
        }),
        methods: probe.methods.iter().map(method_row).collect(),
        advice: says.advice(),
    }
}

fn unreachable(error: &sniper_solana::rpc::RpcError) -> String {
    use sniper_solana::rpc::RpcError;
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    let cause = cause.unwrap_or_default();
    match error {
        RpcError::Decode { .. } | RpcError::Impossible { .. } => {
            format!("it is not a Solana node ({error}{cause}): check its address")
        }
        RpcError::Status { status: 401 | 403, .. } => {
            format!("it does not let us in ({error}): check the access key in its address")
        }
        _ => format!(
            "it cannot be reached ({error}{cause}): check its address and its service's page"
        ),
    }
}

/// What stands against an endpoint.
#[derive(Default)]
struct Says(Vec<(Verdict, String)>);

impl Says {
    fn refuse(&mut self, why: String) {
        self.0.push((Verdict::Refuse, why));
    }

    fn usable(&mut self, why: String) {
        self.0.push((Verdict::Usable, why));
    }

    /// Worth a word, and no worse for it.
    fn note(&mut self, what: String) {
        self.0.push((Verdict::Good, what));
    }

    fn verdict(&self) -> Verdict {
        self.0.iter().map(|(verdict, _)| *verdict).max().unwrap_or(Verdict::Good)
    }

    fn advice(mut self) -> Vec<String> {
        self.0.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
        self.0.into_iter().map(|(_, text)| text).collect()
    }

    fn of_identity(&mut self, identity: &Identity, wanted: Option<Hash>) {
        let Identity { genesis, slot, height, unwell, .. } = identity;
        if wanted.is_some_and(|wanted| wanted != *genesis) {
            self.refuse(format!(
                "it serves the wrong chain ({genesis}): take it out of node.endpoints, or correct node.genesis_hash"
            ));
        }
        let slack = if *slot > OLD_CHAIN_SLOTS { slot / 1_000 } else { 0 };
        if *height > slot.saturating_sub(slack) {
            self.refuse(format!(
                "its block height {height} cannot be true at slot {slot}: orders would be taken for dead too early; \
                 take it out"
            ));
        }
        match unwell {
            Some(-32005) => self.refuse(
                "it is behind by its own word (getHealth): wait until it has caught up".to_owned(),
            ),
            Some(code) => self.note(format!("it refuses getHealth ({code}), which is not needed")),
            None => {}
        }
    }

    /// A height that is made up fits no other endpoint's.
    fn of_height(&mut self, identity: &Identity, skipped: &[u64]) {
        let own = identity.slot.saturating_sub(identity.height);
        let alike = skipped.iter().filter(|one| one.abs_diff(own) <= SKIPPED_APART_MAX).count();
        let (twice, height) = (alike.saturating_mul(2), identity.height);
        if twice < skipped.len() {
            self.refuse(format!(
                "its block height {height} cannot be true by what the others tell: orders would be taken for dead at a \
                 wrong time; take it out"
            ));
        } else if twice == skipped.len() {
            self.usable(format!(
                "its block height {height} and that of others do not fit together: one of them is not true; ask a third"
            ));
        }
    }

    fn of_lag(&mut self, lag: Option<u64>) {
        match lag {
            None => self.refuse("it told no slot when asked together with the others".to_owned()),
            Some(lag) if lag > LAG_REFUSED => self.refuse(format!(
                "it is {lag} slots behind: more than {LAG_REFUSED}, the engine would not read from it"
            )),
            Some(lag) if lag > LAG_GOOD => self.usable(format!(
                "it is {lag} slots behind the furthest: most reads will go elsewhere"
            )),
            Some(_) => {}
        }
    }

    fn of_methods(&mut self, methods: &[MethodTimes]) {
        let absent = |need: Need| -> Vec<&str> {
            methods.iter().filter(|m| m.need == need && m.absent).map(|m| m.method).collect()
        };
        let (trading, gate) = (absent(Need::Trading), absent(Need::Gate));
        if !trading.is_empty() {
            self.refuse(format!("it does not have {}, which trading needs", trading.join(", ")));
        }
        if !gate.is_empty() {
            self.usable(format!(
                "it does not have {}: the token gate will not call unknown tokens safe by it",
                gate.join(", ")
            ));
        }
        let present = || methods.iter().filter(|row| !row.absent);
        let failed: usize = present().map(|row| row.failed - row.throttled).sum();
        let asked: usize = present().map(|row| row.took.len() + row.failed).sum();
        let last = present().rev().find_map(|row| row.error.as_deref());
        let last = safe_text(last.unwrap_or("-"), 160);
        match failed.saturating_mul(100).checked_div(asked) {
            None => {}
            Some(share) if share >= FAILED_REFUSED => {
                self.refuse(format!("{failed} of {asked} questions failed; the last: {last}"));
            }
            Some(share) if share >= FAILED_GOOD => self.usable(format!(
                "{failed} of {asked} questions failed, so that reads will be repeated elsewhere; the last: {last}"
            )),
            Some(_) => {}
        }
        let slowest = present().filter_map(|row| Some((row.percentile(95)?, row.method))).max();
        if let Some((p95, method)) = slowest {
            let ms = p95.as_millis();
            if p95 >= P95_REFUSED {
                self.refuse(format!("{method} takes {ms} ms (p95): no read waits that long"));
            } else if p95 > P95_GOOD {
                self.usable(format!(
                    "{method} takes {ms} ms (p95), more than a slot: choose one nearer to you, or expect it as a \
                     second opinion only"
                ));
            }
        }
    }

    fn of_feed(&mut self, heard: &Result<Heard, NotHeard>) {
        let heard = match heard {
            Ok(heard) => heard,
            Err(error) => {
                self.refuse(format!(
                    "it tells no notices ({error}): check its `ws` address; the market is followed by WebSocket"
                ));
                return;
            }
        };
        if heard.slots() == 0 {
            self.refuse("its WebSocket acknowledges and tells no slot: it would stall".to_owned());
        } else if heard.accounts() == 0 {
            self.refuse(
                "its WebSocket tells slots and no account: pools would stand still".to_owned(),
            );
        }
        if let Some(p95) = heard.delay(95).filter(|p95| *p95 > DELAY_GOOD) {
            self.usable(format!(
                "its notices come {} ms after the first (p95): the feed prefers others",
                p95.as_millis()
            ));
        }
        if heard.missed > 0 {
            self.usable(format!("it left out {} slots that another told", heard.missed));
        }
    }

    fn of_burst(&mut self, burst: Option<Burst>) {
        let Some(Burst { rate, asked, throttled }) = burst else { return };
        if throttled == 0 {
            return;
        }
        let least = u32::try_from(throttled).unwrap_or(rate);
        let borne = rate.saturating_sub(least).max(1);
        self.usable(format!(
            "it refused {throttled} of {asked} requests at {rate} a second: set its requests_per_second to {borne} or \
             less, or take a larger plan"
        ));
    }
}

/// What holds for all of them.
fn together(rows: &[EndpointRow], named: bool) -> Vec<String> {
    let well = rows.iter().filter(|row| row.verdict != Verdict::Refuse).count();
    let mut advice = Vec::new();
    match (rows.len(), well) {
        (0, _) => {}
        (_, 0) => advice.push("no endpoint can be used: nothing can be traded".to_owned()),
        (_, 1) => advice.push(
            "one endpoint can be used: its word alone decides on expiry and balances, and while it is away nothing is \
             traded; add two"
                .to_owned(),
        ),
        (_, 2) => advice.push(
            "two endpoints can be used, and both must agree on expiry and balances: while one is away no order is \
             declared dead; add a third"
                .to_owned(),
        ),
        (_, _) => {}
    }
    if !named && well > 0 {
        advice.push(
            "node.genesis_hash is not set: the first endpoint that answers says which chain is meant".to_owned(),
        );
    }
    advice
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn method_row(times: &MethodTimes) -> MethodRow {
    let percentile = |percent| times.percentile(percent).map(ms);
    MethodRow {
        method: times.method,
        answers: times.took.len(),
        failed: times.failed,
        p50_ms: percentile(50),
        p95_ms: percentile(95),
        p99_ms: percentile(99),
    }
}

fn feed_row(heard: &Heard) -> FeedRow {
    FeedRow {
        connect_ms: ms(heard.connected),
        acknowledge_ms: ms(heard.acknowledged),
        slots: heard.slots(),
        account_notices: heard.accounts(),
        missed: heard.missed,
        delay_p50_ms: heard.delay(50).map(ms),
        delay_p95_ms: heard.delay(95).map(ms),
    }
}
