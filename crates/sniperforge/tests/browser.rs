//! The page in a real browser: it follows the engine, says so when it cannot, fits every screen and can be read.
//!
//! Pictures are taken with
//! `SNIPERFORGE_PICTURES=docs/images cargo test -p sniperforge --test browser pictures -- --ignored`, of the sample
//! below or, with `SNIPERFORGE_PAGE=http://127.0.0.1:PORT/`, of a running instance.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod chromium;
mod page;

use std::path::PathBuf;
use std::time::Duration;

use chromium::Chromium;
use page::Page;
use sniperforge::telemetry::{Change, RegressionView, View};

const SOON: Duration = Duration::from_secs(10);
const HOSTILE: &str = "<img src=x onerror=alert(1)>";

fn browser() -> Option<Chromium> {
    let browser = Chromium::start();
    if browser.is_none() {
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: no Chromium on this machine, the page was not looked at\n"),
        )
        .ok();
    }
    browser
}

#[test]
fn the_page_follows_the_engine_and_says_plainly_when_it_cannot() {
    let Some(mut browser) = browser() else { return };
    let page = Page::start(page::view(60));
    browser.screen(1280, 900, false);
    browser.open(&page.running.url());
    browser.until("document.getElementById('conn').textContent === 'live'", SOON);

    // Text and rows follow, tables empty and fill again, and a stranger's text stays text.
    let mut next = page::view(61);
    next.uptime_s = 7_200;
    next.positions.clear();
    next.trades[0].what = HOSTILE.into();
    next.log[19].text = HOSTILE.into();
    page.publish(next);
    browser.until("document.getElementById('f-uptime').textContent === '2 h 00 m'", SOON);
    let text = browser.eval("document.getElementById('t-positions').innerText");
    assert_eq!(text, "flat: nothing is held");
    let text = browser.eval("document.getElementById('t-trades').rows[0].cells[2].textContent");
    assert_eq!(text, HOSTILE);
    let text = browser.eval("document.getElementById('t-log').rows[0].cells[3].textContent");
    assert_eq!(text, HOSTILE);
    assert_eq!(
        browser.eval("document.querySelectorAll('main img, main a, main script').length"),
        0
    );
    let before = browser.eval("document.getElementById('c-line').getAttribute('d')");
    page.publish(page::view(90));
    browser.until("document.getElementById('t-positions').rows.length === 3", SOON);
    assert_ne!(browser.eval("document.getElementById('c-line').getAttribute('d')"), before);
    let same = "document.title.includes(document.getElementById('f-equity').textContent)";
    assert_eq!(browser.eval(same), true);

    // What updates made and what the server makes are the same page.
    const SHOWN: &str = "[...document.querySelectorAll('header *, main *')].filter(e => !e.closest('#conn')).map(e => \
        [e.tagName, e.id, (e.getAttribute('class') || '').trim(), e.getAttribute('d'), e.getAttribute('colspan'), \
        e.children.length ? '' : e.textContent].join('|')).join('\\n')";
    let updated = browser.eval(SHOWN);
    browser.open(&page.running.url());
    let served = browser.eval(SHOWN);
    let (served, updated) = (served.as_str().unwrap().lines(), updated.as_str().unwrap().lines());
    assert_eq!(served.clone().count(), updated.clone().count());
    for (served, updated) in served.zip(updated) {
        assert_eq!(served, updated);
    }

    // The engine falls silent, then the page's server goes away.
    browser.until("document.getElementById('conn').textContent === 'live'", SOON);
    let stale = "document.getElementById('conn').textContent.startsWith('stale: engine silent for ') \
                 && document.body.classList.contains('lost')";
    browser.until(stale, SOON);
    page.publish(page::view(91));
    browser.until("document.getElementById('conn').textContent === 'live'", SOON);
    assert_eq!(browser.eval("document.body.classList.contains('lost')"), false);
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    page.shutdown.cancel();
    page.running.wait();
    browser.until(
        "document.getElementById('conn').textContent.startsWith('stale: no connection')",
        SOON,
    );
}

