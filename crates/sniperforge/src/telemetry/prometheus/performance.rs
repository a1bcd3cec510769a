//! Where the time goes, by strategy, endpoint, service and query; what is done, and what it takes of the machine.

use super::{Sink, View};
use crate::telemetry::{NamedSummary, Resources, StageSummary, Throughput};

/// Labels without the quantile.
type Labels<'a> = [(&'a str, &'a str); 2];

pub(super) fn put(view: &View, text: &mut impl Sink) {
    strategies(view, text);
    endpoints(view, text);
    named(view, text);
    throughput(&view.performance.throughput, text);
    resources(view, text);
    expected(view, text);
}

/// One summary of a family that is declared already.
fn summary(name: &str, labels: &[(&str, &str)], of: &StageSummary, text: &mut impl Sink) {
    for (quantile, us) in [("0.5", of.p50), ("0.95", of.p95), ("0.99", of.p99)] {
        let labels: Vec<_> = labels.iter().copied().chain([("quantile", quantile)]).collect();
        text.line(name, &labels, us / 1e6);
    }
    text.line(&format!("{name}_sum"), labels, of.total / 1e6);
    text.line(&format!("{name}_count"), labels, of.count);
}

fn strategies(view: &View, text: &mut impl Sink) {
    const NAME: &str = "sniper_strategy_stage_seconds";
    let each = || {
        let of = view.performance.strategies.iter();
        of.flat_map(|s| s.stages.iter().map(|(stage, summary)| (s.name.as_str(), *stage, summary)))
    };
    text.head(NAME, "summary", "How long each stage takes for each strategy.");
    for (strategy, stage, of) in each() {
        let labels: Labels<'_> = [("strategy", strategy), ("stage", stage)];
        summary(NAME, &labels, of, text);
    }
    let name = "sniper_strategy_stage_max_seconds";
    text.head(name, "gauge", "The slowest of each stage for each strategy.");
    for (strategy, stage, of) in each() {
        text.line(name, &[("strategy", strategy), ("stage", stage)], of.max / 1e6);
    }
}

fn endpoints(view: &View, text: &mut impl Sink) {
    let name = "sniper_endpoint_answer_seconds";
    text.head(name, "gauge", "How long an endpoint took to answer, in the last two minutes.");
    for node in &view.endpoints {
        let of = [
            ("0.5", node.p50_us),
            ("0.95", node.p95_us),
            ("0.99", node.p99_us),
            ("1", node.max_us),
        ];
        for (quantile, us) in of {
            text.line(name, &[("endpoint", &node.name), ("quantile", quantile)], us / 1e6);
        }
    }
    let name = "sniper_feed_late_seconds";
    text.head(name, "gauge", "By how much a connection tells later than the first one.");
    for (nth, feed) in view.health.feeds.iter().enumerate() {
        let connection = nth.to_string();
        let of =
            [("0.5", feed.late_p50_us), ("0.95", feed.late_p95_us), ("0.99", feed.late_p99_us)];
        for (quantile, us) in of {
            let labels =
                [("feed", feed.name.as_str()), ("connection", &connection), ("quantile", quantile)];
            text.line(name, &labels, us / 1e6);
        }
    }
    let name = "sniper_feed_round_trip_seconds";
    text.head(name, "gauge", "From ping to pong, median.");
    for (nth, feed) in view.health.feeds.iter().enumerate() {
        let labels = [("feed", feed.name.as_str()), ("connection", &nth.to_string())];
        text.line(name, &labels, feed.round_trip_us / 1e6);
    }
}

fn named(view: &View, text: &mut impl Sink) {
    let performance = &view.performance;
    let families: [(&str, &str, &str, &[NamedSummary]); 3] = [
        ("sniper_api_seconds", "api", "How long calls of other services take.", &performance.apis),
        (
            "sniper_query_seconds",
            "query",
            "How long queries of the database take.",
            &performance.queries,
        ),
        (
            "sniper_span_seconds",
            "span",
            "How long timed parts of the code are busy.",
            &performance.spans,
        ),
    ];
    for (name, label, help, each) in families {
        text.head(name, "summary", help);
        for of in each {
            summary(name, &[(label, &of.name)], &of.summary, text);
        }
    }
}

