//! What becomes of an order, from its approval to one of four ends, without IO.
//!
//! [`Machine`] decides: it is told what happened ([`Input`]) and answers with what is to be done ([`Output`]); whoever
//! drives it only carries that out. [`OpenOrders`] is what the engine's books know of the same orders, from the journal
//! alone. [`recovery`] says what a start owes to orders that an earlier process left open.
//!
//! # Laws
//!
//! 1. A record of the signed bytes is durable before they are first sent.
//! 2. Only those bytes are ever sent for the order, on a schedule, until the chain is past them.
//! 3. A second signature for an order is refused: its old one would have to be proved dead, and then the order is over.
//! 4. An order ends as landed, reverted, expired or rejected, and in no other way. What is not known is no end.
//! 5. Expired is proved: a majority of all endpoints has finalized a block above the last one it can be in, and each of
//!    them, asked after that and with its history, does not know it. Rejected was never sent.
//! 6. What landed is provisional until a majority calls it final. What a majority no longer has in its finalized chain is
//!    taken back, and the same bytes may land again.
//!
//! A minority of endpoints that lie can delay an end. It can have a fill told that never was, until the majority's word
//! takes it back; it can have no order proved dead and no fill called final.

mod compare;
mod hash;
mod input;
mod machine;
mod names;
mod open;
mod quorum;
pub mod recovery;
mod words;

pub use compare::{Findings, Holding, Seen, compare};
pub use hash::last_valid_of;
pub use input::{Commitment, Input, Landing, Output, Status};
pub use machine::{Machine, Settings};
pub use open::{OpenOrder, OpenOrders, Provisional, State, Step};
pub use quorum::{Reached, is_majority, not_below, reached};
pub use words::{Death, Finality, Knows, Word, death, finality};
