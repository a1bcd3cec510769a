//! Reading positional parameters, with the errors a node gives.

use serde_json::{Map, Value};
use solana_address::Address;
use solana_signature::Signature;

use super::RpcError;
use crate::chain::ledger::Commitment;

/// The positional parameters of a call.
pub(crate) struct Params<'a> {
    values: &'a [Value],
}

impl<'a> Params<'a> {
    pub(crate) fn new(params: &'a Value) -> Result<Self, RpcError> {
        match params {
            Value::Null => Ok(Self { values: &[] }),
            Value::Array(values) => Ok(Self { values }),
            _ => Err(RpcError::invalid_params("`params` should be an array")),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<&'a Value> {
        self.values.get(index).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, index: usize) -> Result<&'a str, RpcError> {
        match self.get(index) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(RpcError::invalid_params(format!(
                "Invalid params: invalid type: {}, expected a string.",
                kind(other)
            ))),
            None => Err(missing(self.values.len())),
        }
    }

    pub(crate) fn number(&self, index: usize) -> Result<u64, RpcError> {
        match self.get(index) {
            Some(value) => value.as_u64().ok_or_else(|| {
                RpcError::invalid_params(format!(
                    "Invalid params: invalid type: {}, expected u64.",
                    kind(value)
                ))
            }),
            None => Err(missing(self.values.len())),
        }
    }

    pub(crate) fn address(&self, index: usize) -> Result<Address, RpcError> {
        address(self.text(index)?)
    }

    pub(crate) fn list(&self, index: usize) -> Result<&'a [Value], RpcError> {
        match self.get(index) {
            Some(Value::Array(values)) => Ok(values),
            Some(other) => Err(RpcError::invalid_params(format!(
                "Invalid params: invalid type: {}, expected a sequence.",
                kind(other)
            ))),
            None => Err(missing(self.values.len())),
        }
    }

    /// The configuration object, or an empty one.
    pub(crate) fn config(&self, index: usize) -> Result<Config<'a>, RpcError> {
        match self.get(index) {
            None => Ok(Config { fields: None }),
            Some(Value::Object(fields)) => Ok(Config { fields: Some(fields) }),
            Some(other) => Err(RpcError::invalid_params(format!(
                "Invalid params: invalid type: {}, expected a configuration object.",
                kind(other)
            ))),
        }
    }
}

/// The configuration object at the end of a call.
#[derive(Clone, Copy)]
pub(crate) struct Config<'a> {
    fields: Option<&'a Map<String, Value>>,
}

impl<'a> Config<'a> {
    pub(crate) fn of(fields: Option<&'a Map<String, Value>>) -> Self {
        Self { fields }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields?.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, RpcError> {
        self.typed(name, "a string", Value::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, RpcError> {
        Ok(self.typed(name, "a boolean", Value::as_bool)?.unwrap_or(false))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, RpcError> {
        self.typed(name, "u64", Value::as_u64)
    }

    /// The commitment named by `field`.
    pub(crate) fn commitment_at(
        &self,
        field: &str,
        default: Commitment,
    ) -> Result<Commitment, RpcError> {
        Ok(match self.text(field)? {
            None => default,
            Some("processed" | "recent") => Commitment::Processed,
            Some("confirmed" | "single" | "singleGossip") => Commitment::Confirmed,
            Some("finalized" | "max" | "root") => Commitment::Finalized,
            Some(other) => {
                return Err(RpcError::invalid_params(format!(
                    "Invalid params: unknown variant `{other}`, expected one of `processed`, \
                     `confirmed`, `finalized`."
                )));
            }
        })
    }

    /// The commitment to read at: finalized unless said otherwise.
    pub(crate) fn commitment(&self) -> Result<Commitment, RpcError> {
        self.commitment_at("commitment", Commitment::Finalized)
    }

    fn typed<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, RpcError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| {
            RpcError::invalid_params(format!(
                "Invalid params: invalid type: {} for `{name}`, expected {expected}.",
                kind(value)
            ))
        })
    }
}

pub(crate) fn address(text: &str) -> Result<Address, RpcError> {
    text.parse().map_err(|_| {
        let problem = match bs58::decode(text).into_vec() {
            Ok(_) => "WrongSize",
            Err(_) => "Invalid",
        };
        RpcError::invalid_params(format!("Invalid param: {problem}"))
    })
}

pub(crate) fn signature(value: &Value) -> Result<Signature, RpcError> {
    let text = value.as_str().ok_or_else(|| RpcError::invalid_params("Invalid param: Invalid"))?;
    text.parse().map_err(|_| {
        let problem = match bs58::decode(text).into_vec() {
            Ok(_) => "WrongSize",
            Err(_) => "Invalid",
        };
        RpcError::invalid_params(format!("Invalid param: {problem}"))
    })
}

fn missing(given: usize) -> RpcError {
    RpcError::invalid_params(format!(
        "`params` should have at least {} argument(s)",
        given.saturating_add(1)
    ))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "sequence",
        Value::Object(_) => "map",
    }
}
