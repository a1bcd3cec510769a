//! No request, however odd, brings a node down.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Node, call};
use crate::chain::producer::Producer;
use crate::config::{Faults, LocalnetConfig};
use crate::port::Port;

const METHODS: [&str; 38] = [
    "getAccountInfo",
    "getMultipleAccounts",
    "getProgramAccounts",
    "getBalance",
    "getMinimumBalanceForRentExemption",
    "getTokenAccountsByOwner",
    "getTokenAccountBalance",
    "getTokenSupply",
    "getTokenLargestAccounts",
    "getLatestBlockhash",
    "isBlockhashValid",
    "getSlot",
    "getBlockHeight",
    "getBlockTime",
    "getEpochInfo",
    "getSlotLeader",
    "getSlotLeaders",
    "getLeaderSchedule",
    "getHealth",
    "getGenesisHash",
    "getIdentity",
    "getVersion",
    "getFirstAvailableBlock",
    "minimumLedgerSlot",
    "getTransactionCount",
    "getRecentPrioritizationFees",
    "getSignatureStatuses",
    "getSignaturesForAddress",
    "getTransaction",
    "getFeeForMessage",
    "sendTransaction",
    "simulateTransaction",
    "requestAirdrop",
    "localnet_mint",
    "localnet_info",
    "localnet_faults",
    "localnet_forks",
    "localnet_disconnect",
];

fn node() -> &'static Node {
    static NODE: OnceLock<Node> = OnceLock::new();
    NODE.get_or_init(|| {
        let mut producer = Producer::new(&LocalnetConfig::default()).unwrap();
        for _ in 0..3 {
            producer.make_block();
        }
        let port = Arc::new(Port::new(1, Faults::default(), 1));
        Node { chain: producer.chain(), port: Arc::clone(&port), ports: Arc::new(vec![port]) }
    })
}

fn key() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v")),
        Just(json!("So11111111111111111111111111111111111111112")),
        Just(json!("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")),
        any::<[u8; 32]>().prop_map(|bytes| json!(bs58::encode(bytes).into_string())),
        any::<[u8; 32]>()
            .prop_map(|bytes| json!(bs58::encode([bytes, bytes].concat()).into_string())),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,20}".prop_map(|text| json!(text)),
        prop_oneof![Just("base64"), Just("base58"), Just("jsonParsed"), Just("processed")]
            .prop_map(|text| json!(text)),
        "[A-Za-z0-9+/]{0,400}".prop_map(|text| json!(text)),
        key(),
    ]
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}".prop_map(String::from),
        prop_oneof![
            Just("encoding"),
            Just("commitment"),
            Just("dataSlice"),
            Just("offset"),
            Just("length"),
            Just("filters"),
            Just("memcmp"),
            Just("bytes"),
            Just("dataSize"),
            Just("mint"),
            Just("programId"),
            Just("limit"),
            Just("before"),
            Just("until"),
            Just("faults"),
            Just("minContextSlot"),
            Just("accounts"),
            Just("addresses"),
            Just("owner"),
            Just("amount"),
            Just("skipPreflight"),
            Just("replaceRecentBlockhash"),
        ]
        .prop_map(String::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(field(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_parameters_get_an_answer_or_a_refusal(
        method in prop::sample::select(METHODS.to_vec()),
        first in prop_oneof![key(), value()],
        rest in prop::collection::vec(value(), 0..3),
    ) {
        let mut params = vec![first];
        params.extend(rest);
        if let Err(error) = call(node(), method, &Value::Array(params)) {
            prop_assert!((-32_768..=-32_000).contains(&error.code), "{error:?}");
            prop_assert_ne!(error.code, -32601, "{} is served", method);
        }
    }
}

#[test]
fn every_listed_method_is_served() {
    for method in METHODS {
        let code = call(node(), method, &json!([])).err().map(|error| error.code);
        assert_ne!(code, Some(-32601), "{method}");
    }
}
