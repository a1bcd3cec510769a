//! Timing code by its spans.
//!
//! Two ways, both made of [`tracing`] spans, so that a subscriber of the user's own sees them too:
//!
//! ```
//! use sniperforge::telemetry::{MetricsCollector, SpanTimes};
//! use tracing_subscriber::layer::SubscriberExt as _;
//!
//! // A function:
//! #[tracing::instrument(target = "sniper::span", level = "debug", skip_all)]
//! fn decode(bytes: &[u8]) -> usize {
//!     // A part of one, until the guard goes out of scope:
//!     let _timed = sniperforge::timed_scope!("decode.header");
//!     bytes.len()
//! }
//!
//! let metrics = MetricsCollector::default();
//! let subscriber = tracing_subscriber::registry().with(SpanTimes::new(metrics.clone()));
//! tracing::subscriber::with_default(subscriber, || decode(&[1, 2, 3]));
//! let names: Vec<_> = metrics.spans().into_iter().map(|span| span.name).collect();
//! assert_eq!(names, ["decode", "decode.header"]);
//! ```
//!
//! Where no subscriber wants a span it costs a comparison. With one it allocates, so the path of an order is not timed
//! this way: its stages are in [`StageTimers`](super::StageTimers).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Subscriber, span};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::collector::MetricsCollector;

/// The target of spans that are timed.
pub const SPAN_TARGET: &str = "sniper::span";
/// Stacks that are told apart.
const STACKS_MAX: usize = 1_024;

/// Opens a span that is timed until the value goes out of scope. Not across an `await`: there the attribute is right.
#[macro_export]
macro_rules! timed_scope {
    ($name:literal) => {
        $crate::telemetry::tracing_crate::debug_span!(target: "sniper::span", $name).entered()
    };
}

/// Feeds a [`MetricsCollector`] with how long spans of [`SPAN_TARGET`] were busy, and keeps their stacks.
#[derive(Clone, Debug)]
pub struct SpanTimes {
    metrics: MetricsCollector,
    stacks: Arc<Mutex<BTreeMap<String, Duration>>>,
}

/// Of a span under way.
#[derive(Debug, Default)]
struct Busy {
    entered: Option<Instant>,
    busy: Duration,
    /// Of that, within spans below it.
    below: Duration,
}

impl SpanTimes {
    /// A layer that feeds `metrics`.
    #[must_use]
    pub fn new(metrics: MetricsCollector) -> Self {
        Self { metrics, stacks: Arc::default() }
    }

    /// How long each stack of spans was busy by itself, as `outer;inner` from the outermost on: folded stacks as flame
    /// graphs are drawn from. The first thousand are told apart.
    #[must_use]
    pub fn stacks(&self) -> BTreeMap<String, Duration> {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanTimes {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, cx: Context<'_, S>) {
        if attributes.metadata().target() == SPAN_TARGET
            && let Some(span) = cx.span(id)
        {
            span.extensions_mut().insert(Busy::default());
        }
    }

    fn on_enter(&self, id: &span::Id, cx: Context<'_, S>) {
        if let Some(span) = cx.span(id)
            && let Some(busy) = span.extensions_mut().get_mut::<Busy>()
        {
            busy.entered = Some(Instant::now());
        }
    }

    fn on_exit(&self, id: &span::Id, cx: Context<'_, S>) {
        if let Some(span) = cx.span(id)
            && let Some(busy) = span.extensions_mut().get_mut::<Busy>()
            && let Some(entered) = busy.entered.take()
        {
            busy.busy += entered.elapsed();
        }
    }

    fn on_close(&self, id: span::Id, cx: Context<'_, S>) {
        let Some(span) = cx.span(&id) else { return };
        let Some((busy, below)) = span.extensions().get::<Busy>().map(|b| (b.busy, b.below)) else {
            return;
        };
        self.metrics.record_span(span.name(), busy);
        let mut stack = String::new();
        for outer in span.scope().from_root() {
            if outer.extensions().get::<Busy>().is_some() {
                stack.push_str(if stack.is_empty() { "" } else { ";" });
                stack.push_str(outer.name());
            }
        }
        if let Some(outer) = span.parent()
            && let Some(outer) = outer.extensions_mut().get_mut::<Busy>()
        {
            outer.below += busy;
        }
        let mut stacks = self.stacks.lock().unwrap_or_else(PoisonError::into_inner);
        if stacks.len() < STACKS_MAX || stacks.contains_key(&stack) {
            *stacks.entry(stack).or_default() += busy.saturating_sub(below);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn spin(at_least: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < at_least {
            std::hint::spin_loop();
        }
    }

    #[tracing::instrument(target = "sniper::span", level = "debug", skip_all)]
    fn outer() {
        spin(Duration::from_millis(2));
        let _inner = crate::timed_scope!("inner");
        spin(Duration::from_millis(4));
    }

    #[test]
    fn a_function_and_a_scope_are_timed_and_a_stack_counts_what_is_its_own() {
        let times = SpanTimes::new(MetricsCollector::default());
        let subscriber = tracing_subscriber::registry().with(times.clone());
        tracing::subscriber::with_default(subscriber, || {
            outer();
            outer();
            let _other = tracing::info_span!("somebody else's").entered();
        });
        let spans = times.metrics.spans();
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["inner", "outer"]);
        assert!(spans.iter().all(|span| span.summary.count == 2), "{spans:?}");
        assert!(spans[0].summary.p50 >= 4_000.0 && spans[1].summary.p50 >= 6_000.0, "{spans:?}");
        let stacks = times.stacks();
        assert_eq!(stacks.keys().collect::<Vec<_>>(), ["outer", "outer;inner"]);
        assert!(stacks["outer;inner"] >= Duration::from_millis(8));
        assert!(stacks["outer"] < stacks["outer;inner"] + Duration::from_millis(1), "{stacks:?}");
    }

    #[test]
    fn without_a_subscriber_a_scope_is_nothing() {
        let scope = crate::timed_scope!("nobody looks");
        assert!(scope.is_disabled());
    }
}
