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

mod clock;
mod curve;
mod log;
mod memory;
mod prometheus;
mod redact;
mod stage;
mod view;

pub use clock::{now_ms, rfc3339_utc, time_of_day_utc};
pub use curve::{CURVE_POINTS_MAX, CurvePoint, EquityCurve};
pub use log::{LOG_LINES_MAX, LogError, LogLine, LogRing, Logging, init_logging};
pub use memory::{rss_mb, rss_peak_mb};
pub use prometheus::prometheus;
pub use redact::{is_secret_field, safe_text};
pub use stage::{Stage, StageSummary, StageTimers};
pub use view::{
    CashView, EndpointView, EquityView, FeedView, HealthView, OpenOrderView, OrderCounts,
    PositionView, RiskMode, RunMode, StrategyView, TRADES_MAX, TradeView, View, token_amount,
};
