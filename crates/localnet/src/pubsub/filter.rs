//! What a subscription wants to hear of.

use serde_json::Value;
use solana_address::Address;

use crate::chain::block::Record;
pub(super) use crate::rpc::Filter;
use crate::rpc::{RpcError, params};

/// Whose transactions a log subscription is about.
pub(super) enum Mention {
    /// All of them; this chain has no votes.
    All,
    /// Those that name this address.
    Of(Address),
}

impl Mention {
    pub(super) fn read(value: Option<&Value>) -> Result<Self, RpcError> {
        let bad = || RpcError::invalid_params("Invalid params: bad log filter.");
        match value.ok_or_else(bad)? {
            Value::String(text) if text == "all" || text == "allWithVotes" => Ok(Self::All),
            Value::Object(fields) => match fields.get("mentions") {
                Some(Value::Array(keys)) => match keys.as_slice() {
                    [Value::String(key)] => Ok(Self::Of(params::address(key)?)),
                    _ => Err(RpcError::invalid_params("Invalid Request: Only 1 address supported")),
                },
                _ => Err(bad()),
            },
            _ => Err(bad()),
        }
    }

    pub(super) fn admits(&self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::Of(address) => record.keys.contains(address),
        }
    }
}
