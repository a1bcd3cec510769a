//! Methods that read accounts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_address::Address;

use super::encode::{self, Encoding, Shape};
use super::params::{self, Config, Params};
use super::{Answer, Node, RpcError, with_context};
use crate::cpmm::token::{TokenAccount, is_token_program};

/// Most accounts in one request.
const ACCOUNTS_MAX: usize = 100;
/// Most filters in one request.
const FILTERS_MAX: usize = 4;
/// Longest pattern to compare with.
const PATTERN_MAX: usize = 128;
/// Lamports of rent exemption per byte, and the bytes an account takes besides its data.
const RENT_PER_BYTE: u64 = 6_960;
const ACCOUNT_OVERHEAD: u64 = 128;
/// Most bytes an account may hold.
const DATA_MAX: u64 = 10 * 1024 * 1024;

pub(super) fn account_info(node: &Node, params: &Params<'_>) -> Answer {
    let address = params.address(0)?;
    let config = params.config(1)?;
    let shape = Shape::read(config, Encoding::Legacy)?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, config)?;
    let value = match ledger.account(&address, bank.slot) {
        Some(account) => encode::account(account, shape, &Node::decimals_at(&ledger, bank.slot))?,
        None => Value::Null,
    };
    Ok(with_context(&bank, &value))
}

pub(super) fn multiple_accounts(node: &Node, params: &Params<'_>) -> Answer {
    let keys = params.list(0)?;
    if keys.len() > ACCOUNTS_MAX {
        return Err(RpcError::invalid_params(format!(
            "Too many inputs provided; max {ACCOUNTS_MAX}"
        )));
    }
    let addresses = keys
        .iter()
        .map(|key| params::address(key.as_str().unwrap_or_default()))
        .collect::<Result<Vec<_>, _>>()?;
    let config = params.config(1)?;
    let shape = Shape::read(config, Encoding::Base64)?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, config)?;
    let decimals = Node::decimals_at(&ledger, bank.slot);
    let values = addresses
        .iter()
        .map(|address| match ledger.account(address, bank.slot) {
            Some(account) => encode::account(account, shape, &decimals),
            None => Ok(Value::Null),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(with_context(&bank, &Value::Array(values)))
}

pub(super) fn balance(node: &Node, params: &Params<'_>) -> Answer {
    let address = params.address(0)?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, params.config(1)?)?;
    let lamports = ledger.account(&address, bank.slot).map_or(0, ReadableAccount::lamports);
    Ok(with_context(&bank, &json!(lamports)))
}

pub(super) fn minimum_balance(params: &Params<'_>) -> Answer {
    let length = params.number(0)?;
    if length > DATA_MAX {
        return Err(RpcError::invalid_params("Invalid params: data length is too large."));
    }
    Ok(json!(rent_exemption(length)))
}

pub(crate) fn rent_exemption(length: u64) -> u64 {
    length.saturating_add(ACCOUNT_OVERHEAD).saturating_mul(RENT_PER_BYTE)
}

pub(super) fn program_accounts(node: &Node, params: &Params<'_>) -> Answer {
    let program = params.address(0)?;
    let config = params.config(1)?;
    let shape = Shape::read(config, Encoding::Legacy)?;
    let filters = Filter::read_all(config)?;
    let ledger = node.chain.read();
    let bank = node.bank_for(&ledger, config)?;
    let decimals = Node::decimals_at(&ledger, bank.slot);
    let mut found: Vec<_> = ledger
        .owned_by(&program, bank.slot)
        .filter(|(_, account)| filters.iter().all(|filter| filter.admits(account)))
        .collect();
    found.sort_unstable_by_key(|(address, _)| **address);
    let values = found
        .into_iter()
        .map(|(address, account)| {
            let account = encode::account(account, shape, &decimals)?;
            Ok(json!({"pubkey": address.to_string(), "account": account}))
        })
        .collect::<Result<Vec<_>, RpcError>>()?;
    let values = Value::Array(values);
    Ok(if config.flag("withContext")? { with_context(&bank, &values) } else { values })
}

/// One condition on accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    DataSize(usize),
    Memcmp { offset: usize, bytes: Vec<u8> },
    TokenAccountState,
}

impl Filter {
    /// Reads the `filters` of a configuration.
    pub(crate) fn read_all(config: Config<'_>) -> Result<Vec<Self>, RpcError> {
        let filters = match config.get("filters") {
            None => return Ok(Vec::new()),
            Some(Value::Array(filters)) => filters,
            Some(_) => return Err(RpcError::invalid_params("Invalid params: bad `filters`.")),
        };
        if filters.len() > FILTERS_MAX {
            return Err(RpcError::invalid_params(format!(
                "Too many filters provided; max {FILTERS_MAX}"
            )));
        }
        filters.iter().map(Self::read).collect()
    }

    fn read(filter: &Value) -> Result<Self, RpcError> {
        let bad = || RpcError::invalid_params("Invalid params: unknown or malformed filter.");
        if filter.as_str() == Some("tokenAccountState") {
            return Ok(Self::TokenAccountState);
        }
        let size = |value: &Value| value.as_u64().and_then(|size| usize::try_from(size).ok());
        if let Some(value) = filter.get("dataSize") {
            return size(value).map(Self::DataSize).ok_or_else(bad);
        }
        let memcmp = filter.get("memcmp").ok_or_else(|| {
            let named = filter.as_object().and_then(|fields| fields.keys().next());
            let named = named.map_or("", String::as_str);
            RpcError::invalid_params(format!(
                "Invalid params: unknown variant `{named}`, expected one of `dataSize`, `memcmp`, \
                 `tokenAccountState`."
            ))
        })?;
        let offset = memcmp.get("offset").and_then(size).ok_or_else(bad)?;
        let bytes = match (memcmp.get("bytes").ok_or_else(bad)?, memcmp.get("encoding")) {
            (Value::String(text), Some(Value::String(name))) if name == "base64" => {
                BASE64_STANDARD.decode(text).map_err(|_| bad())?
            }
            (Value::String(text), None | Some(Value::Null)) => {
                bs58::decode(text).into_vec().map_err(|_| bad())?
            }
            (Value::String(text), Some(Value::String(name))) if name == "base58" => {
                bs58::decode(text).into_vec().map_err(|_| bad())?
            }
            (Value::Array(bytes), _) => bytes
                .iter()
                .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
                .collect::<Option<_>>()
                .ok_or_else(bad)?,
            _ => return Err(bad()),
        };
        if bytes.len() > PATTERN_MAX {
            return Err(RpcError::invalid_params(
                "Invalid param: DataTooLarge: a memcmp pattern has at most 128 bytes",
            ));
        }
        Ok(Self::Memcmp { offset, bytes })
    }

    /// Whether an account meets the condition.
    pub(crate) fn admits(&self, account: &AccountSharedData) -> bool {
        match self {
            Self::DataSize(size) => account.data().len() == *size,
            Self::Memcmp { offset, bytes } => offset
                .checked_add(bytes.len())
                .and_then(|end| account.data().get(*offset..end))
                .is_some_and(|found| found == bytes),
            Self::TokenAccountState => token_account(account).is_some(),
        }
    }
}

/// The token account that these bytes are, if they are one.
pub(crate) fn token_account(account: &AccountSharedData) -> Option<TokenAccount> {
    is_token_program(account.owner()).then(|| TokenAccount::decode(account.data())).flatten()
}

/// Keys of accounts, as text.
pub(crate) fn texts(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}
