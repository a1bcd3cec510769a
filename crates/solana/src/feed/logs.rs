//! Log lines of transactions, and what of new pools they tell.

use std::time::{Duration, Instant};

use sniper_core::ids::Signature;
use sniper_core::launch::{Detected, Detector};
use sniper_core::units::Slot;

/// The lines of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogNotice {
    /// The slot that it is in.
    pub slot: Slot,
    /// Its name.
    pub signature: Signature,
    /// It did not fail.
    pub succeeded: bool,
    /// What it printed, cut off where the node did so.
    pub logs: Vec<String>,
    /// When the notice's bytes arrived.
    pub received: Instant,
}

/// A new pool, and how long it took to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What was found.
    pub detected: Detected,
    /// In which slot.
    pub slot: Slot,
    /// In which transaction: the one to fetch, where too little is told.
    pub signature: Signature,
    /// When the notice arrived.
    pub received: Instant,
    /// When it had been read.
    pub read: Instant,
}

impl LogNotice {
    /// Adds what the lines tell that is news to the detector.
    pub fn detect(&self, detector: &mut Detector, sightings: &mut Vec<Sighting>) {
        let mut found = Vec::new();
        detector.logs(&self.logs, self.succeeded, &mut found);
        let read = Instant::now();
        let (slot, signature, received) = (self.slot, self.signature, self.received);
        sightings.extend(found.into_iter().map(|detected| Sighting {
            detected,
            slot,
            signature,
            received,
            read,
        }));
    }
}

impl Sighting {
    /// How long reading took, from the notice's arrival.
    #[must_use]
    pub fn reading(&self) -> Duration {
        self.read.saturating_duration_since(self.received)
    }

    /// How long it was until something else was known of it, a verdict say, from the notice's arrival.
    #[must_use]
    pub fn until(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.received)
    }
}
