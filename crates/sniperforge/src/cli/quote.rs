//! `quote`: the best way through the configured pools, worked out here.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use sniper_core::ids::{Address, MintId};
use sniper_core::market::Market;
use sniper_core::order::MAX_HOPS;
use sniper_core::route::{Index, NoRoute, Routed, best_route, best_split};
use sniper_core::units::{Atoms, Bps};
use sniper_solana::jupiter::{Ask, Jupiter, JupiterConfig};
use sniper_solana::rpc::{PoolSettings, RpcConnectionPool};

use super::Global;
use super::exit::Exit;
use super::output::report;
use crate::config::Config;
use crate::live::snapshot;
use crate::live::universe::Universe;

/// Arguments of `quote`.
#[derive(Debug, clap::Args)]
pub struct QuoteArgs {
    /// What is given: a mint's address, or its symbol in trading.symbols.
    #[arg(long = "in", value_name = "MINT|SYMBOL")]
    mint_in: String,
    /// What is wanted.
    #[arg(long = "out", value_name = "MINT|SYMBOL")]
    mint_out: String,
    /// How much is given, in whole tokens such as 1.5.
    #[arg(long, value_name = "TOKENS")]
    amount: String,
    /// How much less than the quote is still taken, in hundredths of a percent.
    #[arg(long, value_name = "BPS", default_value_t = 50, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    slippage_bps: u16,
    /// Most pools on the way.
    #[arg(long, value_name = "POOLS", default_value_t = MAX_HOPS)]
    hops: usize,
    /// Ask this service too, and tell the difference.
    #[arg(long, value_enum, value_name = "SERVICE")]
    compare: Option<Service>,
    /// Where the service is reached: any server that answers as its swap API does.
    #[arg(long, value_name = "URL", default_value = "https://api.jup.ag", requires = "compare")]
    compare_url: String,
}

/// A service to compare with.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Service {
    /// Jupiter, or what answers as it does.
    Jupiter,
}

/// The longest another service may take.
const COMPARE_WITHIN: Duration = Duration::from_secs(5);
/// Quotes that the time is the median of.
const TIMED: usize = 101;

#[derive(Debug, Serialize)]
struct Hop {
    pool: String,
    kind: &'static str,
    mint_in: String,
    mint_out: String,
    amount_in: u64,
    amount_out: u64,
    fee: u64,
}

#[derive(Debug, Serialize)]
struct Share {
    pools: Vec<String>,
    amount_in: u64,
    amount_out: u64,
}

#[derive(Debug, Serialize)]
struct Split {
    amount_out: u64,
    /// Atoms that no other split over these pools can add.
    gap: Option<u64>,
    shares: Vec<Share>,
}

#[derive(Debug, Serialize)]
struct Compared {
    service: &'static str,
    amount_out: u64,
    /// Ours less theirs, in hundredths of a percent of theirs.
    difference_bps: f64,
    took_ms: f64,
}

#[derive(Debug, Serialize)]
struct Quoted {
    mint_in: String,
    mint_out: String,
    slot: u64,
    amount_in: u64,
    amount_out: u64,
    min_out: u64,
    decimals_in: u8,
    decimals_out: u8,
    impact_bps: u16,
    /// Fees and impact together.
    cost_bps: u16,
    hops: Vec<Hop>,
    /// Where parallel pools together give more than one way alone.
    split: Option<Split>,
    /// Pools or amounts left out, by reason.
    refused: Vec<(String, u32)>,
    /// Median of a hundred and one searches in this process.
    took_us: f64,
    /// Reading the market over the network, which the engine does not do for a quote.
    read_ms: f64,
    compared: Option<Compared>,
}

pub(super) fn quote(args: &QuoteArgs, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    config.require_market()?;
    ensure!((1..=MAX_HOPS).contains(&args.hops), "--hops must be 1 to {MAX_HOPS}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = Universe {
        pools: config.trading.pools.clone(),
        usd_mints: config.trading.usd_mints.clone(),
        symbols: config.trading.symbols.clone(),
        trusted: config.trading.trusted_mints.clone(),
    };
    let started = Instant::now();
    let market = runtime.block_on(async {
        let settings =
            PoolSettings { genesis: config.node.genesis_hash, ..PoolSettings::default() };
        let rpc = RpcConnectionPool::connect(config.node.endpoints.clone(), settings).await?;
        snapshot::read(&rpc, &wanted).await
    })?;
    let read_ms = started.elapsed().as_secs_f64() * 1e3;
    let found = search(args, &market)?;
    let mut quoted = describe(&market, &found, read_ms);
    if args.compare.is_some() {
        quoted.compared = Some(runtime.block_on(compare(args, &market, &found, &quoted))?);
    }
    report(global.json, &quoted, || text(&market, &found, &quoted))?;
    Ok(Exit::Done)
}

struct Search {
    mints: [MintId; 2],
    routed: Routed,
    split: Option<sniper_core::route::Split>,
    took_us: f64,
}

