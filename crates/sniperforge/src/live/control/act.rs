//! Carrying out what was asked, between two events of the session.

use std::time::Instant;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use sniper_core::engine::MultiStrategyEngine;
use sniper_core::event::{Command, Event};
use sniper_core::ids::{Address, MintId, StrategyId};
use sniper_core::risk::Mode;
use sniper_core::standing::{
    Amount, LEGS_MAX, Link, Pace, Rung, Rungs, Side, Spec, Ticket, Trigger,
};
use sniper_core::units::{Bps, Seq, Timestamp};

use super::super::session::Session;
use super::ask::{Leg, LinkName, Request, SideName};
use super::number::{Rounding, atoms, price};
use super::{Asked, refusal, tell};

/// Room below the quote where none is named.
const SLIPPAGE: u16 = 50;
/// How long a span may be.
const SPAN_MAX_MS: u64 = 366 * 86_400_000;

impl Session {
    /// Answers a request. What it changes is journaled and durable before it is acknowledged.
    pub(in crate::live) fn take_ask(&mut self, asked: Asked) -> anyhow::Result<()> {
        let Asked { request, answer } = asked;
        let told = match self.prepare(&request) {
            Err(error) => refusal(&format!("{error:#}")),
            Ok(None) => json!({ "ok": true, "orders": tell::all(self.desk.engine()) }),
            Ok(Some(command)) => self.carry_out(&request, command)?,
        };
        // Whoever asked may be gone; what was done stands.
        answer.send(told).ok();
        Ok(())
    }

    fn carry_out(&mut self, request: &Request, command: Command) -> anyhow::Result<Value> {
        let seq = self.desk.events().saturating_add(1);
        self.step(Event::Command(command), Instant::now())?;
        let done = self.desk.sync();
        let is_durable = done.is_ok();
        self.written(done)?;
        if !is_durable {
            return Ok(refusal(
                "done, but its record could not be written: it is lost if this process ends before the disk takes records \
                 again",
            ));
        }
        let engine = self.desk.engine();
        Ok(match request {
            Request::Place { .. } => {
                tracing::info!(ticket = seq, "orders placed");
                json!({ "ok": true, "ticket": seq, "orders": tell::of_ticket(engine, Seq::new(seq)) })
            }
            Request::Cancel { ticket, .. } => {
                tracing::info!(ticket, "orders cancelled");
                json!({ "ok": true, "orders": tell::of_ticket(engine, Seq::new(*ticket)) })
            }
            _ => json!({ "ok": true, "mode": engine.mode().name() }),
        })
    }

    /// The command that a request comes to; none where it only wants to know.
    fn prepare(&self, request: &Request) -> anyhow::Result<Option<Command>> {
        let engine = self.desk.engine();
        let changes = !matches!(request, Request::List {});
        ensure!(
            !changes || !self.is_stalled(),
            "the journal cannot be written: nothing is changed"
        );
        Ok(Some(match request {
            Request::List {} => return Ok(None),
            Request::Place { link, owner, legs } => {
                let ticket = ticket(engine, *link, owner.as_deref(), legs, self.desk.now())?;
                engine.may_place(&ticket, self.desk.now())?;
                Command::Place(Box::new(ticket))
            }
            Request::Cancel { ticket, leg } => {
                let ticket = Seq::new(*ticket);
                ensure!(
                    engine.standing().may_cancel(ticket, *leg),
                    "nothing of that name stands: it is over, or never was"
                );
                Command::Cancel { ticket, leg: *leg }
            }
            Request::Pause {} => match engine.mode() {
                Mode::Run | Mode::ReduceOnly => {
                    Command::SetMode { mode: Mode::Halt, clear_kill: false }
                }
                mode => bail!("the mode is {} already", mode.name()),
            },
            Request::Resume {} => match engine.mode() {
                Mode::Kill => bail!("killed: clear the latch in two steps and start again"),
                Mode::Run => bail!("the mode is RUN already"),
                Mode::Halt | Mode::ReduceOnly => {
                    ensure!(
                        !self.mismatched(),
                        "ledger and chain differ: stop, look, and start again"
                    );
                    Command::SetMode { mode: Mode::Run, clear_kill: false }
                }
            },
        }))
    }
}

fn ticket(
    engine: &MultiStrategyEngine,
    link: LinkName,
    owner: Option<&str>,
    legs: &[Leg],
    now: Timestamp,
) -> anyhow::Result<Ticket> {
    ensure!(legs.len() <= LEGS_MAX, "at most {LEGS_MAX} orders are placed together");
    let owner = owner.map(|name| strategy(engine, name)).transpose()?;
    let specs: anyhow::Result<_> = legs.iter().map(|leg| spec(engine, leg, now)).collect();
    let link = match link {
        LinkName::Alone => Link::Alone,
        LinkName::Oco => Link::Oco,
        LinkName::Bracket => Link::Bracket,
    };
    Ok(Ticket { owner, link, legs: specs? })
}

