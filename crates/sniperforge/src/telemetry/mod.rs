//! What the engine tells about itself: stages, memory, logs, and the [`View`] that the page and Prometheus show.
//!
//! The loop that trades owns a [`StageTimers`] and an [`EquityCurve`], and now and then publishes one immutable
//! [`View`] through an [`arc_swap::ArcSwap`]. Whoever shows it reads that snapshot; nobody holds the engine, so
//! nothing shown can hold up a trade.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use sniperforge::telemetry::{Stage, StageTimers, View};
//!
//! let mut timers = StageTimers::new();
//! timers.record(Stage::Sign, Duration::from_micros(42));
//! let view = View { latency: timers.snapshot(), ..View::default() };
//! let shared = Arc::new(arc_swap::ArcSwap::from_pointee(view));
//! assert_eq!(shared.load().latency["sign"].count, 1);
//! ```

pub(crate) mod baselines;
mod clock;
mod collector;
pub mod compare;
mod curve;
pub(crate) mod floor;
mod log;
mod memory;
mod metrics_file;
#[cfg(feature = "otel")]
mod otel;
mod pages;
mod performance;
mod prometheus;
mod redact;
mod resources;
pub(crate) mod sentinel;
mod spans;
pub(crate) mod stage;
mod view;

pub use baselines::BaselineError;
pub use clock::{now_ms, rfc3339_utc, time_of_day_utc};
pub use collector::{MetricsCollector, NAMES_MAX, NamedSummary, OTHERS};
pub use compare::{Change, compare};
pub use curve::{CURVE_POINTS_MAX, CurvePoint, EquityCurve};
pub use log::{
    LOG_LINES_MAX, LogError, LogLine, LogRing, Logging, init_logging, init_logging_with,
};
pub use memory::{rss_mb, rss_peak_mb};
pub use metrics_file::{METRICS_FILE, METRICS_SCHEMA, MetricsBounds, MetricsFile};
#[cfg(feature = "otel")]
pub use otel::{Collector, CollectorError};
#[cfg(feature = "localnet")]
pub(crate) use pages::PageMeter;
pub(crate) use performance::{Counted, Gauges, expectations};
pub use performance::{
    Expected, PerformanceView, RegressionView, StrategyLatency, Throughput, WAYS_MAX, WaterfallView,
};
pub use prometheus::prometheus;
pub use redact::{is_secret_field, safe_text};
pub use resources::Resources;
pub use spans::{SPAN_TARGET, SpanTimes};
pub use stage::{Stage, StageSummary, StageTimers};
#[doc(hidden)]
pub use tracing as tracing_crate;
pub use view::{
    CashView, EndpointView, EquityView, FeedView, HealthView, OpenOrderView, OrderCounts,
    PositionView, RiskMode, RunMode, StrategyView, TRADES_MAX, TradeView, View, token_amount,
};
