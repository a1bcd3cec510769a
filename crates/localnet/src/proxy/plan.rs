//! Which faults strike one request or message: a function of the seed, the script, the time and its number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::fault::{FAULT_NAMES, Fault, Place};
use super::script::Script;
use crate::market::rng::Rng;

/// Method names that are counted apart; a client that makes up more finds them under `other`.
const METHODS_MAX: usize = 128;

/// How fast bytes go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) bytes_per_second: u64,
    /// Byte by byte, not in pieces.
    pub(super) drip: bool,
}

/// What the answer becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Drop,
    Reset,
    HalfOpen,
    Truncate,
    Status { code: u16, retry_after: Option<Duration> },
    InvalidJson,
    Gigantic(u64),
}

/// What is changed inside an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rewrite {
    /// Slots are told this much lower.
    pub(super) slots: u64,
    /// Heights are told this much higher.
    pub(super) blocks: u64,
    pub(super) genesis: bool,
}

impl Rewrite {
    pub(super) fn is_any(self) -> bool {
        self != Self::default()
    }
}

/// Everything that strikes one request or message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) wait: Duration,
    pub(super) pace: Option<Pace>,
    pub(super) ending: Option<Ending>,
    pub(super) rewrite: Rewrite,
    pub(super) cached: bool,
    pub(super) duplicate: bool,
    pub(super) reorder: bool,
}

impl Verdict {
    fn add(&mut self, fault: &Fault, rng: &mut Rng) {
        let pace = |bytes_per_second, drip| Some(Pace { bytes_per_second, drip });
        let ending = match fault {
            Fault::Delay(time) => {
                self.wait = self.wait.saturating_add(*time);
                None
            }
            Fault::Jitter(most) => {
                let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
                let drawn = Duration::from_micros(rng.below(micros.saturating_add(1)));
                self.wait = self.wait.saturating_add(drawn);
                None
            }
            Fault::Bandwidth(rate) => {
                self.pace = self.pace.or(pace(*rate, false));
                None
            }
            Fault::SlowLoris(rate) => {
                self.pace = pace(*rate, true);
                None
            }
            Fault::Duplicate => {
                self.duplicate = true;
                None
            }
            Fault::Reorder => {
                self.reorder = true;
                None
            }
            Fault::StaleSlot(slots) => {
                self.rewrite.slots = *slots;
                None
            }
            Fault::StaleCache => {
                self.cached = true;
                None
            }
            Fault::WrongGenesis => {
                self.rewrite.genesis = true;
                None
            }
            Fault::InflatedHeight(blocks) => {
                self.rewrite.blocks = *blocks;
                None
            }
            Fault::Drop => Some(Ending::Drop),
            Fault::Reset => Some(Ending::Reset),
            Fault::HalfOpen => Some(Ending::HalfOpen),
            Fault::Truncate => Some(Ending::Truncate),
            Fault::TooManyRequests(retry_after) => {
                Some(Ending::Status { code: 429, retry_after: *retry_after })
            }
            Fault::ServerError(code) => Some(Ending::Status { code: *code, retry_after: None }),
            Fault::InvalidJson => Some(Ending::InvalidJson),
            Fault::Gigantic(bytes) => Some(Ending::Gigantic(*bytes)),
        };
        // Only one end is possible: the first that the script names.
        self.ending = self.ending.or(ending);
    }
}

/// What a proxy has done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProxyReport {
    /// Since it was started.
    pub seconds: f64,
    /// Connections taken.
    pub connections: u64,
    /// Connections refused because too many were open.
    pub connections_refused: u64,
    /// Requests by HTTP that came in.
    pub requests: u64,
    /// Messages of the node on WebSockets.
    pub messages: u64,
    /// Requests and sockets that the node itself did not answer.
    pub upstream_failures: u64,
    /// Times that each fault struck; those that never did are left out.
    pub faults: BTreeMap<&'static str, u64>,
    /// Requests by method.
    pub methods: BTreeMap<String, u64>,
}

struct Running {
    script: Script,
    since: Instant,
}

/// The script as it runs, and its counters.
pub(super) struct Plan {
    running: RwLock<Running>,
    started: Instant,
    requests: AtomicU64,
    messages: AtomicU64,
    upgrades: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) connections_refused: AtomicU64,
    pub(super) upstream_failures: AtomicU64,
    struck: [AtomicU64; FAULT_NAMES.len()],
    methods: Mutex<BTreeMap<String, u64>>,
    /// Grows with every script, so that what was kept for an older one is let go.
    pub(super) generation: AtomicU64,
}

impl Plan {
    pub(super) fn new(script: Script) -> Self {
        let now = Instant::now();
        Self {
            running: RwLock::new(Running { script, since: now }),
            started: now,
            requests: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            upgrades: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            upstream_failures: AtomicU64::new(0),
            struck: std::array::from_fn(|_| AtomicU64::new(0)),
            methods: Mutex::default(),
            generation: AtomicU64::new(0),
        }
    }

