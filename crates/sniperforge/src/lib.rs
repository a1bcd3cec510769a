//! The shell around the core: configuration, the live loop, telemetry, the dashboard and the commands.
//!
//! It turns the world into stamped events, journals them, steps the core and carries out its effects.
//!
//! # What it must never do
//!
//! - Decide: whatever would change what is bought or sold belongs into `sniper-core`.
//! - Send what is not durable in the journal yet, or give the page more than a snapshot to read.
//! - Show a secret: endpoints have names, never addresses.

pub mod backtest;
mod bench;
#[cfg(feature = "localnet")]
pub mod chaos;
pub mod cli;
pub mod config;
pub mod dashboard;
mod db;
mod doctor;
mod journal;
pub mod live;
#[cfg(feature = "localnet")]
mod profile;
mod scan;
pub mod telemetry;
mod threads;
pub mod tune;
pub mod verify;

#[cfg(feature = "localnet")]
pub use bench::wire;
