//! The JSON-RPC envelope: what is written and how answers are opened.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::error::{EndpointName, RpcError};

/// The request of a method, ready for the wire.
pub(crate) fn request(method: &'static str, params: &impl Serialize) -> Result<Bytes, RpcError> {
    request_of(method, params, 128)
}

/// The same where it is known how many bytes it has, about.
pub(crate) fn request_of(
    method: &'static str,
    params: &impl Serialize,
    bytes: usize,
) -> Result<Bytes, RpcError> {
    #[derive(Serialize)]
    struct Request<'a, P> {
        jsonrpc: &'static str,
        id: u32,
        method: &'static str,
        params: &'a P,
    }
    let mut text = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut text, &Request { jsonrpc: "2.0", id: 1, method, params })
        .map_err(|source| RpcError::Encode { method, source })?;
    Ok(Bytes::from(text))
}

#[derive(Deserialize)]
struct Reply<'a> {
    // A `null` result is an answer, a missing one is not.
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<NodeError<'a>>,
}

#[derive(Deserialize)]
pub(crate) struct NodeError<'a> {
    pub(crate) code: i64,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(borrow, default)]
    pub(crate) data: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Longest error text kept.
const MESSAGE_MAX: usize = 200;

/// A node's words, safe to print: one line, printable, short.
pub(crate) fn clean(message: &str) -> String {
    message.chars().take(MESSAGE_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The result in an answer, or the error it stands for.
pub(crate) fn open<T: DeserializeOwned>(
    endpoint: &EndpointName,
    method: &'static str,
    bytes: &[u8],
) -> Result<T, RpcError> {
    let decode = |source| RpcError::Decode { endpoint: endpoint.clone(), method, source };
    let reply: Reply<'_> = serde_json::from_slice(bytes).map_err(decode)?;
    if let Some(error) = reply.error {
        let endpoint = endpoint.clone();
        // Gateways throttle with numbers of their own.
        if matches!(error.code, -32429 | -32029 | 429) {
            return Err(RpcError::RateLimited { endpoint, method, retry_after: None });
        }
        return Err(RpcError::Node {
            endpoint,
            method,
            code: error.code,
            message: clean(&error.message),
            data: error.data.map(|data| data.get().into()),
        });
    }
    let Some(raw) = reply.result else {
        let what = "neither a result nor an error";
        return Err(RpcError::Impossible { endpoint: endpoint.clone(), method, what });
    };
    serde_json::from_str(raw.get()).map_err(decode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RpcError> {
        open(&"a".into(), "m", bytes)
    }

    #[test]
    fn a_null_result_is_an_answer_and_a_missing_one_is_not() {
        assert_eq!(read::<Option<u64>>(br#"{"result":null,"id":1}"#).unwrap(), None);
        let missing = read::<Option<u64>>(br#"{"jsonrpc":"2.0","id":1}"#);
        assert!(matches!(missing, Err(RpcError::Impossible { .. })));
        assert!(matches!(read::<u64>(b"<html>"), Err(RpcError::Decode { .. })));
    }

    #[test]
    fn a_nodes_words_cannot_break_a_log_line() {
        let text = "x\\n\\u001b[31m".repeat(100);
        let bytes = format!(r#"{{"error":{{"code":-32602,"message":"{text}"}}}}"#);
        let Err(RpcError::Node { message, code: -32602, .. }) = read::<u64>(bytes.as_bytes())
        else {
            panic!("a node error");
        };
        assert!(message.chars().all(|c| !c.is_control()) && message.chars().count() <= MESSAGE_MAX);
    }

    #[test]
    fn throttling_by_number_is_rate_limiting() {
        let bytes = br#"{"error":{"code":-32429,"message":"max usage reached"}}"#;
        assert!(matches!(read::<u64>(bytes), Err(RpcError::RateLimited { .. })));
    }

    #[test]
    fn integers_keep_all_their_bits() {
        assert_eq!(read::<u64>(br#"{"result":18446744073709551615}"#).unwrap(), u64::MAX);
        assert!(read::<u64>(br#"{"result":1.8446744073709552e19}"#).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_error_or_an_answer_but_never_a_panic(bytes: Vec<u8>) {
            drop(read::<serde_json::Value>(&bytes));
        }
    }
}
