//! Stored audio: per visit one contiguous prefix of the sender's bytes, in one append-only file. Live stream and
//! upload write it through `service`, the pipeline follows its durable length. It knows no SQL.
//!
//! Received bytes wait in memory until [`AudioLog::sync`] has written and fsynced them; only then may they be
//! acknowledged or read. A failed fsync is never retried into an acknowledgement: the kernel may have dropped
//! the bytes and would call the next fsync a success. Such a log refuses all further writes; opened again, it
//! starts at its last durable byte.

mod file;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use self::file::{MAX_RECORD_BYTES, Record};
use crate::domain::access::TenantId;
use crate::domain::hex::hex;
use crate::domain::ids::VisitId;
use crate::error::{Code, Error, Result};
use crate::telemetry;

/// The folder of all stored audio. Cheap to clone.
#[derive(Clone)]
pub struct AudioStore {
    dir: Arc<Path>,
    /// The logs in use: whoever opens one that is open already gets the same one.
    open: Arc<Mutex<HashMap<PathBuf, Slot>>>,
}

type Slot = Arc<Mutex<Weak<Shared>>>;

/// The stored audio of one visit. Cheap to clone; clones are the same log.
#[derive(Clone)]
pub struct AudioLog {
    shared: Arc<Shared>,
}

struct Shared {
    file: File,
    /// What is durable, in order. Grows only.
    records: RwLock<Vec<Record>>,
    durable: watch::Sender<u64>,
    received: AtomicU64,
    /// Set for good by a failed fsync.
    broken: AtomicBool,
    /// Bytes received but not yet durable.
    pending: Arc<Mutex<Vec<u8>>>,
    /// Makes the next fsync fail.
    #[cfg(test)]
    fail_fsync: AtomicBool,
}

/// What became of appended bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Everything up to the end of these bytes is held; durable after the next `sync`.
    Held {
        /// Length of the prefix held, in bytes.
        received: u64,
    },
    /// The bytes begin beyond the end; nothing was kept.
    Hole {
        /// The offset that must come next.
        wanted: u64,
    },
}

impl AudioStore {
    /// Audio under `dir`, which is made when first needed.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: Arc::from(dir.into()), open: Arc::default() }
    }

    /// Opens a visit's log (an empty one if there is none). What is found on disk is durable on return.
    ///
    /// `StorageUnavailable` if the disk fails or the file was altered.
    pub async fn open(&self, tenant: &TenantId, visit: &VisitId) -> Result<AudioLog> {
        let path = self.path(tenant, visit)?;
        let slot = {
            let mut open = self.open.lock().await;
            open.retain(|_, slot| {
                Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|log| log.strong_count() > 0)
            });
            open.entry(path.clone()).or_default().clone()
        };
        let mut slot = slot.lock().await;
        if let Some(shared) = slot.upgrade().filter(|shared| !shared.broken.load(Ordering::Acquire)) {
            return Ok(AudioLog { shared });
        }
        let (file, records) = blocking(move || file::open(&path)).await?;
        let shared = Arc::new(Shared::new(file, records));
        *slot = Arc::downgrade(&shared);
        Ok(AudioLog { shared })
    }

    /// Removes a visit's audio, if there is any. Nobody may be writing it.
    pub async fn remove(&self, tenant: &TenantId, visit: &VisitId) -> Result<()> {
        let path = self.path(tenant, visit)?;
        self.open.lock().await.remove(&path);
        blocking(move || match std::fs::remove_file(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(()) => path.parent().map_or(Ok(()), file::sync_dir),
        })
        .await
    }

    /// `<dir>/<hash of the tenant>/<visit>.audio`: names from outside never become a path.
    fn path(&self, tenant: &TenantId, visit: &VisitId) -> Result<PathBuf> {
        if !visit.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Error::new(Code::NotFound, "there is no such visit"));
        }
        let hash = Sha256::digest(tenant.as_str());
        let folder: String = hex(&hash).chars().take(16).collect();
        Ok(self.dir.join(folder).join(format!("{visit}.audio")))
    }
}

impl AudioLog {
    /// Takes bytes at `offset`. Those already held must be equal, else `AudioConflict` and nothing changes.
    pub async fn append(&self, offset: u64, bytes: &[u8]) -> Result<Appended> {
        let mut pending = self.writer().await?;
        let held = self.received();
        let Some(overlap) = held.checked_sub(offset) else {
            return Ok(Appended::Hole { wanted: held });
        };
        let overlap = usize::try_from(overlap).map_or(bytes.len(), |n| n.min(bytes.len()));
        let (known, mut fresh) = bytes.split_at(overlap);
        if !known.is_empty() && !self.equals(&pending, offset, known).await? {
            let detail = "bytes that are held already were sent again with other content";
            return Err(Error::new(Code::AudioConflict, detail));
        }
        while !fresh.is_empty() {
            if pending.len() == MAX_RECORD_BYTES {
                pending = self.flush(pending).await?;
            }
            let (now, later) = fresh.split_at(fresh.len().min(MAX_RECORD_BYTES - pending.len()));
            pending.extend_from_slice(now);
            self.shared.received.fetch_add(now.len() as u64, Ordering::AcqRel);
            fresh = later;
        }
        Ok(Appended::Held { received: self.received() })
    }

