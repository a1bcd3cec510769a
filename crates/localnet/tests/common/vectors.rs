//! Reading reference vectors.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use base64::Engine;
use serde_json::Value;
use solana_address::Address;

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/");

/// A document of vectors, or `None`, said on standard error, where the folder is not beside us.
pub fn document(file: &str) -> Option<Value> {
    let Ok(text) = std::fs::read_to_string(format!("{DIR}{file}")) else {
        say(&format!("skipped: ../shared/vectors/{file} absent"));
        return None;
    };
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(!document["vectors"].as_array().unwrap().is_empty());
    Some(document)
}

pub fn vectors(file: &str) -> Option<Vec<Value>> {
    Some(document(file)?["vectors"].as_array().unwrap().clone())
}

/// Past the test harness, which keeps what tests print.
pub fn say(text: &str) {
    std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{text}\n")).ok();
}

pub fn number<T: std::str::FromStr>(value: &Value) -> T
where
    T::Err: std::fmt::Debug,
{
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.to_string().parse().unwrap(),
    }
}

pub fn bytes(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
}

pub fn key(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}
