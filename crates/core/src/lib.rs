//! The deterministic trading core: everything that decides.
//!
//! A [`engine::MultiStrategyEngine`] takes one [`event::Stamped`] at a time and answers with
//! [`event::Effect`]s. The same journal gives the same effects, byte for byte. That single law gives crash
//! recovery, replay, backtest, paper = live and simulation.
//!
//! What this crate must never do: read a clock, do IO, start a thread, draw a random number, log, iterate a map
//! whose order is not defined, or settle money in floating point. Time, amounts and prices are inputs. Floats
//! live in [`stats`] alone, with `+ - * /` and square roots only, so that every machine computes the same bits.

#![deny(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::float_arithmetic,
        clippy::as_conversions,
        reason = "a test may panic"
    )
)]

pub mod amm;
pub mod digest;
pub mod drift;
pub mod engine;
pub mod event;
pub mod execution;
pub mod gate;
pub mod histogram;
pub mod ids;
pub mod journal;
pub mod launch;
pub mod ledger;
pub mod market;
pub mod order;
pub mod portfolio;
pub mod risk;
pub mod route;
pub mod scan;
pub mod sim;
pub mod snapshot;
pub mod standing;
pub mod stats;
pub mod strategy;
pub mod units;
