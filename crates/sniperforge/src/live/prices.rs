//! The independent price: a Jupiter-compatible price service, asked a few times a second.
//!
//! What the collar compares every quote with must not come from the pools that are traded. An answer that
//! cannot be read, or a mint that is absent from it, is no price: the last one ages and review refuses.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;
use sniper_core::event::{Event, MarketEvent};
use sniper_core::ids::{Address, MintId};
use tokio::sync::{mpsc, watch};

use crate::backtest::price_from_decimal;
use crate::telemetry::MetricsCollector;

/// Where to ask, and for what.
#[derive(Clone)]
pub(super) struct PriceSource {
    /// Address of the service up to the query; may hold a key, so it is never shown.
    pub(super) url: String,
    /// How often.
    pub(super) every: Duration,
    /// Mints to price, with their decimals; they may change.
    pub(super) mints: watch::Receiver<Vec<Priced>>,
}

/// A mint to price, and its decimals.
pub(super) type Priced = (MintId, Address, u8);

/// Mints asked for at once: the most that the service takes.
const IDS_MAX: usize = 50;

/// `GET /price/v3?ids=`: an object keyed by mint; a mint without a reliable price is absent.
#[derive(Deserialize)]
struct Quoted<'a> {
    #[serde(rename = "usdPrice", borrow)]
    usd_price: &'a RawValue,
}

/// Why no price came.
#[derive(Debug, thiserror::Error)]
enum PriceError {
    #[error("no answer from the price service")]
    Request(#[source] reqwest::Error),
    #[error("the price service answered with status {0}")]
    Status(u16),
    #[error("unreadable answer of the price service")]
    Decode(#[source] serde_json::Error),
}

/// Asks for as long as somebody listens.
pub(super) async fn follow(
    client: reqwest::Client,
    mut source: PriceSource,
    events: mpsc::Sender<Event>,
    metrics: MetricsCollector,
) {
    let mut every = tokio::time::interval(source.every);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        every.tick().await;
        let mints = source.mints.borrow_and_update().clone();
        match ask_all(&client, &source.url, &mints, &metrics).await {
            Ok(prices) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("independent prices are back");
                }
                for event in prices {
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                // Once per outage: what ages is shown on the page, and refusals count it.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "no independent price");
                }
                if events.is_closed() {
                    return;
                }
            }
        }
    }
}

async fn ask_all(
    client: &reqwest::Client,
    url: &str,
    mints: &[Priced],
    metrics: &MetricsCollector,
) -> Result<Vec<Event>, PriceError> {
    let mut all = Vec::with_capacity(mints.len());
    for part in mints.chunks(IDS_MAX) {
        let ids: Vec<String> = part.iter().map(|(_, address, _)| address.to_string()).collect();
        let begun = Instant::now();
        let body = ask(client, &format!("{url}?ids={}", ids.join(","))).await;
        metrics.record_api_latency("prices", begun.elapsed());
        let body = body?;
        all.extend(parse(&body, part)?);
    }
    Ok(all)
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<String, PriceError> {
    // The address may hold a key: it is taken out of errors.
    let hide = |error: reqwest::Error| PriceError::Request(error.without_url());
    let answer = client.get(url).send().await.map_err(hide)?;
    if !answer.status().is_success() {
        return Err(PriceError::Status(answer.status().as_u16()));
    }
    answer.text().await.map_err(hide)
}

fn parse(body: &str, mints: &[Priced]) -> Result<Vec<Event>, PriceError> {
    let quoted: BTreeMap<&str, Option<Quoted<'_>>> =
        serde_json::from_str(body).map_err(PriceError::Decode)?;
    let events = mints.iter().filter_map(|(mint, address, decimals)| {
        let quoted = quoted.get(address.to_string().as_str())?.as_ref()?;
        // Dollars per token are six decimals of millionths; exact from the text on.
        let usd = price_from_decimal(quoted.usd_price.get(), *decimals, 6).ok()?;
        Some(Event::Market(MarketEvent::Reference { mint: *mint, usd }))
    });
    Ok(events.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sniper_core::units::{Atoms, Price};

    const SOL: Address = Address::from_str_const("So11111111111111111111111111111111111111112");

    #[test]
    fn a_price_is_read_from_its_digits_and_not_through_a_float() {
        let body = format!(r#"{{"{SOL}":{{"usdPrice":151.0000001,"blockId":5,"decimals":9}}}}"#);
        let events = parse(&body, &[(MintId(2), SOL, 9)]).unwrap();
        let [Event::Market(MarketEvent::Reference { mint, usd })] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!(*mint, MintId(2));
        assert_eq!(*usd, Price::of(1_510_000_001, 10_000_000_000).unwrap());
        assert_eq!(usd.value_up(Atoms::new(10_000_000_000)), Some(Atoms::new(1_510_000_001)));
    }

    #[test]
    fn an_absent_null_or_senseless_price_is_no_price() {
        for body in [
            "{}".to_owned(),
            format!(r#"{{"{SOL}":null}}"#),
            format!(r#"{{"{SOL}":{{"usdPrice":"abc"}}}}"#),
            format!(r#"{{"{SOL}":{{"usdPrice":-3}}}}"#),
            format!(r#"{{"{SOL}":{{"usdPrice":null}}}}"#),
        ] {
            assert_eq!(parse(&body, &[(MintId(2), SOL, 9)]).unwrap(), [], "{body}");
        }
        assert!(parse("<html>", &[(MintId(2), SOL, 9)]).is_err());
    }
}
