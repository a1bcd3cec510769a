//! `orders`, `pause` and `resume`: what a person wants of a running instance.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::Value;

use super::args::parse_duration;
use super::exit::{Exit, NoInstance};
use super::history::HistoryArgs;
use super::output::report;
use super::{Global, exit::UsageError};
use crate::config::Config;
use crate::live::control::{self, Leg, LinkName, Request, SideName};

/// Arguments of `orders`.
#[derive(Debug, clap::Args)]
pub struct OrdersArgs {
    #[command(flatten)]
    at: At,
    #[command(subcommand)]
    command: OrdersCommand,
}

/// Which instance is meant.
#[derive(Debug, clap::Args)]
pub struct At {
    /// Folder of the instance; by default the one that runs in the configured data folder.
    #[arg(long = "at", value_name = "FOLDER", global = true)]
    folder: Option<PathBuf>,
}

/// What there is to do with orders that stand.
#[derive(Debug, Subcommand)]
enum OrdersCommand {
    /// Place orders that stand until their moment comes.
    #[command(subcommand)]
    Place(PlaceCommand),
    /// Show what stands, and what was over last.
    List,
    /// All that were sent and how far they came, newest first: from the tables, also when no instance runs.
    History(HistoryArgs),
    /// Cancel a ticket, or one order of it.
    Cancel {
        /// The ticket, such as 71, or one order of it, such as 71.1.
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, Subcommand)]
enum PlaceCommand {
    /// Buy for dollars: at once, at a limit, above a stop, or over time.
    Buy(BuyArgs),
    /// Sell what is held: at once, at a limit, below a stop, on a trail, on a ladder, after a time, or over time.
    Sell(SellArgs),
    /// Two sales of what is held, of which one cancels the other.
    Oco(ExitArgs),
    /// A purchase, and the sales that watch over what it brings.
    Bracket(BracketArgs),
}

/// What every order has.
#[derive(Debug, clap::Args)]
struct Common {
    /// What is traded: a mint's address, or its symbol.
    #[arg(long, value_name = "MINT|SYMBOL")]
    mint: String,
    /// Least that must come out, in hundredths of a percent below the quote.
    #[arg(long, value_name = "BPS", default_value_t = 50)]
    slippage_bps: u16,
    /// Wait until the independent price is at most so far away.
    #[arg(long, value_name = "BPS")]
    agree_bps: Option<u16>,
    /// Through how many slots a price must hold before it counts: one for stops and trails, none for others.
    #[arg(long, value_name = "SLOTS")]
    slots: Option<u8>,
    /// How long it is wanted, such as 24h.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expires: Option<Duration>,
    /// The strategy whose position is sold; the operator's own without.
    #[arg(long, value_name = "STRATEGY")]
    owner: Option<String>,
}

/// At once, or over time.
#[derive(Debug, clap::Args)]
struct Over {
    /// In so many equal parts.
    #[arg(long, value_name = "PARTS", conflicts_with = "repeat", requires = "every")]
    split: Option<u16>,
    /// So many times.
    #[arg(long, value_name = "TIMES", requires = "every")]
    repeat: Option<u16>,
    /// Time between two.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    every: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct BuyArgs {
    #[command(flatten)]
    common: Common,
    /// For how many dollars.
    #[arg(long, value_name = "USD")]
    dollars: String,
    /// Only at this price or below, in dollars for a token, fees included.
    #[arg(long, value_name = "PRICE", conflicts_with = "stop")]
    limit: Option<String>,
    /// Only at this price or above.
    #[arg(long, value_name = "PRICE")]
    stop: Option<String>,
    #[command(flatten)]
    over: Over,
}

#[derive(Debug, clap::Args)]
struct SellArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    exit: Exits,
    /// Only at this price or above, in dollars for a token, fees included.
    #[arg(long, value_name = "PRICE")]
    limit: Option<String>,
    /// How many tokens; all that is held without.
    #[arg(long, value_name = "TOKENS")]
    amount: Option<String>,
    #[command(flatten)]
    over: Over,
}

