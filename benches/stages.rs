//! One criterion group a stage, over the first minute of the shipped visit (text stages: one utterance). The
//! throughput shown for sound is samples at 16 kHz a second: divide by 16000 for "times real time". At the end the
//! medians stand in one table, each with its ratio to the run before (`history`).

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, Throughput};
use serde::Deserialize;
use visitscribe::config::Config;
use visitscribe::domain::audio::{Pcm, Samples};
use visitscribe::domain::moment::MomentKind;
use visitscribe::engine::{Draft, EngineConfig, Engines, Lane, MomentScores, Said, load};
use visitscribe::pipeline::visit_time;
use visitscribe::stage::classify::{Classify, ClassifyConfig, Detected};
use visitscribe::stage::extract::{Extract, ExtractConfig};
use visitscribe::stage::mask::{Mask, MaskConfig};
use visitscribe::stage::normalize::{Normalize, NormalizeConfig};
use visitscribe::stage::recognize::{Clip, Pass, Recognize, RecognizeConfig};
use visitscribe::stage::resample::{Resample, ResampleConfig};
use visitscribe::stage::summarize::{Summarize, SummarizeConfig};
use visitscribe::stage::vad::{Speech, Vad, VadConfig};

use history::History;

mod history;
mod shipped;

const SAID: &str = "那个，这套设备一共二十八万八，月底之前签的话可以打九五折，下周三我把方案发给您";

fn minute() -> Vec<Pcm> {
    shipped::blocks(60).expect("the shipped visit decodes")
}

fn resample_all(blocks: &[Pcm]) -> Vec<f32> {
    let mut stage = Resample::new(&ResampleConfig::default()).expect("defaults are right");
    let mut out: Vec<f32> = blocks.iter().flat_map(|b| stage.run(b).expect("resamples")).collect();
    out.extend(stage.finish().expect("resamples"));
    out
}

fn engines() -> Engines {
    let dir = Config::load(None).and_then(|c| c.models_dir()).expect("a models directory");
    load(&dir, &EngineConfig::default()).expect("models: run `visitscribe models fetch`")
}

fn sound(c: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let engines = engines();
    let blocks = minute();
    let samples = resample_all(&blocks);

    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(samples.len() as u64));
    group.bench_function("opus", |b| b.iter(|| black_box(minute().len())));
    group.finish();

    let mut group = c.benchmark_group("resample");
    group.throughput(Throughput::Elements(samples.len() as u64));
    group.bench_function("48k_to_16k", |b| b.iter(|| black_box(resample_all(&blocks).len())));
    group.finish();

    let mut group = c.benchmark_group("vad");
    group.sample_size(10).throughput(Throughput::Elements(samples.len() as u64));
    group.bench_function("silero", |b| {
        b.iter(|| {
            let mut vad = Vad::new(&VadConfig::default(), engines.voice.clone()).expect("defaults are right");
            runtime.block_on(vad.run(Lane::Live, &samples)).expect("detects").len()
        });
    });
    group.finish();

    let clip = |seconds: u64| Clip {
        speech: Speech { start: Samples(16_000), end: Samples(16_000 * (1 + seconds)) },
        samples: samples[16_000..16_000 * (1 + seconds as usize)].to_vec(),
        draft: Draft::default(),
    };
    let recognize =
        Recognize::new(&RecognizeConfig::default(), engines.recognizer.clone()).expect("defaults are right");
    let mut group = c.benchmark_group("recognize");
    group.sample_size(10);
    for (name, pass, seconds) in [("live_4s", Pass::Live, 4), ("packed_28s", Pass::Batch, 28)] {
        group.throughput(Throughput::Elements(seconds * 16_000));
        group.bench_function(name, |b| {
            b.iter(|| {
                runtime
                    .block_on(recognize.run(pass, vec![clip(seconds)], &[], |_, _| false))
                    .expect("recognises")
                    .len()
            });
        });
    }
    group.finish();

    let classify = Classify::new(&ClassifyConfig::default(), &engines).expect("defaults are right");
    let said = |text: &str| Said { text: text.to_owned(), speaker: None };
    let before = [said("您好"), said("价格怎么样")];
    c.benchmark_group("classify").bench_function("utterance", |b| {
        let request = || classify.request(&before, said(SAID), None);
        b.iter(|| runtime.block_on(classify.run(request())).expect("classifies").is_some());
    });
}

fn text(c: &mut Criterion) {
    let normalize = Normalize::new(&NormalizeConfig::default()).expect("defaults are right");
    c.benchmark_group("normalize").bench_function("utterance", |b| b.iter(|| normalize.run(black_box(SAID))));

    let mask = Mask::new(&MaskConfig::default()).expect("defaults are right");
    c.benchmark_group("mask").bench_function("utterance", |b| {
        b.iter(|| mask.run(&mut [black_box(SAID).to_owned()]).len());
    });

    let extract = Extract::new(&ExtractConfig::default()).expect("defaults are right");
    let at = visit_time("2026-11-23T10:00:00+08:00").expect("a time");
    let quote = Detected { kind: MomentKind::Quote, score: 0.9, scores: MomentScores::default() };
    c.benchmark_group("extract").bench_function("quote", |b| {
        b.iter(|| extract.run(&quote, black_box(SAID), &[], &at));
    });

    let summarize = Summarize::new(&SummarizeConfig::default()).expect("defaults are right");
    c.benchmark_group("summarize").bench_function("empty_visit", |b| b.iter(|| summarize.run(&[], &[], 1.0)));
}

fn main() -> anyhow::Result<()> {
    let (begin, results) = (SystemTime::now(), history::target().join("criterion"));
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .output_directory(&results)
        .configure_from_args();
    sound(&mut criterion);
    text(&mut criterion);
    criterion.final_summary();

    // `cargo test --benches` runs each once and measures nothing.
    if !std::env::args().any(|a| a == "--bench") {
        return Ok(());
    }
    let mut history = History::open("stages")?;
    println!("\n{}; in brackets the ratio to the last run", history.machine());
    println!("stage                       median, microseconds");
    for (name, nanoseconds) in medians(&results, begin)? {
        println!("{name:<27} {}", history.note(&format!("{name}_us"), nanoseconds / 1000.0, 2));
    }
    history.save()
}

/// The medians that criterion wrote down since `begin`, in nanoseconds, by group and function.
fn medians(results: &Path, begin: SystemTime) -> anyhow::Result<BTreeMap<String, f64>> {
    #[derive(Deserialize)]
    struct Estimates {
        median: Estimate,
    }
    #[derive(Deserialize)]
    struct Estimate {
        point_estimate: f64,
    }
    let mut medians = BTreeMap::new();
    for group in fs::read_dir(results)?.collect::<Result<Vec<_>, _>>()? {
        if !group.path().is_dir() {
            continue;
        }
        for function in fs::read_dir(group.path())?.collect::<Result<Vec<_>, _>>()? {
            let file = function.path().join("new/estimates.json");
            if !fs::metadata(&file).and_then(|file| file.modified()).is_ok_and(|written| written >= begin) {
                continue;
            }
            let estimates: Estimates = serde_json::from_slice(&fs::read(&file)?)?;
            let [group, function] = [&group, &function].map(|f| f.file_name().to_string_lossy().into_owned());
            medians.insert(format!("{group}/{function}"), estimates.median.point_estimate);
        }
    }
    Ok(medians)
}
