//! The block engine of Jito, or what answers as it does: another way for signed bytes to the leader.
//!
//! # Design
//! It is one more place to send to. What it gets are the very bytes that every node gets, so it cannot make an order land
//! twice; and it is never believed: what it says of a bundle only makes us look at the chain sooner. The tip is an
//! instruction of the order's own transaction, to one of the accounts that are written down here, and is paid only when
//! the rest of it has done what it should. Which of them is drawn by the order's name, for orders that pay into the same
//! account compete for it.
//!
//! Wire formats: <https://docs.jito.wtf/lowlatencytxnsend/>.

mod client;

use sniper_core::ids::{Address, OrderId};

pub use client::{Bundle, BundleId, InFlight, Jito, JitoConfig, JitoError, Landed};

/// The accounts that take tips, as the block engine's documentation names them. Those that an answer names are compared
/// with these and never paid.
pub const TIP_ACCOUNTS: [Address; 8] = [
    Address::from_str_const("96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5"),
    Address::from_str_const("HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe"),
    Address::from_str_const("Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY"),
    Address::from_str_const("ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49"),
    Address::from_str_const("DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh"),
    Address::from_str_const("ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt"),
    Address::from_str_const("DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL"),
    Address::from_str_const("3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT"),
];

/// The least tip that is looked at, in lamports.
pub const TIP_MIN: u64 = 1_000;

/// Where an order pays its tip.
#[must_use]
pub fn tip_account(order: OrderId) -> Address {
    let drawn = order.cause.get().wrapping_add(order.nth.into()) % 8;
    let [first, ..] = TIP_ACCOUNTS;
    usize::try_from(drawn).ok().and_then(|at| TIP_ACCOUNTS.get(at).copied()).unwrap_or(first)
}
