//! Accounts as clients ask to see them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use solana_account::{AccountSharedData, ReadableAccount};
use solana_address::Address;
use solana_program_pack::Pack;
use spl_token_interface::state::{Account as TokenState, AccountState, Mint};

use super::params::Config;
use super::{Node, RpcError};
use crate::cpmm::token::{is_token_program, mint_decimals};

/// Longest data that base58 is made for.
const BASE58_MAX: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// A bare base58 string, from the time before encodings had names.
    Legacy,
    Base58,
    Base64,
    Base64Zstd,
    JsonParsed,
}

/// How to show an account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) encoding: Encoding,
    slice: Option<(usize, usize)>,
}

impl Shape {
    /// Reads `encoding` and `dataSlice`.
    pub(crate) fn read(config: Config<'_>, default: Encoding) -> Result<Self, RpcError> {
        let encoding = match config.text("encoding")? {
            None => default,
            Some("binary") => Encoding::Legacy,
            Some("base58") => Encoding::Base58,
            Some("base64") => Encoding::Base64,
            Some("base64+zstd") => Encoding::Base64Zstd,
            Some("jsonParsed") => Encoding::JsonParsed,
            Some(other) => {
                return Err(RpcError::invalid_params(format!(
                    "Invalid params: unknown variant `{other}`, expected one of `base58`, \
                     `base64`, `base64+zstd`, `jsonParsed`."
                )));
            }
        };
        let slice = match config.get("dataSlice") {
            None => None,
            Some(Value::Object(fields)) => {
                let field = Config::of(Some(fields));
                let number = |name| -> Result<usize, RpcError> {
                    let number = field.number(name)?.ok_or_else(|| {
                        RpcError::invalid_params(format!("Invalid params: missing field `{name}`."))
                    })?;
                    Ok(usize::try_from(number).unwrap_or(usize::MAX))
                };
                Some((number("offset")?, number("length")?))
            }
            Some(_) => {
                return Err(RpcError::invalid_params("Invalid params: bad `dataSlice`."));
            }
        };
        Ok(Self { encoding, slice })
    }
}

impl Shape {
    /// The same view in base64.
    pub(crate) fn as_base64(self) -> Self {
        Self { encoding: Encoding::Base64, ..self }
    }
}

/// Finds a mint's decimals in the bank being read.
pub(crate) type Decimals<'a> = &'a dyn Fn(&Address) -> Option<u8>;

/// An account as JSON.
pub(crate) fn account(
    account: &AccountSharedData,
    shape: Shape,
    decimals: Decimals<'_>,
) -> Result<Value, RpcError> {
    Ok(json!({
        "lamports": account.lamports(),
        "owner": account.owner().to_string(),
        "executable": account.executable(),
        "rentEpoch": account.rent_epoch(),
        "space": account.data().len(),
        "data": data(account, shape, decimals)?,
    }))
}

fn data(
    account: &AccountSharedData,
    shape: Shape,
    decimals: Decimals<'_>,
) -> Result<Value, RpcError> {
    if shape.encoding == Encoding::JsonParsed
        && let Some(parsed) = parse(account, decimals)
    {
        return Ok(parsed);
    }
    let all = account.data();
    let bytes = match shape.slice {
        None => all,
        Some((offset, length)) => {
            let end = offset.saturating_add(length).min(all.len());
            all.get(offset..end).unwrap_or_default()
        }
    };
    Ok(match shape.encoding {
        Encoding::Legacy | Encoding::Base58 if bytes.len() > BASE58_MAX => {
            return Err(RpcError::new(
                -32600,
                format!(
                    "Encoded binary (base 58) data should be less than {BASE58_MAX} bytes, please \
                     use Base64 encoding."
                ),
            ));
        }
        Encoding::Legacy => json!(bs58::encode(bytes).into_string()),
        Encoding::Base58 => json!([bs58::encode(bytes).into_string(), "base58"]),
        Encoding::Base64 | Encoding::JsonParsed => {
            json!([BASE64_STANDARD.encode(bytes), "base64"])
        }
        Encoding::Base64Zstd => match zstd::encode_all(bytes, 0) {
            Ok(compressed) => json!([BASE64_STANDARD.encode(compressed), "base64+zstd"]),
            Err(_) => json!([BASE64_STANDARD.encode(bytes), "base64"]),
        },
    })
}

