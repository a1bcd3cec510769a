//! Logs to standard error, and their last lines for the page.
//!
//! # Design
//!
//! A slow terminal or pipe must not hold up a trade, so a line is handed to a writing thread over a bounded queue;
//! when that is full the line is counted as lost, and the loss is written when there is room again. Both ways out,
//! text and JSON, and the page's tail are fed from one place that drops secret fields and cleans the rest.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, span};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::clock::{now_ms, rfc3339_utc};
use super::redact::{is_loopback_url, is_secret_field, safe_text};
use super::spans::{SPAN_TARGET, SpanTimes};

/// Most lines the page's tail keeps.
pub const LOG_LINES_MAX: usize = 200;

/// Most characters of one field's value.
const VALUE_CHARS_MAX: usize = 400;
/// Most characters of one line of text.
const LINE_CHARS_MAX: usize = 1_000;
/// Most lines waiting for standard error.
const QUEUE_LINES_MAX: usize = 1_024;
/// How long the end of the program waits for standard error.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

/// Why there is no log.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The level was not understood.
    #[error(
        "log level {level:?} is not a level: write error, warn, info, debug or trace, or target=level pairs"
    )]
    Level {
        /// What was given.
        level: String,
    },
    /// Something in this process logs already.
    #[error("logging was already set up in this process")]
    AlreadySet,
    /// The system gave no thread.
    #[error("the log's writing thread could not start")]
    Thread {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// One line of the log, cleaned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// When, in milliseconds since the Unix epoch.
    pub t_ms: i64,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: &'static str,
    /// The module that wrote it.
    pub target: &'static str,
    /// The message and its fields.
    pub text: String,
}

/// Takes a line without ever waiting.
type Forward = Box<dyn Fn(&LogLine) + Send>;

#[derive(Default)]
struct Kept {
    lines: VecDeque<LogLine>,
    forward: Option<Forward>,
}

/// The last [`LOG_LINES_MAX`] lines. Clones share them.
#[derive(Clone, Default)]
pub struct LogRing(Arc<Mutex<Kept>>);

impl std::fmt::Debug for LogRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogRing").finish_non_exhaustive()
    }
}

impl LogRing {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A line is pushed whole or not at all, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, and forgets the oldest when full.
    fn push(&self, line: LogLine) {
        let mut kept = self.kept();
        if let Some(forward) = &kept.forward {
            forward(&line);
        }
        if kept.lines.len() == LOG_LINES_MAX {
            kept.lines.pop_front();
        }
        kept.lines.push_back(line);
    }

    /// Gives every further line to `take` too, in the place of whoever had them before. It is called by whoever logs: it must
    /// neither wait nor log.
    pub fn forward(&self, take: impl Fn(&LogLine) + Send + 'static) {
        self.kept().forward = Some(Box::new(take));
    }

    /// The lines, oldest first.
    #[must_use]
    pub fn tail(&self) -> Vec<LogLine> {
        self.kept().lines.iter().cloned().collect()
    }
}

/// The log while it runs. When dropped it waits, for a second at most, until what was logged is written.
#[derive(Debug)]
pub struct Logging {
    /// The last lines.
    pub ring: LogRing,
    lines: SyncSender<Line>,
}

impl Logging {
    /// Waits until all that was logged is written.
    fn flush(&self) {
        let (done, written) = sync_channel(1);
        // A full queue means that standard error does not move: nothing to wait for. A lost answer means the same.
        if self.lines.try_send(Line::Flush(done)).is_ok() {
            written.recv_timeout(FLUSH_WAIT).ok();
        }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.flush();
    }
}

#[derive(Debug)]
enum Line {
    Text(String),
    Flush(SyncSender<()>),
}

/// Starts logging to standard error, as text or as one JSON object a line.
///
/// `level` is a level, or pairs such as `info,sniper_solana=debug`. Keep the [`Logging`] until the program ends.
///
/// # Errors
/// When the level is not understood, or logging is set up already.
pub fn init_logging(json: bool, level: &str) -> Result<Logging, LogError> {
    init_logging_with(json, level, None)
}

