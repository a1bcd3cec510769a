//! The page as HTML. Everything that is data goes through maud's escaping.

use maud::{DOCTYPE, Markup, html};

use super::chart::Chart;
use super::model::{Cell, Model, Rows};

/// A column: its title, and the classes of its cells (`num` to the right, `opt` left out on narrow screens).
type Column = (&'static str, &'static str);

const POSITIONS: [Column; 8] = [
    ("Token", "key"),
    ("Strategy", ""),
    ("Amount", "num opt"),
    ("Cost", "num opt"),
    ("Value", "num"),
    ("PnL", "num"),
    ("PnL %", "num opt"),
    ("Held", "num opt"),
];
const CASH: [Column; 4] =
    [("Token", "key"), ("Amount", "num"), ("Reserved", "num"), ("Value", "num")];
const ORDERS: [Column; 8] = [
    ("Order", "key"),
    ("Strategy", ""),
    ("Pays", "num"),
    ("Gets at least", "num opt"),
    ("Value", "num opt"),
    ("State", ""),
    ("Age", "num"),
    ("Signature", "opt"),
];
const STRATEGIES: [Column; 9] = [
    ("Strategy", "key"),
    ("State", ""),
    ("PnL", "num"),
    ("Used", "num opt wide"),
    ("Budget", "num opt"),
    ("Orders", "num opt"),
    ("Landed", "num"),
    ("Reverted", "num opt"),
    ("Refused", "num opt"),
];
const TRADES: [Column; 8] = [
    ("Time", "dim"),
    ("Strategy", "key opt"),
    ("Trade", "wrap"),
    ("Reason", "opt"),
    ("Value", "num opt"),
    ("Fee", "num opt"),
    ("PnL", "num"),
    ("Signature", "opt"),
];
const REFUSALS: [Column; 3] = [("Reason", "key wide"), ("Count", "num"), ("Share", "num")];
const LATENCY: [Column; 6] = [
    ("Stage", "key"),
    ("Count", "num opt"),
    ("p50", "num"),
    ("p95", "num"),
    ("p99", "num"),
    ("Max", "num opt"),
];
const ENDPOINTS: [Column; 9] = [
    ("Endpoint", "key"),
    ("State", ""),
    ("Breaker", "opt"),
    ("p50", "num opt"),
    ("p95", "num opt"),
    ("p99", "num"),
    ("Lag", "num"),
    ("Errors", "num"),
    ("Requests", "num opt"),
];
const FEEDS: [Column; 4] =
    [("Feed", "key"), ("Age", "num"), ("Messages", "num"), ("Reconnects", "num")];
const LOG: [Column; 4] = [("Time", "dim"), ("Level", ""), ("Source", "opt"), ("Message", "text")];

/// A mark for the browser's tab, so that it asks for none.
pub(super) const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
%3Crect width='16' height='16' rx='4' fill='%232f6fd0'/%3E\
%3Cpath d='M3 11l3-4 3 2 4-5' fill='none' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E";

/// The whole page, readable as it is.
pub(super) fn render(model: &Model) -> Markup {
    let title = model.facts.get("title").map(|cell| cell.text.as_str()).unwrap_or_default();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href="/page.css";
                script src="/page.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the numbers" }
                (header(model))
                main #main {
                    (tiles(model))
                    (equity(model))
                    (health(model))
                    (positions(model))
                    (cash(model))
                    (table("strategies", "Strategies", &STRATEGIES, &model.strategies, "no strategy"))
                    (table("refusals", "Refusals", &REFUSALS, &model.refusals, "nothing refused"))
                    (table("orders", "Open orders", &ORDERS, &model.orders, "no open order"))
                    (table("trades", "Last trades", &TRADES, &model.trades, "no trade yet"))
                    (table("latency", "Latency per stage", &LATENCY, &model.latency, "nothing timed yet"))
                    (table("endpoints", "Endpoints", &ENDPOINTS, &model.endpoints, "no endpoint"))
                    (table("log", "Log, newest first", &LOG, &model.log, "nothing logged"))
                }
                footer {
                    span { "SniperForge " (fact(model, "version")) }
                    span { "Times are UTC. This page reads; it changes nothing." }
                }
            }
        }
    }
}

fn header(model: &Model) -> Markup {
    html! {
        header {
            div.bar-top {
                h1 {
                    svg.mark viewBox="0 0 16 16" aria-hidden="true" { path d="M2 11l3-4 3 2 5-6" {} }
                    "SniperForge"
                }
                nav aria-label="Views" { a href="/" aria-current="page" { "Trading" } a href="/performance" { "Performance" } }
                (badge(model, "mode", "Orders go to"))
                (badge(model, "risk", "May do"))
                (badge(model, "health", "Health"))
                span.grow {}
                span.wallet { (fact(model, "wallet")) }
                span.quiet { "up " (fact(model, "uptime")) }
                span #conn.badge.still role="status" { "snapshot " (fact(model, "at")) }
            }
            p #f-alert class={ "alert " (model.facts.get("alert").map_or("", |cell| cell.class)) }
                data-class="alert" role="alert" {
                (model.facts.get("alert").map(|cell| cell.text.as_str()).unwrap_or_default())
            }
        }
    }
}

