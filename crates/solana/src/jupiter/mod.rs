//! Swaps that Jupiter, or what answers as it does, has built for us: a second way to build an order.
//!
//! # Design
//! What comes back is somebody's wish about our money, so it is taken apart before it is signed. Of all that an answer
//! holds, one instruction goes into our transaction, the swap, and only after [`check`] has found in its bytes the
//! amount that goes in, the least that comes out and the accounts of ours that it touches. Budget, account making and tip
//! are ours; clean-up, transfers and anything else are refused, for nothing of that was reserved. Then [`inspect`] asks
//! a node: what the accounts are, whether the lookup tables are what they should be, and what the transaction would do
//! to us. Whatever does not hold is a typed refusal, and the order goes the way that we have built ourselves.
//!
//! Only the newer instructions of the program are taken (`route_v2`, `shared_accounts_route_v2`): their amounts stand
//! before the route, at places that are known. In the older ones they come after it, as long as it is, and the program
//! reads no further than it must, so that what stands at the end of the bytes need not be what holds.
//!
//! Wire formats: Jupiter's Swap API V2, <https://dev.jup.ag/docs/api-reference/swap/v2>; the instructions by the
//! program's published interface description.

mod client;
mod inspect;
mod offer;
mod policy;
mod route;

pub use client::{Ask, Jupiter, JupiterConfig, Quote};
pub use inspect::{Checked, InspectError, inspect};
pub use offer::Offer;
pub use policy::{Approved, Part, Refused, Rule, Terms, check};
pub use route::{EVENT_AUTHORITY, JUPITER, Route, RouteKind};
