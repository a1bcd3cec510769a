//! Figures and ways of orders for an OpenTelemetry collector, over OTLP (HTTP, protobuf).
//!
//! # Design
//! - Figures are those of [`prometheus`](super::prometheus()), with the same names and labels, so that one dashboard
//!   serves both. The SDK's reader asks for them on a thread of its own, and is answered from the newest [`View`].
//! - An order that has landed becomes a trace: the span `order` from the event that caused it until it landed, and one
//!   below it for each stage.
//! - Whoever trades hands a finished way over a bounded queue and waits for nobody. What a collector that is away does
//!   not take is dropped and told in the log; counters are absolute, so that nothing is counted wrong afterwards.
//!
//! Source: the OpenTelemetry protocol, OTLP 1.x, as `opentelemetry-otlp` speaks it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use arc_swap::ArcSwap;
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider as _};
use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use thiserror::Error;

use super::performance::WaterfallView;
use super::prometheus::{Sink, figures};
use super::view::View;

/// How long a collector may take to answer, and the end of a run waits for what is not sent yet.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why nothing is sent.
#[derive(Debug, Error)]
#[error("the exporter to the collector cannot be made: {0}")]
pub struct CollectorError(#[from] ExporterBuildError);

/// Sends until it is dropped; the end sends what is left.
#[derive(Debug)]
pub struct Collector {
    meters: SdkMeterProvider,
    traces: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Collector {
    /// Sends the figures of the newest view every so often to `endpoint`, an address such as `http://127.0.0.1:4318`.
    /// Whether anybody listens there is not asked: a collector may come later.
    ///
    /// # Errors
    /// When the address cannot be used, or there is no client for it.
    pub fn start(
        endpoint: &str,
        every: Duration,
        view: Arc<ArcSwap<View>>,
    ) -> Result<Self, CollectorError> {
        let resource = Resource::builder()
            .with_service_name("sniperforge")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let exporter = MetricExporter::builder()
            .with_http()
            .with_endpoint(format!("{endpoint}/v1/metrics"))
            .with_timeout(PATIENCE)
            .build()?;
        let reader = PeriodicReader::builder(exporter).with_interval(every).build();
        let meters =
            SdkMeterProvider::builder().with_reader(reader).with_resource(resource.clone()).build();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_timeout(PATIENCE)
            .build()?;
        let traces = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let tracer = traces.tracer("sniperforge");
        register(&meters.meter("sniperforge"), view);
        Ok(Self { meters, traces, tracer })
    }

    /// The way of an order that has landed.
    pub fn order(&self, way: &WaterfallView) {
        let end = UNIX_EPOCH + Duration::from_millis(u64::try_from(way.at_ms).unwrap_or(0));
        let begin = end.checked_sub(micros(way.total_us)).unwrap_or(UNIX_EPOCH);
        let strategy = KeyValue::new("strategy", way.strategy.clone());
        let order = self.tracer.span_builder("order").with_start_time(begin);
        let mut order = order.with_attributes([strategy]).start(&self.tracer);
        let parent = Context::new().with_remote_span_context(order.span_context().clone());
        for (stage, from, took) in &way.spans {
            let from = begin.checked_add(micros(*from)).unwrap_or(begin);
            let until = from.checked_add(micros(*took)).unwrap_or(from);
            let span = self.tracer.span_builder(*stage).with_start_time(from);
            span.start_with_context(&self.tracer, &parent).end_with_timestamp(until);
        }
        order.end_with_timestamp(end);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let metrics = self.meters.shutdown_with_timeout(PATIENCE);
        let traces = self.traces.shutdown_with_timeout(PATIENCE);
        for error in [metrics.err(), traces.err()].into_iter().flatten() {
            tracing::warn!(%error, "the last figures did not reach the collector");
        }
    }
}

fn micros(us: f64) -> Duration {
    Duration::try_from_secs_f64(us / 1e6).unwrap_or_default()
}

/// Figures of one view, by name.
#[derive(Debug, Default)]
struct Figures {
    /// Name, kind and help of every family.
    families: Vec<(String, String, String)>,
    samples: BTreeMap<String, Vec<(Vec<KeyValue>, f64)>>,
}

impl Figures {
    fn of(view: &View) -> Self {
        let mut all = Self::default();
        figures(view, &mut all);
        all
    }
}

impl Sink for Figures {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.families.push((name.to_owned(), kind.to_owned(), help.to_owned()));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        // Decimals of any length are text first, in either way out.
        let Some(value) = value.to_string().parse().ok().filter(|value: &f64| value.is_finite())
        else {
            return;
        };
        let labels = labels
            .iter()
            .map(|(name, value)| KeyValue::new((*name).to_owned(), (*value).to_owned()));
        self.samples.entry(name.to_owned()).or_default().push((labels.collect(), value));
    }
}

/// The newest view, taken apart once for all instruments that ask for their part of it.
#[derive(Debug)]
struct Newest {
    view: Arc<ArcSwap<View>>,
    taken: Mutex<Option<(Arc<View>, Arc<Figures>)>>,
}

impl Newest {
    fn figures(&self) -> Arc<Figures> {
        let view = self.view.load_full();
        // It is replaced whole, so a panic elsewhere leaves nothing half done.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match &*taken {
            Some((of, figures)) if Arc::ptr_eq(of, &view) => Arc::clone(figures),
            _ => {
                let figures = Arc::new(Figures::of(&view));
                *taken = Some((view, Arc::clone(&figures)));
                figures
            }
        }
    }

    fn observe(&self, name: &str, observer: &dyn AsyncInstrument<f64>) {
        for (labels, value) in self.figures().samples.get(name).into_iter().flatten() {
            observer.observe(*value, labels);
        }
    }
}

/// An instrument for each family; a summary is one of its quantiles, one of its sum and one of its count.
fn register(meter: &Meter, view: Arc<ArcSwap<View>>) {
    let newest = Arc::new(Newest { view, taken: Mutex::default() });
    let callback = |name: &str| {
        let (newest, name) = (Arc::clone(&newest), name.to_owned());
        move |observer: &dyn AsyncInstrument<f64>| newest.observe(&name, observer)
    };
    let gauge = |name: &str, help: &str| {
        let built = meter.f64_observable_gauge(name.to_owned()).with_description(help.to_owned());
        built.with_callback(callback(name)).build();
    };
    let counter = |name: &str, help: &str| {
        let built = meter.f64_observable_counter(name.to_owned()).with_description(help.to_owned());
        built.with_callback(callback(name)).build();
    };
    for (name, kind, help) in Figures::of(&View::default()).families {
        match kind.as_str() {
            "counter" => counter(&name, &help),
            "summary" => {
                gauge(&name, &help);
                counter(&format!("{name}_sum"), &help);
                counter(&format!("{name}_count"), &help);
            }
            _ => gauge(&name, &help),
        }
    }
}
