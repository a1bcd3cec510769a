//! Circuit breaker and budgets: pure, time is handed in.

use std::time::{Duration, Instant};

/// Failures in a row that open the circuit.
const TRIP_AFTER: u32 = 4;
/// First and longest time a circuit stays open.
const OPEN_MIN: Duration = Duration::from_millis(500);
const OPEN_MAX: Duration = Duration::from_secs(30);
/// Successes of probes that close it again.
const CLOSE_AFTER: u32 = 2;

/// Where a circuit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Used.
    Closed,
    /// Not used until its time is over.
    Open,
    /// Being probed, one request at a time.
    HalfOpen,
}

impl BreakerState {
    /// A stable word for tables and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Keeps a failing endpoint out and lets it back in after probes.
#[derive(Clone, Copy, Debug)]
pub struct CircuitBreaker {
    state: BreakerState,
    failures: u32,
    successes: u32,
    open_for: Duration,
    opened: Option<Instant>,
    open_until: Option<Instant>,
    probing: bool,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            state: BreakerState::Closed,
            failures: 0,
            successes: 0,
            open_for: OPEN_MIN,
            opened: None,
            open_until: None,
            probing: false,
        }
    }
}

impl CircuitBreaker {
    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// May ordinary requests go through?
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, BreakerState::Closed)
    }

    /// Claims the right to probe; true at most once until the probe's outcome is told. `none_else` says that no other
    /// endpoint can be asked: then the wait does not grow, as there is nothing to lose by looking.
    pub fn try_probe(&mut self, now: Instant, none_else: bool) -> bool {
        if self.probing {
            return false;
        }
        let soon = self.opened.and_then(|opened| opened.checked_add(OPEN_MIN));
        let until = if none_else { self.open_until.min(soon) } else { self.open_until };
        match self.state {
            BreakerState::Closed => false,
            BreakerState::Open if until.is_some_and(|until| now < until) => false,
            BreakerState::Open | BreakerState::HalfOpen => {
                self.state = BreakerState::HalfOpen;
                self.probing = true;
                true
            }
        }
    }

    /// A request went well.
    pub fn success(&mut self) {
        self.failures = 0;
        match self.state {
            BreakerState::Closed => {}
            // A late answer of a request from before it opened proves nothing about now.
            BreakerState::Open => {}
            BreakerState::HalfOpen => {
                self.probing = false;
                self.successes = self.successes.saturating_add(1);
                if self.successes >= CLOSE_AFTER {
                    *self = Self::default();
                }
            }
        }
    }

    /// A request failed through the endpoint's fault. `jitter` in `0..=255` spreads the retries of many.
    pub fn failure(&mut self, now: Instant, jitter: u8) {
        self.failures = self.failures.saturating_add(1);
        match self.state {
            BreakerState::Closed if self.failures >= TRIP_AFTER => self.open(now, jitter),
            BreakerState::HalfOpen => {
                self.open_for = self.open_for.saturating_mul(2).min(OPEN_MAX);
                self.open(now, jitter);
            }
            BreakerState::Closed | BreakerState::Open => {}
        }
    }

    /// Opens it at once: the endpoint lies or lags, whatever its error rate.
    pub fn trip(&mut self, now: Instant, jitter: u8) {
        if self.state != BreakerState::Open {
            self.open(now, jitter);
        }
    }

    fn open(&mut self, now: Instant, jitter: u8) {
        // Up to a quarter longer.
        let extra = self.open_for.saturating_mul(u32::from(jitter)) / 1024;
        self.state = BreakerState::Open;
        self.successes = 0;
        self.probing = false;
        self.opened = Some(now);
        self.open_until = now.checked_add(self.open_for.saturating_add(extra));
    }
}

/// A token bucket of requests. Sends may run it into debt, reads wait until it is paid back.
#[derive(Clone, Copy, Debug)]
pub struct RateBudget {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Option<Instant>,
}

impl RateBudget {
    /// A bucket of one second's worth.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, burst: per_second, tokens: per_second, at: None }
    }

    fn refill(&mut self, now: Instant) {
        if let Some(at) = self.at {
            let passed = now.saturating_duration_since(at).as_secs_f64();
            self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        }
        self.at = Some(now);
    }

    /// Takes one, or says how long until there is one.
    ///
    /// # Errors
    /// The time to wait.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.refill(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64(((1.0 - self.tokens) / self.per_second).clamp(0.001, 60.0)))
        }
    }

    /// Takes one even if there is none: for sends, which never wait behind reads. At most one burst of debt.
    pub fn take_in_debt(&mut self, now: Instant) {
        self.refill(now);
        self.tokens = (self.tokens - 1.0).max(-self.burst);
    }
}