/// What a sale may wait for.
#[derive(Debug, Default, clap::Args)]
struct Exits {
    /// When it would bring this or less for a token.
    #[arg(long, value_name = "PRICE", conflicts_with = "trail_bps")]
    stop: Option<String>,
    /// When it has fallen so far from the most that it would have brought.
    #[arg(long, value_name = "BPS")]
    trail_bps: Option<u16>,
    /// In parts on the way up: PRICE:BPS,PRICE:BPS.
    #[arg(long, value_name = "RUNGS")]
    ladder: Option<String>,
    /// After so long.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    after: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct ExitArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    exit: Exits,
    /// Take profit at this price or above.
    #[arg(long, value_name = "PRICE", conflicts_with = "ladder")]
    take_profit: Option<String>,
    /// How many tokens; all that is held without.
    #[arg(long, value_name = "TOKENS")]
    amount: Option<String>,
}

#[derive(Debug, clap::Args)]
struct BracketArgs {
    #[command(flatten)]
    common: Common,
    /// For how many dollars it is bought.
    #[arg(long, value_name = "USD")]
    dollars: String,
    /// Buy at this price or below; at once without.
    #[arg(long, value_name = "PRICE")]
    entry: Option<String>,
    #[command(flatten)]
    exit: Exits,
    /// Take profit at this price or above.
    #[arg(long, value_name = "PRICE", conflicts_with = "ladder")]
    take_profit: Option<String>,
}

pub(super) fn orders(args: &OrdersArgs, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    let request = match &args.command {
        OrdersCommand::List => Request::List {},
        OrdersCommand::History(args) => return super::history::orders(args, config, global),
        OrdersCommand::Cancel { id } => cancel(id)?,
        OrdersCommand::Place(place) => place_request(place)?,
    };
    let told = exchange(&args.at, config, &request)?;
    report(global.json, &told, || table(&told))?;
    Ok(Exit::Done)
}

/// `pause`: nothing new is ordered; what is in flight is followed.
pub(super) fn pause(at: &At, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    mode(at, config, global, &Request::Pause {})
}

/// `resume`.
pub(super) fn resume(at: &At, config: &Config, global: &Global) -> anyhow::Result<Exit> {
    mode(at, config, global, &Request::Resume {})
}

fn mode(at: &At, config: &Config, global: &Global, request: &Request) -> anyhow::Result<Exit> {
    let told = exchange(at, config, request)?;
    report(global.json, &told, || format!("mode {}", text(told.get("mode"))))?;
    Ok(Exit::Done)
}

