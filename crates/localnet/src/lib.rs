//! A real Solana runtime behind JSON-RPC and PubSub.

mod chain;
mod config;
pub mod cpmm;
mod error;
mod market;
mod port;
mod pubsub;
mod rpc;
mod server;

pub use chain::genesis::{MintInfo, PoolInfo};
pub use config::{Faults, LAG_BLOCKS_MAX, LocalnetConfig, PortConfig};
pub use error::LocalnetError;
pub use server::{Ready, run_blocking, serve};
