//! An outside command as a pipeline, so that a peer can be put beside ours.
//!
//! A TOML file names the command as a list of arguments. It runs once a visit, without a shell, in the folder of
//! its file, and prints what it heard. A visit it fails on counts as one in which it heard nothing.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::memory;
use super::outcome::Outcome;
use crate::error::{Code, Error, Result};

/// Most bytes that are read of what a command prints.
const MAX_OUTPUT: u64 = 64 << 20;

/// How often a running command is looked at.
const TICK: Duration = Duration::from_millis(10);

/// How long output may still come once the command itself has ended.
const TAIL: Duration = Duration::from_secs(2);

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adapter {
    /// What it is called in the report.
    pub(super) name: String,
    /// Program and arguments; `{audio}` is the visit's sound, `{visit_at}` its time.
    command: Vec<String>,
    /// Seconds until it is stopped, a visit.
    #[serde(default = "ten_minutes")]
    timeout_s: u64,
    /// What it prints.
    output: Output,
    /// Where it runs.
    #[serde(skip)]
    folder: PathBuf,
}

/// What a command prints.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Output {
    /// The JSON of `transcribe`, or a list of {start, end, text}.
    Json,
    /// The words.
    Text,
}

/// One run.
#[derive(Debug)]
pub(super) struct Ran {
    /// What it heard, or why it failed.
    pub(super) outcome: Result<Outcome, String>,
    /// Wall clock, its start included.
    pub(super) wall: Duration,
    /// Peak of it and its children; `None` where the system does not tell.
    pub(super) peak_mib: Option<f64>,
}

fn ten_minutes() -> u64 {
    600
}

impl Adapter {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let wrong = |why: String| Error::new(Code::InvalidRequest, format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        // The parser shows the place over several lines; the first sentence and the line number are enough.
        let adapter: Self = toml::from_str(&text).map_err(|e| {
            let line = e.span().and_then(|s| text.get(..s.start)).map_or(1, |t| 1 + t.matches('\n').count());
            wrong(format!("line {line}: {}", e.message()))
        })?;
        if !adapter.command.iter().skip(1).any(|a| a.contains("{audio}")) {
            return Err(wrong("command needs a program and an argument with {audio} in it".into()));
        }
        if adapter.name.trim().is_empty() || adapter.timeout_s == 0 {
            return Err(wrong("name must not be empty and timeout_s not 0".into()));
        }
        let folder = path.canonicalize().ok().and_then(|p| p.parent().map(Path::to_path_buf));
        Ok(Self { folder: folder.ok_or_else(|| wrong("has no folder".into()))?, ..adapter })
    }

    /// Runs it over one visit's sound. Blocking; a failure is part of what is returned.
    pub(super) fn run(&self, audio: &Path, visit_at: &str) -> Ran {
        let begin = Instant::now();
        let mut peak_kib = 0;
        let outcome = self.output_of(audio, visit_at, &mut peak_kib).and_then(|bytes| self.understand(bytes));
        let peak_mib = (peak_kib > 0).then(|| memory::mib(peak_kib));
        Ran { outcome, wall: begin.elapsed(), peak_mib }
    }

    /// The arguments with their places filled in; what is put in is not looked at again.
    fn argv(&self, audio: &str, visit_at: &str) -> Vec<String> {
        let fill = |part: &str| part.split("{audio}").collect::<Vec<_>>().join(audio);
        let argument = |a: &String| a.split("{visit_at}").map(fill).collect::<Vec<_>>().join(visit_at);
        self.command.iter().map(argument).collect()
    }

    fn output_of(&self, audio: &Path, visit_at: &str, peak_kib: &mut u64) -> Result<Vec<u8>, String> {
        let audio = audio.canonicalize().map_err(|e| e.to_string())?;
        let argv = self.argv(audio.to_str().ok_or("the path of the sound is not UTF-8")?, visit_at);
        let (program, arguments) = argv.split_first().ok_or("no program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{program} cannot be started: {e}"))?;
        let printed = child.stdout.take().map(collect);
        let complained = child.stderr.take().map(collect);
        let deadline = Instant::now() + Duration::from_secs(self.timeout_s);
        let status = loop {
            let (pids, kib) = memory::tree(child.id());
            *peak_kib = kib.max(*peak_kib);
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                break status;
            }
            if Instant::now() >= deadline {
                stop(&pids);
                // Where there is no list of its children, at least itself.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("it took longer than {} s and was stopped", self.timeout_s));
            }
            thread::sleep(TICK);
        };
        let tail = |pipe: Option<mpsc::Receiver<Vec<u8>>>| pipe.and_then(|p| p.recv_timeout(TAIL).ok());
        if !status.success() {
            return Err(ended(status, &tail(complained).unwrap_or_default()));
        }
        let bytes = tail(printed).ok_or("its output did not end with it")?;
        if bytes.len() as u64 > MAX_OUTPUT {
            return Err(format!("it printed more than {} MiB", MAX_OUTPUT >> 20));
        }
        Ok(bytes)
    }

    fn understand(&self, bytes: Vec<u8>) -> Result<Outcome, String> {
        let text = String::from_utf8(bytes).map_err(|_| "its output is not UTF-8")?;
        match self.output {
            Output::Text => Ok(Outcome { heard: text, ..Outcome::default() }),
            Output::Json => serde_json::from_str(&text).and_then(Outcome::read).map_err(|e| {
                format!("its output is neither a result nor a list of {{start, end, text}}: {e}")
            }),
        }
    }
}

