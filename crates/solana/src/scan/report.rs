//! What a scanner tells of itself.

use serde::Serialize;
use sniper_core::ids::Address;
use sniper_core::scan::Verdict;

use super::program::Program;

/// What a cold scan did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdReport {
    /// Pools in the answers.
    pub pools: usize,
    /// Of those, the ones that were not known before.
    pub new: usize,
    /// Accounts that are not what their filters promise, or pools that contradict themselves: left out.
    pub refused: usize,
    /// Pools whose vaults could not be read: they stay out of every comparison.
    pub unread: usize,
    /// Pools that were one too many of their kind.
    pub left_out: usize,
    /// A program with so many accounts that the node does not list them: the scan goes on without it.
    pub unlisted: Option<Program>,
    /// Bytes of all answers.
    pub bytes: usize,
    /// The oldest slot of any answer.
    pub slot: u64,
    /// Accounts that were told of meanwhile, and taken.
    pub told: usize,
    /// How many of those changed a pool's reserves.
    pub told_changes: usize,
    /// And how many were left out, for what they are.
    pub told_refused: usize,
}

/// Percentiles of one pass over all pools, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CycleTimes {
    /// Half of them took no longer.
    pub p50: u64,
    /// 99 of 100 took no longer.
    pub p99: u64,
}

/// What there is to tell of a scanner; as the command `scan` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Pools known now.
    pub pools: usize,
    /// Since it was made.
    pub seconds: f64,
    /// Pools looked at, each as often as it was.
    pub scans: u64,
    /// Of those, per second spent looking.
    pub scans_per_second: f64,
    /// How long one pass over all pools took.
    pub cycle_us: CycleTimes,
    /// Pools that were found after the first cold scan.
    pub new_pools: u64,
    /// Gaps that were confirmed by accounts of one slot.
    pub opportunities: u64,
}

/// A verdict that still held when its pools were read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opportunity {
    /// What it is.
    pub verdict: Verdict,
    /// Where the base is cheap.
    pub buy: Address,
    /// Where it is dear.
    pub sell: Address,
    /// The slot of the one state that both were read from.
    pub slot: u64,
}