/// Token accounts and mints of either token program, read by field.
fn parse(account: &AccountSharedData, decimals: Decimals<'_>) -> Option<Value> {
    if !is_token_program(account.owner()) {
        return None;
    }
    let program =
        if *account.owner() == spl_token_interface::ID { "spl-token" } else { "spl-token-2022" };
    let data = account.data();
    let kind = if data.len() > TokenState::LEN { data.get(TokenState::LEN).copied() } else { None };
    let parsed = if data.len() == Mint::LEN || kind == Some(1) {
        parse_mint(data)?
    } else {
        parse_token_account(data, kind == Some(2), decimals)?
    };
    Some(json!({"program": program, "parsed": parsed, "space": data.len()}))
}

fn parse_mint(data: &[u8]) -> Option<Value> {
    let mint = Mint::unpack_from_slice(data.get(..Mint::LEN)?).ok()?;
    let key = |key: Option<Address>| key.map(|key| key.to_string());
    Some(json!({"type": "mint", "info": {
        "mintAuthority": key(mint.mint_authority.into()),
        "supply": mint.supply.to_string(),
        "decimals": mint.decimals,
        "isInitialized": mint.is_initialized,
        "freezeAuthority": key(mint.freeze_authority.into()),
    }}))
}

fn parse_token_account(data: &[u8], extended: bool, decimals: Decimals<'_>) -> Option<Value> {
    let token = TokenState::unpack_from_slice(data.get(..TokenState::LEN)?).ok()?;
    let decimals = decimals(&token.mint)?;
    let mut info = json!({
        "mint": token.mint.to_string(),
        "owner": token.owner.to_string(),
        "tokenAmount": token_amount(token.amount, decimals),
        "state": match token.state {
            AccountState::Uninitialized => "uninitialized",
            AccountState::Initialized => "initialized",
            AccountState::Frozen => "frozen",
        },
        "isNative": token.is_native.is_some(),
    });
    let fields = info.as_object_mut()?;
    if let Some(reserve) = Option::<u64>::from(token.is_native) {
        fields.insert("rentExemptReserve".into(), token_amount(reserve, decimals));
    }
    if let Some(delegate) = Option::<Address>::from(token.delegate) {
        fields.insert("delegate".into(), json!(delegate.to_string()));
        let amount = token_amount(token.delegated_amount, decimals);
        fields.insert("delegatedAmount".into(), amount);
    }
    if let Some(close) = Option::<Address>::from(token.close_authority) {
        fields.insert("closeAuthority".into(), json!(close.to_string()));
    }
    if extended {
        // An associated account of the newer program carries this one; no other is made here.
        fields.insert("extensions".into(), json!([{"extension": "immutableOwner"}]));
    }
    Some(json!({"type": "account", "info": info}))
}

/// A token amount as `UiTokenAmount`.
pub(crate) fn token_amount(amount: u64, decimals: u8) -> Value {
    let text = amount_text(amount, decimals);
    let ui: Option<f64> = text.parse().ok();
    json!({
        "amount": amount.to_string(),
        "decimals": decimals,
        "uiAmount": ui,
        "uiAmountString": text,
    })
}

fn amount_text(amount: u64, decimals: u8) -> String {
    let digits = usize::from(decimals);
    if digits == 0 {
        return amount.to_string();
    }
    let padded = format!("{amount:0>width$}", width = digits + 1);
    let (whole, part) = padded.split_at(padded.len() - digits);
    format!("{whole}.{part}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Node {
    /// Looks decimals up in the state as of `slot`.
    pub(crate) fn decimals_at<'a>(
        ledger: &'a crate::chain::ledger::Ledger,
        slot: u64,
    ) -> impl Fn(&Address) -> Option<u8> + 'a {
        move |mint| {
            let account = ledger.account(mint, slot)?;
            if !is_token_program(account.owner()) {
                return None;
            }
            mint_decimals(account.data())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_without_trailing_zeros() {
        for (amount, decimals, text) in [
            (0, 9, "0"),
            (1, 9, "0.000000001"),
            (1_500_000_000, 9, "1.5"),
            (2_000_000, 6, "2"),
            (7, 0, "7"),
            (70, 0, "70"),
            (u64::MAX, 6, "18446744073709.551615"),
        ] {
            assert_eq!(amount_text(amount, decimals), text);
        }
    }
}
