//! Whether a model file is there and is what its manifest says.
//!
//! `load` asks before it opens a file, `fetch` before it downloads one, `models verify` without trusting what
//! was noted before. Hashing 80 MB takes a moment, so a good result is noted beside the file with its size
//! and modification time, and holds until one of them, or the manifest, changes.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use super::EngineError;
use super::manifest::Manifest;

/// How a model file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is what the manifest says.
    Good,
    /// There is no such file.
    Missing,
    /// Its size or hash is not the manifest's.
    Altered,
}

/// How a file stands, trusting an earlier look at the same size and modification time.
pub fn status(manifest: &Manifest, models_dir: &Path) -> io::Result<Status> {
    look(manifest, models_dir, true)
}

/// The same, always reading every byte.
pub fn status_by_hash(manifest: &Manifest, models_dir: &Path) -> io::Result<Status> {
    look(manifest, models_dir, false)
}

/// The path of a file that is what its manifest says; else an error that names the way out.
pub fn require(manifest: &Manifest, models_dir: &Path) -> Result<PathBuf, EngineError> {
    let (name, path) = (&manifest.name, manifest.path(models_dir));
    match status(manifest, models_dir) {
        Ok(Status::Good) => Ok(path),
        Ok(Status::Missing) => Err(EngineError::Missing(format!(
            "the model {name} is not in {}: run `visitscribe models fetch {name}`",
            models_dir.display()
        ))),
        Ok(Status::Altered) => Err(EngineError::Altered(format!(
            "{} is not the file that the manifest of {name} names: run `visitscribe models fetch {name}`",
            path.display()
        ))),
        Err(e) => Err(EngineError::Failed(format!("cannot read {}: {e}", path.display()))),
    }
}

/// Notes that the file, as it now is, has the manifest's hash.
pub fn note(manifest: &Manifest, models_dir: &Path) -> io::Result<()> {
    let path = manifest.path(models_dir);
    std::fs::write(note_path(&path), stamp(manifest, &std::fs::metadata(&path)?))
}

fn look(manifest: &Manifest, models_dir: &Path, trust_note: bool) -> io::Result<Status> {
    let path = manifest.path(models_dir);
    let metadata = match std::fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Status::Missing),
        Err(e) => return Err(e),
    };
    if metadata.len() != manifest.bytes {
        return Ok(Status::Altered);
    }
    let expected = stamp(manifest, &metadata);
    if trust_note && std::fs::read_to_string(note_path(&path)).is_ok_and(|noted| noted == expected) {
        return Ok(Status::Good);
    }
    if hash(&path)? != manifest.sha256.as_str() {
        return Ok(Status::Altered);
    }
    // A read-only directory only costs the next start its short cut.
    let _ = std::fs::write(note_path(&path), expected);
    Ok(Status::Good)
}

fn note_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".verified");
    PathBuf::from(name)
}

fn stamp(manifest: &Manifest, metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let (sha256, nanos) = (manifest.sha256.as_str(), modified.unwrap_or_default().as_nanos());
    format!("{sha256} {} {nanos}\n", metadata.len())
}

/// SHA-256 of a file in lower-case hex.
pub fn hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(hasher)),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// A finished hash in lower-case hex.
pub fn hex(hasher: Sha256) -> String {
    crate::domain::hex::hex(&hasher.finalize())
}