/// Pairs of colours of all text on the page whose contrast is below 4.5 to 1.
const FAINT: &str = r#"(() => {
  const parse = (c) => { const n = c.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; } return [255, 255, 255, 1]; };
  const bar = parse(getComputedStyle(document.documentElement).getPropertyValue('--bar').replace('#', '').match(/../g).map((h) => parseInt(h, 16)).join(' '));
  const faint = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walk.nextNode());) {
    const e = node.parentElement;
    if (!node.textContent.trim() || !e.checkVisibility() || e.closest('script')) continue;
    const [a, b] = [parse(getComputedStyle(e).color), e.classList.contains('bar') ? bar : ground(e)].map((c) => light(c.slice(0, 3)));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(e.className + ': ' + node.textContent.slice(0, 30) + ' ' + ratio.toFixed(2));
  }
  return faint;
})()"#;

#[test]
fn the_page_fits_every_screen_and_can_be_read_by_day_and_by_night() {
    let Some(mut browser) = browser() else { return };
    let mut view = page::view(90);
    view.positions[0].symbol = "W".repeat(64);
    view.open_orders[0].pay = "W".repeat(64);
    view.health.problems = vec!["W".repeat(120)];
    view.log[19].text = "W".repeat(900);
    view.strategies[2].stopped = "loss limit".into();
    let page = Page::start(view);
    let pages = [page.running.url(), format!("{}performance", page.running.url())];
    let screens =
        [320, 390, 768, 1280, 1920].into_iter().flat_map(|w| pages.iter().map(move |p| (w, p)));
    for (width, url) in screens {
        for dark in [false, true] {
            browser.screen(width, 900, dark);
            browser.open(url);
            browser.until("document.getElementById('conn').textContent === 'live'", SOON);
            let wide = "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') \
                        && e.checkVisibility() && !e.closest('svg') && !e.classList.contains('skip') \
                        && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.id + e.className)";
            assert_eq!(browser.eval(wide), serde_json::json!([]), "beyond {width} pixels");
            let across = browser.eval("document.documentElement.scrollWidth");
            assert_eq!(across, width, "the page scrolls sideways");
            assert_eq!(browser.eval(FAINT), serde_json::json!([]), "{width} dark={dark}");
            let ground = browser.eval("getComputedStyle(document.body).backgroundColor");
            assert_eq!(ground == "rgb(13, 17, 23)", dark, "{ground}");
        }
    }
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

#[test]
fn on_an_ordinary_day_no_table_has_to_be_scrolled_sideways() {
    let Some(mut browser) = browser() else { return };
    let page = Page::start(page::view(240));
    for width in [390, 768, 1280, 1920] {
        browser.screen(width, 900, false);
        browser.open(&page.running.url());
        let cut = "[...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth) \
                   .map(s => s.querySelector('tbody').id + ' ' + s.scrollWidth + ' > ' + s.clientWidth)";
        assert_eq!(browser.eval(cut), serde_json::json!([]), "at {width} pixels");
        // Of the performance view, what strategies take stage by stage is wide, and a telephone is not.
        browser.open(&format!("{}performance", page.running.url()));
        let cut = "[...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth) \
                   .map(s => s.getAttribute('aria-labelledby')).filter(n => innerWidth > 900 || n !== 'h-by-strategy')";
        assert_eq!(browser.eval(cut), serde_json::json!([]), "at {width} pixels");
    }
}

#[test]
fn the_performance_view_follows_the_engine_and_a_strangers_text_stays_text() {
    let Some(mut browser) = browser() else { return };
    let page = Page::start(page::view(60));
    browser.screen(1280, 900, false);
    browser.open(&format!("{}performance", page.running.url()));
    browser.until("document.getElementById('conn').textContent === 'live'", SOON);
    assert_eq!(browser.eval("document.querySelectorAll('.way').length"), 6);
    assert_eq!(browser.eval("document.querySelectorAll('td.shape svg rect').length > 50"), true);
    let mut next = page::view(61);
    next.performance.ways.truncate(1);
    next.performance.ways[0].strategy = HOSTILE.into();
    next.performance.apis[0].name = HOSTILE.into();
    next.performance.regressions.push(RegressionView {
        stage: "sign",
        change: Change { ratio: 1.24, low: 1.18, high: 1.3 },
        is_budget: false,
        since_ms: next.at_ms,
    });
    page.publish(next);
    browser.until("document.querySelectorAll('.way').length === 1", SOON);
    let told = browser.eval("document.querySelector('.regressed').textContent");
    let told = told.as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.starts_with("sign takes 24 % longer than was measured, at least 18 %"), "{told}");
    assert_eq!(browser.eval("document.querySelector('.way b').textContent"), HOSTILE);
    assert_eq!(
        browser.eval("document.querySelectorAll('main img, main a, main script').length"),
        0
    );
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    page.shutdown.cancel();
    page.running.wait();
    browser.until("document.getElementById('conn').textContent.startsWith('stale')", SOON * 2);
}

