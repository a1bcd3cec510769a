//! The faults by name, and where each can strike.

use std::time::Duration;

/// Where a fault may strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A request by HTTP and its answer.
    Request,
    /// A WebSocket that is about to be opened.
    Upgrade,
    /// A message of the node on an open WebSocket.
    Message,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Everything comes this much later.
    Delay(Duration),
    /// Everything comes later by a time drawn from nothing to this.
    Jitter(Duration),
    /// Answers and messages come at this many bytes a second.
    Bandwidth(u64),
    /// The connection is closed in the place of an answer.
    Drop,
    /// The connection is reset (RST) in the place of an answer.
    Reset,
    /// The connection stays open, takes whatever comes and says nothing more.
    HalfOpen,
    /// Half of the answer or frame comes, then the connection is closed.
    Truncate,
    /// The answer or frame comes byte by byte, this many a second.
    SlowLoris(u64),
    /// A message comes twice.
    Duplicate,
    /// A message comes after the one that followed it.
    Reorder,
    /// HTTP 429, with this in `Retry-After` where one is given.
    TooManyRequests(Option<Duration>),
    /// An HTTP status of 500 to 599.
    ServerError(u16),
    /// Slots in answers and notifications are told this much lower.
    StaleSlot(u64),
    /// What a read answered first since the fault began, it answers again.
    StaleCache,
    /// Another genesis hash than the node's.
    WrongGenesis,
    /// Block heights are told this much higher.
    InflatedHeight(u64),
    /// An answer or message that no parser accepts.
    InvalidJson,
    /// An answer or message of this many bytes; it is valid JSON.
    Gigantic(u64),
}

/// Names of all faults, in the order of [`Fault`].
pub const FAULT_NAMES: [&str; 18] = [
    "delay",
    "jitter",
    "bandwidth",
    "drop",
    "reset",
    "half-open",
    "truncate",
    "slow-loris",
    "duplicate",
    "reorder",
    "too-many-requests",
    "server-error",
    "stale-slot",
    "stale-cache",
    "wrong-genesis",
    "inflated-height",
    "invalid-json",
    "gigantic",
];

/// Most bytes of a gigantic answer.
pub(super) const GIGANTIC_MAX: u64 = 1 << 40;

impl Fault {
    /// The fault of this name with its usual size; none if there is no such name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "delay" => Self::Delay(Duration::from_millis(200)),
            "jitter" => Self::Jitter(Duration::from_millis(200)),
            "bandwidth" => Self::Bandwidth(32 * 1024),
            "drop" => Self::Drop,
            "reset" => Self::Reset,
            "half-open" => Self::HalfOpen,
            "truncate" => Self::Truncate,
            "slow-loris" => Self::SlowLoris(10),
            "duplicate" => Self::Duplicate,
            "reorder" => Self::Reorder,
            "too-many-requests" => Self::TooManyRequests(None),
            "server-error" => Self::ServerError(503),
            "stale-slot" => Self::StaleSlot(100),
            "stale-cache" => Self::StaleCache,
            "wrong-genesis" => Self::WrongGenesis,
            "inflated-height" => Self::InflatedHeight(1_000_000),
            "invalid-json" => Self::InvalidJson,
            "gigantic" => Self::Gigantic(1 << 30),
            _ => return None,
        })
    }

    /// Its name in scripts and reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        FAULT_NAMES.get(self.index()).copied().unwrap_or_default()
    }

    /// Its position in [`FAULT_NAMES`].
    pub(super) fn index(&self) -> usize {
        match self {
            Self::Delay(_) => 0,
            Self::Jitter(_) => 1,
            Self::Bandwidth(_) => 2,
            Self::Drop => 3,
            Self::Reset => 4,
            Self::HalfOpen => 5,
            Self::Truncate => 6,
            Self::SlowLoris(_) => 7,
            Self::Duplicate => 8,
            Self::Reorder => 9,
            Self::TooManyRequests(_) => 10,
            Self::ServerError(_) => 11,
            Self::StaleSlot(_) => 12,
            Self::StaleCache => 13,
            Self::WrongGenesis => 14,
            Self::InflatedHeight(_) => 15,
            Self::InvalidJson => 16,
            Self::Gigantic(_) => 17,
        }
    }

    /// Whether it can strike there, and changes anything for that method.
    pub(super) fn fits(&self, place: Place, method: &str) -> bool {
        match self {
            Self::Delay(_) | Self::Jitter(_) | Self::Drop | Self::Reset | Self::HalfOpen => true,
            Self::Bandwidth(_)
            | Self::SlowLoris(_)
            | Self::Truncate
            | Self::InvalidJson
            | Self::Gigantic(_) => place != Place::Upgrade,
            Self::Duplicate | Self::Reorder => place == Place::Message,
            Self::TooManyRequests(_) | Self::ServerError(_) => place != Place::Message,
            // Anything may carry a slot; what does not is passed on as it is, and not counted.
            Self::StaleSlot(_) => place != Place::Upgrade,
            Self::StaleCache => place == Place::Request && method.starts_with("get"),
            Self::WrongGenesis => place == Place::Request && method == "getGenesisHash",
            Self::InflatedHeight(_) => {
                place == Place::Request
                    && matches!(method, "getBlockHeight" | "getEpochInfo" | "getLatestBlockhash")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_makes_the_fault_that_is_called_so() {
        for name in FAULT_NAMES {
            assert_eq!(Fault::named(name).map(|fault| fault.name()), Some(name));
        }
        assert_eq!(Fault::named("weather"), None);
    }
}
