//! Reads the fields of a vector, and says which one is missing or different.

use std::fmt::Debug;
use std::str::FromStr;

use base64::Engine;
use serde_json::Value;
use sniper_core::ids::Address;

/// Where a case first differs from what it expects.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The field, as the vector names it.
    pub field: String,
    /// What the vector says.
    pub expected: String,
    /// What we say.
    pub got: String,
}

impl Difference {
    /// A difference in `field`.
    pub fn new(field: &str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { field: field.to_owned(), expected: expected.into(), got: got.into() }
    }

    fn unreadable(field: &str, wanted: &str, value: &Value) -> Self {
        let got = if value.is_null() { "absent".to_owned() } else { value.to_string() };
        Self::new(field, wanted, got.chars().take(80).collect::<String>())
    }
}

/// How a case that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything it expects is so.
    Passed,
    /// Not tried, and why.
    Skipped(&'static str),
}

/// What became of a case.
pub type Verdict = Result<Outcome, Difference>;

/// Compares one field.
pub(super) fn same<T: PartialEq + Debug>(
    field: &str,
    expected: T,
    got: T,
) -> Result<(), Difference> {
    if expected == got {
        return Ok(());
    }
    Err(Difference::new(field, format!("{expected:?}"), format!("{got:?}")))
}

/// A number of any width, written as a JSON number or as a decimal string.
pub(super) fn number<T: FromStr>(of: &Value, field: &str) -> Result<T, Difference> {
    let value = &of[field];
    let parsed = match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| Difference::unreadable(field, "a number", value))
}

/// `true` or `false`.
pub(super) fn flag(of: &Value, field: &str) -> Result<bool, Difference> {
    of[field].as_bool().ok_or_else(|| Difference::unreadable(field, "true or false", &of[field]))
}

/// A string.
pub(super) fn text<'a>(of: &'a Value, field: &str) -> Result<&'a str, Difference> {
    of[field].as_str().ok_or_else(|| Difference::unreadable(field, "a string", &of[field]))
}

/// An address in base58.
pub(super) fn address(of: &Value, field: &str) -> Result<Address, Difference> {
    let parsed = of[field].as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Difference::unreadable(field, "an address", &of[field]))
}

/// A list.
pub(super) fn list<'a>(of: &'a Value, field: &str) -> Result<&'a [Value], Difference> {
    let list = of[field].as_array().map(Vec::as_slice);
    list.ok_or_else(|| Difference::unreadable(field, "a list", &of[field]))
}

/// Bytes in base64.
pub(super) fn bytes(of: &Value, field: &str) -> Result<Vec<u8>, Difference> {
    let engine = base64::engine::general_purpose::STANDARD;
    let decoded = of[field].as_str().and_then(|text| engine.decode(text).ok());
    decoded.ok_or_else(|| Difference::unreadable(field, "base64", &of[field]))
}

/// Compares an instruction with `program_id`, `accounts` and `data_hex` of a vector.
pub(super) fn same_instruction(
    vector: &Value,
    got: &solana_instruction::Instruction,
) -> Result<(), Difference> {
    same("program_id", address(vector, "program_id")?, got.program_id)?;
    let hex: String = got.data.iter().map(|byte| format!("{byte:02x}")).collect();
    same("data_hex", text(vector, "data_hex")?, &hex)?;
    let expected = list(vector, "accounts")?;
    for (nth, (meta, expected)) in got.accounts.iter().zip(expected).enumerate() {
        let field = |name: &str| format!("accounts[{nth}].{name}");
        same(&field("pubkey"), address(expected, "pubkey")?, meta.pubkey)?;
        same(&field("is_signer"), flag(expected, "is_signer")?, meta.is_signer)?;
        same(&field("is_writable"), flag(expected, "is_writable")?, meta.is_writable)?;
    }
    same("accounts", expected.len(), got.accounts.len())
}
