use super::*;
use crate::telemetry::stage::shown;

/// A run of a real engine, as `--save-baselines` of a build for tests wrote it: heavy tails, bursts and all.
fn real() -> Option<Baselines> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/profile_run.json");
    let mut baselines = path.exists().then(|| Baselines::load(Some(&path)).unwrap())?;
    // Wherever this test runs: what is compared is its distribution.
    baselines.measured.as_mut()?.machine = Machine::this();
    Some(baselines)
}

/// What was saved, as it was recorded, with one stage's times multiplied.
fn replayed(baselines: &Baselines, slower: Option<(Stage, f64)>) -> Recorded {
    let measured = baselines.measured.as_ref().unwrap();
    let stages = Stage::ALL.into_iter().filter_map(|stage| {
        let saved = measured.stages.get(stage.as_str())?;
        let factor = slower.filter(|(of, _)| *of == stage).map_or(1.0, |(_, factor)| factor);
        let us = |ms: f64| ms * 1e3 * factor;
        let summary = StageSummary {
            count: saved.count,
            p50: us(saved.p50_ms),
            p95: us(saved.p95_ms),
            p99: us(saved.p99_ms),
            max: us(saved.p99_ms),
            total: us(saved.mean_ms) * shown(saved.count),
        };
        let blocks_ns = saved.blocks_ns.iter().map(|ns| ns.map(|ns| ns * factor)).collect();
        Some(RecordedStage { stage, summary, blocks_ns, pages: 0 })
    });
    Recorded {
        iterations: measured.iterations,
        slot_ms: measured.slot_ms,
        seconds: 60.0,
        stages: stages.collect(),
        floors: measured.floors.clone(),
        orders: OrderCounts::default(),
        rss_mb: 20.0,
        rss_peak_mb: 21.0,
        paged: 5,
    }
}

/// Baselines with the figures of one run, as if saved by this very build on this machine.
fn baselines_of(floors: usize) -> Baselines {
    let stages = Stage::ALL.into_iter().zip(1_u32..).map(|(stage, nth)| {
        let ns = f64::from(nth) * 700.0;
        let blocks = (0..floors).map(|at| Some(ns * (1.0 + shown(at as u64 * 7 % 5) / 50.0)));
        let ms = ns / 1e6;
        let (mean_ms, p50_ms, p95_ms, p99_ms) = (ms, ms, ms * 2.0, ms * 3.0);
        let saved = MeasuredStage {
            count: 200,
            mean_ms,
            p50_ms,
            p95_ms,
            p99_ms,
            blocks_ns: blocks.collect(),
        };
        (stage.as_str().to_owned(), saved)
    });
    let floor =
        |at: usize| FloorTimes { compute_ns: 50_000.0 + shown(at as u64), disk_ns: 900_000.0 };
    Baselines {
        measured: Some(Measured {
            date: "2026-11-27T00:00:00.000Z".to_owned(),
            machine: Machine::this(),
            iterations: 200,
            slot_ms: 100,
            floors: (0..floors).map(floor).collect(),
            stages: stages.collect(),
        }),
        ..Baselines::load(None).unwrap()
    }
}

#[test]
fn a_fifth_more_in_any_stage_is_found_and_named_alone() {
    for baselines in [Some(baselines_of(16)), real()].into_iter().flatten() {
        let unchanged = report(&replayed(&baselines, None), &baselines);
        assert!(unchanged.holds(), "{:?}", unchanged.regressions);
        let mut tried = 0;
        for stage in Stage::ALL {
            let recorded = replayed(&baselines, Some((stage, 1.2)));
            let Some(of) = recorded.stages.iter().find(|s| s.stage == stage) else { continue };
            let found = report(&recorded, &baselines);
            // On a busy machine some stages scatter too much to say, and the report says that.
            let scatter = unchanged.stages[stage.as_str()].change;
            if of.blocks_ns.iter().flatten().count() < 8
                || scatter.is_none_or(|s| s.low * 1.2 <= 1.0)
            {
                let status = found.stages[stage.as_str()].status;
                assert!(
                    status == Status::Unsure || status == Status::TooFew,
                    "{stage:?} {status:?}"
                );
                continue;
            }
            tried += 1;
            assert_eq!(found.regressions, [stage.as_str()]);
            let of = &found.stages[stage.as_str()];
            assert!(
                of.status == Status::Regressed && (of.change.unwrap().ratio - 1.2).abs() < 1e-6
            );
        }
        assert!(tried >= 8, "{tried}");
    }
}