/// As [`init_logging`], with a layer beside it that times the spans of [`SPAN_TARGET`].
///
/// # Errors
/// As [`init_logging`].
pub fn init_logging_with(
    json: bool,
    level: &str,
    spans: Option<SpanTimes>,
) -> Result<Logging, LogError> {
    let targets: Targets =
        level.parse().map_err(|_| LogError::Level { level: safe_text(level, 80) })?;
    let (lines, queue) = sync_channel(QUEUE_LINES_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let layer =
        RingLayer { ring: LogRing::default(), lines: lines.clone(), lost: Arc::clone(&lost), json };
    let ring = layer.ring.clone();
    let timed = Targets::new().with_target(SPAN_TARGET, Level::TRACE);
    let spans = spans.map(|spans| spans.with_filter(timed));
    // What is timed is no line of the log.
    let targets = targets.with_target(SPAN_TARGET, LevelFilter::OFF);
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(targets)).with(spans);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadySet)?;
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_lines(&queue, &lost, &mut std::io::stderr()))
        .map_err(|source| LogError::Thread { source })?;
    let logging = Logging { ring, lines };
    // Until that thread runs.
    logging.flush();
    Ok(logging)
}

/// Writes until every sender is gone. Standard error that cannot be written leaves nobody to tell.
fn write_lines(queue: &Receiver<Line>, lost: &AtomicU64, out: &mut impl Write) {
    // Made before anybody goes on, so that this thread has a heap of its own and takes nobody's leavings.
    let mut whole = Vec::with_capacity(512);
    while let Ok(line) = queue.recv() {
        match line {
            Line::Text(text) => {
                let missing = lost.swap(0, Ordering::Relaxed);
                if missing > 0 {
                    writeln!(out, "({missing} log lines lost: standard error was too slow)").ok();
                }
                whole.clear();
                // Into memory, where nothing fails.
                writeln!(whole, "{text}").ok();
                out.write_all(&whole).ok();
            }
            Line::Flush(done) => {
                out.flush().ok();
                done.try_send(()).ok();
            }
        }
    }
}

struct RingLayer {
    ring: LogRing,
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
    json: bool,
}

