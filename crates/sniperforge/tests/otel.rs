//! What a collector gets, read with the protocol's own messages.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, NumberDataPoint, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use sniperforge::telemetry::{
    Collector, EquityView, OrderCounts, Stage, StageTimers, StrategyView, View, WaterfallView,
    prometheus,
};

enum Told {
    Metrics(ExportMetricsServiceRequest),
    Traces(ExportTraceServiceRequest),
}

/// A collector that keeps what it is told.
fn listen() -> (String, Receiver<Told>) {
    async fn metrics(State(told): State<Sender<Told>>, body: Bytes) {
        told.send(Told::Metrics(ExportMetricsServiceRequest::decode(body).unwrap())).ok();
    }
    async fn traces(State(told): State<Sender<Told>>, body: Bytes) {
        told.send(Told::Traces(ExportTraceServiceRequest::decode(body).unwrap())).ok();
    }
    let (sender, told) = channel();
    let (ready, address) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            ready.send(listener.local_addr().unwrap()).unwrap();
            let paths = Router::new()
                .route("/v1/metrics", post(metrics))
                .route("/v1/traces", post(traces))
                .with_state(sender);
            axum::serve(listener, paths).await.unwrap();
        });
    });
    (format!("http://{}", address.recv().unwrap()), told)
}

fn view(equity: i64, landed: u64) -> View {
    let mut timers = StageTimers::new();
    for us in 1..=100 {
        timers.record(Stage::Sign, Duration::from_micros(us));
    }
    View {
        equity: EquityView { now: sniper_core::units::Usd::new(equity), ..EquityView::default() },
        orders: OrderCounts { submitted: landed + 2, landed, ..OrderCounts::default() },
        refusals: BTreeMap::from([("stale \"x\"".to_owned(), 3)]),
        strategies: vec![StrategyView { name: "trend".into(), ..StrategyView::default() }],
        latency: timers.snapshot(),
        ..View::default()
    }
}

fn text(of: &KeyValue) -> (String, String) {
    let Some(Value::StringValue(value)) = of.value.clone().unwrap().value else { panic!("{of:?}") };
    (of.key.clone(), value)
}

fn is_ours(resource: &Resource) {
    let known: BTreeMap<_, _> = resource
        .attributes
        .iter()
        .filter_map(|of| {
            let Some(Value::StringValue(value)) = of.value.clone()?.value else { return None };
            Some((of.key.clone(), value))
        })
        .collect();
    assert_eq!(known["service.name"], "sniperforge");
    assert_eq!(known["service.version"], env!("CARGO_PKG_VERSION"));
}

/// Series as Prometheus text writes them, with their values; and the names of what is told as counters.
fn series(request: &ExportMetricsServiceRequest) -> (BTreeMap<String, f64>, BTreeSet<String>) {
    let (mut all, mut counters) = (BTreeMap::new(), BTreeSet::new());
    for resource in &request.resource_metrics {
        is_ours(resource.resource.as_ref().unwrap());
        for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            let points: &[NumberDataPoint] = match metric.data.as_ref().unwrap() {
                Data::Gauge(gauge) => &gauge.data_points,
                Data::Sum(sum) => {
                    assert!(sum.is_monotonic, "{}", metric.name);
                    let cumulative = AggregationTemporality::Cumulative as i32;
                    assert_eq!(sum.aggregation_temporality, cumulative);
                    counters.insert(metric.name.clone());
                    &sum.data_points
                }
                other => panic!("{other:?}"),
            };
            for point in points {
                let Some(number_data_point::Value::AsDouble(value)) = point.value else { panic!() };
                let mut labels: Vec<_> = point.attributes.iter().map(text).collect();
                labels.sort();
                assert!(all.insert(format!("{}{labels:?}", metric.name), value).is_none());
            }
        }
    }
    (all, counters)
}

/// The same out of Prometheus text.
fn scraped(view: &View) -> BTreeMap<String, f64> {
    let text = prometheus(view);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            let mut labels: Vec<(String, String)> = labels
                .trim_end_matches('}')
                .split("\",")
                .filter(|label| !label.is_empty())
                .map(|label| {
                    let (name, value) = label.split_once("=\"").unwrap();
                    let value =
                        value.strip_suffix('"').filter(|v| !v.ends_with('\\')).unwrap_or(value);
                    (name.to_owned(), value.replace("\\\"", "\""))
                })
                .collect();
            labels.sort();
            (format!("{name}{labels:?}"), value.parse().unwrap())
        })
        .collect()
}