fn search(args: &QuoteArgs, market: &Market) -> anyhow::Result<Search> {
    let mints = [find(market, &args.mint_in)?, find(market, &args.mint_out)?];
    let decimals = market.mint(mints[0]).map_or(0, |mint| mint.spec.decimals);
    let amount = atoms(&args.amount, decimals)?;
    let slippage = Bps::capped(args.slippage_bps);
    let mut index = Index::new();
    index.announce(market);
    let route = || best_route(market, &index, mints, amount, args.hops, slippage);
    let routed = match route() {
        Ok(routed) => routed,
        Err(NoRoute::Nothing { refused }) => {
            let mut why =
                refused.errors().iter().map(|(e, n)| format!("{e} ({n})")).collect::<Vec<_>>();
            if refused.unsettled > 0 {
                why.push(format!("between two states ({})", refused.unsettled));
            }
            if why.is_empty() {
                why.push("no pools of trading.pools join these mints".to_owned());
            }
            bail!("no route from {} to {}: {}", args.mint_in, args.mint_out, why.join(", "));
        }
        Err(error) => return Err(error.into()),
    };
    let mut took: Vec<Duration> = (0..TIMED)
        .map(|_| {
            let started = Instant::now();
            std::hint::black_box(route().ok());
            started.elapsed()
        })
        .collect();
    took.sort_unstable();
    let took_us = took.get(TIMED / 2).map_or(0.0, |took| took.as_secs_f64() * 1e6);
    let split = best_split(market, &index, mints, amount, usize::MAX).ok();
    let split = split.filter(|s| s.shares.len() > 1 && s.amount_out > routed.amount_out);
    Ok(Search { mints, routed, split, took_us })
}

/// The mint of an address or of a symbol that one mint alone has.
fn find(market: &Market, name: &str) -> anyhow::Result<MintId> {
    if let Ok(address) = name.parse::<Address>() {
        let found = market.mint_by_address(&address);
        return found.with_context(|| format!("no pool of trading.pools trades {name}"));
    }
    // Native SOL stands first and is in no pool.
    let named = (0_u16..).map(MintId).zip(market.mints()).skip(1);
    let mut named = named.filter(|(_, mint)| mint.spec.symbol.as_str().eq_ignore_ascii_case(name));
    match (named.next(), named.next()) {
        (Some((id, _)), None) => Ok(id),
        (Some(_), Some(_)) => bail!("{name} names two mints of trading.symbols: use the address"),
        _ => bail!("no mint of trading.pools is called {name} in trading.symbols: use its address"),
    }
}

/// Whole tokens as atoms, without any float.
fn atoms(text: &str, decimals: u8) -> anyhow::Result<Atoms> {
    let wrong =
        || format!("--amount {text}: a number such as 1.5 with at most {decimals} decimals");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    ensure!(digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty()), wrong());
    ensure!(part.len() <= usize::from(decimals), wrong());
    let joined = format!("{whole}{part:0<width$}", width = usize::from(decimals));
    let atoms: u64 = joined.parse().with_context(wrong)?;
    ensure!(atoms > 0, "--amount {text}: it must be above zero");
    Ok(Atoms::new(atoms))
}

fn describe(market: &Market, found: &Search, read_ms: f64) -> Quoted {
    let mint = |id: MintId| market.mint(id).map(|mint| mint.spec);
    let name = |id: MintId| mint(id).map_or_else(String::new, |spec| spec.address.to_string());
    let pool = |id| market.pool(id).map(|pool| (pool.spec.address.to_string(), pool.live.kind()));
    let routed = &found.routed;
    let hops = routed.route.iter().zip(&routed.quotes).map(|(hop, quote)| {
        let (address, kind) = pool(hop.pool).unzip();
        Hop {
            pool: address.unwrap_or_default(),
            kind: kind.map_or("", |kind| kind.name()),
            mint_in: name(hop.mint_in),
            mint_out: name(hop.mint_out),
            amount_in: quote.amount_in.get(),
            amount_out: quote.amount_out.get(),
            fee: quote.fee.get(),
        }
    });
    let split = found.split.as_ref().map(|split| Split {
        amount_out: split.amount_out.get(),
        gap: split.gap.map(Atoms::get),
        shares: split
            .shares
            .iter()
            .map(|share| Share {
                pools: share.route.iter().filter_map(|h| Some(pool(h.pool)?.0)).collect(),
                amount_in: share.amount_in.get(),
                amount_out: share.amount_out.get(),
            })
            .collect(),
    });
    let mut refused: Vec<(String, u32)> =
        routed.refused.errors().iter().map(|(error, count)| (error.to_string(), *count)).collect();
    if routed.refused.unsettled > 0 {
        refused.push(("between two states".to_owned(), routed.refused.unsettled));
    }
    let [mint_in, mint_out] = found.mints;
    let decimals = |id| mint(id).map_or(0, |spec| spec.decimals);
    Quoted {
        mint_in: name(mint_in),
        mint_out: name(mint_out),
        slot: market.slot().get(),
        amount_in: routed.amount_in.get(),
        amount_out: routed.amount_out.get(),
        min_out: routed.min_out.get(),
        decimals_in: decimals(mint_in),
        decimals_out: decimals(mint_out),
        impact_bps: routed.impact.get(),
        cost_bps: routed.cost.get(),
        hops: hops.collect(),
        split,
        refused,
        took_us: found.took_us,
        read_ms,
        compared: None,
    }
}

