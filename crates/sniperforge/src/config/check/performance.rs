//! `[performance]`.

use std::time::Duration;

use super::{Check, Checked, MILLIS_MAX};
use crate::config::error::Problem;
use crate::config::raw::RawPerformance;
use crate::config::{Metrics, Otlp, Performance};
use crate::telemetry::MetricsBounds;

impl Check<'_> {
    pub(super) fn performance(&self, raw: &RawPerformance) -> Checked<Performance> {
        let every =
            self.unsigned("performance.metrics_every_ms", raw.metrics_every_ms, 500, MILLIS_MAX)?;
        let megabytes: u64 =
            self.unsigned("performance.metrics_file_mb", raw.metrics_file_mb, 1, 10_000)?;
        let files = self.unsigned("performance.metrics_files", raw.metrics_files, 1, 1_000)?;
        let bounds = MetricsBounds { file_bytes: megabytes.saturating_mul(1_000_000), files };
        let metrics = Metrics { every: Duration::from_millis(every), bounds };
        let key = "performance.baselines";
        let baselines = raw.baselines.as_deref().filter(|path| !path.is_empty());
        Ok(Performance {
            metrics: self.present("performance.metrics", raw.metrics)?.then_some(metrics),
            baselines: baselines.map(|path| self.path(key, Some(path))).transpose()?,
            otlp: self.otlp(raw)?,
        })
    }

    /// The collector; its address may hold no secret, because it is shown.
    fn otlp(&self, raw: &RawPerformance) -> Checked<Option<Otlp>> {
        let key = "performance.otlp";
        let every: u64 =
            self.unsigned("performance.otlp_every_ms", raw.otlp_every_ms, 500, MILLIS_MAX)?;
        let Some(text) = raw.otlp.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let plain = |url: &reqwest::Url| {
            ["http", "https"].contains(&url.scheme())
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        let url = reqwest::Url::parse(text).ok().filter(plain);
        let url = url.ok_or_else(|| self.invalid(key, Problem::Collector))?;
        if !cfg!(feature = "otel") {
            let problem = Problem::Feature { what: "OpenTelemetry", feature: "otel" };
            return Err(self.invalid(key, problem));
        }
        let endpoint = url.as_str().trim_end_matches('/').to_owned();
        Ok(Some(Otlp { endpoint, every: Duration::from_millis(every) }))
    }
}