fn strategy(engine: &MultiStrategyEngine, name: &str) -> anyhow::Result<StrategyId> {
    let books = (0_u8..).map(StrategyId).take(engine.portfolio().books().len());
    let mut found = books.filter(|id| engine.strategy_name(*id) == name);
    found.next().with_context(|| format!("no strategy {name:?} runs here"))
}

/// A mint by its address, or by a symbol that only one bears.
fn mint(engine: &MultiStrategyEngine, name: &str) -> anyhow::Result<MintId> {
    let market = engine.market();
    if let Ok(address) = name.parse::<Address>() {
        return market
            .mint_by_address(&address)
            .with_context(|| format!("no pool here trades {name}"));
    }
    let named = (0_u16..).map(MintId).zip(market.mints()).skip(1);
    let mut named = named.filter(|(_, known)| known.spec.symbol.as_str() == name);
    let (id, _) = named.next().with_context(|| format!("no mint here is called {name:?}"))?;
    ensure!(named.next().is_none(), "several mints are called {name:?}: name one by its address");
    Ok(id)
}

fn span(millis: u64) -> anyhow::Result<Timestamp> {
    ensure!(millis > 0 && millis <= SPAN_MAX_MS, "a span of time is above zero and at most a year");
    Ok(Timestamp::from_millis(i64::try_from(millis)?))
}

fn bps(value: u16) -> anyhow::Result<Bps> {
    Bps::new(value).context("a share in hundredths of a percent is at most 10000")
}

fn spec(engine: &MultiStrategyEngine, leg: &Leg, now: Timestamp) -> anyhow::Result<Spec> {
    let market = engine.market();
    let side = match leg.side {
        Some(SideName::Buy) => Side::Buy,
        Some(SideName::Sell) | None => Side::Sell,
    };
    let base = mint(engine, &leg.mint)?;
    let dollars = match &leg.dollars {
        Some(name) => mint(engine, name)?,
        None => {
            let mut mints = (0_u16..).map(MintId).zip(market.mints());
            let first = mints.find(|(_, known)| known.spec.is_usd).map(|(id, _)| id);
            first.context("no mint here counts as a dollar")?
        }
    };
    let decimals = |id| market.mint(id).map_or(0, |known| known.spec.decimals);
    let paid = if side == Side::Buy { dollars } else { base };
    let amount = match &leg.amount {
        Some(text) => Amount::Exactly(atoms(text, decimals(paid))?),
        None => Amount::Position,
    };
    let every = leg.every_ms.map(span).transpose()?;
    let pace = match (leg.split, leg.repeat, every) {
        (None, None, None) => Pace::Whole,
        (Some(parts), None, Some(every)) => Pace::Split { parts, every },
        (None, Some(times), Some(every)) => Pace::Repeat { times, every },
        _ => bail!(
            "an order over time is split or repeated, and says how long it leaves between two"
        ),
    };
    Ok(Spec {
        side,
        mint: base,
        dollars,
        amount,
        trigger: trigger(leg, side, [decimals(base), decimals(dollars)])?,
        pace,
        slippage: bps(leg.slippage_bps.unwrap_or(SLIPPAGE))?,
        agree: leg.agree_bps.map(bps).transpose()?,
        slots: leg.slots.unwrap_or(0),
        expires: leg.expires_ms.map(span).transpose()?.map(|span| now.saturating_add(span)),
    })
}

/// The one trigger that is named; at once without.
fn trigger(leg: &Leg, side: Side, decimals: [u8; 2]) -> anyhow::Result<Trigger> {
    // What is demanded of a sale rounds up, what is paid rounds down; a stop sells at the price itself, and not below.
    let rounding = if side == Side::Sell { Rounding::Up } else { Rounding::Down };
    let priced = |text: &String| price(text, decimals, rounding);
    let named = [
        leg.limit.is_some(),
        leg.stop.is_some(),
        leg.trail_bps.is_some(),
        leg.after_ms.is_some(),
        !leg.ladder.is_empty(),
    ];
    ensure!(named.iter().filter(|is| **is).count() <= 1, "an order waits for one thing alone");
    if let Some(text) = &leg.limit {
        return Ok(Trigger::Limit(priced(text)?));
    }
    if let Some(text) = &leg.stop {
        return Ok(Trigger::Stop(priced(text)?));
    }
    if let Some(share) = leg.trail_bps {
        return Ok(Trigger::Trail(bps(share)?));
    }
    if let Some(millis) = leg.after_ms {
        return Ok(Trigger::After(span(millis)?));
    }
    if leg.ladder.is_empty() {
        return Ok(Trigger::Now);
    }
    let mut rungs = Rungs::new();
    for (text, share) in &leg.ladder {
        let rung = Rung { price: priced(text)?, share: bps(*share)? };
        rungs.try_push(rung).ok().context("a ladder has at most eight rungs")?;
    }
    Ok(Trigger::Ladder(rungs))
}
