//! Asking the block engine.

use std::time::Duration;

use reqwest::header::HeaderName;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sniper_core::ids::{Address, Signature};
use sniper_core::units::Slot;
use thiserror::Error;

use crate::rpc::raw::{AtMost, Parsed, Wrapped};
use crate::rpc::{ConnectError, EndpointName, RpcError, wire};
use crate::service::{Call, Pace, Service, ServiceConfig, ServiceError, ServiceKey};

/// Transactions of one bundle, and bundles of one question.
const BUNDLE_MAX: usize = 5;
/// Tip accounts that an answer may name.
const ACCOUNTS_MAX: usize = 64;
/// Longest name of a bundle that is taken.
const NAME_MAX: usize = 128;
/// How long an answer is waited for.
const WITHIN: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const ANSWER_BYTES: usize = 64 << 10;

/// A block engine, and how often it may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JitoConfig(ServiceConfig);

impl JitoConfig {
    /// Checks the address; one request a second, which is what anybody is allowed. `key` goes into the header
    /// `x-jito-auth`.
    ///
    /// # Errors
    /// [`ConnectError::Address`] names what is wrong, never the address.
    pub fn new(name: &str, url: &str, key: Option<ServiceKey>) -> Result<Self, ConnectError> {
        let key = key.map(|key| (HeaderName::from_static("x-jito-auth"), key));
        let pace = Pace::one_every(Duration::from_secs(1));
        ServiceConfig::new(name, url, key, pace).map(Self)
    }
}

/// The name of a bundle: whatever the block engine gave, not to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleId(Box<str>);

impl BundleId {
    fn new(text: &str) -> Option<Self> {
        let fits = (1..=NAME_MAX).contains(&text.len());
        (fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| Self(text.into()))
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the block engine says of a bundle of the last minutes. A hint: only the chain knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// It does not know it; a moment after it was sent, that means nothing.
    Invalid,
    /// It waits.
    Pending,
    /// It was not taken.
    Failed,
    /// It is in a block.
    Landed(Option<Slot>),
}

/// A bundle that landed, by the block engine's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landed {
    /// Its transactions.
    pub signatures: Vec<Signature>,
    /// Where.
    pub slot: Slot,
}

/// Transactions that land together, in order and in one block, or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Bundle<'a>(&'a [&'a str]);

impl<'a> Bundle<'a> {
    /// One to five signed transactions in base64.
    #[must_use]
    pub const fn new(transactions: &'a [&'a str]) -> Option<Self> {
        if transactions.is_empty() || transactions.len() > BUNDLE_MAX {
            return None;
        }
        Some(Self(transactions))
    }
}

/// Why a block engine gave no usable answer. Whether it passed bytes on is unknown: ask the chain.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JitoError {
    /// No answer.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// An answer that says no, or nothing that could be read.
    #[error(transparent)]
    Answer(#[from] RpcError),
}

/// A block engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Jito {
    service: Service,
}

#[derive(Serialize)]
struct Encoding {
    encoding: &'static str,
}

const BASE64: Encoding = Encoding { encoding: "base64" };

