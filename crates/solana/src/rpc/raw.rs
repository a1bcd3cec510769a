//! Answers as they are on the wire, and their way into our types.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Lamports, Slot};

use super::types::{AccountInfo, At, Commitment, Landed, SignatureStatus, TokenAmount, TxError};

/// `{"context":{"slot"},"value"}`.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(crate) struct Wrapped<T> {
    context: Context,
    #[serde(deserialize_with = "there")]
    pub(crate) value: T,
}

/// A field that must be there, even if it may be null: a value left out is not an account that does not exist.
pub(super) fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::deserialize(deserializer)
}

#[derive(Deserialize)]
struct Context {
    slot: u64,
}

impl<T> Wrapped<T> {
    pub(crate) fn slot(&self) -> Slot {
        Slot::new(self.context.slot)
    }

    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { slot: Slot::new(self.context.slot), value: f(self.value) }
    }
}

/// Something with names. Read as itself, a list would do as well: its first element for the first field.
pub(crate) struct Named<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for FieldsVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor(PhantomData)).map(Self)
    }
}

/// A string that parses into `T`.
pub(crate) struct Parsed<T>(pub(crate) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        text.0.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A string, borrowed where the JSON has no escapes in it.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A list of at most so many: a longer one is refused where it gets too long, not after it was held.
pub(crate) struct AtMost<T, const N: usize>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for AtMost<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for ListVisitor<T, N> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {N}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    if all.len() >= N {
                        return Err(A::Error::custom("more than were asked for"));
                    }
                    all.push(one);
                }
                Ok(all)
            }
        }
        deserializer.deserialize_seq(ListVisitor::<T, N>(PhantomData)).map(Self)
    }
}

/// A field that may be null but must be there: a missing `err` is not a success.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// An account in `base64`.
#[derive(Deserialize)]
pub(crate) struct RawAccount {
    lamports: u64,
    owner: Parsed<Address>,
    data: Base64,
    #[serde(default)]
    executable: bool,
}

impl From<RawAccount> for AccountInfo {
    fn from(raw: RawAccount) -> Self {
        Self {
            lamports: Lamports::new(raw.lamports),
            owner: raw.owner.0,
            data: raw.data.0,
            executable: raw.executable,
        }
    }
}

/// `[text, "base64"]`.
struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (text, encoding) = <(Text<'_>, Text<'_>)>::deserialize(deserializer)?;
        if encoding.0 != "base64" {
            return Err(D::Error::custom("not the encoding that was asked for"));
        }
        STANDARD.decode(text.0.as_bytes()).map(Self).map_err(D::Error::custom)
    }
}

