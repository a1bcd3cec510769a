//! A block engine with the methods of Jito's.
//!
//! A bundle waits for the next block. There its transactions run in order, before all others, and are in it together or
//! not at all: one that fails, that cannot run any more, or a bundle that brings its tip accounts less than the least
//! tip, leaves no trace. One request a second is answered on each port, as anybody is allowed.
//!
//! What it does not have: an auction (a bundle that can land does), other regions, blocks of leaders that run without it.

pub(crate) mod bundles;
pub(crate) mod service;

use solana_address::{Address, address};

/// The accounts that take tips.
pub const TIP_ACCOUNTS: [Address; 8] = [
    address!("96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5"),
    address!("HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe"),
    address!("Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY"),
    address!("ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49"),
    address!("DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh"),
    address!("ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt"),
    address!("DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL"),
    address!("3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT"),
];

/// The least tip of a bundle, in lamports.
pub const TIP_MIN: u64 = 1_000;
/// Most transactions of a bundle.
pub const BUNDLE_MAX: usize = 5;
