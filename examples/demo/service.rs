//! The service under its own binary: started, asked for a key, and ended with everything it wrote.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use crate::draw;

/// Loading and warming up the models takes seconds; a slow disk and a busy machine are granted more.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running service. Dropping it ends the process, then removes the folder.
pub struct Service {
    child: Child,
    listen: String,
    folder: TempDir,
}

impl Service {
    /// Starts it and waits until it is ready.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("visitscribe-demo-")?;
        // Free a moment ago; the service says so itself if somebody was quicker.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let log = File::create(folder.path().join("serve.log"))?;
        draw::command(&format!("VISITSCRIBE_SERVER__LISTEN={listen} visitscribe serve"));
        let child = command(folder.path(), &listen)?
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start the service")?;
        let mut service = Self { child, listen, folder };
        service.wait_until_ready().await?;
        Ok(service)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// A new key, by the command an operator would use.
    pub fn create_key(&self) -> anyhow::Result<String> {
        draw::command("visitscribe keys create --tenant demo --role admin");
        let output = command(self.folder.path(), &self.listen)?
            .args(["keys", "create", "--tenant", "demo", "--role", "admin"])
            .output()?;
        ensure!(output.status.success(), "keys create: {}", String::from_utf8_lossy(&output.stderr).trim());
        draw::note("the key is printed once; only its hash is stored");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// The most memory it ever had, MB.
    pub fn peak_memory_mb(&self) -> anyhow::Result<u64> {
        let kib = visitscribe::telemetry::peak_memory_kib(self.child.id()).context("no VmHWM in /proc")?;
        Ok(kib * 1024 / 1_000_000)
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let (began, ready) = (Instant::now(), format!("{}/readyz", self.url()));
        while began.elapsed() < READY_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                bail!("the service ended with {status}:\n{}", self.log());
            }
            if http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
                let seconds = began.elapsed().as_secs_f64();
                draw::note(&format!("ready after {seconds:.1} s: models loaded, checked and warmed up"));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the service was not ready after {} s:\n{}", READY_WITHIN.as_secs(), self.log())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("serve.log")).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nothing to do about a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary that was built with this example, configured by the environment alone.
fn command(folder: &Path, listen: &str) -> anyhow::Result<Command> {
    let example = std::env::current_exe()?;
    // target/release/examples/demo -> target/release/visitscribe
    let binary: PathBuf = example
        .parent()
        .and_then(Path::parent)
        .map(|dir| dir.join("visitscribe"))
        .filter(|binary| binary.exists())
        .context("visitscribe is not built; run `make demo`")?;
    let mut command = Command::new(binary);
    command
        .env("VISITSCRIBE_SERVER__LISTEN", listen)
        .env("VISITSCRIBE_DATA__DIR", folder)
        .env("VISITSCRIBE_WEBHOOK__ALLOW_NETWORKS", "127.0.0.0/8");
    Ok(command)
}
