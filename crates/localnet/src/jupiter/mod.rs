//! An aggregator with the service and the swap instruction of Jupiter, mounted at that program's address.
//!
//! The service quotes from the pools of this chain that are traded, and builds the instruction that swaps on the best of
//! them (`route_v2`, with the arguments that the real program takes); the program passes the swap on to the pool's own
//! program, measures what came, and refuses less than the caller demands.
//!
//! What it does not have: ways through more than one pool, exact output, fees of an integrator, the wrapping of SOL,
//! lookup tables, events, pools of launched coins, and every other instruction. The accounts of a step are the pool's
//! program and then those of its swap, in that program's order.

pub mod instruction;
pub(crate) mod offer;
pub mod program;
pub(crate) mod service;

use solana_address::{Address, address};

/// Address the aggregator is mounted at.
pub const PROGRAM_ID: Address = address!("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4");

/// The address that the real program signs its events with.
pub const EVENT_AUTHORITY: Address = address!("D8cy77BBepLMngZx6ZukaTff5hCt1HrWyKk3Hnd9oitf");