/// `{"pubkey","account"}`.
#[derive(Deserialize)]
pub(crate) struct RawKeyed {
    pub(crate) pubkey: Parsed<Address>,
    pub(crate) account: RawAccount,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawBlockhash {
    pub(crate) blockhash: Parsed<solana_hash::Hash>,
    pub(crate) last_valid_block_height: u64,
}

#[derive(Deserialize)]
pub(crate) struct RawTokenAmount {
    amount: Parsed<u64>,
    decimals: u8,
}

impl From<RawTokenAmount> for TokenAmount {
    fn from(raw: RawTokenAmount) -> Self {
        Self { amount: Atoms::new(raw.amount.0), decimals: raw.decimals }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawStatus {
    slot: u64,
    #[serde(default)]
    confirmations: Option<u64>,
    #[serde(deserialize_with = "nullable")]
    err: Option<TxError>,
    #[serde(default)]
    confirmation_status: Option<RawCommitment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum RawCommitment {
    Processed,
    Confirmed,
    Finalized,
}

impl From<RawStatus> for SignatureStatus {
    fn from(raw: RawStatus) -> Self {
        let commitment = match (raw.confirmation_status, raw.confirmations) {
            (Some(RawCommitment::Finalized), _) => Commitment::Finalized,
            (Some(RawCommitment::Confirmed), _) => Commitment::Confirmed,
            (Some(RawCommitment::Processed), _) => Commitment::Processed,
            // Old nodes: no confirmations means rooted.
            (None, None) => Commitment::Finalized,
            (None, Some(_)) => Commitment::Processed,
        };
        Self { slot: Slot::new(raw.slot), commitment, err: raw.err }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawSimulation {
    #[serde(deserialize_with = "nullable")]
    pub(crate) err: Option<TxError>,
    #[serde(default)]
    pub(crate) logs: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) units_consumed: Option<u64>,
    #[serde(default)]
    pub(crate) accounts: Option<Vec<Option<RawAccount>>>,
}

/// A transaction in the `json` encoding: only what is needed to know what it did to us.
#[derive(Deserialize)]
pub(crate) struct RawTransaction {
    slot: u64,
    transaction: RawBody,
    meta: Option<RawMeta>,
}

#[derive(Deserialize)]
struct RawBody {
    signatures: Vec<String>,
    message: RawMessage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMessage {
    account_keys: Vec<Parsed<Address>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMeta {
    #[serde(deserialize_with = "nullable")]
    err: Option<TxError>,
    fee: u64,
    pre_balances: Vec<u64>,
    post_balances: Vec<u64>,
    #[serde(default)]
    pre_token_balances: Option<Vec<RawTokenBalance>>,
    #[serde(default)]
    post_token_balances: Option<Vec<RawTokenBalance>>,
    #[serde(default)]
    compute_units_consumed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTokenBalance {
    mint: Parsed<Address>,
    #[serde(default)]
    owner: Option<Parsed<Address>>,
    ui_token_amount: RawTokenAmount,
}

impl RawTransaction {
    /// True if this is the transaction that was asked for.
    pub(crate) fn is(&self, signature: &str) -> bool {
        self.transaction.signatures.first().is_some_and(|first| first == signature)
    }

    /// What it did to `owner`; an error says what is missing or impossible.
    pub(crate) fn landed(&self, owner: &Address) -> Result<Landed, &'static str> {
        let meta = self.meta.as_ref().ok_or("a transaction without meta")?;
        let keys = &self.transaction.message.account_keys;
        let ours =
            keys.iter().position(|key| key.0 == *owner).ok_or("not a transaction of ours")?;
        let balance = |list: &[u64]| list.get(ours).copied().ok_or("too few balances");
        let mut sums: Vec<(Address, i128)> = Vec::new();
        let mut add =
            |list: &Option<Vec<RawTokenBalance>>, sign: i128| -> Result<(), &'static str> {
                for entry in list.as_ref().ok_or("no token balances")? {
                    let holder = entry.owner.as_ref().ok_or("a token balance without its owner")?;
                    if holder.0 != *owner {
                        continue;
                    }
                    let change = sign * i128::from(entry.ui_token_amount.amount.0);
                    match sums.iter_mut().find(|(mint, _)| *mint == entry.mint.0) {
                        Some((_, sum)) => *sum += change,
                        None => sums.push((entry.mint.0, change)),
                    }
                }
                Ok(())
            };
        add(&meta.pre_token_balances, -1)?;
        add(&meta.post_token_balances, 1)?;
        let deltas = sums.into_iter().filter(|(_, sum)| *sum != 0).map(|(mint, sum)| {
            i64::try_from(sum).map(|sum| (mint, sum)).map_err(|_| "a change beyond 64 bits")
        });
        Ok(Landed {
            slot: Slot::new(self.slot),
            err: meta.err.clone(),
            fee: Lamports::new(meta.fee),
            lamports_before: Lamports::new(balance(&meta.pre_balances)?),
            lamports_after: Lamports::new(balance(&meta.post_balances)?),
            deltas: deltas.collect::<Result<_, _>>()?,
            compute_units: meta.compute_units_consumed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWNER: &str = "9bNf5w9mfRsQvpbzqAyoa6XVY74pPEuUvgqdk5Ywz7op";
    const MINT: &str = "So11111111111111111111111111111111111111112";

    fn transaction(err: &str, pre: &str, post: &str) -> String {
        format!(
            r#"{{"slot":7,"blockTime":null,"version":0,"transaction":{{"signatures":["abc"],"message":
            {{"accountKeys":["{OWNER}","{MINT}"],"header":{{}}}}}},"meta":{{{err}"fee":5000,
            "preBalances":[18446744073709551615,2],"postBalances":[18446744073709546615,2],
            "preTokenBalances":{pre},"postTokenBalances":{post}}}}}"#
        )
    }

    fn token(amount: &str, owner: &str) -> String {
        format!(
            r#"{{"accountIndex":1,"mint":"{MINT}","owner":"{owner}","uiTokenAmount":
            {{"amount":"{amount}","decimals":9,"uiAmount":1.5,"uiAmountString":"1.5"}}}}"#
        )
    }

    fn landed(text: &str) -> Result<Landed, String> {
        let raw: RawTransaction = serde_json::from_str(text).map_err(|error| error.to_string())?;
        raw.landed(&OWNER.parse().unwrap()).map_err(str::to_owned)
    }

    #[test]
    fn a_transaction_tells_what_it_changed_for_us_and_only_for_us() {
        let pre = format!("[{},{}]", token("100", OWNER), token("7", MINT));
        let post = format!("[{},{}]", token("30", OWNER), token("77", MINT));
        let landed = landed(&transaction(r#""err":null,"#, &pre, &post)).unwrap();
        assert_eq!(landed.deltas, [(MINT.parse().unwrap(), -70)]);
        assert_eq!(landed.fee, Lamports::new(5_000));
        assert_eq!(landed.lamports_before, Lamports::MAX);
        assert_eq!(landed.err, None);
    }

    #[test]
    fn a_new_token_account_counts_from_zero_and_several_of_a_mint_are_summed() {
        let post = format!("[{},{}]", token("30", OWNER), token("12", OWNER));
        let landed = landed(&transaction(r#""err":null,"#, "[]", &post)).unwrap();
        assert_eq!(landed.deltas, [(MINT.parse().unwrap(), 42)]);
    }

    #[test]
    fn a_failure_keeps_its_fee_and_its_number() {
        let err = r#""err":{"InstructionError":[2,{"Custom":6005}]},"#;
        let landed = landed(&transaction(err, "[]", "[]")).unwrap();
        assert_eq!(landed.err.unwrap().custom, Some(6005));
    }

    #[test]
    fn what_is_missing_is_never_taken_for_a_success() {
        assert!(landed(&transaction("", "[]", "[]")).unwrap_err().contains("err"));
        assert!(landed(&transaction(r#""err":null,"#, "null", "[]")).is_err());
        let foreign = token("30", OWNER).replace(r#""owner":"#, r#""proprietor":"#);
        assert!(landed(&transaction(r#""err":null,"#, "[]", &format!("[{foreign}]"))).is_err());
        assert!(
            serde_json::from_str::<RawStatus>(r#"{"slot":1,"confirmationStatus":"confirmed"}"#)
                .is_err()
        );
        let other = transaction(r#""err":null,"#, "[]", "[]").replace(OWNER, MINT);
        assert_eq!(landed(&other).unwrap_err(), "not a transaction of ours");
    }

    #[test]
    fn a_list_longer_than_asked_for_is_refused_where_it_gets_too_long() {
        type Nulls = AtMost<Option<u64>, 3>;
        assert_eq!(serde_json::from_str::<Nulls>("[null,1,null]").unwrap().0.len(), 3);
        // What follows the fourth is not even looked at.
        let error = serde_json::from_str::<Nulls>("[1,2,3,4,x").err().unwrap();
        assert!(error.to_string().contains("more than were asked for"), "{error}");
    }

    proptest! {
        #[test]
        fn a_damaged_answer_never_panics(at in 0_usize..700, byte: u8) {
            let mut bytes = transaction(r#""err":null,"#, "[]", "[]").into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Ok(raw) = serde_json::from_slice::<RawTransaction>(&bytes)
                && let Ok(landed) = raw.landed(&OWNER.parse().unwrap())
            {
                prop_assert!(landed.deltas.is_empty());
            }
        }

        #[test]
        fn any_text_decodes_as_an_account_or_does_not(text: String) {
            let json = serde_json::json!({"lamports": 1, "owner": OWNER, "data": [text, "base64"]});
            if let Ok(raw) = serde_json::from_str::<RawAccount>(&json.to_string()) {
                prop_assert_eq!(STANDARD.encode(AccountInfo::from(raw).data), text);
            }
        }
    }
}
