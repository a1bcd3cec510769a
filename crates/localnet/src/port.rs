//! One served port: how far behind it is and how it misbehaves.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::config::Faults;
use crate::market::rng::Rng;

/// What a request meets before it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Serve,
    /// It is never answered.
    Stall,
    /// HTTP 429.
    TooManyRequests,
    /// HTTP 503.
    Unavailable,
    /// A JSON-RPC error of an unhealthy node.
    Unhealthy,
}

/// Where ports are found.
pub(crate) struct Urls {
    pub(crate) rpc: Vec<String>,
    pub(crate) ws: Vec<String>,
    pub(crate) price: String,
}

impl Urls {
    pub(crate) fn of(numbers: &[u16]) -> Self {
        let at = |scheme: &str, number: &u16| {
            format!("{scheme}://{}", SocketAddr::from((Ipv4Addr::LOCALHOST, *number)))
        };
        Self {
            rpc: numbers.iter().map(|number| at("http", number)).collect(),
            ws: numbers.iter().map(|number| at("ws", number)).collect(),
            price: numbers
                .first()
                .map(|number| at("http", number) + "/price/v3")
                .unwrap_or_default(),
        }
    }
}

/// State of one port.
pub(crate) struct Port {
    /// Number the configuration asked for, or the one that was found free.
    pub(crate) number: u16,
    faults: RwLock<Faults>,
    rng: Mutex<Rng>,
    /// Raised to end every open socket.
    pub(crate) hang_up: watch::Sender<u64>,
    requests: AtomicU64,
    /// When the block engine was last asked here.
    engine_asked: Mutex<Option<Instant>>,
}

/// How often the block engine answers. A little less than a second: clocks and ways differ.
const ENGINE_EVERY: Duration = Duration::from_millis(950);

impl Port {
    pub(crate) fn new(number: u16, faults: Faults, seed: u64) -> Self {
        Self {
            number,
            faults: RwLock::new(faults),
            rng: Mutex::new(Rng::new(seed ^ u64::from(number))),
            hang_up: watch::Sender::new(0),
            requests: AtomicU64::new(0),
            engine_asked: Mutex::new(None),
        }
    }

    pub(crate) fn faults(&self) -> Faults {
        self.faults.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// How many blocks behind the tip this port answers from.
    pub(crate) fn lag(&self) -> u64 {
        self.faults.read().unwrap_or_else(PoisonError::into_inner).lag_blocks
    }

    pub(crate) fn mute(&self) -> bool {
        self.faults.read().unwrap_or_else(PoisonError::into_inner).mute
    }

    pub(crate) fn delay(&self) -> Duration {
        let faults = self.faults.read().unwrap_or_else(PoisonError::into_inner);
        Duration::from_millis(faults.delay_ms)
    }

    /// Decides what happens to one request.
    pub(crate) fn fate(&self) -> Fate {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let faults = self.faults();
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.stall_rate > 0.0 && rng.chance(faults.stall_rate) {
            return Fate::Stall;
        }
        if faults.error_rate > 0.0 && rng.chance(faults.error_rate) {
            return match rng.below(3) {
                0 => Fate::TooManyRequests,
                1 => Fate::Unavailable,
                _ => Fate::Unhealthy,
            };
        }
        Fate::Serve
    }

    /// Whether a transaction accepted here is lost on its way.
    pub(crate) fn loses_transaction(&self) -> bool {
        let rate = self.faults.read().unwrap_or_else(PoisonError::into_inner).drop_rate;
        rate > 0.0 && self.rng.lock().unwrap_or_else(PoisonError::into_inner).chance(rate)
    }

    /// Whether the block engine may be asked again.
    pub(crate) fn admits_to_engine(&self) -> bool {
        let mut asked = self.engine_asked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = asked.is_none_or(|last| now.duration_since(last) >= ENGINE_EVERY);
        if is_due {
            *asked = Some(now);
        }
        is_due
    }

    /// Requests seen so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}