/// Asks the instance that runs.
fn exchange(at: &At, config: &Config, request: &Request) -> anyhow::Result<Value> {
    let folders = match &at.folder {
        Some(folder) => vec![folder.clone()],
        None => ["live", "paper"].map(|mode| config.data_dir.join(mode)).to_vec(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for folder in &folders {
        let Some(told) = runtime.block_on(control::ask(folder, request))? else { continue };
        if told.get("ok") == Some(&Value::Bool(true)) {
            return Ok(told);
        }
        bail!("{}", text(told.get("error")));
    }
    let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(NoInstance { address: looked.join(" or ") }.into())
}

fn cancel(id: &str) -> anyhow::Result<Request> {
    let (ticket, leg) = id.split_once('.').map_or((id, None), |(ticket, leg)| (ticket, Some(leg)));
    let leg = leg.map(str::parse).transpose();
    match (ticket.parse(), leg) {
        (Ok(ticket), Ok(leg)) => Ok(Request::Cancel { ticket, leg }),
        _ => {
            Err(UsageError("an order is named by its ticket, such as 71, or 71.1 for one of it")
                .into())
        }
    }
}

fn place_request(place: &PlaceCommand) -> anyhow::Result<Request> {
    let (link, common, legs) = match place {
        PlaceCommand::Buy(args) => {
            let leg = Leg {
                side: Some(SideName::Buy),
                amount: Some(args.dollars.clone()),
                limit: args.limit.clone(),
                stop: args.stop.clone(),
                ..args.over.leg()?
            };
            (LinkName::Alone, &args.common, vec![leg])
        }
        PlaceCommand::Sell(args) => {
            let over = args.over.leg()?;
            let mut named = args.exit.legs()?;
            if let Some(price) = &args.limit {
                named.push(Leg { limit: Some(price.clone()), ..Leg::default() });
            }
            if named.len() > 1 {
                return Err(UsageError(
                    "a sale waits for one thing alone; `place oco` takes several",
                )
                .into());
            }
            let leg = named.pop().unwrap_or_default();
            let leg = Leg {
                amount: args.amount.clone(),
                split: over.split,
                repeat: over.repeat,
                every_ms: over.every_ms,
                ..leg
            };
            (LinkName::Alone, &args.common, vec![leg])
        }
        PlaceCommand::Oco(args) => {
            let legs = exits(&args.exit, args.take_profit.as_ref())?;
            let sized = |leg| Leg { amount: args.amount.clone(), ..leg };
            (LinkName::Oco, &args.common, legs.into_iter().map(sized).collect())
        }
        PlaceCommand::Bracket(args) => {
            let mut legs = vec![Leg {
                side: Some(SideName::Buy),
                amount: Some(args.dollars.clone()),
                limit: args.entry.clone(),
                ..Leg::default()
            }];
            legs.extend(exits(&args.exit, args.take_profit.as_ref())?);
            (LinkName::Bracket, &args.common, legs)
        }
    };
    let legs = legs.into_iter().map(|leg| common.of(leg)).collect();
    Ok(Request::Place { link, owner: common.owner.clone(), legs })
}

fn exits(exits: &Exits, take_profit: Option<&String>) -> anyhow::Result<Vec<Leg>> {
    let mut legs = exits.legs()?;
    if let Some(price) = take_profit {
        legs.push(Leg { limit: Some(price.clone()), ..Leg::default() });
    }
    Ok(legs)
}

fn millis(span: Duration) -> anyhow::Result<u64> {
    u64::try_from(span.as_millis()).context("a span of time beyond all use")
}

impl Over {
    fn leg(&self) -> anyhow::Result<Leg> {
        let every_ms = self.every.map(millis).transpose()?;
        Ok(Leg { split: self.split, repeat: self.repeat, every_ms, ..Leg::default() })
    }
}

impl Exits {
    /// One order for each thing that is named.
    fn legs(&self) -> anyhow::Result<Vec<Leg>> {
        let mut legs = Vec::new();
        if self.stop.is_some() {
            legs.push(Leg { stop: self.stop.clone(), ..Leg::default() });
        }
        if self.trail_bps.is_some() {
            legs.push(Leg { trail_bps: self.trail_bps, ..Leg::default() });
        }
        if let Some(text) = &self.ladder {
            legs.push(Leg { ladder: rungs(text)?, ..Leg::default() });
        }
        if let Some(after) = self.after {
            legs.push(Leg { after_ms: Some(millis(after)?), ..Leg::default() });
        }
        Ok(legs)
    }
}

impl Common {
    fn of(&self, leg: Leg) -> Leg {
        // One flash of one slot should sell nothing.
        let waits = leg.side.is_none() && (leg.stop.is_some() || leg.trail_bps.is_some());
        Leg {
            mint: self.mint.clone(),
            slippage_bps: Some(self.slippage_bps),
            agree_bps: self.agree_bps,
            slots: self.slots.or(waits.then_some(1)),
            expires_ms: self.expires.and_then(|span| millis(span).ok()),
            ..leg
        }
    }
}

fn rungs(text: &str) -> anyhow::Result<Vec<(String, u16)>> {
    let one = |rung: &str| {
        let (price, share) = rung.split_once(':')?;
        Some((price.to_owned(), share.parse().ok()?))
    };
    let rungs: Option<Vec<_>> = text.split(',').map(one).collect();
    rungs.ok_or_else(|| UsageError("a ladder is written PRICE:BPS,PRICE:BPS").into())
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => crate::telemetry::safe_text(text, 200),
        None | Some(Value::Null) => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

fn table(told: &Value) -> String {
    let columns =
        ["id", "kind", "side", "symbol", "trigger", "amount", "done", "got", "state", "setback"];
    let orders = told.get("orders").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if orders.is_empty() {
        return "no orders stand".to_owned();
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(columns);
    for order in orders {
        table.add_row(columns.map(|column| text(order.get(column))));
    }
    table.to_string()
}
