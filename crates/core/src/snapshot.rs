//! State as bytes, so that a restart need not replay everything.
//!
//! [`MultiStrategyEngine::save`](crate::engine::MultiStrategyEngine::save) writes all that later answers depend on, and
//! [`restore`](crate::engine::MultiStrategyEngine::restore) makes the same engine of it. The bytes carry no checksum:
//! whoever keeps them adds one, and compares the digest of the engine that came of them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The shape of what is saved. To be raised with any change to a type that is part of it: bytes of another shape are
/// refused, and the journal is replayed from its beginning.
pub const LAYOUT: u16 = 5;

/// Puts values together.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Adds a value.
    pub fn put<T: Serialize + ?Sized>(&mut self, value: &T) {
        let bytes = std::mem::take(&mut self.bytes);
        // Writing into a Vec fails only for types whose length is unknown, which the core's are not.
        self.bytes = postcard::to_extend(value, bytes)
            .expect("Invariant: every value of the core has a postcard form");
    }

    /// All that was put.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Takes values back, in the order in which they were put.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the first.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next value.
    ///
    /// # Errors
    ///
    /// The bytes are not one.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, Unreadable> {
        let (value, rest) = postcard::take_from_bytes(self.rest).map_err(|_| Unreadable)?;
        self.rest = rest;
        Ok(value)
    }

    /// Whether all was taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Bytes that are not what was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the saved state does not read")]
pub struct Unreadable;

/// Why no engine comes of saved state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It was saved by a program that keeps other things.
    #[error("the saved state has layout {found}; this program reads {LAYOUT}")]
    Layout {
        /// The layout it has.
        found: u16,
    },
    /// It does not read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The settings make no engine.
    #[error(transparent)]
    Limits(#[from] crate::risk::LimitsError),
}
