//! A signed order.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sniper_core::ids::{OrderId, Signature};
use sniper_core::units::BlockHeight;
use thiserror::Error;

use crate::rpc::{RpcError, SendRequest};

/// An order, signed: these bytes and no others are ever sent for it.
#[derive(Clone, Debug)]
pub struct Prepared {
    order: OrderId,
    signature: Signature,
    last_valid: BlockHeight,
    bytes: Vec<u8>,
    base64: String,
    /// How long building took.
    pub build_took: Duration,
    /// How long signing took.
    pub sign_took: Duration,
}

/// Why bytes from a journal are not a signed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The bytes do not begin with the signature that was journaled beside them.
    #[error("order {order}: the journaled bytes do not carry the journaled signature")]
    OtherSignature {
        /// Which.
        order: OrderId,
    },
}

impl Prepared {
    /// An order as found in a journal.
    ///
    /// # Errors
    /// The bytes do not carry the signature.
    pub fn from_journal(
        order: OrderId,
        signature: Signature,
        last_valid: BlockHeight,
        bytes: Vec<u8>,
    ) -> Result<Self, ResumeError> {
        if bytes.first() != Some(&1) || bytes.get(1..65) != Some(signature.0.as_slice()) {
            return Err(ResumeError::OtherSignature { order });
        }
        Ok(Self::new(order, signature, last_valid, bytes))
    }

    pub(crate) fn new(
        order: OrderId,
        signature: Signature,
        last_valid: BlockHeight,
        bytes: Vec<u8>,
    ) -> Self {
        let base64 = STANDARD.encode(&bytes);
        let (build_took, sign_took) = (Duration::ZERO, Duration::ZERO);
        Self { order, signature, last_valid, bytes, base64, build_took, sign_took }
    }

    /// The order.
    #[must_use]
    pub const fn order(&self) -> OrderId {
        self.order
    }

    /// Its transaction's name on the chain.
    #[must_use]
    pub const fn signature(&self) -> Signature {
        self.signature
    }

    /// After this height it can no longer land.
    #[must_use]
    pub const fn last_valid(&self) -> BlockHeight {
        self.last_valid
    }

    /// The bytes on the wire: journal them before the first send.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes in base64, as nodes take them.
    #[must_use]
    pub fn base64(&self) -> &str {
        &self.base64
    }

    pub(crate) fn request(&self, preflight: bool) -> Result<SendRequest, RpcError> {
        SendRequest::new(&self.base64, self.signature, preflight)
    }
}
