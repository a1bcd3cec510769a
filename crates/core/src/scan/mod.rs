//! Very many pools, looked at and not traded.
//!
//! [`crate::market`] holds the pools that strategies trade, each with all it takes to quote. This table holds every
//! pool there is, in about 150 bytes each: enough to tell which of them are worth a closer look.
//!
//! # Design
//! - Arrays, not objects: a pass over all pools reads only what it needs, one after the other.
//! - A pool is found by its address through an open-addressed [`Index`] of four bytes a place; the address itself is
//!   kept once. Nothing walks over the index, so it has no order that could show.
//! - Reserves are kept as base and quote of the pool's pair, so that prices of one pair compare as they are. The quote
//!   is the mint that was known first: name the mints that count as [`Anchor`]s, the most usual first.
//! - The pass over all pools reckons in floats with a known error ([`crate::stats::bulk`]) to leave out what surely
//!   is not so. What it reports was confirmed by the integers of [`figures`].
//!
//! - A kind without reserves has numbers that stand for them ([`Kind`]). Where only their ratio means something, the row
//!   says so ([`Flags::PRICE_ALONE`]), and its depth and flow are none.
//!
//! A verdict is about margins: it says that prices are apart by more than both fees, not how much can be earned.

pub mod figures;
mod index;
mod pairs;
mod row;
mod sweep;
mod table;
mod types;

pub use index::{Hash, ID_MAX, Index, hash_address, hash_words};
pub use row::{Anchor, Flags, Kind, NewPool, Terms};
pub use sweep::{Sweep, Verdict};
pub use table::PoolTable;
pub use types::{Applied, Figures, Inserted, Place, Row, RowId, TableError};
