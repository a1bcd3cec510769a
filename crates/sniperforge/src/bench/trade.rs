//! Trades on a local chain, from the notice of a pool to the block that holds the transaction: the flow of
//! [`crate::live::profile`], whose stages are timed in the running engine.
//!
//! Percentiles of stages do not add up to those of their sum; where a row adds them, it says so, and is at most too large.
//! The witness is the machine's floor that the profile measures beside each block of trades.

use std::path::Path;
use std::time::Duration;

use super::Scale;
use super::row::Row;
use super::turns::{Bounds, Rejected, Taken, Times, clean};
use super::wire;
use crate::live::profile::{Recorded, RecordedStage, Wanted, record};
use crate::telemetry::Stage;

/// Time from block to block: the main network takes 400, and more of them would only take longer.
const SLOT_MS: u64 = 100;
/// How many times the bare echo with parsing, a signature and a durable write: at the median, and at the 99th percentile.
const WIRE_TIMES: (f64, f64) = (1.15, 1.5);
/// From an approved order to its bytes on their way, to a durable write and a signature, at the median.
const SENT_TIMES: f64 = 1.5;
/// The 99th percentile at most, microseconds.
const WIRE_US: f64 = 1_000.0;
/// What is ours of a full trade, milliseconds.
const OURS_MS: f64 = 2.0;
/// The budget of a full trade, milliseconds.
const FULL_MS: f64 = 400.0;
/// From the notice of an account until it is decided what to do.
const DETECTION: [Stage; 2] = [Stage::FeedDelivery, Stage::Step];
/// From there until the bytes are handed over.
const SENDING: [Stage; 4] = [Stage::Build, Stage::Sign, Stage::Journal, Stage::Send];

pub(super) fn measure(scale: Scale, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Row>> {
    let seconds = scale.span.as_secs().clamp(3, 300);
    // A landing takes a block or two.
    let iterations = (seconds * 1_000 / (2 * SLOT_MS)).max(16);
    let mut all = clean("trade to the wire", Bounds::WAITING, rejected, || {
        to_the_wire(if scale.full { 1_000 } else { (seconds * 16).try_into().unwrap_or(160) })
    })?;
    all.extend(clean("trade", Bounds::WAITING, rejected, || {
        let recorded = record(Wanted { iterations, seed: 1, slot_ms: SLOT_MS }, |_| {})?;
        let floor = recorded.floors.iter().map(|floor| floor.compute_ns).collect();
        Ok(Taken { floor, rows: rows(&recorded) })
    })?);
    Ok(all)
}

/// From the notice on a socket to the last byte of the request.
fn to_the_wire(samples: usize) -> anyhow::Result<Taken> {
    // Here, and not in a folder that may be in memory: each order waits for the disk.
    let (taken, measured) = wire::run(Path::new("."), samples)?;
    let us = |all: &[Duration]| Times(all.iter().map(|took| took.as_secs_f64() * 1e6).collect());
    let both: Vec<Duration> = taken.echo.iter().zip(&taken.disk).map(|(a, b)| *a + *b).collect();
    let (own, echo, both) = (us(&taken.wire), us(&taken.echo), us(&both));
    let orders = measured.summary.orders.submitted.max(1);
    let note = format!(
        "{} samples, {} missed; the journal's barrier is part of both, {} bytes an order here and 1024 in the floor{}",
        taken.wire.len(),
        taken.missed,
        measured.journal_bytes / orders,
        if taken.apart { "" } else { "; node and engine shared their processors" }
    );
    let beside = |percent| {
        let row = Row::told(format!("trade.to_wire.p{percent}"), own.at(percent), "us");
        row.beside(both.at(percent))
    };
    // The engine tells its stages in microseconds.
    let told = |name: &Stage| measured.summary.latency_us.get(name.as_str()).map(|of| of.p50);
    let sent = SENDING.iter().map(told).sum::<Option<f64>>();
    let bare = us(&taken.disk).p50() + us(&taken.sign).p50();
    let sent = match sent {
        Some(sent) => Row::told("trade.approved_to_sent.p50", sent, "us")
            .beside(bare)
            .floor_times(SENT_TIMES)
            .note("the sum of the p50 of build, sign, journal and send beside those of a durable write and a signature"),
        None => Row::failed("trade.approved_to_sent.p50", "no order came through its stages"),
    };
    let rows = vec![
        sent,
        beside(50).floor_times(WIRE_TIMES.0).note(note),
        beside(99).floor_times(WIRE_TIMES.1).at_most(Some(WIRE_US)),
        Row::told("trade.to_wire_without_barrier.p50", own.p50(), "us")
            .beside(echo.p50())
            .note("the same figure, barrier and all, beside the echo alone"),
    ];
    Ok(Taken { floor: echo.0, rows })
}

fn stage(recorded: &Recorded, stage: Stage) -> Option<&RecordedStage> {
    recorded.stages.iter().find(|of| of.stage == stage)
}

/// The sum of a percentile over some stages; no number where one was never timed.
fn sum_us(recorded: &Recorded, stages: &[Stage], of: fn(&RecordedStage) -> f64) -> f64 {
    stages.iter().map(|name| stage(recorded, *name).map_or(f64::NAN, of)).sum()
}

fn rows(recorded: &Recorded) -> Vec<Row> {
    let mut rows = Vec::new();
    for name in DETECTION.iter().chain(&SENDING).chain(&[Stage::Confirm]) {
        let Some(of) = stage(recorded, *name) else {
            let metric = format!("trade.stage.{}", name.as_str());
            rows.push(Row::failed(metric, "no trade came through it"));
            continue;
        };
        let metric = |percent| format!("trade.stage.{}.p{percent}", name.as_str());
        rows.push(Row::told(metric(50), of.summary.p50, "us"));
        rows.push(Row::told(metric(99), of.summary.p99, "us"));
    }
    type Percentile = fn(&RecordedStage) -> f64;
    let percentiles: [(u8, Percentile); 2] = [(50, |of| of.summary.p50), (99, |of| of.summary.p99)];
    let ours: Vec<Stage> = DETECTION.into_iter().chain(SENDING).collect();
    for (percent, of) in percentiles {
        let note = format!("the sum of the p{percent} of its stages, which are timed apart");
        let detection = sum_us(recorded, &DETECTION, of);
        rows.push(
            Row::told(format!("trade.detection.p{percent}"), detection, "us").note(note.clone()),
        );
        let own =
            Row::told(format!("trade.ours.p{percent}"), sum_us(recorded, &ours, of) / 1e3, "ms");
        rows.push(own.at_most((percent == 99).then_some(OURS_MS)).note(note));
    }
    if let Some(full) = stage(recorded, Stage::FullTrade) {
        let slot = Duration::from_millis(recorded.slot_ms).as_secs_f64() * 1e3;
        let row = Row::told("trade.full.p50", full.summary.p50 / 1e3, "ms");
        let note = format!("the floor is a block of the chain, every {slot} ms");
        rows.push(row.beside(slot).at_most(Some(FULL_MS)).note(note.clone()));
        let row = Row::told("trade.full.p99", full.summary.p99 / 1e3, "ms");
        rows.push(row.beside(slot).note(note));
    }
    let trades = crate::telemetry::stage::shown(recorded.iterations);
    let a_minute = trades / recorded.seconds.max(1e-9) * 60.0;
    rows.push(
        Row::told("trade.per_minute", a_minute, "trades")
            .more_is_better()
            .note("one strategy, one order at a time: it waits for each landing"),
    );
    rows
}
