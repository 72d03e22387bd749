//! The file beneath an audio log: records one after the other, each written and fsynced as one. `audio/mod.rs`
//! calls it from blocking threads; it knows no visit and no async.
//!
//! A record is a header of 16 bytes, length (`u32`, little endian) and the first 12 bytes of the SHA-256 of
//! stream offset and payload, then the payload. The digest is what a bare length cannot give: after a power cut
//! a file may be longer than what was fsynced, and what lies there must not be taken for the sender's bytes.
//! As a record is only begun when the one before is durable, at most the last one can be torn: it was never
//! acknowledged and is cut off. A flaw anywhere else is damage and is refused.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Most payload bytes in one record: bounds the buffer of a log and what one read has to check.
pub(super) const MAX_RECORD_BYTES: usize = 1 << 20;

const HEADER_BYTES: usize = 16;
const DIGEST_BYTES: usize = 12;

/// Where one record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Offset of its first byte in the stream.
    pub start: u64,
    /// Bytes of payload.
    pub len: u64,
    /// Position of its header in the file.
    pub at: u64,
}

impl Record {
    /// Offset in the stream of the first byte after it.
    pub fn end(self) -> u64 {
        self.start + self.len
    }

    fn next_at(self) -> u64 {
        self.at + HEADER_BYTES as u64 + self.len
    }
}

/// Where the record after `last` goes: stream offset and file position.
pub(super) fn after(last: Option<&Record>) -> (u64, u64) {
    last.map_or((0, 0), |record| (record.end(), record.next_at()))
}

/// Opens or makes the file, cuts off a torn end, and makes the rest and its name durable.
pub(super) fn open(path: &Path) -> io::Result<(File, Vec<Record>)> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    make_dir(dir)?;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let records = scan(&file)?;
    file.set_len(after(records.last()).1)?;
    file.sync_all()?;
    sync_dir(dir)?;
    Ok((file, records))
}

/// Makes a folder with all above it, each name durable in the folder that holds it.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_dir(above)?;
    }
    match fs::create_dir(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    sync_dir(dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Makes names added to or removed from a folder durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Finds the intact records. Stops before a torn last one; fails with `InvalidData` on any other flaw.
fn scan(file: &File) -> io::Result<Vec<Record>> {
    let size = file.metadata()?.len();
    let mut records = Vec::new();
    loop {
        let (start, at) = after(records.last());
        if size - at < HEADER_BYTES as u64 {
            return Ok(records);
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, at)?;
        let record = Record { start, len: length(&header), at };
        // No record is empty: zeros are a length that was extended and data that never arrived.
        if record.len == 0 || record.next_at() > size {
            return Ok(records);
        }
        match read(file, record) {
            Ok(_) => records.push(record),
            Err(e) if e.kind() == io::ErrorKind::InvalidData && record.next_at() == size => {
                return Ok(records);
            }
            Err(e) => return Err(e),
        }
    }
}

/// Reads a record's payload and checks it; `InvalidData` if it is not what was written.
pub(super) fn read(file: &File, record: Record) -> io::Result<Vec<u8>> {
    let altered =
        || io::Error::new(io::ErrorKind::InvalidData, format!("record at {} is altered", record.at));
    let len = usize::try_from(record.len).ok().filter(|len| *len <= MAX_RECORD_BYTES).ok_or_else(altered)?;
    let mut header = [0; HEADER_BYTES];
    file.read_exact_at(&mut header, record.at)?;
    let mut payload = vec![0; len];
    file.read_exact_at(&mut payload, record.at + HEADER_BYTES as u64)?;
    let [_, _, _, _, digest @ ..] = header;
    if length(&header) != record.len || digest != self::digest(record.start, &payload) {
        return Err(altered());
    }
    Ok(payload)
}

/// Writes a record at `at` without making it durable.
pub(super) fn write(file: &File, start: u64, at: u64, payload: &[u8]) -> io::Result<Record> {
    let len = u32::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&digest(start, payload));
    bytes.extend_from_slice(payload);
    file.write_all_at(&bytes, at)?;
    Ok(Record { start, len: len.into(), at })
}

fn length(header: &[u8; HEADER_BYTES]) -> u64 {
    let [a, b, c, d, ..] = *header;
    u32::from_le_bytes([a, b, c, d]).into()
}

fn digest(start: u64, payload: &[u8]) -> [u8; DIGEST_BYTES] {
    let whole = Sha256::new().chain_update(start.to_le_bytes()).chain_update(payload).finalize();
    std::array::from_fn(|i| whole[i])
}
