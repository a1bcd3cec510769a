//! What takes most, and what the figures say about it.

use super::{Bottleneck, Report, StageReport};
use crate::telemetry::Stage;

/// Stages that are no others' sum.
const LEAVES: [Stage; 11] = [
    Stage::FeedDelivery,
    Stage::Market,
    Stage::SignalMa,
    Stage::Sizing,
    Stage::Quote,
    Stage::Risk,
    Stage::Build,
    Stage::Sign,
    Stage::Journal,
    Stage::Send,
    Stage::Confirm,
];

/// The part of a trade that takes most, and what to look at first.
pub(super) fn bottleneck(report: &Report) -> Option<Bottleneck> {
    let leaves = LEAVES.into_iter().filter_map(|stage| {
        let of = report.stages.get(stage.as_str())?;
        Some((stage, of.share?, of))
    });
    let (stage, share, of) = leaves.clone().max_by(|a, b| a.1.total_cmp(&b.1))?;
    if stage != Stage::Confirm {
        return Some(Bottleneck {
            stage: stage.as_str(),
            share,
            advice: of_ours(stage, of, report),
        });
    }
    // The chain's own time: what is ours is named beside it.
    let ours = leaves.filter(|(stage, ..)| *stage != Stage::Confirm);
    let (largest, _, largest_of) = ours.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let advice = format!(
        "{:.1} percent of a trade is the chain's: from the send until a block holds it ({:.0} ms at the median). A higher \
         priority or another endpoint can change that, no code here can. Of what is ours, {} takes most: {}",
        share * 100.0,
        of.p50_ms,
        largest.as_str(),
        of_ours(largest, largest_of, report)
    );
    Some(Bottleneck { stage: stage.as_str(), share, advice })
}

/// What the figures of a stage of ours say.
fn of_ours(stage: Stage, of: &StageReport, report: &Report) -> String {
    let floors = |unit_ns: f64| of.p50_ms * 1e6 / unit_ns.max(1.0);
    let spread = of.p99_ms / of.p50_ms.max(1e-9);
    match stage {
        Stage::FeedDelivery => format!(
            "events wait {:.3} ms at the median and {:.3} ms at p99 for the loop. What runs in their way is the largest of the \
             other stages; fewer pools or a faster core make it shorter",
            of.p50_ms, of.p99_ms
        ),
        Stage::Journal => format!(
            "a barrier takes {:.3} ms, {:.1} times the disk's floor ({:.3} ms). {}",
            of.p50_ms,
            floors(report.floor.disk_ns),
            report.floor.disk_ns / 1e6,
            if floors(report.floor.disk_ns) > 2.0 {
                "It waits for more than the disk: look at what else writes to it"
            } else {
                "It is the disk: a faster one, with power-loss protection, is the only cure"
            }
        ),
        Stage::Sign | Stage::Build => format!(
            "{:.3} ms at the median, {:.1} times a bare signature with a walk through memory; p99 is {spread:.1} times the \
             median{}",
            of.p50_ms,
            floors(report.floor.compute_ns),
            if spread > 5.0 { ": something else uses the core at times" } else { "" }
        ),
        Stage::Send => format!(
            "{:.3} ms at the median to hand the bytes to every endpoint's line; each further endpoint adds to it",
            of.p50_ms
        ),
        Stage::Market => format!(
            "taking an event takes {:.3} ms at the median and {:.3} ms at p99; it grows with what one account holds, so look \
             at which kind of pool sends most",
            of.p50_ms, of.p99_ms
        ),
        _ => format!(
            "{:.4} ms at the median, {:.4} ms at p99; it grows with strategies, pools and the length of windows",
            of.p50_ms, of.p99_ms
        ),
    }
}
