//! From a world in which a law was broken to the smallest one in which it still is.

use super::plan::Fault;
use super::{Options, Outcome, run};

/// A world in which a law was broken, made as small as it could be.
#[derive(Clone, Debug)]
pub struct Found {
    /// The world.
    pub seed: u64,
    /// What is left of it.
    pub options: Options,
    /// What became of it, with its story.
    pub outcome: Outcome,
}

/// Takes faults away one after the other, and time, as long as a law is still broken. `None` when none is.
#[must_use]
pub fn shrink(seed: u64, options: &Options) -> Option<Found> {
    let mut least = Options { trace: false, ..options.clone() };
    let mut broken = run(seed, &least);
    broken.violation.as_ref()?;
    for fault in Fault::ALL {
        let mut fewer = least.clone();
        fewer.without.push(*fault);
        let outcome = run(seed, &fewer);
        if outcome.violation.is_some() {
            (least, broken) = (fewer, outcome);
        }
    }
    // Half the trouble, then half of that, and so on; then less and less off the end.
    let (mut until, mut step) = (broken.micros, broken.micros / 2);
    while step > 200_000 {
        let shorter = Options { until: Some(until - step), ..least.clone() };
        if run(seed, &shorter).violation.is_some() {
            until -= step;
            least = shorter;
        } else {
            step /= 2;
        }
    }
    let options = Options { trace: true, ..least };
    let outcome = run(seed, &options);
    Some(Found { seed, options, outcome })
}
