//! The methods of a node that an engine needs, typed.

use bytes::Bytes;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use sniper_core::ids::{Address, Signature};
use sniper_core::units::{BlockHeight, Lamports, Slot};
use solana_hash::Hash;

use super::error::RpcError;
use super::floor::Since;
use super::pool::RpcConnectionPool;
use super::raw::{
    AtMost, Named, Parsed, RawAccount, RawBlockhash, RawKeyed, RawSimulation, RawStatus,
    RawTokenAmount, RawTransaction, Text, Wrapped,
};
use super::read::Weight;
use super::send::SendReport;
use super::types::{
    AccountFilter, AccountInfo, At, Commitment, Landed, LatestBlockhash, OwnedToken,
    SignatureStatus, Simulation, TokenAccount, TokenAmount,
};
use super::wire;

/// Most signatures of one `getSignatureStatuses`.
pub(crate) const SIGNATURES_MAX: usize = 256;

/// The options of a read. Encoding and commitment are always said: a node's defaults are not ours.
#[derive(Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Options<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    commitment: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_context_slot: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filters: Option<&'a [RawFilter]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_transaction_history: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_supported_transaction_version: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig_verify: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replace_recent_blockhash: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<Shown<'a>>,
}

/// Accounts to be shown as a simulation leaves them.
#[derive(Clone, Copy, Serialize)]
struct Shown<'a> {
    encoding: &'static str,
    addresses: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RawFilter {
    DataSize(u64),
    Memcmp { offset: usize, bytes: String },
}

impl Options<'_> {
    pub(super) fn at(commitment: Commitment) -> Self {
        Self { commitment: Some(commitment.as_str()), ..Self::default() }
    }

    /// Of one transaction, as JSON, of any version there is.
    pub(super) fn transaction(commitment: Commitment) -> Self {
        Self {
            encoding: Some("json"),
            max_supported_transaction_version: Some(0),
            ..Self::at(commitment.max(Commitment::Confirmed))
        }
    }

    /// Of no older state than that.
    pub(super) fn since(since: Since) -> Self {
        let min_context_slot = (since.least > 0).then_some(since.least);
        Self { min_context_slot, ..Self::at(since.commitment) }
    }

    pub(super) fn base64(since: Since) -> Self {
        Self { encoding: Some("base64"), ..Self::since(since) }
    }
}

/// Any answer of the right shape will do.
pub(super) fn any<T>(_: &T) -> Result<(), &'static str> {
    Ok(())
}

/// A transaction, told by its name.
struct Sent(Signature);

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(deserializer)?;
        let bytes = bs58::decode(text.0.as_bytes()).into_vec().ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| Self(Signature(bytes))).ok_or_else(|| D::Error::custom("not a signature"))
    }
}

/// The name of a transaction as the wire has it.
pub(crate) fn base58(signature: &Signature) -> String {
    bs58::encode(signature.0).into_string()
}

