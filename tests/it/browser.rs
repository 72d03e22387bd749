//! The page in a real browser over the real service and the real models: headless Chromium at a phone's size,
//! with the shipped visit as its microphone, from the key to a confirmed card.
//!
//! Needs Chromium and ChromeDriver (`make test` installs them) and the models.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use thirtyfour::prelude::*;
use visitscribe::domain::audio::SAMPLE_RATE_HZ;
use visitscribe::stage::decode::{Decode, DecodeConfig};
use visitscribe::stage::resample::{Resample, ResampleConfig};

/// Seconds of the shipped visit that are spoken into the microphone.
const SPOKEN_SECONDS: usize = 25;
/// Real speech and real models: generous, it only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(180);

/// A child process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The beginning of the shipped visit as a WAV file, 16-bit mono.
fn microphone(path: &Path) {
    let visit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/visit/visit.ogg");
    let mut blocks = Vec::new();
    Decode::new(&DecodeConfig::default())
        .file(&visit, &mut |block| {
            blocks.push(block);
            true
        })
        .unwrap();
    let mut resample = Resample::new(&ResampleConfig::default()).unwrap();
    let samples: Vec<f32> = blocks.iter().flat_map(|b| resample.run(b).unwrap()).collect();
    let samples = &samples[..SAMPLE_RATE_HZ as usize * SPOKEN_SECONDS];
    let data: Vec<u8> = samples.iter().flat_map(|s| ((s * 32_767.0) as i16).to_le_bytes()).collect();
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + data.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(SAMPLE_RATE_HZ.to_le_bytes());
    wav.extend((SAMPLE_RATE_HZ * 2).to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend((data.len() as u32).to_le_bytes());
    wav.extend(data);
    std::fs::write(path, wav).unwrap();
}

/// Starts the service on a free port; returns its address.
fn serve(data: &Path) -> (Running, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_visitscribe"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("VISITSCRIBE_DATA__DIR", data)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let running = Running(child);
    let mut said = String::new();
    let mut lines = stderr.lines();
    for line in lines.by_ref() {
        let line = line.unwrap();
        said.push_str(&line);
        if let Some(address) = line.split_whitespace().find(|w| w.starts_with("http://")) {
            let address = address.trim_end_matches(';').to_owned();
            // The pipe is read on, so that the service never waits for a reader.
            std::thread::spawn(move || lines.for_each(drop));
            return (running, address);
        }
    }
    panic!("the service did not start: {said}");
}

fn key(data: &Path) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_visitscribe"))
        .args(["keys", "create", "--tenant", "demo", "--role", "admin"])
        .env("VISITSCRIBE_DATA__DIR", data)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

async fn phone(folder: &Path, wav: &Path) -> (Running, WebDriver) {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let driver = Command::new("chromedriver")
        .arg(format!("--port={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver (Debian package chromium-driver)");
    let running = Running(driver);
    let mut wishes = DesiredCapabilities::chrome();
    for flag in [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--window-size=390,844",
        "--autoplay-policy=no-user-gesture-required",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
    ] {
        wishes.add_arg(flag).unwrap();
    }
    wishes.add_arg(&format!("--use-file-for-fake-audio-capture={}%noloop", wav.display())).unwrap();
    wishes.add_arg(&format!("--user-data-dir={}", folder.join("profile").display())).unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let begin = std::time::Instant::now();
    loop {
        match WebDriver::new(&url, wishes.clone()).await {
            Ok(browser) => return (running, browser),
            Err(e) if begin.elapsed() > Duration::from_secs(60) => panic!("no browser: {e}"),
            // ChromeDriver is not listening yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Waits until an element of that test id is shown.
async fn shown(browser: &WebDriver, id: &str) -> WebElement {
    let query = browser.query(By::Css(format!("[data-testid={id}]")));
    query.wait(PATIENCE, Duration::from_millis(200)).and_displayed().first().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_on_the_phone() {
    let folder = tempfile::tempdir().unwrap();
    let (data, wav) = (folder.path().join("data"), folder.path().join("microphone.wav"));
    std::fs::create_dir(&data).unwrap();
    microphone(&wav);
    let (_service, address) = serve(&data);
    let key = key(&data);
    let (_driver, browser) = phone(folder.path(), &wav).await;

    browser.goto(format!("{address}/")).await.unwrap();
    shown(&browser, "key-input").await.send_keys(&key).await.unwrap();
    shown(&browser, "key-save").await.click().await.unwrap();
    shown(&browser, "new-visit").await.click().await.unwrap();
    shown(&browser, "customer-name").await.send_keys("瑞和仓储").await.unwrap();
    shown(&browser, "rep-name").await.send_keys("周敏").await.unwrap();
    let start = shown(&browser, "start").await;
    assert!(!start.is_enabled().await.unwrap(), "no start without consent");
    // The switch itself is drawn by its label; a click by script is what a tap on the label does.
    let consent = browser.query(By::Css("[data-testid=consent-switch]")).first().await.unwrap();
    browser.execute("arguments[0].click()", vec![consent.to_json().unwrap()]).await.unwrap();
    start.click().await.unwrap();

    shown(&browser, "stop").await;
    let first = shown(&browser, "final").await;
    assert!(!first.text().await.unwrap().is_empty());
    shown(&browser, "stop").await.click().await.unwrap();
    // Some pages ask before they end a visit.
    if let Ok(yes) = browser
        .query(By::Css("[data-testid=ask-yes]"))
        .wait(Duration::from_secs(2), Duration::from_millis(100))
        .and_displayed()
        .first()
        .await
    {
        yes.click().await.unwrap();
    }

    shown(&browser, "card").await;
    let headline = shown(&browser, "headline").await.text().await.unwrap();
    assert!(!headline.is_empty() && headline.chars().count() <= 20, "headline {headline:?}");
    shown(&browser, "confirm").await.click().await.unwrap();
    shown(&browser, "confirmed").await;

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let visits = http.get(format!("{address}/v1/visits")).bearer_auth(&key).send().await.unwrap();
    let visits: Value = visits.json().await.unwrap();
    assert_eq!(visits["visits"][0]["state"], "confirmed", "{visits}");
    browser.quit().await.unwrap();
}