/// The next that is wanted of what is told.
fn next<T>(told: &Receiver<Told>, mut wanted: impl FnMut(Told) -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let told = told.recv_timeout(left).expect("the collector is told within half a minute");
        if let Some(found) = wanted(told) {
            return found;
        }
    }
}

fn start(endpoint: &str, every: Duration, view: &Arc<ArcSwap<View>>) -> Collector {
    // As the program does first of all.
    sniper_solana::install_crypto_provider();
    Collector::start(endpoint, every, Arc::clone(view)).unwrap()
}

#[tokio::test]
async fn a_collector_gets_the_figures_of_every_view_as_a_scrape_would() {
    let (endpoint, told) = listen();
    let shared = Arc::new(ArcSwap::from_pointee(view(-1_250_001, 7)));
    let collector = start(&endpoint, Duration::from_millis(100), &shared);
    for (equity, landed) in [(-1_250_001, 7), (2_000_000, 9)] {
        shared.store(Arc::new(view(equity, landed)));
        let wanted = scraped(&shared.load());
        let counters = next(&told, |told| match told {
            Told::Metrics(request) => {
                let (all, counters) = series(&request);
                let newest = all["sniper_equity_usd[]"] == wanted["sniper_equity_usd[]"];
                newest.then(|| {
                    assert_eq!(all, wanted);
                    counters
                })
            }
            Told::Traces(_) => None,
        });
        for name in
            ["sniper_orders_closed_total", "sniper_stage_seconds_count", "sniper_stage_seconds_sum"]
        {
            assert!(counters.contains(name), "{name} counts");
        }
        assert!(
            !counters.contains("sniper_stage_seconds") && !counters.contains("sniper_equity_usd")
        );
    }
    // The end tells what is newest, however seldom figures are sent.
    let seldom = start(&endpoint, Duration::from_secs(3_600), &shared);
    shared.store(Arc::new(view(77_000_000, 10)));
    drop((collector, seldom));
    next(&told, |told| match told {
        Told::Metrics(request) => (series(&request).0["sniper_equity_usd[]"] == 77.0).then_some(()),
        Told::Traces(_) => None,
    });
}

#[tokio::test]
async fn an_order_that_landed_is_a_trace_of_its_stages() {
    let (endpoint, told) = listen();
    let shared = Arc::new(ArcSwap::from_pointee(View::default()));
    let collector = start(&endpoint, Duration::from_secs(3_600), &shared);
    let way = WaterfallView {
        at_ms: 1_750_000_000_500,
        strategy: "momentum".into(),
        total_us: 400_000.0,
        spans: vec![("sign", 100.0, 25.5), ("confirm", 1_000.0, 399_000.0)],
    };
    collector.order(&way);
    drop(collector);
    let spans = next(&told, |told| match told {
        Told::Traces(request) => {
            let resource = &request.resource_spans[0];
            is_ours(resource.resource.as_ref().unwrap());
            Some(resource.scope_spans[0].spans.clone())
        }
        Told::Metrics(_) => None,
    });
    assert_eq!(spans.len(), 3);
    let order = spans.iter().find(|span| span.name == "order").unwrap();
    let begin = 1_750_000_000_100_000_000;
    assert_eq!(
        (order.start_time_unix_nano, order.end_time_unix_nano),
        (begin, begin + 400_000_000)
    );
    assert_eq!(
        order.attributes.iter().map(text).collect::<Vec<_>>(),
        [("strategy".into(), "momentum".into())]
    );
    for (name, from, took) in [("sign", 100_000, 25_500), ("confirm", 1_000_000, 399_000_000)] {
        let stage = spans.iter().find(|span| span.name == name).unwrap();
        assert_eq!(stage.start_time_unix_nano, begin + from);
        assert_eq!(stage.end_time_unix_nano, begin + from + took);
        assert_eq!((&stage.trace_id, &stage.parent_span_id), (&order.trace_id, &order.span_id));
    }
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up() {
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let shared = Arc::new(ArcSwap::from_pointee(view(1, 1)));
    let collector = start(&format!("http://{away}"), Duration::from_millis(50), &shared);
    let way = WaterfallView {
        at_ms: 1,
        strategy: "trend".into(),
        total_us: f64::NAN,
        spans: vec![("sign", -1.0, f64::MAX)],
    };
    let begun = Instant::now();
    // More than any queue holds.
    for _ in 0..10_000 {
        collector.order(&way);
    }
    drop(collector);
    assert!(begun.elapsed() < Duration::from_secs(30), "the end waits for no collector");
}