#[test]
fn the_page_has_landmarks_headings_and_a_keyboard_path() {
    let Some(mut browser) = browser() else { return };
    let page = Page::start(page::view(60));
    browser.screen(1280, 900, false);
    browser.open(&page.running.url());
    for (what, script) in [
        (
            "one of each landmark",
            "['header', 'main', 'footer', 'h1'].every(n => document.querySelectorAll(n).length === 1)",
        ),
        (
            "a heading in every section",
            "[...document.querySelectorAll('section')].every(s => s.querySelector('h2') && document.getElementById(s.getAttribute('aria-labelledby')))",
        ),
        (
            "a scope on every table head",
            "[...document.querySelectorAll('th')].every(h => h.scope === 'col' && h.textContent)",
        ),
        (
            "scrolling boxes that take the keyboard",
            "[...document.querySelectorAll('.scroll')].every(s => s.tabIndex === 0 && s.getAttribute('aria-labelledby'))",
        ),
        (
            "as many cells as heads",
            "[...document.querySelectorAll('tbody tr')].every(r => r.cells[0].colSpan > 1 || r.cells.length === r.closest('table').tHead.rows[0].cells.length)",
        ),
        (
            "a language and a title",
            "document.documentElement.lang === 'en' && document.title.includes('SniperForge')",
        ),
        (
            "distinct ids",
            "new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size === document.querySelectorAll('[id]').length",
        ),
    ] {
        assert_eq!(browser.eval(script), true, "{what}");
    }
}

#[test]
#[ignore = "takes pictures for the documents; see the head of this file"]
fn pictures() {
    let Some(mut browser) = browser() else { return };
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let folder = root.join(std::env::var("SNIPERFORGE_PICTURES").unwrap_or("docs/images".into()));
    std::fs::create_dir_all(&folder).unwrap();
    let sample = Page::start(View { rss_peak_mb: 22.1, ..page::view(240) });
    let url = std::env::var("SNIPERFORGE_PAGE").unwrap_or(sample.running.url());
    for (name, width, dark) in [
        ("dashboard.png", 1_280, false),
        ("dashboard-dark.png", 1_280, true),
        ("dashboard-narrow.png", 390, false),
        ("dashboard-narrow-dark.png", 390, true),
    ] {
        browser.screen(width, 900, dark);
        browser.open(&url);
        browser.until("document.getElementById('conn').textContent === 'live'", SOON);
        browser.picture(width, None, &folder.join(name));
        browser.open(&format!("{}/performance", url.trim_end_matches('/')));
        browser.until("document.getElementById('conn').textContent === 'live'", SOON);
        let other = name.replace("dashboard", "performance");
        browser.picture(width, None, &folder.join(&other));
        println!("{} and {other}", folder.join(name).display());
    }
}