#[test]
fn a_machine_that_is_slower_as_a_whole_has_no_regression() {
    let baselines = baselines_of(20);
    let mut recorded = replayed(&baselines, None);
    for stage in &mut recorded.stages {
        let by_the_chain =
            matches!(stage.stage, Stage::Confirm | Stage::FullTrade | Stage::Verdict);
        let factor = if by_the_chain { 1.0 } else { 1.7 };
        stage.blocks_ns.iter_mut().flatten().for_each(|ns| *ns *= factor);
    }
    for floor in &mut recorded.floors {
        floor.compute_ns *= 1.7;
        floor.disk_ns *= 1.7;
    }
    let found = report(&recorded, &baselines);
    assert!(found.holds(), "{:?}", found.regressions);
}

#[test]
fn another_build_or_machine_is_said_and_budgets_hold_everywhere() {
    let mut baselines = baselines_of(20);
    let of = |baselines: &Baselines, slower| report(&replayed(baselines, slower), baselines);
    assert!(of(&baselines, None).compared.contains("measured here"));
    let text = serde_json::to_value(Machine::this()).unwrap();
    let with = |key: &str, value: serde_json::Value| {
        let mut text = text.clone();
        text[key] = value;
        serde_json::from_value::<Machine>(text).unwrap()
    };
    baselines.measured.as_mut().unwrap().machine = with("cores", 96.into());
    let elsewhere = of(&baselines, Some((Stage::Sign, 1.3)));
    assert!(elsewhere.compared.contains("another machine"), "{}", elsewhere.compared);
    // The baselines that the program carries are of another machine than its users': what is slower is shown and no alarm.
    assert!(elsewhere.holds(), "{:?}", elsewhere.regressions);
    assert_eq!(elsewhere.stages["sign"].status, Status::Elsewhere);
    baselines.measured.as_mut().unwrap().machine = with("build", "other".into());
    let build = of(&baselines, Some((Stage::Sign, 1.3)));
    assert!(build.holds() && build.compared.contains("another build"), "{}", build.compared);
    assert_eq!(build.stages["sign"].status, Status::New);
    // Five milliseconds are the budget of a review, whatever was measured.
    let over = of(&baselines, Some((Stage::Risk, 1_000.0)));
    assert_eq!(
        (over.regressions.clone(), over.stages["risk"].status),
        (vec!["risk"], Status::OverBudget)
    );
}

#[test]
fn the_report_has_the_form_that_scripts_rely_on_and_names_a_bottleneck() {
    let baselines = baselines_of(20);
    let found = report(&replayed(&baselines, Some((Stage::Journal, 400.0))), &baselines);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["iterations"], 200);
    assert_eq!(json["regressions"], serde_json::json!(["journal"]));
    for name in ["mean_ms", "p50_ms", "p95_ms", "p99_ms", "baseline_ms", "status"] {
        assert!(json["stages"]["sign"].get(name).is_some(), "{name}");
    }
    assert_eq!(found.bottleneck.as_ref().unwrap().stage, "journal");
    let text = found.text();
    assert!(text.contains("REGRESSED: journal") && text.contains("signal.liquidation"), "{text}");
    // The tree: parts stand below their whole, further in.
    let at =
        |needle: &str| text.lines().position(|line| line.trim_start().starts_with(needle)).unwrap();
    assert!(
        at("full_trade") < at("step")
            && at("step") < at("strategy")
            && at("strategy") < at("sizing")
    );
}

#[test]
fn the_page_and_the_flame_graph_hold_every_stage_and_need_nothing_else() {
    let baselines = baselines_of(20);
    let recorded = replayed(&baselines, None);
    let found = report(&recorded, &baselines);
    let page = html::page(&found, &recorded);
    let spans = [("start;discover".to_owned(), std::time::Duration::from_millis(3))].into();
    let svg = flame::draw(&found, &spans);
    for stage in Stage::ALL {
        assert!(page.contains(stage.as_str()), "{stage:?}");
    }
    for name in ["full_trade", "confirm", "sign", "discover"] {
        assert!(svg.contains(name), "{name}");
    }
    assert!(!page.contains("http") && !page.contains("<script"));
    assert!(
        svg.starts_with("<?xml") && svg.matches("http").count() == 1,
        "a name space and no more"
    );
    // Nothing stands out of the picture.
    for x in svg.split(" x=\"").skip(1) {
        let x: f64 = x.split('"').next().unwrap().parse().unwrap();
        assert!((0.0..1_200.0).contains(&x), "{x}");
    }
    // A stage counts for itself what its parts do not explain, under the path of those it is a part of.
    let times = flame::own_times(&found);
    let of = |path: &[&str]| times.iter().find(|(at, _)| at == path).map(|(_, ns)| *ns);
    let mean_ns = |stage: &str| found.stages[stage].mean_ms * 1e6;
    assert!(of(&["full_trade", "step", "strategy", "quote"]).is_some());
    let strategy =
        mean_ns("strategy") - mean_ns("signal.ma") - mean_ns("sizing") - mean_ns("quote");
    let own = of(&["full_trade", "step", "strategy"]).unwrap();
    assert!((own - strategy.max(0.0)).abs() < 1.0, "{own} for {strategy}");
}