/// A value that updates find by its id.
fn fact(model: &Model, name: &'static str) -> Markup {
    let blank = Cell::default();
    let cell = model.facts.get(name).unwrap_or(&blank);
    html! { span id={ "f-" (name) } class=[class(cell.class)] { (cell.text) } }
}

fn badge(model: &Model, name: &'static str, label: &str) -> Markup {
    let blank = Cell::default();
    let cell = model.facts.get(name).unwrap_or(&blank);
    html! {
        span id={ "f-" (name) } class={ "badge " (cell.class) } data-class="badge" title=(label) {
            (cell.text)
        }
    }
}

fn class(class: &'static str) -> Option<&'static str> {
    (!class.is_empty()).then_some(class)
}

fn tiles(model: &Model) -> Markup {
    let tile = |label: &str, value: &'static str, below: Markup| {
        html! {
            div.tile {
                dt { (label) }
                dd.value { (fact(model, value)) }
                dd.below { (below) }
            }
        }
    };
    html! {
        dl.tiles aria-label="Key figures" {
            (tile("Equity", "equity", html! { (fact(model, "run")) " " (fact(model, "run_share")) " this run" }))
            (tile("Day", "day", html! { (fact(model, "day_share")) " since 00:00 UTC" }))
            (tile("Drawdown", "drawdown", html! { "worst " (fact(model, "drawdown_max")) }))
            (tile("Exposure", "exposure", html! { (fact(model, "exposure_share")) " of equity" }))
            (tile("Landed", "landed", html! { "of " (fact(model, "submitted")) " · fees " (fact(model, "fees")) }))
            (tile("Memory", "rss", html! { "peak " (fact(model, "rss_peak")) }))
        }
    }
}

fn equity(model: &Model) -> Markup {
    html! {
        section.equity aria-labelledby="h-equity" {
            h2 #h-equity { "Equity" }
            (picture(&model.chart))
        }
    }
}

/// The curve. Text stands beside the drawing, which stretches with the screen and would stretch it too.
fn picture(chart: &Chart) -> Markup {
    let area =
        if chart.line.is_empty() { String::new() } else { format!("{}V10000H0Z", chart.line) };
    html! {
        div #chart.chart data-range=(chart.range.map(|n| n.to_string()).join(" ")) {
            div.values aria-hidden="true" {
                @for row in 0..5 { span { (chart.values.get(row).map_or("", String::as_str)) } }
            }
            div.plot {
                svg viewBox="0 0 10000 10000" preserveAspectRatio="none" role="img"
                    aria-label="Equity over the run" {
                    path.grid d="M0 0H10000M0 2500H10000M0 5000H10000M0 7500H10000M0 10000H10000" {}
                    path #c-area.area d=(area) {}
                    path #c-start.start d=(chart.start) {}
                    path #c-line.line d=(chart.line) {}
                    path #c-cross.cross d="" {}
                }
                output #c-read.read aria-hidden="true" {}
            }
            div.times aria-hidden="true" {
                @for column in 0..3 { span { (chart.times.get(column).map_or("", String::as_str)) } }
            }
        }
    }
}

fn health(model: &Model) -> Markup {
    let line = |label: &str, name: &'static str| {
        html! { div { dt { (label) } dd { (fact(model, name)) } } }
    };
    html! {
        section.health aria-labelledby="h-health" {
            h2 #h-health { "Health" }
            (grid("feeds", "h-health", &FEEDS, &model.feeds, "no feed"))
            dl.lines {
                (line("Slot", "slot"))
                (line("Block height", "height"))
                (line("Blockhash age", "blockhash"))
                (line("Events", "events"))
                (line("Journal", "journal"))
                (line("Rows dropped", "dropped"))
                (line("Orders", "ended"))
            }
        }
    }
}

fn positions(model: &Model) -> Markup {
    table("positions", "Positions", &POSITIONS, &model.positions, "flat: nothing is held")
}

fn cash(model: &Model) -> Markup {
    table("cash", "Cash", &CASH, &model.cash, "no cash known")
}

fn table(id: &str, title: &str, columns: &[Column], rows: &Rows, empty: &str) -> Markup {
    let heading = format!("h-{id}");
    html! {
        section class=(id) aria-labelledby=(heading) {
            h2 id=(heading) { (title) }
            (grid(id, &heading, columns, rows, empty))
        }
    }
}

/// A table in a box that scrolls by itself, also by keyboard, so that the page never scrolls sideways.
fn grid(id: &str, heading: &str, columns: &[Column], rows: &Rows, empty: &str) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby=(heading) {
            table {
                thead { tr {
                    @for (title, class) in columns { th scope="col" class=[self::class(class)] { (title) } }
                } }
                tbody id={ "t-" (id) } data-empty=(empty) {
                    @for row in rows { tr { (cells(columns, row)) } }
                    @if rows.is_empty() { tr { td.none colspan=(columns.len()) { (empty) } } }
                }
            }
        }
    }
}

fn cells(columns: &[Column], row: &[Cell]) -> Markup {
    html! {
        @for ((_, column), cell) in columns.iter().zip(row) {
            @if cell.class.is_empty() { td class=[class(column)] { (cell.text) } }
            @else { td class={ (column) " " (cell.class) } { (cell.text) } }
        }
    }
}
