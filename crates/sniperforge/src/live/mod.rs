//! The live loop: feeds, journal, engine, venue, recovery.
//!
//! One thread carries an event from the socket to the signed transaction: [`session`] reads feeds, [`desk`] stamps,
//! journals and steps the engine, and orders are built, signed, made durable and sent where they arise. The page
//! ([`publish`]) and the tables have threads of their own and are fed copies. [`start`] brings an engine back after
//! a crash; [`replay`] proves a journal.

mod arrays;
#[cfg(test)]
#[cfg(feature = "localnet")]
mod arrays_on_chain;
mod checkup;
#[cfg(feature = "localnet")]
mod child;
mod clock;
pub(crate) mod control;
#[cfg(feature = "localnet")]
mod demo;
mod desk;
mod drift_probe;
mod elsewhere;
mod endpoints;
mod gate;
#[doc(hidden)]
pub mod harness;
mod judge;
mod landings;
mod lookup;
mod newcomers;
mod one_key;
mod plan;
mod prices;
#[cfg(feature = "localnet")]
pub(crate) mod profile;
mod publish;
pub(crate) mod replay;
#[cfg(test)]
mod restart_tests;
mod scout;
mod session;
pub(crate) mod snapshot;
mod stall;
mod start;
mod summary;
mod tables;
mod tally;
mod trade;
#[cfg(feature = "localnet")]
mod trouble;
pub(crate) mod universe;
#[cfg(test)]
#[cfg(feature = "localnet")]
mod venues_on_chain;

#[cfg(feature = "localnet")]
pub(crate) use child::{Announced, LocalChain};
#[cfg(feature = "localnet")]
pub use demo::demo;
pub use newcomers::LaunchCounts;
pub use replay::{ReplaySummary, replay};
pub use summary::{RunSummary, StrategySummary};
pub use trade::trade;