/// Fields of a span or an event: cleaned, without the secret ones.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        if name == "message" {
            self.message = text_of(&value);
        } else if !is_secret_field(name) || value.as_str().is_some_and(is_loopback_url) {
            self.rest.retain(|(known, _)| *known != name);
            self.rest.push((name, value));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, Value::String(safe_text(&format!("{value:?}"), VALUE_CHARS_MAX)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::String(safe_text(value, VALUE_CHARS_MAX)));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        self.put(field, Value::String(safe_text(&text, VALUE_CHARS_MAX)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RingLayer {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = cx.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, cx: Context<'_, S>) {
        if let Some(span) = cx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut spans = Vec::new();
        for span in cx.event_scope(event).into_iter().flatten() {
            let rest = span.extensions().get::<Fields>().map(|f| f.rest.clone());
            spans.push((span.name(), rest.unwrap_or_default()));
        }
        let metadata = event.metadata();
        let (t_ms, level) = (now_ms(), level_name(*metadata.level()));
        let text = as_text(&fields, &spans);
        let out = if self.json {
            as_json(t_ms, level, metadata.target(), &fields, &spans)
        } else {
            format!("{} {level:5} {}: {text}", rfc3339_utc(t_ms), metadata.target())
        };
        self.ring.push(LogLine { t_ms, level, target: metadata.target(), text });
        if self.lines.try_send(Line::Text(out)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

type Spans = [(&'static str, Vec<(&'static str, Value)>)];

/// `message field=value [span field=value]`, innermost span first.
fn as_text(fields: &Fields, spans: &Spans) -> String {
    let mut text = fields.message.clone();
    let mut add = |name: &str, value: &Value| {
        text.push_str(&format!(" {name}={}", text_of(value)));
    };
    for (name, value) in &fields.rest {
        add(name, value);
    }
    for (span, values) in spans {
        for (name, value) in values {
            add(&format!("{span}.{name}"), value);
        }
    }
    safe_text(text.trim_start(), LINE_CHARS_MAX)
}

fn as_json(t_ms: i64, level: &str, target: &str, fields: &Fields, spans: &Spans) -> String {
    let object = |values: &[(&'static str, Value)]| -> Map<String, Value> {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let mut line = Map::new();
    line.insert("time".into(), rfc3339_utc(t_ms).into());
    line.insert("level".into(), level.into());
    line.insert("target".into(), target.into());
    line.insert("message".into(), fields.message.clone().into());
    line.insert("fields".into(), object(&fields.rest).into());
    let spans = spans.iter().map(|(name, values)| {
        let mut span = object(values);
        span.insert("span".into(), (*name).into());
        Value::Object(span)
    });
    line.insert("spans".into(), spans.collect());
    Value::Object(line).to_string()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a closure logs, as text or JSON, and the ring.
    fn logged(json: bool, queue_max: usize, log: impl FnOnce()) -> (Vec<String>, LogRing, u64) {
        let (lines, queue) = sync_channel(queue_max);
        let lost = Arc::new(AtomicU64::new(0));
        let ring = LogRing::default();
        let layer = RingLayer { ring: ring.clone(), lines, lost: Arc::clone(&lost), json };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let lines = queue.try_iter().filter_map(|line| match line {
            Line::Text(text) => Some(text),
            Line::Flush(_) => None,
        });
        (lines.collect(), ring, lost.load(Ordering::Relaxed))
    }

    #[derive(Debug, Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    fn log_something() {
        let span = tracing::info_span!("send", order = "71.3", api_key = "hunter2");
        let _entered = span.enter();
        let error = Outer(std::io::Error::other("no route to https://rpc.example/v2/hunter2"));
        tracing::warn!(
            error = &error as &(dyn std::error::Error + 'static),
            attempt = 2,
            rpc_url = "https://rpc.example/v2/hunter2",
            symbol = "EVIL\u{1b}[2J\r\n2026 INFO fake",
            "send refused"
        );
    }

    #[test]
    fn neither_text_nor_json_nor_the_ring_holds_a_secret_or_a_control_character() {
        for json in [false, true] {
            let (lines, ring, _) = logged(json, 10, log_something);
            let tail = ring.tail();
            assert_eq!((lines.len(), tail.len()), (1, 1));
            for text in [&lines[0], &tail[0].text] {
                assert!(!text.contains("hunter2") && !text.contains("rpc.example"), "{text}");
                assert!(!text.chars().any(char::is_control), "{text:?}");
                assert!(text.contains("send refused") && text.contains("71.3"), "{text}");
                assert!(text.contains("outer: no route to"), "{text}");
            }
            assert_eq!((tail[0].level, tail[0].target), ("WARN", module_path!()));
        }
    }

    #[test]
    fn a_json_line_is_one_object_with_typed_fields() {
        let (lines, ..) = logged(true, 10, log_something);
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "send refused");
        assert_eq!(line["fields"]["attempt"], 2);
        assert_eq!(line["spans"][0], serde_json::json!({"span": "send", "order": "71.3"}));
        assert!(line["fields"].get("rpc_url").is_none());
    }

    #[test]
    fn a_span_shows_what_was_recorded_later() {
        let (lines, ..) = logged(false, 10, || {
            let span = tracing::info_span!("land", signature = tracing::field::Empty, secret = 1);
            let _entered = span.enter();
            span.record("signature", "5Kx");
            span.record("secret", 2);
            tracing::info!("landed");
        });
        assert!(lines[0].ends_with("landed land.signature=5Kx"), "{}", lines[0]);
    }

    #[test]
    fn the_ring_keeps_the_last_lines_and_a_full_queue_loses_lines_without_waiting() {
        let (lines, ring, lost) = logged(false, 3, || {
            for n in 0..LOG_LINES_MAX + 5 {
                tracing::info!(n, "line");
            }
        });
        let tail = ring.tail();
        assert_eq!(tail.len(), LOG_LINES_MAX);
        assert_eq!(tail[0].text, "line n=5");
        assert_eq!(lines.len(), 3);
        assert_eq!(lost, u64::try_from(LOG_LINES_MAX).unwrap() + 2);
    }

    #[test]
    fn where_the_page_is_served_may_be_said() {
        let (lines, ..) = logged(false, 10, || {
            tracing::info!(
                url = "http://127.0.0.1:8080/",
                rpc_url = "http://127.0.0.1:1/k",
                "page"
            );
        });
        assert!(lines[0].ends_with("page url=http://127.0.0.1:8080/"), "{}", lines[0]);
    }

    #[test]
    fn a_huge_field_is_cut() {
        let (lines, ring, _) = logged(true, 10, || {
            tracing::info!(huge = "x".repeat(1 << 20), also = ?vec![7_u8; 1 << 16], "big");
        });
        assert!(lines[0].len() < 3_000 && ring.tail()[0].text.len() < 2 * LINE_CHARS_MAX);
    }

    #[test]
    fn the_writer_says_what_was_lost_and_answers_a_flush() {
        let (lines, queue) = sync_channel(4);
        let (done, written) = sync_channel(1);
        lines.send(Line::Text("one".into())).unwrap();
        lines.send(Line::Flush(done)).unwrap();
        drop(lines);
        let mut out = Vec::new();
        write_lines(&queue, &AtomicU64::new(7), &mut out);
        written.try_recv().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "(7 log lines lost: standard error was too slow)\none\n");
    }

    #[test]
    fn a_level_nobody_knows_is_refused_with_advice() {
        let error = init_logging(false, "lou=d=er").unwrap_err().to_string();
        assert!(error.contains("lou=d=er") && error.contains("write error, warn"), "{error}");
    }
}