    /// Starts another script, from its beginning.
    pub(super) fn replace(&self, script: Script) {
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        *running = Running { script, since: Instant::now() };
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Decides about one request or message of these methods (several, if it is a batch), and counts it.
    pub(super) fn judge(&self, place: Place, methods: &[&str]) -> Verdict {
        let counter = match place {
            Place::Request => &self.requests,
            Place::Message => &self.messages,
            Place::Upgrade => &self.upgrades,
        };
        let number = counter.fetch_add(1, Ordering::Relaxed);
        if place == Place::Request {
            self.count_methods(methods);
        }
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        let elapsed = running.since.elapsed();
        let mut verdict = Verdict::default();
        for (step, nth) in running.script.steps.iter().zip(0_u64..) {
            let meant = |method: &&str| {
                step.fault.fits(place, method)
                    && (step.methods.is_empty() || step.methods.iter().any(|name| name == method))
            };
            if !step.holds(elapsed) || !methods.iter().any(meant) {
                continue;
            }
            let mut rng = draw(running.script.seed, place, nth, number);
            if rng.chance(step.share) {
                verdict.add(&step.fault, &mut rng);
                // A rewrite is counted where it finds something to rewrite.
                if !matches!(step.fault, Fault::StaleSlot(_)) {
                    self.count(&step.fault);
                }
            }
        }
        verdict
    }

    pub(super) fn count(&self, fault: &Fault) {
        if let Some(counter) = self.struck.get(fault.index()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_methods(&self, names: &[&str]) {
        let mut methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            if let Some(count) = methods.get_mut(*name) {
                *count += 1;
            } else if methods.len() < METHODS_MAX && name.len() <= 64 {
                methods.insert((*name).to_owned(), 1);
            } else {
                *methods.entry("other".to_owned()).or_default() += 1;
            }
        }
    }

    pub(super) fn report(&self) -> ProxyReport {
        let struck = FAULT_NAMES.iter().zip(&self.struck);
        ProxyReport {
            seconds: self.started.elapsed().as_secs_f64(),
            connections: self.connections.load(Ordering::Relaxed),
            connections_refused: self.connections_refused.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
            upstream_failures: self.upstream_failures.load(Ordering::Relaxed),
            faults: struck
                .map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            methods: self.methods.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Chance for one step and one request: it depends on nothing that happened before, so that what runs beside it in
/// another order changes nothing.
fn draw(seed: u64, place: Place, step: u64, number: u64) -> Rng {
    let place = match place {
        Place::Request => 1,
        Place::Upgrade => 2,
        Place::Message => 3,
    };
    let mut rng = Rng::new(seed);
    for part in [place, step, number] {
        rng = Rng::new(rng.next() ^ part);
    }
    rng
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::script::Step;

    fn struck(seed: u64) -> Vec<Verdict> {
        let half = Step { share: 0.5, ..Step::always(Fault::Drop) };
        let jitter = Step::always(Fault::Jitter(Duration::from_secs(1)));
        let plan = Plan::new(Script { seed, steps: vec![half, jitter] });
        (0..200).map(|_| plan.judge(Place::Request, &["getSlot"])).collect()
    }

    #[tokio::test]
    async fn the_same_seed_strikes_the_same_requests_and_another_strikes_others() {
        assert_eq!(struck(3), struck(3));
        assert_ne!(struck(3), struck(4));
        let dropped = struck(3).iter().filter(|verdict| verdict.ending.is_some()).count();
        assert!((70..130).contains(&dropped), "{dropped} of 200");
    }

    #[tokio::test]
    async fn a_step_strikes_only_its_methods_and_only_where_it_can() {
        let mut step = Step::always(Fault::Reset);
        step.methods = vec!["getSlot".to_owned()];
        let plan = Plan::new(Script { seed: 1, steps: vec![step, Step::always(Fault::Reorder)] });
        assert_eq!(plan.judge(Place::Request, &["getHealth"]), Verdict::default());
        let batch = plan.judge(Place::Request, &["getHealth", "getSlot"]);
        assert_eq!(batch.ending, Some(Ending::Reset));
        assert!(plan.judge(Place::Message, &["slotNotification"]).reorder);
        let report = plan.report();
        assert_eq!(report.faults, BTreeMap::from([("reset", 1), ("reorder", 1)]));
        assert_eq!(report.methods["getHealth"], 2);
    }

    #[tokio::test]
    async fn a_client_that_makes_up_methods_does_not_fill_the_memory() {
        let plan = Plan::new(Script::default());
        for nth in 0..10_000 {
            plan.judge(Place::Request, &[&format!("made-up-{nth}")]);
        }
        assert!(plan.report().methods.len() <= METHODS_MAX + 1);
    }
}
