//! The tear sheet: complete in one file, safe whatever the tape is called, and really drawn by a browser.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use sniperforge::backtest::{self, BacktestArgs, BacktestReport};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: BacktestArgs,
}

/// Two years of hourly bars that rise and fall in waves, with one hole.
fn tape() -> String {
    let mut text = "ts_ms,open,high,low,close,volume\n".to_owned();
    let wave = |hour: i64| {
        let day = hour as f64 / 24.0;
        100.0 + 40.0 * (day / 40.0).sin() + 6.0 * (day / 3.0).sin() + 1.5 * (hour as f64).sin()
    };
    for hour in (0..17_520).filter(|hour| !(9_000..9_400).contains(hour)) {
        let (open, close) = (wave(hour), wave(hour + 1));
        let (high, low) = (open.max(close) + 0.4, open.min(close) - 0.4);
        let ts = 1_640_995_200_000 + hour * 3_600_000;
        text.push_str(&format!("{ts},{open:.4},{high:.4},{low:.4},{close:.4},1000\n"));
    }
    text
}

fn report(dir: &Path, file: &str) -> (BacktestReport, String, PathBuf) {
    let data = dir.join(file);
    std::fs::write(&data, tape()).unwrap();
    let out = dir.join("report.html");
    let cli = Cli::parse_from([
        "backtest",
        "--file",
        data.to_str().unwrap(),
        "--symbol",
        "SOLUSDT",
        "--interval",
        "1h",
        "--report",
        out.to_str().unwrap(),
    ]);
    let summary = backtest::run(&cli.args).unwrap();
    let html = std::fs::read_to_string(&out).unwrap();
    (summary, html, out)
}

#[test]
fn a_tear_sheet_needs_nothing_from_outside_and_escapes_what_it_is_given() {
    let temp = tempfile::tempdir().unwrap();
    let (summary, html, _) = report(temp.path(), "<img src=x onerror=alert(1)>.csv");
    assert!(!html.contains("<img"), "the name of a file is text");
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;.csv"));
    for outside in ["src=\"http", "href=\"http", "src=\"//", "@import", "url(http", "<link"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("default-src 'none'"), "and the browser is told to refuse");
    let (readable, _) = html.split_once("id=\"library\"").unwrap();
    assert!(!readable.contains("NaN") && !readable.contains("null %"));
    for run in summary.runs.iter().chain([&summary.portfolio]) {
        assert!(html.contains(&run.effects_hash[..12]), "{}", run.strategy);
    }
    assert!(html.len() < 2_600_000, "{} bytes", html.len());
}

#[test]
fn the_json_of_a_report_keeps_its_contract() {
    let temp = tempfile::tempdir().unwrap();
    let (summary, ..) = report(temp.path(), "tape.csv");
    let json = serde_json::to_value(&summary).unwrap();
    let fields = [
        "strategy",
        "symbol",
        "interval",
        "from",
        "to",
        "events",
        "events_per_second",
        "trades",
        "win_rate",
        "total_return",
        "cagr",
        "volatility",
        "sharpe",
        "sortino",
        "calmar",
        "max_drawdown",
        "profit_factor",
        "expectancy",
        "fees_usd",
        "exposure",
        "buy_and_hold_return",
        "effects_hash",
    ];
    let runs = json["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 4);
    for run in runs.iter().chain([&json["portfolio"]]) {
        for field in fields {
            assert!(run.get(field).is_some(), "{field}");
        }
    }
    // One pool has one price: an arbitrage finds nothing, and what it never did is not a number.
    let arbitrage = runs.iter().find(|run| run["strategy"] == "arbitrage").unwrap();
    assert_eq!(arbitrage["trades"], 0);
    for absent in ["win_rate", "sharpe", "sortino", "calmar", "profit_factor", "expectancy"] {
        assert!(arbitrage[absent].is_null(), "{absent}");
    }
    let trend = runs.iter().find(|run| run["strategy"] == "trend").unwrap();
    assert!(trend["trades"].as_u64().unwrap() > 3 && trend["sharpe"].is_number(), "{trend}");
}

#[test]
fn the_chart_library_is_whole_and_nothing_else() {
    let mut text = String::new();
    flate2::read::GzDecoder::new(backtest::plotly_js_gz()).read_to_string(&mut text).unwrap();
    assert!(text.trim_start().starts_with("/**\n* plotly.js v"), "{:.60}", text);
    assert!(!text.contains("<script"), "the element around it is gone");
    assert!(!text.contains("</script"), "so it may stand inside one");
    assert!(!text.contains("output/svg"), "and so is the other library");
}

/// The page as chromium leaves it; `None` when there is no chromium.
fn browse(page: &Path, size: &str) -> Option<String> {
    let profile = tempfile::tempdir().unwrap();
    let user_data = format!("--user-data-dir={}", profile.path().display());
    let window = format!("--window-size={size}");
    let url = format!("file://{}", page.display());
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--virtual-time-budget=20000",
            "--dump-dom",
            &user_data,
            &window,
            &url,
        ])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_browser_without_network_draws_every_chart_and_nothing_overflows() {
    let temp = tempfile::tempdir().unwrap();
    let (_, html, page) = report(temp.path(), "tape.csv");
    // Measured inside a frame, for a headless window has a least width of its own.
    let probe = "<script>addEventListener('message', (e) => { if (e.data === 'measure') { const measure = () => \
        document.documentElement.dataset.drawn ? parent.postMessage([document.documentElement.scrollWidth, \
        innerWidth, document.querySelectorAll('.chart .main-svg').length, \
        document.querySelectorAll('.scatterlayer .trace').length], '*') : setTimeout(measure, 50); measure(); } });</script>";
    std::fs::write(&page, html.replace("</body>", &format!("{probe}</body>"))).unwrap();
    for width in [390, 1280] {
        let frame = temp.path().join(format!("frame{width}.html"));
        std::fs::write(&frame, format!(
            "<iframe id=f src=report.html style='border:0;width:{width}px;height:3000px'></iframe><p id=out></p>\
             <script>addEventListener('message', (e) => {{ document.getElementById('out').textContent = 'measured:' + e.data.join(','); }});\
             f.onload = () => f.contentWindow.postMessage('measure', '*');</script>"
        )).unwrap();
        let Some(dom) = browse(&frame, "1400,1000") else {
            std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("skipped: chromium absent\n"),
            )
            .ok();
            return;
        };
        let measured =
            dom.split("measured:").nth(1).unwrap_or_else(|| panic!("not drawn: {dom:.2000}"));
        let numbers: Vec<u32> =
            measured.split('<').next().unwrap().split(',').map(|n| n.parse().unwrap()).collect();
        let [scroll, inner, svgs, traces] = numbers[..] else { panic!("{measured}") };
        assert_eq!(inner, width);
        assert!(scroll <= inner, "{scroll} pixels of content at {inner}");
        assert!(svgs >= 3, "three charts are drawn");
        // Buy and hold, four strategies and the portfolio; two falls; price, buys and sells.
        assert_eq!(traces, 6 + 2 + 3);
    }
}
