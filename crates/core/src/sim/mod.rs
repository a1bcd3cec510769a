//! Where orders go when no chain is asked: simulated venues.
//!
//! A venue takes approved orders and later says what became of them. The engine cannot tell a simulated one from
//! the chain: the same events come back, in the same order, and late.

mod pool;
pub mod tape;
mod venue;
pub mod world;

pub use venue::{SimSettings, SimSettingsError, SimVenue};

use crate::event::OrderEvent;
use crate::order::Order;
use crate::units::Timestamp;

/// Takes orders and tells what became of them. It has no clock either: whoever drives it says what time it is.
pub trait Venue {
    /// Takes an order at `now`. Nothing is answered here; ask [`Venue::poll`].
    fn submit(&mut self, order: &Order, now: Timestamp);

    /// When [`Venue::poll`] next has something to say.
    fn next_due(&self) -> Option<Timestamp>;

    /// Adds all that is due by `now`, in order of time. To stamp each event with its own time, poll at
    /// [`Venue::next_due`] until that lies in the future.
    fn poll(&mut self, now: Timestamp, out: &mut Vec<OrderEvent>);
}

/// Sebastiano Vigna's SplitMix64: one step, whose output is also fit to seed the next.
const fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
