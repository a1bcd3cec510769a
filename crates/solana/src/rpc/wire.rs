//! The JSON-RPC envelope: what is written and how answers are opened.

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::error::{EndpointName, RpcError};
use super::raw::{AtMost, there};

/// How every request begins, up to its number.
const HEAD: &str = r#"{"jsonrpc":"2.0","id":"#;
/// The number of a request that goes alone.
const ALONE: &str = "1";
/// Most requests of one batch.
pub(crate) const BATCH_MAX: usize = 16;

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
    let mut text = begun(method, bytes)?;
    serde_json::to_writer(&mut text, params)
        .map_err(|source| RpcError::Encode { method, source })?;
    text.push(b'}');
    Ok(Bytes::from(text))
}

/// A request up to its parameters, with room for so many bytes in all.
pub(super) fn begun(method: &'static str, bytes: usize) -> Result<Vec<u8>, RpcError> {
    let mut text = Vec::with_capacity(bytes);
    text.extend_from_slice(HEAD.as_bytes());
    text.extend_from_slice(ALONE.as_bytes());
    text.extend_from_slice(b",\"method\":");
    serde_json::to_writer(&mut text, method)
        .map_err(|source| RpcError::Encode { method, source })?;
    text.extend_from_slice(b",\"params\":");
    Ok(text)
}

/// Several requests as one, numbered from zero in their order.
pub(crate) fn batch<'a>(requests: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut text = vec![b'['];
    for (number, request) in requests.enumerate() {
        if number > 0 {
            text.push(b',');
        }
        text.extend_from_slice(HEAD.as_bytes());
        text.extend_from_slice(number.to_string().as_bytes());
        text.extend_from_slice(request.get(HEAD.len() + ALONE.len()..).unwrap_or_default());
    }
    text.push(b']');
    Bytes::from(text)
}

/// What can be wrong with a part of an answer.
const MISSING: &str = "missing from the answer to several requests";
const TWICE: &str = "answered twice in the answer to several requests";

