//! What changed, for those who watch.
//!
//! The view is turned into text once for all watchers, at most four times a second and only while somebody watches.
//! Each part of the page carries the number of the round in which it last changed, so a watcher that was slow gets
//! everything it missed in one message and never an old state.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::sync::watch;

use super::model::Model;
use crate::telemetry::View;

/// Shortest time between two messages.
pub(super) const PERIOD: Duration = Duration::from_millis(250);

/// A part of the page as JSON.
#[derive(Clone, Debug)]
struct Section {
    name: &'static str,
    json: Arc<str>,
    /// The round in which it last changed.
    changed: u64,
}

/// All parts after some round.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    round: u64,
    sections: Arc<[Section]>,
}

impl Snapshot {
    /// The parts that changed after round `seen`, as one JSON object, and the round it brings a watcher to; `None`
    /// when nothing did.
    pub(super) fn since(&self, seen: u64) -> Option<(u64, String)> {
        let mut message = String::new();
        for section in self.sections.iter().filter(|section| section.changed > seen) {
            message.push(if message.is_empty() { '{' } else { ',' });
            message.push_str(&format!("\"{}\":{}", section.name, section.json));
        }
        if message.is_empty() {
            return None;
        }
        message.push('}');
        Some((self.round, message))
    }
}

/// Turns views into snapshots and hands them out.
#[derive(Debug)]
pub(super) struct Changes {
    view: Arc<ArcSwap<View>>,
    /// The view last turned into text. Kept whole: as long as it lives no other view can have its address.
    seen: Mutex<Option<Arc<View>>>,
    out: watch::Sender<Snapshot>,
}

impl Changes {
    pub(super) fn new(view: Arc<ArcSwap<View>>) -> Self {
        Self { view, seen: Mutex::new(None), out: watch::Sender::new(Snapshot::default()) }
    }

    /// A watcher's end, up to date as of now.
    pub(super) fn watch(&self) -> watch::Receiver<Snapshot> {
        self.refresh();
        let mut receiver = self.out.subscribe();
        receiver.mark_changed();
        receiver
    }

    /// Looks at the view every [`PERIOD`] while somebody watches. Never ends.
    pub(super) async fn keep_fresh(&self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if self.out.receiver_count() > 0 {
                self.refresh();
            }
        }
    }

    /// Sends what the engine published since the last look.
    fn refresh(&self) {
        let view = self.view.load_full();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &view)) {
            return;
        }
        let model = Model::from(&*view);
        self.out.send_if_modified(|snapshot| replace(snapshot, &model));
        *seen = Some(view);
    }
}

/// Puts the model into the snapshot; tells whether any part changed.
fn replace(snapshot: &mut Snapshot, model: &Model) -> bool {
    let round = snapshot.round + 1;
    let old = Arc::clone(&snapshot.sections);
    let part = |name: &'static str, json: String| {
        let before = old.iter().find(|section| section.name == name);
        match before.filter(|section| *section.json == *json) {
            Some(same) => same.clone(),
            None => Section { name, json: json.into(), changed: round },
        }
    };
    snapshot.sections = Arc::new([
        part("facts", json(&model.facts)),
        part("chart", json(&model.chart)),
        part("positions", json(&model.positions)),
        part("cash", json(&model.cash)),
        part("orders", json(&model.orders)),
        part("strategies", json(&model.strategies)),
        part("trades", json(&model.trades)),
        part("refusals", json(&model.refusals)),
        part("latency", json(&model.latency)),
        part("endpoints", json(&model.endpoints)),
        part("feeds", json(&model.feeds)),
        part("log", json(&model.log)),
    ]);
    let changed = snapshot.sections.iter().any(|section| section.changed == round);
    snapshot.round = round;
    changed
}

fn json(part: &impl Serialize) -> String {
    serde_json::to_string(part).expect("Invariant: text and integers always become JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn keys(message: &str) -> Vec<String> {
        let value: Value = serde_json::from_str(message).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn a_watcher_gets_all_at_first_and_then_only_what_changed() {
        let view = Arc::new(ArcSwap::from_pointee(View::default()));
        let changes = Changes::new(Arc::clone(&view));
        let mut watcher = changes.watch();
        assert!(watcher.has_changed().unwrap());
        let (first, message) = watcher.borrow_and_update().since(0).unwrap();
        assert_eq!(keys(&message).len(), 12);

        changes.refresh();
        view.store(Arc::new(View::default()));
        changes.refresh();
        assert!(!watcher.has_changed().unwrap(), "nothing differs");

        view.store(Arc::new(View { uptime_s: 9, ..View::default() }));
        changes.refresh();
        let (second, message) = watcher.borrow_and_update().since(first).unwrap();
        assert_eq!(keys(&message), ["facts"]);
        assert!(second > first && message.contains("9 s"));
    }

    #[test]
    fn a_slow_watcher_gets_everything_it_missed_and_only_the_newest_state() {
        let view = Arc::new(ArcSwap::from_pointee(View::default()));
        let changes = Changes::new(Arc::clone(&view));
        let watcher = changes.watch();
        let (first, _) = watcher.borrow().since(0).unwrap();
        let refusals = [("stale".to_owned(), 3)].into();
        view.store(Arc::new(View { refusals, uptime_s: 1, ..View::default() }));
        changes.refresh();
        let refusals = [("stale".to_owned(), 3)].into();
        view.store(Arc::new(View { refusals, uptime_s: 2, ..View::default() }));
        changes.refresh();
        let (_, message) = watcher.borrow().since(first).unwrap();
        assert_eq!(keys(&message), ["facts", "refusals"]);
        assert!(message.contains("2 s") && !message.contains("1 s"));
        assert_eq!(watcher.borrow().since(watcher.borrow().round), None);
    }
}
