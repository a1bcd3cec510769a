//! Asking the aggregator.

use std::time::Duration;

use reqwest::header::HeaderName;
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Bps};

use super::offer::{Offer, RawBuild, RawQuote};
use crate::rpc::ConnectError;
use crate::service::{Call, Pace, Service, ServiceConfig, ServiceError, ServiceKey};

/// Largest answer that is read: sixteen whole lookup tables, and the rest many times over.
const ANSWER_BYTES: usize = 512 << 10;
/// Routers that answer with somebody's own offer, which only its maker can sign for.
const MAKERS: &str = "jupiterz,dflow,okx";

/// Where the aggregator is, and how often it may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JupiterConfig(ServiceConfig);

impl JupiterConfig {
    /// Checks the address. `key` goes into the header `x-api-key`.
    ///
    /// # Errors
    /// [`ConnectError::Address`] names what is wrong, never the address.
    pub fn new(
        url: &str,
        key: Option<ServiceKey>,
        requests_per_minute: u32,
    ) -> Result<Self, ConnectError> {
        let key = key.map(|key| (HeaderName::from_static("x-api-key"), key));
        let pace = Pace::per_minute(requests_per_minute);
        ServiceConfig::new("jupiter", url, key, pace).map(Self)
    }
}

/// A swap that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What goes in.
    pub mint_in: Address,
    /// What comes out.
    pub mint_out: Address,
    /// How much goes in.
    pub amount_in: Atoms,
    /// How much less than the quote is still taken.
    pub slippage: Bps,
}

/// What the aggregator thinks a swap would bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// How much comes out, fees taken off.
    pub amount_out: Atoms,
}

/// The aggregator; cheap to clone.
#[derive(Clone, Debug)]
pub struct Jupiter {
    service: Service,
}

impl Jupiter {
    /// A client that has not asked yet.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(config: JupiterConfig) -> Result<Self, ConnectError> {
        Service::new(config.0).map(|service| Self { service })
    }

    /// What it would give, without a transaction.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn quote(&self, ask: &Ask, within: Duration) -> Result<Quote, ServiceError> {
        const NAME: &str = "order";
        let call = Call { name: NAME, within, answer_bytes: ANSWER_BYTES };
        let query = query(ask);
        let mut query = as_pairs(&query);
        query.push(("excludeRouters", MAKERS));
        let answer = self.service.get(call, "/swap/v2/order", &query).await?;
        let raw: RawQuote = self.service.read(NAME, &answer)?;
        self.judge(NAME, ask, &raw)
    }

    /// A swap as instructions. `taker` signs and pays; wrapped SOL stays wrapped, for only that is what an order has
    /// reserved.
    ///
    /// # Errors
    /// See [`ServiceError`]; an answer to another question is none.
    pub async fn build(
        &self,
        ask: &Ask,
        taker: Address,
        within: Duration,
    ) -> Result<Offer, ServiceError> {
        const NAME: &str = "build";
        let call = Call { name: NAME, within, answer_bytes: ANSWER_BYTES };
        let taker = taker.to_string();
        let query = query(ask);
        let mut query = as_pairs(&query);
        query.extend([("taker", taker.as_str()), ("wrapAndUnwrapSol", "false")]);
        let answer = self.service.get(call, "/swap/v2/build", &query).await?;
        let raw: RawBuild = self.service.read(NAME, &answer)?;
        self.judge(NAME, ask, &raw.quote)?;
        Ok(raw.into())
    }

    /// Whether it answers what was asked.
    fn judge(&self, call: &'static str, ask: &Ask, raw: &RawQuote) -> Result<Quote, ServiceError> {
        let impossible = |what| self.service.impossible(call, what);
        if (raw.input_mint.0, raw.output_mint.0) != (ask.mint_in, ask.mint_out) {
            return Err(impossible("of other mints than asked for"));
        }
        if raw.in_amount.0 != ask.amount_in.get() {
            return Err(impossible("of another amount than asked for"));
        }
        if raw.out_amount.0 == 0 {
            return Err(impossible("a swap that brings nothing"));
        }
        Ok(Quote { amount_out: Atoms::new(raw.out_amount.0) })
    }
}

fn query(ask: &Ask) -> [(&'static str, String); 4] {
    [
        ("inputMint", ask.mint_in.to_string()),
        ("outputMint", ask.mint_out.to_string()),
        ("amount", ask.amount_in.get().to_string()),
        ("slippageBps", ask.slippage.get().to_string()),
    ]
}

fn as_pairs<'a>(query: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
