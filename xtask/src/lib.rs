//! What a maintainer runs, and the house rules that the compiler cannot hold.
//!
//! [`tidy`] reads the workspace as text and reports every place that breaks a rule; a test runs it, so that
//! `cargo test --workspace` fails when, say, the core learns what time it is. [`fuzz`] builds and drives the fuzzer,
//! [`crash`] kills engines, [`layout`] finds out which code of the release belongs together, and [`performance`] writes down what
//! was measured. Nothing here is part of the product, and it must never be imported by it.

pub mod crash;
pub mod fuzz;
pub mod layout;
pub mod performance;
pub mod tidy;