impl RpcConnectionPool {
    /// The chain's genesis hash.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn genesis_hash(&self) -> Result<Hash, RpcError> {
        let none: [(); 0] = [];
        let hash: Parsed<Hash> = self.read("getGenesisHash", &none, Weight::Light, any).await?;
        Ok(hash.0)
    }

    /// A blockhash to build on.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn latest_blockhash(
        &self,
        commitment: Commitment,
    ) -> Result<At<LatestBlockhash>, RpcError> {
        let since = self.since(commitment);
        let params = [Options::since(since)];
        let answer: Wrapped<RawBlockhash> =
            self.read_since(since, "getLatestBlockhash", &params, any).await?;
        Ok(answer.map(|raw| LatestBlockhash {
            hash: raw.blockhash.0,
            last_valid: BlockHeight::new(raw.last_valid_block_height),
        }))
    }

    /// The slot the node is at.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn slot(&self, commitment: Commitment) -> Result<Slot, RpcError> {
        let since = self.since(commitment);
        let slot: u64 = self.read_since(since, "getSlot", &[Options::since(since)], any).await?;
        Ok(Slot::new(slot))
    }

    /// Blocks below the node's tip.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn block_height(&self, commitment: Commitment) -> Result<BlockHeight, RpcError> {
        let params = [Options::since(self.since(commitment))];
        let height = self.read("getBlockHeight", &params, Weight::Light, any).await?;
        Ok(BlockHeight::new(height))
    }

    /// Lamports of an account; zero if there is none.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn balance(
        &self,
        address: &Address,
        commitment: Commitment,
    ) -> Result<At<Lamports>, RpcError> {
        let since = self.since(commitment);
        let params = (address.to_string(), Options::since(since));
        let answer: Wrapped<u64> = self.read_since(since, "getBalance", &params, any).await?;
        Ok(answer.map(Lamports::new))
    }

    /// An account, or none, by a request of its own.
    pub(super) async fn single_account(
        &self,
        address: &Address,
        commitment: Commitment,
    ) -> Result<At<Option<AccountInfo>>, RpcError> {
        let since = self.since(commitment);
        let params = (address.to_string(), Options::base64(since));
        let answer: Wrapped<Option<RawAccount>> =
            self.read_since(since, "getAccountInfo", &params, any).await?;
        Ok(answer.map(|raw| raw.map(AccountInfo::from)))
    }

    /// Accounts of a program that pass all filters (at most four). Slow and often refused: never on the hot path.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn program_accounts(
        &self,
        program: &Address,
        filters: &[AccountFilter],
        commitment: Commitment,
    ) -> Result<Vec<(Address, AccountInfo)>, RpcError> {
        let filters: Vec<RawFilter> = filters.iter().map(raw_filter).collect();
        let options =
            Options { filters: Some(&filters), ..Options::base64(self.since(commitment)) };
        let accounts: Vec<RawKeyed> = self
            .read("getProgramAccounts", &(program.to_string(), options), Weight::Heavy, any)
            .await?;
        Ok(accounts.into_iter().map(|raw| (raw.pubkey.0, raw.account.into())).collect())
    }

    /// What a token account holds. Fails with -32602 when there is none, which a lagging node says too.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn token_account_balance(
        &self,
        address: &Address,
        commitment: Commitment,
    ) -> Result<At<TokenAmount>, RpcError> {
        let params = (address.to_string(), Options::at(commitment));
        let answer: Wrapped<RawTokenAmount> =
            self.read_since(self.since(commitment), "getTokenAccountBalance", &params, any).await?;
        Ok(answer.map(TokenAmount::from))
    }

    /// All accounts of `owner` under a token program.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn token_accounts_by_owner(
        &self,
        owner: &Address,
        token_program: &Address,
        commitment: Commitment,
    ) -> Result<At<Vec<OwnedToken>>, RpcError> {
        let program = std::collections::BTreeMap::from([("programId", token_program.to_string())]);
        let since = self.since(commitment);
        let params = (owner.to_string(), program, Options::base64(since));
        let answer: Wrapped<Vec<RawKeyed>> =
            self.read_since(since, "getTokenAccountsByOwner", &params, any).await?;
        let owned = |raw: RawKeyed| {
            let account = AccountInfo::from(raw.account);
            let token = TokenAccount::decode(&account.data)?;
            Some(OwnedToken { address: raw.pubkey.0, token, lamports: account.lamports })
        };
        Ok(answer.map(|list| list.into_iter().filter_map(owned).collect()))
    }

    /// Lamports that keep an account of `length` bytes alive.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn minimum_balance_for_rent_exemption(
        &self,
        length: usize,
    ) -> Result<Lamports, RpcError> {
        let method = "getMinimumBalanceForRentExemption";
        let params = (length, Options::at(Commitment::Confirmed));
        Ok(Lamports::new(self.read(method, &params, Weight::Light, any).await?))
    }

    /// How far transactions have come, in the order asked. None means "not seen here", never "failed". Taken from any
    /// state: a status seen is seen, however old.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn signature_statuses(
        &self,
        signatures: &[Signature],
        search_history: bool,
    ) -> Result<At<Vec<Option<SignatureStatus>>>, RpcError> {
        let mut all = At { slot: Slot::MAX, value: Vec::with_capacity(signatures.len()) };
        for part in signatures.chunks(SIGNATURES_MAX) {
            let check = |answer: &Wrapped<AtMost<Option<RawStatus>, SIGNATURES_MAX>>| {
                if answer.value.0.len() == part.len() {
                    Ok(())
                } else {
                    Err("another number of statuses")
                }
            };
            let params = status_params(part, search_history);
            let answer = self.read("getSignatureStatuses", &params, Weight::Light, check).await?;
            all.slot = all.slot.min(answer.slot());
            all.value.extend(answer.value.0.into_iter().map(|raw| raw.map(SignatureStatus::from)));
        }
        Ok(all)
    }

    /// A landed transaction, as seen by `owner`; none if the node does not know it (yet).
    ///
    /// # Errors
    /// As every read, and [`RpcError::Impossible`] for one that is not what was asked for.
    pub async fn transaction(
        &self,
        signature: &Signature,
        owner: &Address,
        commitment: Commitment,
    ) -> Result<Option<Landed>, RpcError> {
        let method = "getTransaction";
        let name = base58(signature);
        let options = Options::transaction(commitment);
        let check = |answer: &Option<RawTransaction>| match answer {
            Some(raw) if !raw.is(&name) => Err("another transaction than asked for"),
            // Read here and once more below: which endpoint is to blame for a wrong answer is known here alone.
            Some(raw) => raw.landed(owner).map(drop),
            None => Ok(()),
        };
        let answer = self.read(method, &(&name, options), Weight::Light, check).await?;
        let landed = answer.map(|raw| raw.landed(owner)).transpose();
        landed.map_err(|what| RpcError::Impossible { endpoint: "all".into(), method, what })
    }

    /// What a node thinks a signed transaction would do now.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn simulate(
        &self,
        transaction_base64: &str,
        commitment: Commitment,
    ) -> Result<At<Simulation>, RpcError> {
        let since = self.since(commitment);
        let options = Options { sig_verify: Some(true), ..Options::base64(since) };
        let params = (transaction_base64, options);
        let answer: Wrapped<Named<RawSimulation>> =
            self.read_since(since, "simulateTransaction", &params, any).await?;
        Ok(answer.map(|Named(raw)| Simulation {
            err: raw.err,
            logs: raw.logs.unwrap_or_default(),
            units: raw.units_consumed,
        }))
    }

    /// What a node thinks an unsigned transaction would do on a blockhash of the node's own, and what accounts would
    /// hold then, in the order of `shown`.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn rehearse(
        &self,
        transaction_base64: &str,
        commitment: Commitment,
        shown: &[Address],
    ) -> Result<At<(Simulation, Vec<Option<AccountInfo>>)>, RpcError> {
        let addresses: Vec<String> = shown.iter().map(Address::to_string).collect();
        let since = self.since(commitment);
        let options = Options {
            sig_verify: Some(false),
            replace_recent_blockhash: Some(true),
            accounts: Some(Shown { encoding: "base64", addresses: &addresses }),
            ..Options::base64(since)
        };
        let params = (transaction_base64, options);
        let check = |Named(raw): &Named<RawSimulation>| match &raw.accounts {
            Some(told) if told.len() != shown.len() => {
                Err("another number of accounts than asked for")
            }
            _ => Ok(()),
        };
        let answer: Wrapped<Named<RawSimulation>> = self
            .read_since(since, "simulateTransaction", &params, |answer: &Wrapped<_>| {
                check(&answer.value)
            })
            .await?;
        Ok(answer.map(|Named(raw)| {
            // Of those that are not told nothing is known.
            let told = raw.accounts.unwrap_or_default().into_iter();
            let accounts: Vec<_> = told.map(|raw| raw.map(AccountInfo::from)).collect();
            let simulation = Simulation {
                err: raw.err,
                logs: raw.logs.unwrap_or_default(),
                units: raw.units_consumed,
            };
            (simulation, accounts)
        }))
    }

    /// Hands signed bytes to all usable endpoints at once and returns when the first took them. Nothing is repeated
    /// here; whoever repeats must use the same bytes.
    ///
    /// # Errors
    /// What each endpoint said. The transaction may have gone out all the same: ask the chain.
    pub fn send_transaction(
        &self,
        request: &SendRequest,
    ) -> impl Future<Output = Result<SendReport, Vec<RpcError>>> + Send + use<> {
        self.send_to_all(&request.body, request.signature)
    }

    /// Asks a test network for lamports.
    ///
    /// # Errors
    /// As every call; it is not repeated, for it may have worked.
    pub async fn request_airdrop(
        &self,
        to: &Address,
        lamports: Lamports,
    ) -> Result<Signature, RpcError> {
        let params = (to.to_string(), lamports.get());
        let sent: Sent = self.call("requestAirdrop", &params).await?;
        Ok(sent.0)
    }
}