/// What came back for several requests that went as one.
#[derive(Debug)]
pub(crate) enum Batch {
    /// An answer for each, in the order of the requests, whole as if it had been asked alone; or what is wrong with it.
    Parts(Vec<Result<Bytes, &'static str>>),
    /// The endpoint does not take several as one.
    Refused,
}

/// Takes an answer to `count` requests apart.
pub(crate) fn open_batch(
    endpoint: &EndpointName,
    method: &'static str,
    bytes: &Bytes,
    count: usize,
) -> Result<Batch, RpcError> {
    #[derive(Deserialize)]
    struct Numbered<'a> {
        #[serde(borrow, default)]
        id: Option<&'a RawValue>,
    }
    if bytes.trim_ascii_start().first() != Some(&b'[') {
        return match open::<IgnoredAny>(endpoint, method, bytes) {
            // In trouble, which says nothing of batches; or no JSON.
            Err(error) if error.blames_endpoint() => Err(error),
            _ => Ok(Batch::Refused),
        };
    }
    let decode = |source| RpcError::Decode { endpoint: endpoint.clone(), method, source };
    // Twice as many, so that a doubled answer is told from an answer to another question.
    let told: AtMost<&RawValue, { 2 * BATCH_MAX }> =
        serde_json::from_slice(bytes).map_err(decode)?;
    let mut parts = vec![Err(MISSING); count];
    for part in &told.0 {
        let number = serde_json::from_str::<Numbered<'_>>(part.get()).ok().and_then(|of| of.id);
        let number = number.and_then(|number| number.get().parse::<usize>().ok());
        let Some(place) = number.and_then(|number| parts.get_mut(number)) else { continue };
        *place = match place {
            Err(MISSING) => Ok(bytes.slice_ref(part.get().as_bytes())),
            // Which of them is true?
            _ => Err(TWICE),
        };
    }
    // Not one of them: what it says, it says of the whole.
    if parts.iter().all(Result::is_err) {
        return Ok(Batch::Refused);
    }
    Ok(Batch::Parts(parts))
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

/// An answer that has what was asked for, which nearly all have.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Given<T> {
    #[serde(deserialize_with = "there")]
    result: T,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

/// The result in an answer, or the error it stands for.
pub(crate) fn open<T: DeserializeOwned>(
    endpoint: &EndpointName,
    method: &'static str,
    bytes: &[u8],
) -> Result<T, RpcError> {
    // One pass. Whatever is not so simple is read again, to be told what it is.
    match serde_json::from_slice::<Given<T>>(bytes) {
        Ok(Given { result, error: None }) => Ok(result),
        _ => open_slowly(endpoint, method, bytes),
    }
}

fn open_slowly<T: DeserializeOwned>(
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

    fn taken_apart(text: &str, count: usize) -> Result<Batch, RpcError> {
        open_batch(&"a".into(), "batch", &Bytes::copy_from_slice(text.as_bytes()), count)
    }

    #[test]
    fn requests_keep_their_order_in_a_batch_and_get_numbers_of_their_own() {
        let one = request("getSlot", &[1]).unwrap();
        assert_eq!(one, r#"{"jsonrpc":"2.0","id":1,"method":"getSlot","params":[1]}"#);
        let two = request("getBalance", &("x", ())).unwrap();
        let all: serde_json::Value =
            serde_json::from_slice(&batch([&one, &two].into_iter())).unwrap();
        assert_eq!((&all[0]["id"], &all[0]["method"]), (&0.into(), &"getSlot".into()));
        assert_eq!((&all[1]["id"], &all[1]["params"][0]), (&1.into(), &"x".into()));
    }

    #[test]
    fn each_part_finds_its_question_whatever_the_order_and_strangers_find_none() {
        let text = r#" [{"id":2,"result":7},{"id":"0","result":1},{"id":9,"result":2},
            {"id":1,"error":{"code":-5}},{"result":3},5,{"id":1e400}] "#;
        let Batch::Parts(parts) = taken_apart(text, 3).unwrap() else { panic!("parts") };
        assert_eq!(parts[0], Err(MISSING), "its number is not what was sent");
        assert_eq!(read::<u64>(parts[1].as_ref().unwrap()).unwrap_err().node_code(), Some(-5));
        assert_eq!(read::<u64>(parts[2].as_ref().unwrap()).unwrap(), 7);
    }

    #[test]
    fn two_answers_to_one_question_are_none() {
        let text =
            r#"[{"id":0,"result":1},{"id":1,"result":2},{"id":0,"result":1},{"id":0,"result":1}]"#;
        let Batch::Parts(parts) = taken_apart(text, 2).unwrap() else { panic!("parts") };
        assert_eq!(parts[0], Err(TWICE));
        assert!(parts[1].is_ok());
    }

    #[test]
    fn a_refusal_of_batches_is_told_from_trouble() {
        let refused = |text| matches!(taken_apart(text, 2), Ok(Batch::Refused));
        assert!(refused(r#"{"error":{"code":-32600,"message":"no"},"id":null}"#));
        assert!(refused(r#"{"result":5,"id":0}"#), "one answer to two questions");
        assert!(refused(r#"[{"error":{"code":-32000,"message":"too many"},"id":null}]"#));
        assert!(refused("[]"));
        for trouble in [
            r#"{"error":{"code":-32005,"message":"unhealthy"},"id":null}"#,
            r#"{"error":{"code":429,"message":"slow down"},"id":null}"#,
            "<html>",
            "[{",
            "",
        ] {
            assert!(taken_apart(trouble, 2).unwrap_err().blames_endpoint(), "{trouble}");
        }
    }

    #[test]
    fn more_parts_than_there_can_be_are_not_held() {
        let parts = vec![r#"{"id":0,"result":1}"#; 2 * BATCH_MAX + 1];
        let error = taken_apart(&format!("[{}]", parts.join(",")), 2).unwrap_err();
        assert!(matches!(error, RpcError::Decode { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn any_answer_to_several_is_taken_apart_or_refused(
            text in "[\\[\\]{}:,\"id0-9result]{0,60}", count in 2_usize..=BATCH_MAX,
        ) {
            if let Ok(Batch::Parts(parts)) = taken_apart(&text, count) {
                prop_assert_eq!(parts.len(), count);
            }
        }

        #[test]
        fn any_bytes_are_an_error_or_an_answer_but_never_a_panic(bytes: Vec<u8>) {
            drop(read::<serde_json::Value>(&bytes));
        }
    }
}
