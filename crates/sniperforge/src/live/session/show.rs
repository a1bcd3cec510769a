//! What a person is shown of a run: pictures for the page, and whether all is well.

use std::time::Duration;

use sniper_core::risk::Mode;

use super::Session;
use crate::telemetry::{EndpointView, FeedView, HealthView};

impl Session {
    pub(in crate::live) fn publish(&mut self) {
        // Without a page, pictures are made for the metrics file alone.
        if !self.is_shown && !self.desk.publisher.is_line_due() {
            return;
        }
        let health = self.health();
        let endpoints = self.rpc.report().into_iter().map(|e| EndpointView {
            name: e.name.to_string(),
            healthy: e.healthy,
            breaker: format!("{:?}", e.breaker).to_lowercase(),
            p50_us: whole(e.p50_us),
            p95_us: whole(e.p95_us),
            p99_us: whole(e.p99_us),
            max_us: whole(e.max_us),
            slot_lag: e.lag,
            requests: e.requests,
            error_bps: share_bps(e.error_rate),
        });
        let endpoints = endpoints.collect();
        self.desk.publish(health, endpoints);
    }

    fn health(&self) -> HealthView {
        let age = self.heard.elapsed();
        let stale = age > self.stale_after;
        let blockhash = self.blockhash.age();
        let mut problems = Vec::new();
        if stale {
            problems.push("the feed is silent".to_owned());
        }
        if self.is_stalled() {
            problems.push("the journal cannot be written: nothing new is ordered".to_owned());
        }
        if !self.gaps.is_empty() {
            problems.push("notices may be missing".to_owned());
        }
        problems.extend(self.checkup.problems().iter().cloned());
        if blockhash.is_none_or(|age| age > Duration::from_secs(15)) {
            problems.push("no recent blockhash".to_owned());
        }
        if self.desk.engine().mode() > Mode::Run {
            problems.push(format!("mode {}", self.desk.engine().mode().name()));
        }
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let reports = self.manager.report();
        let market = self.desk.engine().market();
        HealthView {
            ok: problems.is_empty(),
            problems,
            feeds: reports
                .iter()
                .map(|report| FeedView {
                    name: report.endpoint.to_string(),
                    age_ms: millis(age),
                    stale: stale || !report.live,
                    messages: self.messages,
                    reconnects: 0,
                    samples: report.delivery.samples,
                    first: report.delivery.first,
                    late_p50_us: whole(report.delivery.late_p50_us),
                    late_p95_us: whole(report.delivery.late_p95_us),
                    late_p99_us: whole(report.delivery.late_p99_us),
                    round_trip_us: whole(report.round_trip_us.unwrap_or_default()),
                })
                .collect(),
            slot: market.slot().get(),
            // The newest blockhash lives for 150 blocks from its own.
            block_height: self
                .blockhash
                .get()
                .map_or(0, |latest| latest.last_valid.get().saturating_sub(150)),
            blockhash_age_ms: blockhash.map_or(0, millis),
            journal_events: self.desk.events(),
            journal_bytes: self.desk.journal().len_bytes(),
            store_dropped: self.desk.rows_dropped(),
            events: self.desk.events(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds to be shown")]
fn whole(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn share_bps(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * 10_000.0) as u32
}
