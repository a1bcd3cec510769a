//! A real Solana runtime behind JSON-RPC and PubSub, for the demo and the tests.
//!
//! # What it is for
//!
//! [`serve`] runs a whole small chain in this process: LiteSVM with its system, compute-budget, SPL
//! Token, Token-2022, associated-token and memo programs, and two exchanges: [`cpmm`], a constant-product
//! one at Raydium CPMM's address, and [`whirlpool`], one of concentrated liquidity at Orca Whirlpool's,
//! each with its program's account layouts, instructions, errors and integer arithmetic; [`jupiter`], which swaps on
//! them for others; and [`metaplex`], which keeps what tokens call themselves. Transactions are real: signed, paid for, ordered by price, executed when a block
//! is made, refused as duplicates, expired after 150 blocks. Clients find a node they cannot tell from
//! any other, down to the commitment levels, which read the state as of their own slot.
//!
//! Seeded agents with keys of their own trade on six and three pools over five tokens, around a fair value that
//! the pools do not set, so that prices move, pools of one pair drift apart, and someone closes the gap
//! only slowly. A recorded market can take the place of SOL's fair value.
//!
//! The same chain is served on any number of ports, each with its own [`Faults`]: delay, lag, errors,
//! stalls, lost transactions, silent sockets. `localnet_faults` changes them while it runs.
//!
//! # Scenery
//!
//! [`LocalnetConfig::pools`] adds pools by the thousand for programs that look at a whole exchange: Raydium CPMM, AMM v4
//! and CLMM, Orca Whirlpool, Meteora DLMM, PumpSwap and bonding curves, with their tick and bin arrays and fee
//! schedules, over generated mints and over those above, some of them on a pair that another pool has too. Accounts
//! have their real layouts and owners, and the same seed writes the same ones. In every block one of two hundred changes as a swap by somebody would change it: both vaults and the pool's
//! state at once, by the exchange's arithmetic. These pools are scenery and cannot be traded on: no transaction stands
//! behind what happens to them, liquidity mints and price observations are missing, and of the programs only CPMM and
//! Whirlpool are mounted, so that every order to the others fails. Fees that leave a pool go nowhere. Generated tokens
//! are held by their pools and, for the rest, by nobody.
//! Ten thousand pools take about 80 MB, and as much again or more once the blocks that are kept hold their changes.
//!
//! # Launches
//!
//! With [`LocalnetConfig::launch_every`] somebody launches a new coin that often: in transactions like anybody's, from a
//! creator who is new too, a mint of either token program is made, named, spread over a crowd of wallets, and brought
//! into a new pool of the constant-product exchange against dollars or wrapped SOL. Of twelve coins five are sound, and
//! of the others each has one thing wrong with it: [`LaunchKind`]. The crowd then trades the newest
//! [`LocalnetConfig::launches_traded`] of them: some wander, some are pumped and sold off, and of some the creator makes
//! off with the liquidity, with more tokens than there were, or with most of them ([`Life`]). `localnet_info` tells
//! each with its kind, so that a verdict can be held against the truth. The price service knows a coin
//! [`LocalnetConfig::price_delay`] after its pool has opened, by a process of its own that looks at no pool. The same
//! seed launches the same coins. A chain launches [`LAUNCHES_MAX`] at most; what they left stays.
//!
//! A pool opens with the second after the one it was made in, as on the real exchange; swaps are refused until then.
//!
//! # What it must never do
//!
//! - Answer with something the runtime did not do, the scenery aside: no canned balances, no pretended confirmations.
//! - Listen anywhere but on loopback: its faucet gives money to whoever asks.
//! - Share code with the engine's own quotes. Its arithmetic is a second implementation on purpose, so
//!   that one can catch the other's mistakes.
//! - Grow without bound: blocks, history, the waiting room and subscriptions all have limits.
//!
//! # Methods beyond a node's
//!
//! | method | does |
//! |---|---|
//! | `localnet_info` `[]` | genesis hash, timing, mints, pools of both exchanges, coins launched so far, ports with their faults |
//! | `localnet_mint` `[{"owner","mint","amount"}]` | creates the holding and delivers tokens; the signature |
//! | `localnet_faults` `[{"port"?,"faults":{..}}]` | replaces the faults of a port, or of the one asked |
//! | `localnet_forks` `[rate]` | before this part of blocks the newest are abandoned, confirmed ones among them; what was in them waits again, or is lost |
//! | `localnet_disconnect` `[{"port"?}]` | ends every open socket of a port |
//!
//! `GET /price/v3?ids=` tells the agents' fair values, those of launched coins included, in the shape of Jupiter's price
//! API.
//!
//! `GET /swap/v2/order` and `GET /swap/v2/build` quote and build swaps over the pools that are traded, in the shape of
//! Jupiter's Swap API V2: see [`jupiter`].
//!
//! `POST /api/v1/transactions` and `/api/v1/bundles`, and what goes with them, take transactions as Jito's block engine
//! does: see [`jito`].
//!
//! # A proxy that breaks things
//!
//! [`Faults`] are those of a port of this chain. [`proxy`] stands in front of any node, this one or another, and breaks
//! the connection itself.
//!
//! # What it does not have
//!
//! Votes, two forks at a time, leaders, stake, durable nonces (such a transaction is refused as `BlockhashNotFound`),
//! and the block methods (`getBlock`, `blockSubscribe`), as on a node started without them. Fees are
//! burnt.
//!
//! # Example
//!
//! ```no_run
//! use sniper_localnet::{LocalnetConfig, run_blocking};
//!
//! // Runs for as long as the future given as the second argument.
//! run_blocking(LocalnetConfig::default(), std::future::pending(), |ready| {
//!     println!("JSON-RPC at {}", ready.rpc_urls[0]);
//! })?;
//! # Ok::<(), sniper_localnet::LocalnetError>(())
//! ```

mod anchor;
mod chain;
mod config;
pub mod cpmm;
mod error;
pub mod jito;
pub mod jupiter;
mod market;
pub mod metaplex;
mod port;
pub mod proxy;
mod pubsub;
mod rpc;
mod server;
pub mod whirlpool;

pub use chain::genesis::{MintInfo, PoolInfo, WhirlpoolInfo};
pub use config::{Faults, LAG_BLOCKS_MAX, LocalnetConfig, POOLS_MAX, PortConfig};
pub use error::LocalnetError;
pub use market::launch::{LAUNCHES_MAX, LaunchInfo, LaunchKind, Life};
pub use server::{Ready, run_blocking, serve};