/// Lets further requests (retries, hedges) be a share of the first ones, so that a bad hour does not multiply its own
/// load: a tenth of them, beside a few saved up in better times.
#[derive(Clone, Copy, Debug)]
pub struct ShareBudget {
    tenths: u32,
}

/// Each first request earns this many tenths of a further one.
const EARN: u32 = 1;
/// What a further one costs, in tenths.
const COST: u32 = 10;
/// Most tenths held: ten further ones.
const HELD_MAX: u32 = 100;

impl Default for ShareBudget {
    fn default() -> Self {
        Self { tenths: HELD_MAX }
    }
}

impl ShareBudget {
    /// A first attempt was made.
    pub fn earn(&mut self) {
        self.tenths = self.tenths.saturating_add(EARN).min(HELD_MAX);
    }

    /// May one more attempt be made?
    pub fn spend(&mut self) -> bool {
        match self.tenths.checked_sub(COST) {
            Some(rest) => {
                self.tenths = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_opens_after_failures_in_a_row_and_closes_after_two_good_probes() {
        let (mut breaker, now) = (CircuitBreaker::default(), Instant::now());
        for _ in 0..3 {
            breaker.failure(now, 0);
        }
        assert!(breaker.is_closed());
        breaker.success();
        for _ in 0..4 {
            assert!(breaker.is_closed());
            breaker.failure(now, 0);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(!breaker.try_probe(now, false), "not before its time");
        let later = now + OPEN_MIN;
        assert!(breaker.try_probe(later, false));
        assert!(!breaker.try_probe(later, false), "one probe at a time");
        breaker.success();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(breaker.try_probe(later, false));
        breaker.success();
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_failed_probe_doubles_the_wait_up_to_its_limit() {
        let (mut breaker, mut now) = (CircuitBreaker::default(), Instant::now());
        breaker.trip(now, 0);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let mut waited = Duration::ZERO;
            while !breaker.try_probe(now, false) {
                now += Duration::from_millis(100);
                waited += Duration::from_millis(100);
            }
            waits.push(waited);
            breaker.failure(now, 0);
        }
        assert_eq!(waits[..4], [500, 1_000, 2_000, 4_000].map(Duration::from_millis));
        assert_eq!(waits[9], OPEN_MAX);
    }

    #[test]
    fn the_wait_does_not_grow_while_there_is_nobody_else() {
        let (mut breaker, mut now) = (CircuitBreaker::default(), Instant::now());
        breaker.trip(now, 255);
        for _ in 0..10 {
            assert!(!breaker.try_probe(now, true), "not at once");
            now += OPEN_MIN;
            assert!(breaker.try_probe(now, true));
            breaker.failure(now, 255);
        }
        assert!(!breaker.try_probe(now + OPEN_MIN, false), "with others it has grown");
    }

    #[test]
    fn a_late_success_does_not_close_an_open_breaker() {
        let (mut breaker, now) = (CircuitBreaker::default(), Instant::now());
        breaker.trip(now, 255);
        breaker.success();
        breaker.success();
        breaker.success();
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_rate_budget_gives_its_rate_and_sends_only_borrow() {
        let (mut budget, now) = (RateBudget::new(10), Instant::now());
        assert_eq!((0..20).filter(|_| budget.take(now).is_ok()).count(), 10);
        let wait = budget.take(now).unwrap_err();
        assert!(wait > Duration::from_millis(90) && wait <= Duration::from_millis(101), "{wait:?}");
        for _ in 0..5 {
            budget.take_in_debt(now);
        }
        assert!(budget.take(now + Duration::from_millis(400)).is_err(), "reads pay the debt first");
        assert!(budget.take(now + Duration::from_millis(700)).is_ok());
    }

    #[test]
    fn further_requests_are_a_share_of_the_first_ones() {
        let mut budget = ShareBudget::default();
        let free = std::iter::repeat_with(|| budget.spend()).take_while(|ok| *ok).count();
        assert_eq!(free, 10);
        let allowed = (0..1_000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(allowed.count(), 100);
    }
}
