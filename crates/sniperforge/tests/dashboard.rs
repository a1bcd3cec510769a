//! The page over plain HTTP: what it answers, what it refuses, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod page;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use page::Page;
use serde_json::Value;
use sniperforge::dashboard::{self, DashboardError, Options};
use sniperforge::telemetry::{HealthView, View, now_ms};
use tokio_util::sync::CancellationToken;

const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&\u{202e}";

/// Sends one request and reads the whole answer: status, head and body.
fn request(address: SocketAddr, line: &str, host: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn get(page: &Page, path: &str) -> (u16, String, String) {
    request(page.running.address(), &format!("GET {path}"), &page.running.address().to_string())
}

/// A watcher of `/events`.
struct Watcher(BufReader<TcpStream>);

impl Watcher {
    /// Connects and reads the head; tells the status.
    fn connect(page: &Page) -> (u16, Self) {
        let mut stream = TcpStream::connect(page.running.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut watcher = Self(BufReader::new(stream));
        let status = watcher.line().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        while watcher.line().unwrap() != "\r\n" {}
        (status, watcher)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap() > 0).then_some(line)
    }

    /// The next message; `None` at the end of the stream.
    fn next(&mut self) -> Option<Value> {
        loop {
            let line = self.line()?;
            if let Some(json) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(json).unwrap());
            }
        }
    }
}

#[test]
fn every_answer_forbids_foreign_scripts_frames_and_sniffing() {
    let page = Page::start(page::view(60));
    for path in [
        "/",
        "/page.css",
        "/page.js",
        "/performance",
        "/performance.css",
        "/performance.js",
        "/api/view",
        "/metrics",
        "/healthz",
        "/nowhere",
    ] {
        let (status, head, _) = get(&page, path);
        assert_eq!(status, if path == "/nowhere" { 404 } else { 200 }, "{path}");
        for part in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "x-frame-options: deny",
            "cache-control: no-store",
        ] {
            assert!(head.contains(part), "{path} lacks {part}: {head}");
        }
        assert!(!head.contains("access-control"), "{head}");
    }
}

#[test]
fn the_page_is_readable_without_scripts_and_holds_none_inline() {
    let page = Page::start(page::view(60));
    let (_, _, html) = get(&page, "/");
    for text in [
        "DEMO",
        "RUN",
        "$10,00",
        "mean_reversion",
        "full_trade",
        "localnet-c",
        "strategy_budget",
        "endpoint ejected",
    ] {
        assert!(html.contains(text), "the page lacks {text}");
    }
    assert!(
        html.contains("<path id=\"c-line\" class=\"line\" d=\"M0 ")
            || html.contains("id=\"c-line\" d=\"M0 ")
    );
    assert_eq!(html.matches("<script").count(), 1);
    assert!(!html.contains("style=") && !html.contains("onclick") && !html.contains("<style"));
}

#[test]
fn a_foreign_name_is_refused_on_every_route() {
    let page = Page::start(page::view(1));
    for path in [
        "/",
        "/events",
        "/api/view",
        "/metrics",
        "/healthz",
        "/page.js",
        "/performance",
        "/nowhere",
    ] {
        for host in ["evil.example", "evil.example:80", "10.0.0.1", "127.0.0.1.evil.example"] {
            let (status, head, body) =
                request(page.running.address(), &format!("GET {path}"), host);
            assert_eq!(status, 421, "{path} as {host}");
            assert!(head.contains("content-security-policy") && !body.contains("10,0"), "{body}");
        }
    }
}

#[test]
fn nothing_can_be_changed_through_the_page() {
    let page = Page::start(page::view(1));
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for path in ["/", "/events", "/api/view", "/performance", "/metrics", "/healthz"] {
            let line = format!("{method} {path}");
            assert_eq!(request(page.running.address(), &line, "localhost").0, 405, "{line}");
        }
    }
}

fn hostile() -> View {
    let mut view = page::view(10);
    view.positions[0].symbol = HOSTILE.into();
    view.cash[0].symbol = HOSTILE.into();
    view.open_orders[0].pay = HOSTILE.into();
    view.trades[0].what = HOSTILE.into();
    view.log[0].text = HOSTILE.into();
    view.endpoints[0].name = HOSTILE.into();
    view.refusals.insert(HOSTILE.into(), 1);
    view.health.problems.push(HOSTILE.into());
    view.risk_cause = HOSTILE.into();
    view
}

#[test]
fn a_strangers_text_never_becomes_markup() {
    let page = Page::start(hostile());
    let (_, _, html) = get(&page, "/");
    assert!(!html.contains("<img"), "markup came out of a name");
    assert!(html.matches("&lt;img src=x onerror=alert(1)&gt;").count() >= 7);
    assert!(!html.contains('\u{202e}'), "the direction of text was turned");
    let (_, _, metrics) = get(&page, "/metrics");
    assert!(metrics.contains("reason=\"<img src=x onerror=alert(1)>\\\"'&"), "{metrics}");
    let (_, head, _) = get(&page, "/api/view");
    assert!(head.contains("content-type: application/json"));
}

#[test]
fn json_is_the_whole_view_and_the_page_never_shows_another_equity() {
    let page = Page::start(page::view(60));
    let json: Value = serde_json::from_str(&get(&page, "/api/view").2).unwrap();
    assert_eq!(json["mode"], "DEMO");
    assert_eq!(json["orders"]["refused"], 118);
    assert!(json["latency"]["sign"]["p99"].as_f64().unwrap() > 0.0);
    let cents = (json["equity"]["now_usd"].as_f64().unwrap() * 100.0).floor() as u64;
    let shown = format!("$10,{:03}.{:02}", cents / 100 % 1_000, cents % 100);
    assert!(get(&page, "/").2.contains(&shown), "{shown}");
}

