//! Who signs, and under which conditions.

use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use solana_address::Address;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::keygen::{self, KeygenError};
use crate::latch::KillLatch;

/// A signature that took longer was not made at the moment at which the kill latch was found open. One of a key in
/// memory takes some fifty microseconds.
const AT_ONCE: Duration = Duration::from_millis(2);

/// Gives signatures for one address.
pub trait Signer: Send {
    /// Whose signatures.
    fn address(&self) -> Address;

    /// Signs the serialized message of a transaction, or says why not.
    ///
    /// # Errors
    ///
    /// See [`SignError`]: after KILL there is never a signature.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

impl<S: Signer + ?Sized> Signer for Box<S> {
    fn address(&self) -> Address {
        (**self).address()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        (**self).sign(message)
    }
}

/// Why there is no signature.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignError {
    /// The kill latch is engaged.
    #[error("killed: nothing is signed until a person clears the kill latch in two steps")]
    Killed,
    /// Whether the kill latch is engaged cannot be told, so it counts as engaged.
    #[error("cannot read the kill latch, so nothing is signed: make its folder readable")]
    LatchUnreadable {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A key in memory. Its bytes are wiped when it is dropped and are never printed.
pub struct LocalSigner {
    key: SigningKey,
    address: Address,
}

impl LocalSigner {
    pub(crate) fn new(key: SigningKey) -> Self {
        let address = Address::from(key.verifying_key().to_bytes());
        Self { key, address }
    }

    /// A new random key, kept nowhere but here: gone when dropped.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, std::io::Error> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(std::io::Error::other)?;
        Ok(Self::new(SigningKey::from_bytes(&secret)))
    }

    /// The key that a `solana-keygen` file holds.
    ///
    /// # Errors
    ///
    /// When `text` is not the array of 64 numbers that it should be.
    pub fn from_keygen_json(text: &[u8]) -> Result<Self, KeygenError> {
        keygen::parse(text).map(Self::new)
    }

    pub(crate) const fn key(&self) -> &SigningKey {
        &self.key
    }
}

impl Signer for LocalSigner {
    fn address(&self) -> Address {
        self.address
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(self.key.sign(message).to_bytes())
    }
}

impl std::fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalSigner").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A signer that obeys the kill latch.
#[derive(Debug)]
pub struct PolicySigner<S> {
    inner: S,
    latch: KillLatch,
}

impl<S: Signer> PolicySigner<S> {
    /// Puts `inner` under `latch`.
    pub const fn new(inner: S, latch: KillLatch) -> Self {
        Self { inner, latch }
    }

    /// The latch it obeys.
    #[must_use]
    pub const fn latch(&self) -> &KillLatch {
        &self.latch
    }
}

impl<S: Signer> Signer for PolicySigner<S> {
    fn address(&self) -> Address {
        self.inner.address()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let begun = Instant::now();
        self.latch.check()?;
        let signature = self.inner.sign(message)?;
        // A device may take seconds: what was killed meanwhile is thrown away. What took no time was signed at the moment
        // at which the latch was found open, as far as anybody can tell.
        if begun.elapsed() > AT_ONCE {
            self.latch.check()?
        } else {
            self.latch.check_here()?
        }
        Ok(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only while the key type wipes itself.
    fn wiped_on_drop<T: zeroize::ZeroizeOnDrop>() {}

    #[test]
    fn the_key_type_wipes_itself() {
        wiped_on_drop::<SigningKey>();
    }

    #[test]
    fn debug_shows_the_address_and_no_secret() {
        let signer = LocalSigner::new(SigningKey::from_bytes(&[0xab; 32]));
        let shown = format!("{signer:?}");
        assert!(shown.contains(&signer.address().to_string()));
        assert!(!shown.contains("171") && !shown.to_lowercase().contains("abab"), "{shown}");
    }
}
