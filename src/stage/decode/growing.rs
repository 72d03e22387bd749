//! A source that grows while it is read: the reader waits for bytes that have not come yet.
//!
//! Most containers are read forward only. An MP4 may keep its index at the very end; then the bytes are kept and
//! seeking is allowed, and decoding begins when the last byte is there.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Mutex;

use symphonia::core::io::MediaSource;
use tokio::sync::mpsc;

/// Most bytes of an MP4 that are kept for seeking back: eight hours of speech.
const MAX_KEPT_BYTES: usize = 512 << 20;

/// The writing end; dropping it ends the stream.
pub type GrowingSender = mpsc::Sender<Vec<u8>>;

/// The reading end.
pub struct Growing {
    // The mutex is never contended: it makes the receiver `Sync`, as symphonia wants its sources.
    chunks: Mutex<mpsc::Receiver<Vec<u8>>>,
    /// Bytes from `start` on that are kept.
    kept: Vec<u8>,
    start: u64,
    at: u64,
    seekable: bool,
}

impl Growing {
    /// A stream that holds at most `chunks` unread chunks; further sends wait.
    pub fn channel(chunks: usize) -> (GrowingSender, Self) {
        let (sender, receiver) = mpsc::channel(chunks.max(1));
        let growing =
            Self { chunks: Mutex::new(receiver), kept: Vec::new(), start: 0, at: 0, seekable: false };
        (sender, growing)
    }

    /// Waits for the next chunk; `None` once the stream has ended. Blocking.
    pub fn next_chunk(&mut self) -> Option<Vec<u8>> {
        self.chunks.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).blocking_recv()
    }

    fn end(&self) -> u64 {
        self.start + self.kept.len() as u64
    }

    /// Waits until `position` is known, or the stream has ended.
    fn fill_to(&mut self, position: u64) -> io::Result<()> {
        while self.end() < position {
            let Some(chunk) = self.next_chunk() else { break };
            if self.kept.len() + chunk.len() > MAX_KEPT_BYTES {
                return Err(io::Error::new(io::ErrorKind::OutOfMemory, "the stream is too large to seek in"));
            }
            self.kept.extend(chunk);
        }
        Ok(())
    }

    /// Waits for the first bytes and decides whether this stream has to be seeked in: an MP4 whose index
    /// does not follow its first atom. Blocking.
    pub fn sniff(&mut self) -> io::Result<()> {
        self.fill_to(12)?;
        if self.kept.get(4..8) != Some(b"ftyp") {
            return Ok(());
        }
        let size = self.kept.first_chunk::<4>().map_or(0, |size| u32::from_be_bytes(*size));
        // The first atom of a real file is some dozen bytes long.
        let next = size.min(4_096) as usize;
        self.fill_to(next as u64 + 8)?;
        self.seekable = self.kept.get(next + 4..next + 8) != Some(b"moov");
        Ok(())
    }

    /// Waits for the end of the stream.
    fn fill_all(&mut self) -> io::Result<u64> {
        self.fill_to(u64::MAX)?;
        Ok(self.end())
    }
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill_to(self.at + 1)?;
        let from = (self.at - self.start) as usize;
        let ready = self.kept.get(from..).unwrap_or_default();
        let n = ready.len().min(buffer.len());
        if let (Some(to), Some(bytes)) = (buffer.get_mut(..n), ready.get(..n)) {
            to.copy_from_slice(bytes);
        }
        self.at += n as u64;
        if !self.seekable {
            let read = (self.at - self.start) as usize;
            self.kept.drain(..read);
            self.start = self.at;
        }
        Ok(n)
    }
}

impl Seek for Growing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.fill_all()?.checked_add_signed(by),
        };
        let target = target.filter(|t| *t >= self.start).ok_or(io::ErrorKind::Unsupported)?;
        self.fill_to(target)?;
        self.at = target.min(self.end());
        Ok(self.at)
    }
}

impl MediaSource for Growing {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}