#[test]
fn a_watcher_sees_the_newest_state_at_most_four_times_a_second() {
    let page = Page::start(page::view(1));
    let (status, mut watcher) = Watcher::connect(&page);
    assert_eq!(status, 200);
    let first = watcher.next().unwrap();
    assert_eq!(first.as_object().unwrap().len(), 12, "all parts come first");
    let view = Arc::clone(&page.view);
    let engine = std::thread::spawn(move || {
        let began = Instant::now();
        let mut uptime_s = 100;
        while began.elapsed() < Duration::from_secs(2) {
            uptime_s += 1;
            view.store(Arc::new(View { uptime_s, ..(**view.load()).clone() }));
            std::thread::sleep(Duration::from_millis(2));
        }
        view.store(Arc::new(View { uptime_s: 7_200, ..(**view.load()).clone() }));
    });
    let mut messages = 0;
    loop {
        let message = watcher.next().unwrap();
        messages += 1;
        assert_eq!(message.as_object().unwrap().keys().collect::<Vec<_>>(), ["facts"]);
        if message["facts"]["uptime"] == "2 h 00 m" {
            break;
        }
    }
    engine.join().unwrap();
    assert!((5..=10).contains(&messages), "{messages} messages in two seconds");
}

#[test]
fn a_watcher_too_many_is_told_so_and_a_place_becomes_free_again() {
    let page = Page::start(page::view(1));
    let mut watchers: Vec<_> = (0..8).map(|_| Watcher::connect(&page)).collect();
    assert!(watchers.iter().all(|(status, _)| *status == 200));
    assert_eq!(Watcher::connect(&page).0, 503);
    watchers.pop();
    let began = Instant::now();
    let mut uptime_s = 0;
    while Watcher::connect(&page).0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "the place was never freed");
        uptime_s += 1;
        page.publish(View { uptime_s, ..View::default() });
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_watcher_that_never_reads_holds_up_nobody() {
    let page = Page::start(page::view(60));
    let (_, _deaf) = Watcher::connect(&page);
    let (_, mut other) = Watcher::connect(&page);
    other.next().unwrap();
    for second in 61..75 {
        page.publish(page::view(second));
        std::thread::sleep(Duration::from_millis(100));
    }
    page.publish(View { uptime_s: 7_200, ..page::view(75) });
    while other.next().unwrap()["facts"]["uptime"] != "2 h 00 m" {}
    assert_eq!(get(&page, "/api/view").0, 200);
}

#[test]
fn before_the_engine_speaks_the_page_claims_nothing() {
    let page = Page::start(View::default());
    let (_, _, html) = get(&page, "/");
    assert!(html.contains("STARTING") && html.contains("not heard yet"));
    assert!(!html.contains("PAPER") && !html.contains("healthy"));
    let (status, _, body) = get(&page, "/healthz");
    assert_eq!((status, body.as_str()), (503, "the engine has not published yet\n"));
}

#[test]
fn health_is_told_by_status_and_a_silent_engine_is_not_healthy() {
    let page = Page::start(page::view(1));
    assert_eq!((get(&page, "/healthz").0, get(&page, "/healthz").2.as_str()), (200, "ok\n"));
    let problems = vec!["feed accounts is silent".to_owned()];
    let health = HealthView { ok: false, problems, ..HealthView::default() };
    page.publish(View { health, ..page::view(1) });
    let (status, _, body) = get(&page, "/healthz");
    assert_eq!((status, body.as_str()), (503, "feed accounts is silent\n"));
    page.publish(View { at_ms: now_ms() - 60_000, ..page::view(1) });
    let (status, _, body) = get(&page, "/healthz");
    assert_eq!(status, 503);
    assert!(body.starts_with("the engine last published 60 s ago"), "{body}");
}

#[test]
fn a_taken_port_and_an_open_address_are_refused_with_advice() {
    let serve = |options: Options| {
        let view = Arc::new(arc_swap::ArcSwap::from_pointee(View::default()));
        let shutdown = CancellationToken::new();
        let result = dashboard::serve(options, view, shutdown.clone());
        shutdown.cancel();
        result
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = TcpListener::bind(taken).unwrap();
    let error = serve(taken.into()).unwrap_err();
    assert!(matches!(error, DashboardError::Taken { address } if address == taken));
    assert!(error.to_string().contains("choose another port"), "{error}");
    drop(holder);

    let open = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = serve(open.into()).unwrap_err();
    assert!(matches!(error, DashboardError::NotLoopback { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    serve(Options { allow_remote: true, ..Options::from(open) }).unwrap().wait();
}

#[test]
fn it_ends_soon_closes_its_streams_and_frees_its_port() {
    let page = Page::start(page::view(1));
    let (_, mut watcher) = Watcher::connect(&page);
    watcher.next().unwrap();
    let (_, _deaf) = Watcher::connect(&page);
    let idle = TcpStream::connect(page.running.address()).unwrap();
    let (began, address) = (Instant::now(), page.running.address());
    page.shutdown.cancel();
    page.running.wait();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(watcher.next(), None);
    drop(idle);
    TcpListener::bind(address).unwrap();
}