fn throughput(of: &Throughput, text: &mut impl Sink) {
    for (name, help, value) in [
        (
            "sniper_trade_rate_per_minute",
            "Orders that landed, over the last minute.",
            of.trades_per_minute,
        ),
        (
            "sniper_api_rate_per_second",
            "Requests to endpoints and services.",
            of.api_calls_per_second,
        ),
        (
            "sniper_query_rate_per_second",
            "Rows and transactions of the tables.",
            of.queries_per_second,
        ),
        ("sniper_event_rate_per_second", "Events that the engine took.", of.events_per_second),
        (
            "sniper_network_rate_bytes",
            "Bytes a second over the network interfaces.",
            of.network_bytes_per_second,
        ),
    ] {
        text.one(name, "gauge", help, value);
    }
}

fn resources(view: &View, text: &mut impl Sink) {
    let Resources {
        cpu_seconds,
        threads,
        descriptors,
        major_faults,
        network_received_bytes,
        network_sent_bytes,
        disk_read_bytes,
        disk_written_bytes,
    } = view.performance.resources;
    text.one("sniper_cpu_seconds_total", "counter", "Processor time.", cpu_seconds);
    let ratio = view.performance.cpu_percent / 100.0;
    text.one("sniper_cpu_ratio", "gauge", "Cores in use over the last minute.", ratio);
    text.one("sniper_threads_count", "gauge", "Threads now.", threads);
    text.one("sniper_descriptors_count", "gauge", "Open file descriptors now.", descriptors);
    for (name, help, value) in [
        ("sniper_major_faults_total", "Page faults that needed the disk.", major_faults),
        (
            "sniper_network_received_bytes_total",
            "In, over the network interfaces.",
            network_received_bytes,
        ),
        (
            "sniper_network_sent_bytes_total",
            "Out, over the network interfaces.",
            network_sent_bytes,
        ),
        ("sniper_disk_read_bytes_total", "Read from disks.", disk_read_bytes),
        ("sniper_disk_written_bytes_total", "Written to disks.", disk_written_bytes),
    ] {
        text.one(name, "counter", help, value);
    }
    let lost = view.performance.metrics_lost;
    let help = "Lines of the metrics file that could not be written.";
    text.one("sniper_metrics_lines_lost_total", "counter", help, lost);
}

fn expected(view: &View, text: &mut impl Sink) {
    let performance = &view.performance;
    let name = "sniper_stage_budget_seconds";
    text.head(name, "gauge", "The most that a stage may take.");
    for (stage, of) in &performance.baselines {
        if let Some(us) = of.budget_us {
            text.line(name, &[("stage", stage)], us / 1e6);
        }
    }
    let name = "sniper_stage_baseline_seconds";
    text.head(name, "gauge", "What a stage has been measured to take on this machine.");
    for (stage, of) in &performance.baselines {
        for (quantile, us) in [("0.5", of.p50_us), ("0.95", of.p95_us)] {
            if let Some(us) = us {
                text.line(name, &[("stage", stage), ("quantile", quantile)], us / 1e6);
            }
        }
    }
    let name = "sniper_stage_regressed_info";
    text.head(name, "gauge", "1 for a stage that is slower than expected, and not by chance.");
    for regression in &performance.regressions {
        text.line(name, &[("stage", regression.stage)], 1);
    }
    let name = "sniper_stage_regression_ratio";
    text.head(name, "gauge", "What it takes by what is expected.");
    for regression in &performance.regressions {
        text.line(name, &[("stage", regression.stage)], regression.change.ratio);
    }
}
