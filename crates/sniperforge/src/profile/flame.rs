//! A flame graph of a trade, top down: the stage tree by mean time, and the spans of the code by what they took in all.
//!
//! The chain's own time is nearly all of a trade, so what is ours is drawn a second time without it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Report, tree};
use crate::telemetry::Stage;

const WIDTH: f64 = 1_200.0;
const ROW: f64 = 20.0;
/// Between two pictures, with a title in it.
const GAP: f64 = 34.0;
/// Of a character, about.
const LETTER: f64 = 7.0;
/// A frame narrower than this would not be seen.
const NARROWEST: f64 = 0.3;

/// A frame and what is within it.
#[derive(Debug, Default)]
struct Frame {
    name: String,
    own_ns: f64,
    within: Vec<Frame>,
}

impl Frame {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    fn total(&self) -> f64 {
        self.own_ns + self.within.iter().map(Self::total).sum::<f64>()
    }

    fn depth(&self) -> usize {
        1 + self.within.iter().map(Self::depth).max().unwrap_or(0)
    }

    /// Adds time at a path of names below this one.
    fn add(&mut self, path: &[&str], ns: f64) {
        let Some((first, rest)) = path.split_first() else {
            self.own_ns += ns;
            return;
        };
        let at = self.within.iter().position(|frame| frame.name == *first);
        if at.is_none() {
            self.within.push(Self::new(first));
        }
        let at = at.unwrap_or(self.within.len() - 1);
        if let Some(frame) = self.within.get_mut(at) {
            frame.add(rest, ns);
        }
    }
}

/// Each stage's path, and what of its mean its parts do not explain.
pub(super) fn own_times(report: &Report) -> Vec<(Vec<&'static str>, f64)> {
    let rows = tree::ordered(report);
    let mut path: Vec<&'static str> = Vec::new();
    let mut times = Vec::with_capacity(rows.len());
    for (depth, name, of) in &rows {
        path.truncate(*depth);
        path.push(name);
        let parts = rows.iter().filter(|(_, _, part)| part.within == Some(name));
        let explained: f64 = parts.map(|(_, _, part)| part.mean_ms).sum();
        times.push((path.clone(), (of.mean_ms - explained).max(0.0) * 1e6));
    }
    times
}

/// The picture as SVG, without anything from elsewhere.
pub(super) fn draw(report: &Report, spans: &BTreeMap<String, Duration>) -> String {
    let mut whole = Frame::new("mean of each stage of a trade");
    let mut ours = Frame::new("the same without the chain's own time");
    for (path, ns) in own_times(report) {
        whole.add(&path, ns);
        let is_parent = path.last() == Some(&Stage::FullTrade.as_str());
        if !path.contains(&Stage::Confirm.as_str()) && !is_parent {
            ours.add(&path, ns);
        }
    }
    let mut code = Frame::new("timed spans of the code, in all");
    for (stack, took) in spans {
        let path: Vec<&str> = stack.split(';').collect();
        code.add(&path, took.as_secs_f64() * 1e9);
    }
    let (mut y, mut body) = (40.0, String::new());
    for panel in [&whole, &ours, &code].into_iter().filter(|panel| panel.total() > 0.0) {
        put(&mut body, panel, 10.0, WIDTH - 20.0, y, panel.total());
        y += rows(panel.depth()) * ROW + GAP;
    }
    let title = format!("a trade by its stages: {} trades, {}", report.iterations, report.date);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" \
         font-family=\"ui-monospace,monospace\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"15\">{title}</text>\n{body}</svg>\n"
    )
}

/// A frame, and below it what is within, side by side.
fn put(out: &mut String, frame: &Frame, x: f64, width: f64, y: f64, whole: f64) {
    let total = frame.total();
    if total <= 0.0 || width < NARROWEST {
        return;
    }
    let (name, share) = (escaped(&frame.name), total / whole * 100.0);
    let told = format!("{name}: {} ({share:.2}%)", tree::time(total / 1e6));
    let (fits, height) = (letters(&frame.name) * LETTER + 6.0 < width, ROW - 1.0);
    let label = if letters(&told) * LETTER + 6.0 < width { &told } else { &name };
    // Writing to a `String` cannot fail.
    write!(
        out,
        "<g><title>{told}</title><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" rx=\"2\" \
         fill=\"{}\"/>",
        colour(&frame.name)
    )
    .ok();
    if fits {
        write!(out, "<text x=\"{:.1}\" y=\"{:.1}\">{label}</text>", x + 3.0, y + 14.0).ok();
    }
    out.push_str("</g>\n");
    let mut at = x;
    for within in &frame.within {
        let part = within.total() / total * width;
        put(out, within, at, part, y + ROW, whole);
        at += part;
    }
}

/// Warm, and the same for the same name.
fn colour(name: &str) -> String {
    let sum = name.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("hsl({},{}%,74%)", 14 + sum % 40, 70 + sum / 40 % 25)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn letters(text: &str) -> f64 {
    crate::telemetry::stage::shown(u64::try_from(text.chars().count()).unwrap_or(0))
}

fn rows(count: usize) -> f64 {
    crate::telemetry::stage::shown(u64::try_from(count).unwrap_or(0))
}