/// Asks the service for the same swap.
async fn compare(
    args: &QuoteArgs,
    market: &Market,
    found: &Search,
    ours: &Quoted,
) -> anyhow::Result<Compared> {
    let address = |id| market.mint(id).map(|mint| mint.spec.address).unwrap_or_default();
    let [mint_in, mint_out] = found.mints.map(address);
    let (amount_in, slippage) = (Atoms::new(ours.amount_in), Bps::capped(args.slippage_bps));
    let config = JupiterConfig::new(&args.compare_url, None, 1).context("use --compare-url")?;
    let jupiter = Jupiter::new(config)?;
    let started = Instant::now();
    let ask = Ask { mint_in, mint_out, amount_in, slippage };
    let quote = jupiter.quote(&ask, COMPARE_WITHIN).await.context("ask jupiter for its quote")?;
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let theirs = quote.amount_out.get();
    let apart = i128::from(ours.amount_out) - i128::from(theirs);
    #[expect(clippy::cast_precision_loss, reason = "a share to show")]
    let difference_bps = apart as f64 * 1e4 / theirs as f64;
    Ok(Compared { service: "jupiter", amount_out: theirs, difference_bps, took_ms })
}

/// Atoms as whole tokens.
fn tokens(atoms: u64, decimals: u8) -> String {
    let width = usize::from(decimals);
    if width == 0 {
        return atoms.to_string();
    }
    let digits = format!("{atoms:0>width$}", width = width.saturating_add(1));
    let (whole, part) = digits.split_at(digits.len().saturating_sub(width));
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

fn text(market: &Market, found: &Search, quoted: &Quoted) -> String {
    let show = |id: MintId, amount: u64| {
        market.mint(id).map_or_else(String::new, |mint| {
            format!("{} {}", tokens(amount, mint.spec.decimals), mint.spec.symbol)
        })
    };
    let [mint_in, mint_out] = found.mints;
    let mut out = format!(
        "{} for {} (at least {}), slot {}\n",
        show(mint_out, quoted.amount_out),
        show(mint_in, quoted.amount_in),
        show(mint_out, quoted.min_out),
        quoted.slot
    );
    for (hop, of) in found.routed.route.iter().zip(&quoted.hops) {
        // Writing into a string cannot fail.
        writeln!(
            out,
            "  {:<16} {}  {} -> {}",
            of.kind,
            of.pool,
            show(hop.mint_in, of.amount_in),
            show(hop.mint_out, of.amount_out)
        )
        .ok();
    }
    let percent = |bps: u16| format!("{}.{:02} %", bps / 100, bps % 100);
    writeln!(
        out,
        "impact {}, fees and impact {}",
        percent(quoted.impact_bps),
        percent(quoted.cost_bps)
    )
    .ok();
    if let Some(split) = &quoted.split {
        let gap = split.gap.map_or_else(String::new, |gap| {
            format!(", within {gap} atoms of the best split over these pools")
        });
        writeln!(
            out,
            "split over {} ways: {}{gap}",
            split.shares.len(),
            show(mint_out, split.amount_out)
        )
        .ok();
        for share in &split.shares {
            let line = (show(mint_in, share.amount_in), show(mint_out, share.amount_out));
            writeln!(out, "  {} -> {}  {}", line.0, line.1, share.pools.join(" ")).ok();
        }
    }
    for (reason, count) in &quoted.refused {
        writeln!(out, "left out: {reason} ({count})").ok();
    }
    writeln!(
        out,
        "worked out in {:.1} us; the accounts were read in {:.0} ms",
        quoted.took_us, quoted.read_ms
    )
    .ok();
    if let Some(compared) = &quoted.compared {
        writeln!(
            out,
            "{}: {} ({:+.2} bps for us) in {:.0} ms",
            compared.service,
            show(mint_out, compared.amount_out),
            compared.difference_bps,
            compared.took_ms
        )
        .ok();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_tokens_become_atoms_without_a_float() {
        assert_eq!(atoms("1.5", 9).unwrap().get(), 1_500_000_000);
        assert_eq!(atoms(".000001", 6).unwrap().get(), 1);
        assert_eq!(atoms("18446744073709.551615", 6).unwrap().get(), u64::MAX);
        assert_eq!(atoms("7", 0).unwrap().get(), 7);
        for wrong in ["", ".", "0", "0.0", "-1", "1e9", "1.5.5", "1,5", "0.0000001", " 1"] {
            assert!(atoms(wrong, 6).is_err(), "{wrong}");
        }
        assert!(atoms("18446744073709.551616", 6).is_err());
    }

    #[test]
    fn atoms_are_shown_as_whole_tokens() {
        assert_eq!(tokens(1_500_000_000, 9), "1.5");
        assert_eq!(tokens(1, 6), "0.000001");
        assert_eq!(tokens(u64::MAX, 0), "18446744073709551615");
        assert_eq!(tokens(2_000_000, 6), "2");
    }
}
