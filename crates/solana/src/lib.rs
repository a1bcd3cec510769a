//! The only crate that speaks to the chain.
//!
//! It reads accounts, follows pools, builds transactions, sends them and finds out what became of them:
//!
//! - [`rpc`]: several endpoints as one, [`rpc::RpcConnectionPool`];
//! - [`clock`]: which slot it is, and who makes its block;
//! - [`feed`]: subscriptions, [`feed::WebSocketManager`], delivering decoded market events through one channel;
//! - [`fees`]: what to bid for a compute unit;
//! - [`gate`]: reads what the core's token gate wants to know of a mint;
//! - [`jito`]: another way for signed bytes to the leader;
//! - [`jupiter`]: swaps that an aggregator has built, and whether they may be signed;
//! - [`launch`]: finds where a new pool is that its program did not tell;
//! - [`probe`]: what an endpoint is worth, measured from outside;
//! - [`scan`]: all pools of a program, read in one pass into the core's table;
//! - [`tx`]: transaction building and the blockhash it needs;
//! - [`venue`]: [`venue::SolanaVenue`] takes orders, and tells of each how it ended.
//!
//! # What it must never do
//!
//! - Decide what is bought or sold: it carries out orders that the core's review has made.
//! - Hold a secret: it hands message bytes to a [`sniper_wallet::Signer`].
//! - Sign a second transaction for an order, or send other bytes than those that were signed first.
//! - Take an error, a timeout or an unreadable answer for "it did not happen".
//! - Print an endpoint's address: it may hold a key. Names only.
//! - Know the store, or put money into a floating-point number.
//!
//! Everything runs on the caller's runtime, which may be a `current_thread` one: no thread is started here.

mod base58;
pub mod clock;
pub mod feed;
pub mod fees;
pub mod gate;
mod http;
pub mod jito;
mod json;
pub mod jupiter;
pub mod launch;
pub mod probe;
pub mod rpc;
pub mod scan;
mod service;
pub mod tx;
pub mod venue;

pub use service::{ServiceConfig, ServiceError, ServiceKey};

/// Makes `ring` the process's TLS library. Call it once, first thing in `main`; later calls do nothing.
pub fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was first, with the only provider this workspace links.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}
