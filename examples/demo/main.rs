//! `make demo`: one visit from its sound to the CRM, on the real binary over its public interfaces.
//!
//! Starts the service on a free port with data in a temporary folder, refuses to listen without consent,
//! streams the shipped visit, confirms the card and receives the signed webhook. Whatever it started it ends;
//! anything that is not as it should be ends it with exit code 1 and the cause.

mod api;
mod draw;
mod receiver;
mod service;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use api::Api;
use receiver::Receiver;
use service::Service;
use visitscribe::cli::replay::{self, ReplayArgs, Report, SendAs};
use visitscribe::domain::card::Card;

const AUDIO: &str = "tests/data/visit/visit.ogg";
const VISIT: &str = "tests/data/visit/visit.json";
const NOTICE_VERSION: &str = "2026-01";

/// A shipped visit, live through the real service.
#[derive(Parser)]
struct Args {
    /// Times as fast as speech
    #[arg(long, default_value_t = 3.0)]
    speed: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // Dropping the story ends the service and removes its folder, also when someone interrupts.
    let outcome = tokio::select! {
        outcome = tell(&args) => outcome,
        () = interrupted() => Err(anyhow::anyhow!("interrupted")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn tell(args: &Args) -> anyhow::Result<()> {
    let spoken: Value = serde_json::from_str(&std::fs::read_to_string(VISIT).context(VISIT)?)?;

    draw::chapter("The service: one binary, data in one folder");
    let service = Service::start().await?;
    let key = service.create_key()?;
    let api = Api::new(service.url(), &key)?;

    draw::chapter("The CRM registers a receiver and plans a visit");
    let mut receiver = Receiver::start().await?;
    let hook = json!({"url": receiver.url(), "events": ["card.ready", "visit.confirmed"]});
    let endpoint = api.post("/v1/webhook-endpoints", &hook, 201).await?;
    receiver.trust(endpoint["secret"].as_str().context("no webhook secret came back")?)?;
    let visit = api.post("/v1/visits", &planned(&spoken), 201).await?;
    let visit = visit["id"].as_str().context("the visit has no id")?.to_owned();

    draw::chapter("No consent, no sound");
    let refusal = api.upgrade(&format!("/v1/visits/{visit}/stream"), 403).await?;
    draw::note(refusal["detail"].as_str().unwrap_or_default());
    let consent = json!({
        "purposes": ["recording", "transcription", "crm_delivery"], "notice_version": NOTICE_VERSION,
        "method": "verbal", "given_by": spoken["contacts"][0]["name"], "given_at": jiff::Timestamp::now(),
    });
    api.post(&format!("/v1/visits/{visit}/consent"), &consent, 201).await?;

    draw::chapter(&format!("The visit, live, {} x as fast as speech", args.speed));
    let audio = ReplayArgs {
        audio: AUDIO.into(),
        visit: visit.clone(),
        speed: args.speed,
        url: service.url().parse()?,
        key: key.clone(),
        encoding: SendAs::Pcm,
        json: false,
    };
    draw::command(&format!("visitscribe replay {AUDIO} --visit {visit} --speed {}", args.speed));
    let report = replay::stream(&audio).await.context("replaying the visit")?;
    ensure!(report.gaps == 0, "{} stretches of the visit have no transcript", report.gaps);

    draw::chapter("What the salesperson sees, and confirms with one tap");
    let card: Card = serde_json::from_value(api.get(&format!("/v1/visits/{visit}/card"), 200).await?)
        .context("the card is not of the declared shape")?;
    draw::card(&card);
    let confirm = json!({"version": card.version});
    let confirming = std::time::Instant::now();
    api.post(&format!("/v1/visits/{visit}/card/confirm"), &confirm, 200).await?;
    let confirmed = confirming.elapsed();

    draw::chapter("What the CRM got: signed, in order");
    let event = receiver.wait_for("visit.confirmed", Duration::from_secs(30)).await?;
    ensure!(event["data"]["visit_id"] == visit.as_str(), "the event is about another visit");
    draw::json(&event);

    draw::chapter("Measured");
    draw::table(&figures(&report, args.speed, confirmed, service.peak_memory_mb()?));
    Ok(())
}

/// The visit as a CRM would announce it, from the shipped one.
fn planned(spoken: &Value) -> Value {
    json!({
        "external_id": "demo-1", "customer": {"id": "cust_1", "name": spoken["customer_org"]},
        "rep": {"id": "rep_1", "name": spoken["rep"]}, "purpose": "样品反馈与报价",
        "scheduled_at": spoken["visit_at"], "hotwords": spoken["hotwords"],
    })
}

fn figures(report: &Report, speed: f64, confirmed: Duration, memory_mb: u64) -> Vec<(String, String)> {
    let (seconds, wall) = (report.audio_ms as f64 / 1000.0, report.wall.as_secs_f64());
    let of = |values: &[u64]| {
        let at =
            |percent| replay::percentile(values, percent).map_or("-".to_owned(), |ms| format!("{ms} ms"));
        format!("median {}, p95 {}   ({} segments)", at(50), at(95), values.len())
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    vec![
        ("sound".into(), format!("{seconds:.1} s, coverage {:.1} %", report.coverage * 100.0)),
        (
            "start to card".into(),
            format!("{wall:.1} s: {:.1} x real time, sent at {speed} x", seconds / wall),
        ),
        (format!("first partial, at {speed} x"), of(&report.first_partial_ms)),
        (format!("final, at {speed} x"), of(&report.final_ms)),
        ("end of visit to card".into(), format!("{} ms", report.card_after.as_millis())),
        ("confirm".into(), format!("{} ms", confirmed.as_millis())),
        ("server memory, peak".into(), format!("{memory_mb} MB")),
        ("machine".into(), format!("{cores} cores, the service and this client together")),
    ]
}

async fn interrupted() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => std::future::pending().await,
    }
}
