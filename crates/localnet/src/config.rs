//! What a local chain can be told.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::LocalnetError;

/// One address the chain is served on, with its own faults.
#[derive(Debug, Clone, Default)]
pub struct PortConfig {
    /// TCP port of JSON-RPC and PubSub; 0 picks a free one. The port above it serves PubSub too.
    pub port: u16,
    /// How this port misbehaves. The default is not at all.
    pub faults: Faults,
}

/// How a port misbehaves. All zero means it does not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Faults {
    /// Added to every answer and notification, in milliseconds.
    pub delay_ms: u64,
    /// Answers come from a state this many blocks old.
    pub lag_blocks: u64,
    /// Part of requests answered by an error, 0 to 1.
    pub error_rate: f64,
    /// Part of requests never answered, 0 to 1.
    pub stall_rate: f64,
    /// Part of sent transactions that are acknowledged and then lost, 0 to 1.
    pub drop_rate: f64,
    /// Open sockets stay open and say nothing.
    pub mute: bool,
}

/// Most blocks a port may lag behind.
pub const LAG_BLOCKS_MAX: u64 = 64;

/// A local chain. `LocalnetConfig::default()` is one honest port on a free number.
#[derive(Debug, Clone)]
pub struct LocalnetConfig {
    /// Where the chain is served. At least one.
    pub ports: Vec<PortConfig>,
    /// Time from block to block.
    pub slot_time: Duration,
    /// Decides what the agents do.
    pub seed: u64,
    /// Whether agents trade.
    pub agents: bool,
    /// Bars that move SOL's fair value, in the place of the random process.
    pub tape: Option<PathBuf>,
    /// How fast the tape plays.
    pub tape_bars_per_second: f64,
    /// Blocks from processed to confirmed.
    pub confirmed_depth: u64,
    /// Blocks from processed to finalized.
    pub finalized_depth: u64,
    /// Part of slots without a block, 0 to less than 1.
    pub skip_rate: f64,
    /// Part of blocks before which the newest few, confirmed ones among them, are abandoned; 0 to less than 0.5.
    pub fork_rate: f64,
    /// Client transactions whose history is kept.
    pub history: usize,
    /// Further pools that are only looked at: see [the crate](crate#scenery).
    pub pools: usize,
    /// Time from one new coin to the next; none are made without it. See [the crate](crate#launches).
    pub launch_every: Option<Duration>,
    /// Most new coins that are traded at once; older ones are left alone.
    pub launches_traded: usize,
    /// How long after its pool has opened the price service knows a new coin.
    pub price_delay: Duration,
}

impl Default for LocalnetConfig {
    fn default() -> Self {
        Self {
            ports: vec![PortConfig::default()],
            slot_time: Duration::from_millis(400),
            seed: 1,
            agents: true,
            tape: None,
            tape_bars_per_second: 1.0,
            confirmed_depth: 1,
            finalized_depth: 32,
            skip_rate: 0.02,
            fork_rate: 0.0,
            history: 16_384,
            pools: 0,
            launch_every: None,
            launches_traded: 6,
            price_delay: Duration::from_secs(2),
        }
    }
}

/// Most new coins traded at once.
const LAUNCHES_TRADED_MAX: usize = 64;
/// Shortest and longest time between launches.
const LAUNCH_EVERY_MIN: Duration = Duration::from_millis(100);
const LAUNCH_EVERY_MAX: Duration = Duration::from_secs(3_600);

/// Most pools of the scenery.
pub const POOLS_MAX: usize = 100_000;

impl LocalnetConfig {
    /// Refuses impossible values.
    ///
    /// # Errors
    /// [`LocalnetError::Setting`] names the first one.
    pub fn check(&self) -> Result<(), LocalnetError> {
        let bad =
            |name, value: String, expected| Err(LocalnetError::Setting { name, value, expected });
        if self.ports.is_empty() {
            return Err(LocalnetError::NoPorts);
        }
        let millis = self.slot_time.as_millis();
        if !(1..=60_000).contains(&millis) {
            return bad("slot_time", format!("{millis} ms"), "from 1 ms to 60 s");
        }
        if self.confirmed_depth > self.finalized_depth || self.finalized_depth > 256 {
            let value = format!("{} and {}", self.confirmed_depth, self.finalized_depth);
            return bad("confirmed_depth, finalized_depth", value, "ordered and at most 256");
        }
        if !(0.0..0.9).contains(&self.skip_rate) {
            return bad("skip_rate", self.skip_rate.to_string(), "from 0 to less than 0.9");
        }
        if !(0.0..0.5).contains(&self.fork_rate) {
            return bad("fork_rate", self.fork_rate.to_string(), "from 0 to less than 0.5");
        }
        if !(self.tape_bars_per_second > 0.0 && self.tape_bars_per_second <= 10_000.0) {
            let value = self.tape_bars_per_second.to_string();
            return bad("tape_bars_per_second", value, "above 0 and at most 10000");
        }
        if self.history == 0 {
            return bad("history", "0".into(), "at least 1");
        }
        if self.pools > POOLS_MAX {
            return bad("pools", self.pools.to_string(), "at most 100000");
        }
        if let Some(every) = self.launch_every
            && !(LAUNCH_EVERY_MIN..=LAUNCH_EVERY_MAX).contains(&every)
        {
            return bad("launch_every", format!("{} ms", every.as_millis()), "from 100 ms to 1 h");
        }
        if self.launches_traded > LAUNCHES_TRADED_MAX {
            return bad("launches_traded", self.launches_traded.to_string(), "at most 64");
        }
        if self.price_delay > LAUNCH_EVERY_MAX {
            let value = format!("{} ms", self.price_delay.as_millis());
            return bad("price_delay", value, "at most 1 h");
        }
        self.ports.iter().try_for_each(|port| port.faults.check())
    }
}

impl Faults {
    /// Refuses impossible values.
    ///
    /// # Errors
    /// [`LocalnetError::Setting`] names the first one.
    pub fn check(&self) -> Result<(), LocalnetError> {
        let setting =
            |name, value: String, expected| LocalnetError::Setting { name, value, expected };
        for (name, rate) in [
            ("errorRate", self.error_rate),
            ("stallRate", self.stall_rate),
            ("dropRate", self.drop_rate),
        ] {
            if !(0.0..=1.0).contains(&rate) {
                return Err(setting(name, rate.to_string(), "from 0 to 1"));
            }
        }
        if self.lag_blocks > LAG_BLOCKS_MAX {
            return Err(setting("lagBlocks", self.lag_blocks.to_string(), "at most 64"));
        }
        if self.delay_ms > 60_000 {
            return Err(setting("delayMs", self.delay_ms.to_string(), "at most 60000"));
        }
        Ok(())
    }
}