/// Reads a pipe to its end on a thread of its own, so that the command never waits for us.
fn collect(pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (to, bytes) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = pipe;
        let mut read = Vec::new();
        let limited = pipe.by_ref().take(MAX_OUTPUT + 1).read_to_end(&mut read);
        if limited.is_ok() {
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        let _ = to.send(read);
    });
    bytes
}

/// Ends processes at once. A launcher's children would go on, and hold the machine while the next visit is timed.
fn stop(pids: &[u32]) {
    // Signals have no place in the standard library; every shell has one.
    let script = "kill -s KILL \"$@\"";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "sh"]).args(pids.iter().map(u32::to_string));
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn ended(status: ExitStatus, complaint: &[u8]) -> String {
    let complaint = String::from_utf8_lossy(complaint);
    let last = complaint.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
    format!("it ended with {status}: {}", last.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Adapter> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peer.toml");
        std::fs::write(&path, text).unwrap();
        Adapter::read(&path)
    }

    /// Runs a script of /bin/sh; `$1` is the sound.
    fn run(script: &str, timeout_s: u64, output: Output) -> Ran {
        let command = ["/bin/sh", "-c", script, "sh", "{audio}", "{visit_at}"].map(str::to_owned).to_vec();
        let folder = std::env::temp_dir();
        let adapter = Adapter { name: "peer".into(), command, timeout_s, output, folder };
        adapter.run(Path::new("Cargo.toml"), "2026-11-23T10:00:00+08:00")
    }

    fn failure(script: &str, output: Output) -> String {
        run(script, 20, output).outcome.unwrap_err()
    }

    #[test]
    fn places_are_filled_without_a_shell() {
        let mut adapter = read(
            "name = 'a'\ncommand = ['x', '--in={audio}', '{visit_at} {audio}', '$HOME {x}']\noutput = 'text'",
        )
        .unwrap();
        assert_eq!(adapter.timeout_s, 600);
        let argv = adapter.argv("/a b/{visit_at}.ogg", "now");
        assert_eq!(argv, ["x", "--in=/a b/{visit_at}.ogg", "now /a b/{visit_at}.ogg", "$HOME {x}"]);
        adapter.folder = std::env::temp_dir();
        adapter.command = vec!["/bin/echo".into(), "$(id); '{audio}'".into()];
        let heard = adapter.run(Path::new("Cargo.toml"), "now").outcome.unwrap().heard;
        assert!(heard.starts_with("$(id); '/") && heard.ends_with("Cargo.toml'\n"), "{heard}");
    }

    #[test]
    fn a_wrong_file_is_told_with_its_line() {
        for (text, word) in [
            ("name = 'a'\ncommand = ['x', '{audio}']\noutput = 'xml'", "line 3"),
            ("name = 'a'\ncommand = ['x', '{audio}']\noutput = 'text'\nshell = true", "line 4"),
            ("name = 'a'\ncommand = ['x', 'audio']\noutput = 'text'", "{audio}"),
            ("name = 'a'\ncommand = ['{audio}']\noutput = 'text'", "{audio}"),
            ("name = ''\ncommand = ['x', '{audio}']\noutput = 'text'", "empty"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.code == Code::InvalidRequest && error.detail.contains(word), "{error}");
            assert_eq!(error.detail.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn what_it_prints_is_what_it_heard() {
        let text = run("echo 你好; echo noise >&2", 20, Output::Text);
        assert_eq!(text.outcome.unwrap().heard.trim(), "你好");
        assert!(text.wall > Duration::ZERO);
        let json = run("printf '[{\"start\":0,\"end\":1,\"text\":\"%s\"}]' \"$2\"", 20, Output::Json);
        assert_eq!(json.outcome.unwrap().heard, "2026-11-23T10:00:00+08:00");
        // More than a pipe holds, on both.
        let much =
            run("head -c 300000 /dev/zero | tr '\\0' a; head -c 300000 /dev/zero >&2", 20, Output::Text);
        assert_eq!(much.outcome.unwrap().heard.len(), 300_000);
    }

    #[test]
    fn a_failure_says_why() {
        assert!(
            failure("echo first >&2; echo out of memory >&2; exit 3", Output::Text)
                .ends_with("3: out of memory")
        );
        assert!(failure("echo no", Output::Json).contains("neither"));
        assert!(failure("printf '\\377'", Output::Text).contains("UTF-8"));
        let missing = Adapter {
            command: vec!["/nowhere/peer".into(), "{audio}".into()],
            ..read("name = 'a'\ncommand = ['x', '{audio}']\noutput = 'text'").unwrap()
        };
        let told = missing.run(Path::new("Cargo.toml"), "now").outcome.unwrap_err();
        assert!(told.contains("/nowhere/peer cannot be started"), "{told}");
    }

    #[test]
    fn one_that_does_not_end_is_stopped_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let begin = Instant::now();
        let script = format!("(sleep 3; echo late > '{}') & wait", mark.display());
        let told = run(&script, 1, Output::Text).outcome.unwrap_err();
        assert!(told.contains("longer than 1 s"), "{told}");
        assert!(begin.elapsed() < Duration::from_secs(3));
        thread::sleep(Duration::from_millis(2500));
        assert!(!mark.exists() || !cfg!(target_os = "linux"), "a child lived on");
    }
}
