//! Checking who else may take part in an order.

use std::path::PathBuf;
use std::time::Duration;

use sniper_core::units::{Lamports, Usd};
use sniper_solana::jito::TIP_MIN;
use sniper_solana::venue::Handover;

use super::check::{Check, Checked};
use super::error::Problem;
use super::raw::{RawConfig, RawJito, RawJupiter};
use super::{Jito, Jupiter};

/// The most that the cap of tips may be: a tenth of a SOL, as for priority fees.
const TIP_CAP_MAX: i64 = 100_000_000;

impl Check<'_> {
    pub(super) fn jupiter(&self, raw: &RawConfig) -> Checked<Option<Jupiter>> {
        let RawJupiter { r#use, url, key_file, requests_per_minute, .. } = &raw.jupiter;
        let key = "jupiter.use";
        let is_used = match self.present(key, r#use.as_deref())? {
            "never" => false,
            "when_better" => true,
            _ => return Err(self.invalid(key, Problem::Usage { words: "never or when_better" })),
        };
        let key = "jupiter.url";
        let url = self.url(key, self.present(key, url.as_deref())?, ["http", "https"])?;
        let wait: u64 = self.unsigned("jupiter.wait_ms", raw.jupiter.wait_ms, 50, 60_000)?;
        let checked = Jupiter {
            url: url.into(),
            key_file: self.key_file("jupiter.key_file", key_file.as_deref())?,
            requests_per_minute: self.unsigned(
                "jupiter.requests_per_minute",
                *requests_per_minute,
                1,
                100_000,
            )?,
            margin: self.bps("jupiter.margin_bps", raw.jupiter.margin_bps, 0, 9_999)?,
            at_least: self.dollars(
                "jupiter.at_least_usd",
                raw.jupiter.at_least_usd.as_ref(),
                Usd::ZERO,
            )?,
            wait: Duration::from_millis(wait),
        };
        let ttl = raw.risk.order_ttl_ms.and_then(|ttl| u64::try_from(ttl).ok());
        if is_used && ttl.is_some_and(|ttl| ttl < wait.saturating_add(200)) {
            let odds = "leaves an order no time to be built: raise risk.order_ttl_ms above it by 200 or more";
            return Err(self.invalid("jupiter.wait_ms", Problem::Odds(odds.to_owned())));
        }
        Ok(is_used.then_some(checked))
    }

    /// With the tip of each order.
    pub(super) fn jito(&self, raw: &RawJito) -> Checked<Option<(Jito, Lamports)>> {
        let key = "jito.use";
        let handover = match self.present(key, raw.r#use.as_deref())? {
            "never" => None,
            "transaction" => Some(Handover::Transaction),
            "bundle" => Some(Handover::Bundle),
            _ => {
                let words = "never, transaction or bundle";
                return Err(self.invalid(key, Problem::Usage { words }));
            }
        };
        let mut endpoints = Vec::new();
        for (nth, text) in raw.endpoints.iter().flatten().enumerate() {
            let key = format!("jito.endpoints.{nth}");
            let url: String = self.url(&key, text, ["http", "https"])?.into();
            if endpoints.contains(&url) {
                return Err(self.invalid(&key, Problem::Duplicate));
            }
            endpoints.push(url);
        }
        let key_file = self.key_file("jito.key_file", raw.key_file.as_deref())?;
        let least = i64::try_from(TIP_MIN).unwrap_or(i64::MAX);
        let cap = self.whole("jito.tip_cap_lamports", raw.tip_cap_lamports, least, TIP_CAP_MAX)?;
        let tip = self.unsigned("jito.tip_lamports", raw.tip_lamports, least, cap)?;
        let Some(handover) = handover else { return Ok(None) };
        if endpoints.is_empty() {
            let odds = "is empty: name a block engine, or set jito.use = \"never\"";
            return Err(self.invalid("jito.endpoints", Problem::Odds(odds.to_owned())));
        }
        Ok(Some((Jito { handover, endpoints, key_file }, Lamports::new(tip))))
    }

    fn key_file(&self, key: &str, path: Option<&str>) -> Checked<Option<PathBuf>> {
        path.map(|_| self.path(key, path)).transpose()
    }
}
