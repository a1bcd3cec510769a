//! What is sent to a node.

use bytes::Bytes;
use serde::Serialize;
use sniper_core::ids::Address;

use super::program::Slice;
use crate::base58;
use crate::json::Encoding;
use crate::rpc::{AccountFilter, Commitment, RpcError, methods, wire};

/// How accounts are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// How sure the cluster is.
    pub commitment: Commitment,
    /// How data come.
    pub encoding: Encoding,
    /// What part of the data.
    pub slice: Option<Slice>,
    /// No state older than this slot.
    pub at_least: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Options<'a> {
    commitment: &'static str,
    encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_slice: Option<DataSlice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_context_slot: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filters: Option<&'a [methods::RawFilter]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    with_context: Option<bool>,
}

#[derive(Serialize)]
struct DataSlice {
    offset: usize,
    length: usize,
}

impl Request {
    fn options(&self) -> Options<'static> {
        Options {
            commitment: self.commitment.as_str(),
            encoding: self.encoding.as_str(),
            data_slice: self.slice.map(|Slice { offset, length }| DataSlice { offset, length }),
            min_context_slot: self.at_least,
            filters: None,
            with_context: None,
        }
    }
}

/// `getProgramAccounts` with its slot.
///
/// # Errors
/// [`RpcError::Encode`], which these parameters cannot cause.
pub fn pools_request(
    program: &Address,
    filters: &[AccountFilter],
    request: &Request,
) -> Result<Bytes, RpcError> {
    let filters: Vec<_> = filters.iter().map(methods::raw_filter).collect();
    let options =
        Options { filters: Some(&filters), with_context: Some(true), ..request.options() };
    wire::request("getProgramAccounts", &(program.to_string(), options))
}

/// `getMultipleAccounts`, at most a hundred.
///
/// # Errors
/// [`RpcError::Encode`], which these parameters cannot cause.
pub fn accounts_request<'a>(
    keys: impl Iterator<Item = &'a Address>,
    request: &Request,
) -> Result<Bytes, RpcError> {
    let options = serde_json::to_string(&request.options())
        .map_err(|source| RpcError::Encode { method: "getMultipleAccounts", source })?;
    // Keys are plain letters and digits: written as they are.
    let mut text = Vec::with_capacity(5_120);
    text.extend_from_slice(
        br#"{"jsonrpc":"2.0","id":1,"method":"getMultipleAccounts","params":[["#,
    );
    for (i, key) in keys.enumerate() {
        text.extend_from_slice(if i == 0 { &b"\""[..] } else { &b",\""[..] });
        base58::push(&mut text, key);
        text.push(b'"');
    }
    text.extend_from_slice(b"],");
    text.extend_from_slice(options.as_bytes());
    text.extend_from_slice(b"]}");
    Ok(Bytes::from(text))
}

/// How many keys fit one `getMultipleAccounts`.
pub(super) const KEYS_MAX: usize = 100;
