//! The only crate with SQL: journal and tables.
//!
//! # What it is for
//!
//! The [`journal`] is the truth: every event the engine saw and every transaction it signed, in order, each with a
//! checksum. It is written first and replayed at each start. The [`tables`] are a projection of it for people and
//! reports: written off the hot path, late or dropped under load, and rebuilt from the journal at any time.
//!
//! # What it must never do
//!
//! - Lose or change what [`journal::Journal::sync`] said was durable, or hand out damaged records as good ones.
//! - Make the trading thread wait for a database.
//! - Keep money as a floating-point number.
//! - Know the chain, the network or a secret; import another crate of this project than the core.

pub mod failpoint;
pub mod journal;
pub mod tables;
