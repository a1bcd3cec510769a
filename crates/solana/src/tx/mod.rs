//! Transactions: what they are made of, and the blockhash they are built on.

mod blockhash;
mod builder;
pub mod instructions;
mod lookup;
mod message;
mod outside;

#[cfg(test)]
mod vectors;

pub use blockhash::{BlockhashCache, BlockhashError};
pub use builder::{BuildError, Priority, Signed, TransactionBuilder, sign};
pub use instructions::associated_token_address;
pub use lookup::{LOOKUP_TABLE_PROGRAM, TABLE_KEYS_MAX, TableError};
pub use message::{LookupTable, WIRE_MAX, compile};
