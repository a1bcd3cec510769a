//! The only holder of secrets.
//!
//! # What it is for
//!
//! A private key lives here and nowhere else: encrypted at rest in a [`Keystore`], in memory inside a
//! [`LocalSigner`] whose bytes are wiped when it is dropped. Everyone else holds a [`Signer`], which gives a
//! signature and nothing more. Money is moved by signatures alone, so this is also where KILL is enforced:
//! [`PolicySigner`] asks the [`KillLatch`], a file, before and after each signature.
//!
//! # What it must never do
//!
//! - Import a network client or another crate of this project: a key cannot leave through code that is not there.
//! - Take a secret from the command line or the environment, where other processes can read it.
//! - Put a secret, or a part of one, into an error, a log line or `Debug` output.
//! - Sign after KILL, whoever asks.
//!
//! # Design
//!
//! The keystore is a plain `age` file with a passphrase, and what it encrypts is the JSON array that
//! `solana-keygen` writes. So `age --decrypt key.age > id.json` brings a key back without this program.

mod durable;
mod harden;
mod keygen;
mod keystore;
mod latch;
mod passphrase;
mod signer;

pub use harden::{Hardening, harden_process};
pub use keygen::KeygenError;
pub use keystore::{
    DEFAULT_WORK_FACTOR, Keystore, KeystoreError, KeystoreOptions, MAX_WORK_FACTOR,
    MIN_PASSPHRASE_CHARS,
};
pub use latch::{CLEAR_WITHIN, ClearToken, KillLatch, LatchError};
pub use passphrase::{PassphraseError, PassphraseSource, read_passphrase};
pub use signer::{LocalSigner, PolicySigner, SignError, Signer};
