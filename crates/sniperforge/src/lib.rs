//! The shell around the core: configuration, the live loop, telemetry, the dashboard and the commands.
//!
//! It turns the world into stamped events, journals them, steps the core and carries out its effects. It decides
//! nothing about trades: whatever would change what is bought or sold belongs into `sniper-core`.

pub mod backtest;
pub mod cli;
pub mod config;
pub mod dashboard;
pub mod live;
pub mod telemetry;
