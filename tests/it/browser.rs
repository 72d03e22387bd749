//! The page in a real browser over the real service and the real models: headless Chromium at a phone's size,
//! with the shipped visit as its microphone, from the key to a confirmed card; and over fake engines, which can be made
//! to change their mind.
//!
//! Needs Chromium and ChromeDriver (`make test` installs them) and the models.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use thirtyfour::prelude::*;
use visitscribe::domain::audio::SAMPLE_RATE_HZ;

use crate::sound::{shipped_visit, wav, whole};
use crate::world::{World, silence, tone};

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

/// From the key to a visit that is being recorded, on the open page.
async fn begin(browser: &WebDriver, key: &str) {
    shown(browser, "key-input").await.send_keys(key).await.unwrap();
    shown(browser, "key-save").await.click().await.unwrap();
    shown(browser, "new-visit").await.click().await.unwrap();
    shown(browser, "customer-name").await.send_keys("瑞和仓储").await.unwrap();
    shown(browser, "rep-name").await.send_keys("周敏").await.unwrap();
    let start = shown(browser, "start").await;
    assert!(!start.is_enabled().await.unwrap(), "no start without consent");
    // The switch itself is drawn by its label; a click by script is what a tap on the label does.
    let consent = browser.query(By::Css("[data-testid=consent-switch]")).first().await.unwrap();
    browser.execute("arguments[0].click()", vec![consent.to_json().unwrap()]).await.unwrap();
    start.click().await.unwrap();
    shown(browser, "stop").await;
}

/// Ends the visit; some pages ask before they do.
async fn stop(browser: &WebDriver) {
    shown(browser, "stop").await.click().await.unwrap();
    let asked = browser.query(By::Css("[data-testid=ask-yes]"));
    let asked = asked.wait(Duration::from_secs(2), Duration::from_millis(100)).and_displayed().first().await;
    if let Ok(yes) = asked {
        yes.click().await.unwrap();
    }
    shown(browser, "card").await;
}

async fn visits(address: &str, key: &str) -> Value {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(format!("{address}/v1/visits")).bearer_auth(key).send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_on_the_phone() {
    let folder = tempfile::tempdir().unwrap();
    let (data, microphone) = (folder.path().join("data"), folder.path().join("microphone.wav"));
    std::fs::create_dir(&data).unwrap();
    wav(&microphone, whole(&shipped_visit()[..SAMPLE_RATE_HZ as usize * SPOKEN_SECONDS]));
    let (_service, address) = serve(&data);
    let key = key(&data);
    let (_driver, browser) = phone(folder.path(), &microphone).await;

    browser.goto(format!("{address}/")).await.unwrap();
    begin(&browser, &key).await;
    let first = shown(&browser, "final").await;
    assert!(!first.text().await.unwrap().is_empty());
    stop(&browser).await;

    let headline = shown(&browser, "headline").await.text().await.unwrap();
    assert!(!headline.is_empty() && headline.chars().count() <= 20, "headline {headline:?}");
    shown(&browser, "confirm").await.click().await.unwrap();
    shown(&browser, "confirmed").await;

    let visits = visits(&address, &key).await;
    assert_eq!(visits["visits"][0]["state"], "confirmed", "{visits}");
    browser.quit().await.unwrap();
}

/// Waits until a script gives true.
async fn until(browser: &WebDriver, what: &str, script: &str) {
    let begin = std::time::Instant::now();
    loop {
        let held = browser.execute(format!("{WHAT_IS_TOLD} return {script};"), vec![]).await.unwrap();
        if held.json() == &Value::Bool(true) {
            return;
        }
        if begin.elapsed() > PATIENCE {
            let seen = browser.execute(format!("{WHAT_IS_TOLD} return [shown(), told()];"), vec![]).await;
            panic!("not {what}: {:?}", seen.unwrap().json());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Keeps what the service tells the page, beside the page.
const LISTEN: &str = "
    window.heard = [];
    window.WebSocket = class extends WebSocket {
        constructor(...where) {
            super(...where);
            this.addEventListener('message', ({ data }) => window.heard.push(JSON.parse(data)));
        }
    };";
/// What was told, applied message by message, and what the page shows of it.
const WHAT_IS_TOLD: &str = "
    const is = (...types) => (message) => types.includes(message.type);
    const told = () => {
        const texts = {}, moments = new Set();
        for (const m of window.heard) {
            if (is('final', 'corrected')(m)) texts[m.segment_id] = m.text;
            if (is('moment')(m)) moments.add(m.moment.id);
            if (is('retracted')(m)) moments.delete(m.moment_id);
        }
        return JSON.stringify([Object.entries(texts).sort(), [...moments].sort()]);
    };
    const all = (id) => [...document.querySelectorAll(`[data-testid=${id}]`)];
    const shown = () => JSON.stringify([
        all('final').map((line) => [line.dataset.id, line.lastChild.textContent]).sort(),
        all('moment').map((moment) => moment.dataset.id).sort(),
    ]);";

/// The fake recogniser hears what it hears by the length of a stretch, so the second pass, which listens to several at
/// once, hears other words.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_heard_anew_is_shown_anew_and_what_is_struck_out_stays_out() {
    let world = World::new().await;
    let client = world.admin().await;
    let folder = tempfile::tempdir().unwrap();
    let microphone = folder.path().join("microphone.wav");
    let sound = [[silence(1.0), tone(6.0)].concat().repeat(6), silence(30.0)].concat();
    wav(&microphone, sound.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)));
    let (_driver, browser) = phone(folder.path(), &microphone).await;

    browser.goto(format!("{}/", client.url)).await.unwrap();
    browser.execute(LISTEN, vec![]).await.unwrap();
    begin(&browser, &client.key).await;
    until(&browser, "corrected", "window.heard.some(is('corrected'))").await;
    until(&browser, "retracted", "window.heard.some(is('retracted'))").await;
    until(&browser, "shown as told", "shown() === told()").await;
    stop(&browser).await;

    let chip = shown(&browser, "chip").await;
    let kind = chip.attr("data-kind").await.unwrap().unwrap();
    let chips = browser.query(By::Css("[data-testid=chip]")).all_from_selector().await.unwrap().len();
    chip.click().await.unwrap();
    shown(&browser, "ask-yes").await.click().await.unwrap();
    let struck = "document.querySelectorAll('[data-testid=chip][data-dismissed=true]').length === 1";
    until(&browser, "struck out", struck).await;
    shown(&browser, "confirm").await.click().await.unwrap();
    shown(&browser, "confirmed").await;

    let visits = visits(&client.url, &client.key).await;
    let visit = visits["visits"][0]["id"].as_str().unwrap();
    let card = client.get(&format!("/v1/visits/{visit}/card")).await.expect(200);
    assert_eq!(card["state"], "confirmed", "{card}");
    assert_eq!(card["chips"].as_array().unwrap().len(), chips - 1, "without the {kind}: {card}");
    browser.quit().await.unwrap();
}