    /// Makes all received bytes durable and returns the durable length.
    ///
    /// `StorageUnavailable` if the disk refuses. After a full disk it may be called again; after a failed
    /// fsync this log stays broken and must be opened anew.
    pub async fn sync(&self) -> Result<u64> {
        let pending = self.writer().await?;
        if !pending.is_empty() {
            drop(self.flush(pending).await?);
        }
        Ok(self.durable())
    }

    /// Durable bytes from `offset`: at least one and at most `max`, none only at the durable end.
    pub async fn read(&self, offset: u64, max: usize) -> Result<Vec<u8>> {
        let record = {
            let records = self.shared.records.read().unwrap_or_else(PoisonError::into_inner);
            records.get(records.partition_point(|record| record.end() <= offset)).copied()
        };
        let Some(record) = record else { return Ok(Vec::new()) };
        let shared = self.shared.clone();
        let payload = blocking(move || file::read(&shared.file, record)).await?;
        let skip = usize::try_from(offset - record.start).unwrap_or(usize::MAX);
        Ok(payload.into_iter().skip(skip).take(max).collect())
    }

    /// Bytes received, durable or not.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Acquire)
    }

    /// Bytes that survive a power cut. Never shrinks.
    pub fn durable(&self) -> u64 {
        *self.shared.durable.borrow()
    }

    /// Follows the durable length.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    /// The right to write, one at a time.
    async fn writer(&self) -> Result<OwnedMutexGuard<Vec<u8>>> {
        let pending = self.shared.pending.clone().lock_owned().await;
        if self.shared.broken.load(Ordering::Acquire) {
            return Err(away(io::Error::other("an earlier fsync of this log failed")));
        }
        Ok(pending)
    }

    /// Writes the pending bytes as one record. The work owns the guard, so that a caller who goes away cannot
    /// leave it half done.
    async fn flush(&self, mut pending: OwnedMutexGuard<Vec<u8>>) -> Result<OwnedMutexGuard<Vec<u8>>> {
        let shared = self.shared.clone();
        blocking(move || shared.flush(&mut pending).map(|()| pending)).await
    }

    /// Whether the held bytes from `offset` on are `bytes`, all of which are held.
    async fn equals(&self, pending: &[u8], mut offset: u64, mut bytes: &[u8]) -> Result<bool> {
        while !bytes.is_empty() {
            let durable = self.durable();
            let held = if offset < durable {
                self.read(offset, bytes.len()).await?
            } else {
                let skip = usize::try_from(offset - durable).unwrap_or(usize::MAX);
                pending.iter().skip(skip).take(bytes.len()).copied().collect()
            };
            let Some(rest) = bytes.strip_prefix(held.as_slice()).filter(|_| !held.is_empty()) else {
                return Ok(false);
            };
            offset += held.len() as u64;
            bytes = rest;
        }
        Ok(true)
    }
}

impl Shared {
    fn new(file: File, records: Vec<Record>) -> Self {
        let (held, _) = file::after(records.last());
        Self {
            file,
            records: RwLock::new(records),
            durable: watch::Sender::new(held),
            received: AtomicU64::new(held),
            broken: AtomicBool::new(false),
            pending: Arc::default(),
            #[cfg(test)]
            fail_fsync: AtomicBool::new(false),
        }
    }

    fn flush(&self, pending: &mut Vec<u8>) -> io::Result<()> {
        let (start, at) = {
            let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
            file::after(records.last())
        };
        let record = match file::write(&self.file, start, at, pending) {
            Ok(record) => record,
            Err(e) => {
                // Nothing was promised of what was half written: take it back and let the next sync try again.
                let _ = self.file.set_len(at);
                return Err(e);
            }
        };
        if let Err(e) = self.fsync() {
            self.broken.store(true, Ordering::Release);
            self.received.store(start, Ordering::Release);
            // Drops the doubtful pages from the page cache, so that a later open cannot believe them.
            let _ = self.file.set_len(at);
            return Err(e);
        }
        self.records.write().unwrap_or_else(PoisonError::into_inner).push(record);
        pending.clear();
        self.durable.send_replace(record.end());
        metrics::counter!(telemetry::AUDIO_BYTES).increment(record.len);
        Ok(())
    }

    fn fsync(&self) -> io::Result<()> {
        #[cfg(test)]
        if self.fail_fsync.swap(false, Ordering::AcqRel) {
            return Err(io::Error::other("planted"));
        }
        self.file.sync_data()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?.map_err(away)
}

fn away(cause: io::Error) -> Error {
    Error::caused(Code::StorageUnavailable, "the audio store does not take or give bytes right now", cause)
}