impl Jito {
    /// A client that has not asked yet.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(config: JitoConfig) -> Result<Self, ConnectError> {
        Service::new(config.0).map(|service| Self { service })
    }

    /// Its name, for logs.
    #[must_use]
    pub fn name(&self) -> &EndpointName {
        self.service.name()
    }

    /// Hands over one signed transaction in base64; it gives its name. There is no preflight.
    ///
    /// # Errors
    /// See [`JitoError`].
    pub async fn send_transaction(&self, transaction: &str) -> Result<String, JitoError> {
        const METHOD: &str = "sendTransaction";
        let params = (transaction, BASE64);
        self.call(METHOD, "/api/v1/transactions", &params).await
    }

    /// Hands over a bundle; its name.
    ///
    /// # Errors
    /// See [`JitoError`].
    pub async fn send_bundle(&self, bundle: Bundle<'_>) -> Result<BundleId, JitoError> {
        const METHOD: &str = "sendBundle";
        let params = (bundle.0, BASE64);
        let name: String = self.call(METHOD, "/api/v1/bundles", &params).await?;
        BundleId::new(&name).ok_or_else(|| self.impossible(METHOD, "not the name of a bundle"))
    }

    /// Where tips go, by its word: to be compared with [`super::TIP_ACCOUNTS`].
    ///
    /// # Errors
    /// See [`JitoError`].
    pub async fn tip_accounts(&self) -> Result<Vec<Address>, JitoError> {
        const METHOD: &str = "getTipAccounts";
        let none: [(); 0] = [];
        let accounts: AtMost<Parsed<Address>, ACCOUNTS_MAX> =
            self.call(METHOD, "/api/v1/getTipAccounts", &none).await?;
        Ok(accounts.0.into_iter().map(|account| account.0).collect())
    }

    /// What has become of bundles of the last five minutes, in the order asked.
    ///
    /// # Errors
    /// See [`JitoError`].
    pub async fn inflight_statuses(&self, ids: &[BundleId]) -> Result<Vec<InFlight>, JitoError> {
        #[derive(Deserialize)]
        struct Raw {
            bundle_id: String,
            status: Word,
            landed_slot: Option<u64>,
        }
        #[derive(Deserialize)]
        enum Word {
            Invalid,
            Pending,
            Failed,
            Landed,
        }
        const METHOD: &str = "getInflightBundleStatuses";
        let params = (names(ids),);
        let answer: Wrapped<Option<AtMost<Raw, BUNDLE_MAX>>> =
            self.call(METHOD, "/api/v1/getInflightBundleStatuses", &params).await?;
        let told = answer.value.map_or_else(Vec::new, |told| told.0);
        let of = |id: &BundleId| {
            let raw = told.iter().find(|raw| raw.bundle_id == id.as_str());
            raw.map_or(InFlight::Invalid, |raw| match raw.status {
                Word::Invalid => InFlight::Invalid,
                Word::Pending => InFlight::Pending,
                Word::Failed => InFlight::Failed,
                Word::Landed => InFlight::Landed(raw.landed_slot.map(Slot::new)),
            })
        };
        Ok(ids.iter().map(of).collect())
    }

    /// Which bundles have landed and where, in the order asked; none for one it does not know.
    ///
    /// # Errors
    /// See [`JitoError`].
    pub async fn bundle_statuses(
        &self,
        ids: &[BundleId],
    ) -> Result<Vec<Option<Landed>>, JitoError> {
        #[derive(Deserialize)]
        struct Raw {
            bundle_id: String,
            transactions: AtMost<String, BUNDLE_MAX>,
            slot: u64,
        }
        const METHOD: &str = "getBundleStatuses";
        let params = (names(ids),);
        let answer: Wrapped<Option<AtMost<Option<Raw>, BUNDLE_MAX>>> =
            self.call(METHOD, "/api/v1/getBundleStatuses", &params).await?;
        let told: Vec<Raw> =
            answer.value.map_or_else(Vec::new, |told| told.0.into_iter().flatten().collect());
        let signature = |text: &String| {
            let bytes = bs58::decode(text).into_vec().ok();
            let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).map(Signature);
            bytes.ok_or_else(|| self.impossible(METHOD, "not a signature"))
        };
        let of = |id: &BundleId| {
            let Some(raw) = told.iter().find(|raw| raw.bundle_id == id.as_str()) else {
                return Ok(None);
            };
            let signatures = raw.transactions.0.iter().map(signature).collect::<Result<_, _>>()?;
            Ok(Some(Landed { signatures, slot: Slot::new(raw.slot) }))
        };
        ids.iter().map(of).collect()
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        path: &str,
        params: &impl Serialize,
    ) -> Result<T, JitoError> {
        let body = wire::request(method, params)?;
        let call = Call { name: method, within: WITHIN, answer_bytes: ANSWER_BYTES };
        let answer = self.service.post(call, path, body).await?;
        Ok(wire::open(self.name(), method, &answer)?)
    }

    fn impossible(&self, call: &'static str, what: &'static str) -> JitoError {
        JitoError::Service(self.service.impossible(call, what))
    }
}

fn names(ids: &[BundleId]) -> Vec<&str> {
    ids.iter().take(BUNDLE_MAX).map(BundleId::as_str).collect()
}