pub(crate) fn status_params(
    signatures: &[Signature],
    search_history: bool,
) -> impl Serialize + use<> {
    let names: Vec<String> = signatures.iter().map(base58).collect();
    let options =
        Options { search_transaction_history: Some(search_history), ..Options::default() };
    (names, options)
}

pub(crate) fn commitment_params(commitment: Commitment) -> impl Serialize {
    [Options::at(commitment)]
}

pub(crate) fn raw_filter(filter: &AccountFilter) -> RawFilter {
    match filter {
        AccountFilter::DataSize(size) => RawFilter::DataSize(*size),
        AccountFilter::Memcmp { offset, bytes } => {
            RawFilter::Memcmp { offset: *offset, bytes: bs58::encode(bytes).into_string() }
        }
    }
}

/// A signed transaction as the request that sends it: written once, sent as often as needed.
#[derive(Clone, Debug)]
pub struct SendRequest {
    body: Bytes,
    signature: Signature,
}

impl SendRequest {
    /// Writes the request. `preflight` makes the node simulate first; its own retries are always off, since the
    /// caller owns repeating.
    ///
    /// # Errors
    /// [`RpcError::Encode`], which plain text cannot cause.
    pub fn new(
        transaction_base64: &str,
        signature: Signature,
        preflight: bool,
    ) -> Result<Self, RpcError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct SendOptions {
            encoding: &'static str,
            skip_preflight: bool,
            preflight_commitment: &'static str,
            max_retries: u32,
        }
        let options = SendOptions {
            encoding: "base64",
            skip_preflight: !preflight,
            preflight_commitment: Commitment::Confirmed.as_str(),
            max_retries: 0,
        };
        // Besides the transaction some two hundred bytes.
        let bytes = transaction_base64.len().saturating_add(256);
        let params = (transaction_base64, options);
        let body = wire::request_of("sendTransaction", &params, bytes)?;
        Ok(Self { body, signature })
    }

    /// The transaction in base64, out of the request that was written with it.
    pub(crate) fn transaction(&self) -> Option<&str> {
        let begin = b"\"params\":[\"";
        let at = memchr::memmem::find(&self.body, begin)?.checked_add(begin.len())?;
        let rest = self.body.get(at..)?;
        let end = memchr::memchr(b'"', rest)?;
        std::str::from_utf8(rest.get(..end)?).ok()
    }

    /// The transaction's name.
    #[must_use]
    pub const fn signature(&self) -> Signature {
        self.signature
    }
}
