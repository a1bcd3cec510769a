//! Arguments of the commands that trade.

use std::path::PathBuf;
use std::time::Duration;

use sniper_wallet::PassphraseSource;

use crate::config::{Config, Reload};
use crate::telemetry::LogRing;

/// Arguments of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// How long to trade, such as 60s or 2m; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub run_for: Option<Duration>,
    /// Seed of the local market: the same seed starts the same market.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Serve no page.
    #[arg(long)]
    pub headless: bool,
    /// Keep journal and tables in this folder instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Trade on a local chain that runs already instead of starting one.
    #[arg(long, value_name = "URL")]
    pub attach: Option<String>,
    /// Reach that chain through these addresses, such as those of fault proxies, in the place of its own.
    #[arg(long, value_name = "URL", requires = "attach", hide = true)]
    pub through: Vec<String>,
    /// Reach that chain through the endpoints of this configuration, and follow its changes.
    #[arg(long, value_name = "FILE", requires = "attach", conflicts_with = "through", hide = true)]
    pub endpoints: Option<PathBuf>,
    /// Records after which the journal goes on in another segment.
    #[arg(long, value_name = "N", hide = true)]
    pub segment_records: Option<u64>,
    /// Break the endpoints in turn, lose transactions and let the chain fork, as the seed has it: the ledger must equal the
    /// chain all the same.
    #[arg(long, conflicts_with = "attach")]
    pub faults: bool,
    /// How often ledger and chain are compared.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60s", hide = true)]
    pub compare: Duration,
    /// New coins are made on the local chain this often, and the strategy for them runs too; every 5s unless said.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_duration,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5s"
    )]
    pub launches: Option<Duration>,
    /// Port of the page on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 8080, conflicts_with = "headless")]
    pub port: u16,
    /// Standard output carries one JSON document, so nothing else may be printed there.
    #[arg(skip)]
    pub json: bool,
    /// The last log lines, for the page.
    #[arg(skip)]
    pub log: Option<LogRing>,
}

/// Flags of `trade`.
#[derive(Clone, Debug, clap::Args)]
pub struct TradeFlags {
    /// Trade with real money: needs chain, key and caps in the configuration, and a challenge typed at start.
    #[arg(long)]
    pub live: bool,
    /// How long to trade, such as 10m; without it, until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub run_for: Option<Duration>,
    /// Serve no page.
    #[arg(long)]
    pub headless: bool,
    /// Where the passphrase of the key comes from.
    #[command(flatten)]
    pub passphrase: PassphraseFlags,
}

/// What `trade` runs on.
#[derive(Clone, Debug)]
pub struct TradeArgs {
    /// The checked configuration.
    pub config: Config,
    /// Where it came from: its endpoints are taken up when they change.
    pub reload: Option<Reload>,
    /// Whether real money is at stake.
    pub live: bool,
    /// How long, or until Ctrl-C.
    pub run_for: Option<Duration>,
    /// Serve no page.
    pub headless: bool,
    /// Where the passphrase of the key comes from.
    pub passphrase: PassphraseSource,
    /// Standard output carries one JSON document, so nothing else may be printed there.
    pub json: bool,
    /// The last log lines, for the page.
    pub log: LogRing,
}

/// Arguments of `replay`.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// The journal.
    #[arg(value_name = "JOURNAL")]
    pub journal: PathBuf,
}

/// Where a passphrase comes from. It is never an argument or a variable itself: others can read those.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PassphraseFlags {
    /// Read the passphrase from a file that only you can read (mode 0600).
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_fd")]
    pub passphrase_file: Option<PathBuf>,
    /// Read the passphrase from this open file descriptor.
    #[arg(long, value_name = "N")]
    pub passphrase_fd: Option<u32>,
}

impl PassphraseFlags {
    /// The source: what was asked for, else the configured file, else the terminal.
    #[must_use]
    pub fn source(
        &self,
        configured: Option<&PathBuf>,
        on_terminal: PassphraseSource,
    ) -> PassphraseSource {
        match (self.passphrase_fd, self.passphrase_file.as_ref().or(configured)) {
            (Some(descriptor), _) => PassphraseSource::Descriptor(descriptor),
            (None, Some(path)) => PassphraseSource::File(path.clone()),
            (None, None) => on_terminal,
        }
    }
}

/// A span of time such as `60s`, `2m`, `1h` or `500ms`.
///
/// # Errors
///
/// What to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const ADVICE: &str = "write a whole number and a unit, such as 500ms, 60s, 2m or 1h";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| ADVICE.to_owned())?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(ADVICE.to_owned()),
    };
    match number.checked_mul(millis) {
        Some(0) => Err("must be longer than nothing".to_owned()),
        Some(millis) if millis <= 366 * 86_400_000 => Ok(Duration::from_millis(millis)),
        _ => Err("must be at most a year".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_number_and_a_unit() {
        assert_eq!(parse_duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for text in
            ["", "60", "s", "-1s", "1.5s", "1 s", "0s", "99999999999999999999s", "9999999h", "1d"]
        {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
