//! Times of what is not a stage of a trade: calls of services, queries of the database, spans of the code.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::redact::safe_text;
use super::stage::{StageSummary, Timer, nanos};

/// Names of each sort that are told apart; what comes on top is counted together.
pub const NAMES_MAX: usize = 64;
/// The name of what comes on top.
pub const OTHERS: &str = "others";
/// Most characters of a name.
const NAME_CHARS_MAX: usize = 80;

/// A named time distribution.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NamedSummary {
    /// What was timed.
    pub name: String,
    /// How long it took, in microseconds.
    #[serde(flatten)]
    pub summary: StageSummary,
}

type Named = BTreeMap<String, Timer>;

#[derive(Debug, Default)]
struct Collected {
    apis: Named,
    queries: Named,
    spans: Named,
}

/// Collects times from any thread. Clones share them.
///
/// Names should be constants or come from a small set: of each sort [`NAMES_MAX`] are told apart, and all further ones
/// are counted as [`OTHERS`], so that memory is bounded whoever brings names.
///
/// It takes a lock, so the path of an order has [`StageTimers`](super::StageTimers) instead.
///
/// ```
/// use std::time::Duration;
/// use sniperforge::telemetry::MetricsCollector;
///
/// let metrics = MetricsCollector::default();
/// metrics.record_api_latency("prices", Duration::from_millis(12));
/// metrics.record_query_time("SELECT fill", Duration::from_micros(300));
/// assert_eq!(metrics.apis()[0].name, "prices");
/// assert!(metrics.queries()[0].summary.p50 >= 300.0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct MetricsCollector(Arc<Mutex<Collected>>);

impl MetricsCollector {
    fn collected(&self) -> MutexGuard<'_, Collected> {
        // A time is counted whole or not at all, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of a service outside has taken this long.
    pub fn record_api_latency(&self, name: &str, duration: Duration) {
        record(&mut self.collected().apis, name, duration);
    }

    /// A query of the database has taken this long.
    pub fn record_query_time(&self, query: &str, duration: Duration) {
        record(&mut self.collected().queries, query, duration);
    }

    /// A span of the code has been busy this long; what [`SpanTimes`](super::SpanTimes) records.
    pub fn record_span(&self, name: &str, duration: Duration) {
        record(&mut self.collected().spans, name, duration);
    }

    /// Calls by service.
    #[must_use]
    pub fn apis(&self) -> Vec<NamedSummary> {
        summaries(&mut self.collected().apis)
    }

    /// Queries by text.
    #[must_use]
    pub fn queries(&self) -> Vec<NamedSummary> {
        summaries(&mut self.collected().queries)
    }

    /// Spans by name.
    #[must_use]
    pub fn spans(&self) -> Vec<NamedSummary> {
        summaries(&mut self.collected().spans)
    }
}

fn record(named: &mut Named, name: &str, duration: Duration) {
    let ns = nanos(duration);
    if let Some(timer) = named.get_mut(name) {
        return timer.record(ns);
    }
    let name =
        if named.len() < NAMES_MAX { safe_text(name, NAME_CHARS_MAX) } else { OTHERS.to_owned() };
    named.entry(name).or_default().record(ns);
}

fn summaries(named: &mut Named) -> Vec<NamedSummary> {
    let each = named.iter_mut();
    each.map(|(name, timer)| NamedSummary { name: name.clone(), summary: timer.summary() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_take_memory_with_an_end_and_no_time_is_lost() {
        let metrics = MetricsCollector::default();
        for nth in 0..10_000 {
            metrics.record_query_time(&format!("q{nth}"), Duration::from_micros(5));
        }
        let queries = metrics.queries();
        assert_eq!(queries.len(), NAMES_MAX + 1);
        assert_eq!(queries.iter().map(|q| q.summary.count).sum::<u64>(), 10_000);
        assert!(queries.iter().any(|q| q.name == OTHERS));
        assert!(metrics.apis().is_empty() && metrics.spans().is_empty());
    }

    #[test]
    fn a_name_of_a_stranger_is_bounded_and_cleaned_and_counted_as_one() {
        let metrics = MetricsCollector::default();
        let name = format!("evil\u{1b}[2J\n{}", "x".repeat(500));
        metrics.record_api_latency(&name, Duration::from_micros(1));
        metrics.record_api_latency(&name, Duration::from_micros(1));
        let apis = metrics.apis();
        assert_eq!((apis.len(), apis[0].summary.count), (1, 2));
        assert!(apis[0].name.chars().count() <= NAME_CHARS_MAX + 1);
        assert!(!apis[0].name.contains('\u{1b}') && !apis[0].name.contains('\n'));
    }

    #[test]
    fn times_from_many_threads_are_all_counted() {
        let metrics = MetricsCollector::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..500)
                        .for_each(|_| metrics.record_api_latency("a", Duration::from_micros(9)));
                });
            }
        });
        assert_eq!(metrics.apis()[0].summary.count, 2_000);
    }
}
