//! The page itself.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::super::PORTFOLIO;
use super::super::metrics;
use super::super::summary::{BacktestReport, RunReport, Study};
use super::figures::{Figures, title};
use super::format::{dollars, factor, grouped, percent};
use super::{base64, plotly_js_gz};

const STYLE: &str = include_str!("assets/tear_sheet.css");
const SCRIPT: &str = include_str!("assets/tear_sheet.js");
/// Nothing may be loaded from anywhere: what the page needs is in it.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      img-src data: blob:; form-action 'none'; base-uri 'none'";

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The whole document.
pub(super) fn render(study: &Study<'_>, summary: &BacktestReport) -> String {
    let figures = Figures::new(study);
    let mut library = String::new();
    base64::encode(plotly_js_gz(), &mut library);
    let all = &summary.portfolio;
    let heading = format!("{} {}", all.symbol, all.interval);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (heading) " · tear sheet" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(summary, &heading))
                main {
                    (tiles(all))
                    (charts(&figures, all))
                    (months(study))
                    (comparison(summary))
                    (orders(summary))
                    (terms(study, summary))
                }
                script type="application/json" id="figures" { (PreEscaped(figures.json())) }
                script type="text/plain" id="library" { (PreEscaped(library)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

fn header(summary: &BacktestReport, heading: &str) -> Markup {
    let all = &summary.portfolio;
    let file = summary.file.file_name().unwrap_or_default().to_string_lossy();
    html! {
        header {
            p.brand { "SniperForge" span { "tear sheet" } }
            h1 { (heading) }
            p.span {
                (day(&all.from)) " to " (day(&all.to)) " · "
                (grouped(summary.bars as f64, 0)) " bars, " (holes(summary.gaps))
                " · " code { (file) }
            }
        }
    }
}

fn holes(gaps: usize) -> String {
    match gaps {
        0 => "no holes".to_owned(),
        1 => "1 hole".to_owned(),
        n => format!("{n} holes"),
    }
}

/// The date of `2023-04-01T12:00Z`.
fn day(moment: &str) -> &str {
    moment.split('T').next().unwrap_or(moment)
}

fn tiles(all: &RunReport) -> Markup {
    let m = &all.metrics;
    let tone = |value: Option<f64>| match value {
        Some(v) if v > 0.0 => "gain",
        Some(v) if v < 0.0 => "loss",
        _ => "",
    };
    let tile = |name: &str, value: String, tone: &str, note: String| {
        html! {
            div.tile {
                dt { (name) }
                dd class=(tone) { (value) }
                dd.note { (note) }
            }
        }
    };
    html! {
        section aria-label="Portfolio at a glance" {
            dl.tiles {
                (tile("Total return", percent(m.total_return), tone(m.total_return),
                    format!("buy and hold {}", percent(m.buy_and_hold_return))))
                (tile("CAGR", percent(m.cagr), tone(m.cagr),
                    format!("volatility {}", percent(m.volatility))))
                (tile("Sharpe", factor(m.sharpe), "", format!("Sortino {}", factor(m.sortino))))
                (tile("Max drawdown", percent(m.max_drawdown.map(|d| -d)), "",
                    format!("Calmar {}", factor(m.calmar))))
                (tile("Win rate", percent(m.win_rate), "",
                    format!("{} trades", grouped(m.trades as f64, 0))))
                (tile("Final equity", dollars(all.final_equity_usd), "",
                    format!("fees {}", dollars(Some(m.fees_usd)))))
            }
        }
    }
}

fn charts(figures: &Figures, all: &RunReport) -> Markup {
    html! {
        p #trouble role="alert" hidden {}
        noscript { p.trouble { "The charts need JavaScript. The tables below hold every figure." } }
        section aria-labelledby="equity-title" {
            div.head {
                h2 #equity-title { "Equity against buy and hold" }
                button #scale type="button" aria-pressed="false" { "Log scale" }
            }
            div.chart.tall #equity role="img"
                aria-label=(format!("Equity over time; the portfolio ends at {}", dollars(all.final_equity_usd))) {}
        }
        section aria-labelledby="drawdown-title" {
            h2 #drawdown-title { "Drawdown" }
            div.chart.short #drawdown role="img"
                aria-label=(format!("Fall from peak equity; deepest {}", percent(all.metrics.max_drawdown))) {}
        }
        section aria-labelledby="trades-title" {
            h2 #trades-title { "Trades on price" }
            div.chart.tall #trades role="img"
                aria-label=(format!("Price with {} landed orders", all.orders.landed)) {}
            @if figures.hidden_fills > 0 {
                p.small { (figures.hidden_fills) " of the fills are left out so that the chart stays readable." }
            }
        }
    }
}

fn months(study: &Study<'_>) -> Markup {
    let months = metrics::monthly(metrics::dollars(study.world.cash), &study.portfolio.points);
    let mut years: Vec<i64> = months.iter().map(|m| m.0).collect();
    years.dedup();
    let of =
        |year: i64, month: u32| months.iter().find(|m| m.0 == year && m.1 == month).map(|m| m.2);
    let total =
        |year: i64| months.iter().filter(|m| m.0 == year).map(|m| 1.0 + m.2).product::<f64>() - 1.0;
    html! {
        section aria-labelledby="months-title" {
            h2 #months-title { "Monthly returns of the portfolio, in percent" }
            div.wide tabindex="0" {
                table.heat {
                    thead { tr {
                        th scope="col" { "Year" }
                        @for month in MONTHS { th scope="col" { (month) } }
                        th scope="col" { "Total" }
                    } }
                    tbody {
                        @for year in years.into_iter().rev() {
                            tr {
                                th scope="row" { (year) }
                                @for month in 1..=12 { (heat(of(year, month), 0.15)) }
                                (heat(Some(total(year)), 0.6))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A cell that is the stronger coloured the nearer it comes to `full`.
fn heat(value: Option<f64>, full: f64) -> Markup {
    let Some(value) = value else { return html! { td.none {} } };
    let strength = (value.abs() / full).min(1.0) * 72.0;
    let tone = if value < 0.0 { "loss" } else { "gain" };
    html! {
        td style=(format!("--tone:var(--{tone});--strength:{strength:.0}%")) {
            (grouped(value * 100.0, 1))
        }
    }
}

type Row = (&'static str, &'static str, fn(&RunReport) -> String);

const ROWS: [Row; 18] = [
    ("Total return", "Gain over the opening cash", |r| percent(r.metrics.total_return)),
    ("CAGR", "The same for a year of 365 days", |r| percent(r.metrics.cagr)),
    ("Volatility", "Standard deviation of bar returns, for a year", |r| {
        percent(r.metrics.volatility)
    }),
    ("Sharpe", "Mean bar return over its deviation, for a year; riskless rate zero", |r| {
        factor(r.metrics.sharpe)
    }),
    ("Sortino", "Mean bar return over its downside deviation, for a year", |r| {
        factor(r.metrics.sortino)
    }),
    ("Calmar", "CAGR over maximum drawdown", |r| factor(r.metrics.calmar)),
    ("Max drawdown", "Deepest fall from a peak", |r| percent(r.metrics.max_drawdown.map(|d| -d))),
    ("Exposure", "Share of bars that closed with a position", |r| percent(r.metrics.exposure)),
    ("Trades", "Positions reduced or closed", |r| grouped(r.metrics.trades as f64, 0)),
    ("Win rate", "Share of trades with a profit", |r| percent(r.metrics.win_rate)),
    ("Profit factor", "Dollars won for each dollar lost", |r| factor(r.metrics.profit_factor)),
    ("Expectancy", "Mean profit of a trade", |r| dollars(r.metrics.expectancy)),
    ("Pool fees", "Kept by the pools", |r| dollars(Some(r.metrics.pool_fees_usd))),
    ("Network fees", "Signatures and priority", |r| dollars(Some(r.metrics.network_fees_usd))),
    ("Final equity", "Cash and positions at the last close", |r| dollars(r.final_equity_usd)),
    ("Buy and hold", "From the first open to the last close", |r| {
        percent(r.metrics.buy_and_hold_return)
    }),
    ("Events", "Taken by the engine", |r| grouped(r.events as f64, 0)),
    ("Effects hash", "BLAKE3, first 12 digits", |r| r.effects_hash.chars().take(12).collect()),
];

fn comparison(summary: &BacktestReport) -> Markup {
    let runs = || summary.runs.iter().chain([&summary.portfolio]);
    html! {
        section aria-labelledby="metrics-title" {
            h2 #metrics-title { "Each strategy alone, and all on one portfolio" }
            div.wide tabindex="0" {
                table.figures {
                    thead { tr {
                        th scope="col" { "Metric" }
                        @for run in runs() {
                            th scope="col" class=[emphasis(run)] { (title(run.strategy)) }
                        }
                    } }
                    tbody {
                        @for (name, meaning, value) in ROWS {
                            tr {
                                th scope="row" title=(meaning) { (name) }
                                @for run in runs() { td class=[emphasis(run)] { (value(run)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn emphasis(run: &RunReport) -> Option<&'static str> {
    (run.strategy == PORTFOLIO).then_some("all")
}

fn orders(summary: &BacktestReport) -> Markup {
    let runs = || summary.runs.iter().chain([&summary.portfolio]);
    let refused = |run: &RunReport| {
        let mut parts: Vec<String> =
            run.refusals.iter().map(|(name, count)| format!("{name} {count}")).collect();
        parts.extend(run.notes.iter().cloned());
        parts.join(", ")
    };
    html! {
        section aria-labelledby="orders-title" {
            h2 #orders-title { "Orders" }
            div.wide tabindex="0" {
                table.figures {
                    thead { tr {
                        @for name in ["Run", "Submitted", "Landed", "Reverted", "Expired", "Refused"] {
                            th scope="col" { (name) }
                        }
                        th.text scope="col" { "Refusals and notes" }
                    } }
                    tbody {
                        @for run in runs() {
                            @let o = &run.orders;
                            tr {
                                th scope="row" { (title(run.strategy)) }
                                @for count in [o.submitted, o.landed, o.reverted, o.expired, o.refused] {
                                    td { (grouped(count as f64, 0)) }
                                }
                                td.text { (refused(run)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn terms(study: &Study<'_>, summary: &BacktestReport) -> Markup {
    let world = study.world;
    let sim = &world.sim;
    let share = |bps: u16| format!("{} %", f64::from(bps) / 100.0);
    let rows = [
        ("Opening cash", dollars(Some(metrics::dollars(world.cash)))),
        ("Order cap", dollars(Some(metrics::dollars(world.limits.order_value_max)))),
        ("Pool depth, both sides", dollars(Some(metrics::dollars(world.depth)))),
        ("Pool fee", format!("{} %", world.pool_fee as f64 / 10_000.0)),
        (
            "Decision to landing",
            format!(
                "{} to {} ms, and not before the next bar's open",
                sim.latency.millis(),
                sim.latency.saturating_add(sim.jitter).millis()
            ),
        ),
        ("Orders that land", share(sim.landing.get())),
        ("Seed", sim.seed.to_string()),
        ("Effects hash of the portfolio", summary.portfolio.effects_hash.clone()),
    ];
    html! {
        section.terms aria-labelledby="terms-title" {
            h2 #terms-title { "How this was computed" }
            dl.terms {
                @for (name, value) in rows { div { dt { (name) } dd { (value) } } }
            }
            p {
                "The engine that trades live saw each bar only after its close, and its orders were filled \
                 by a constant-product pool re-centred on the next bar's open, so that size has impact. Across \
                 a hole in the recording nothing is computed or filled. Figures use every bar; the lines are \
                 thinned to what a screen can show."
            }
            p {
                "Recorded prices of the past, a modelled pool, and no other trader who reacts to these \
                 orders: this is a test of the method, no promise of a result."
            }
        }
    }
}
