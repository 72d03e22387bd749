//! Where a session's samples come from: raw bytes decoded in place, a growing container decoded on a thread
//! of its own, or a whole file. All of them end in one bounded channel of [`Sound`].

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::StageConfigs;
use super::session::SessionInput;
use crate::domain::audio::{AudioFormat, Encoding, Pcm};
use crate::error::{Code, Error, Result};
use crate::stage::decode::{Decode, Decoded, Growing};
use crate::stage::resample::Resample;

/// Blocks on their way to the session: a few seconds of sound, then the decoder waits.
const BLOCKS: usize = 32;

/// What reaches the session, in order.
pub(super) enum Sound {
    /// The next samples, mono at 16 kHz.
    Samples(Vec<f32>),
    /// The client wants everything so far made final.
    Flush,
    /// The end, with what decoding and resampling took.
    End { decoded: Decoded, decode: Duration, resample: Duration },
    /// It cannot go on.
    Failed(Error),
}

/// Decodes and resamples a whole file.
pub(super) fn of_file(stages: &StageConfigs, path: PathBuf) -> Result<mpsc::Receiver<Sound>> {
    let (to, sounds) = mpsc::channel(BLOCKS);
    let decode = Decode::new(&stages.decode);
    let mut half = Half::new(stages, to)?;
    on_thread(move || {
        let end = decode.file(&path, &mut |block| half.take(&block));
        half.end(end);
    })?;
    Ok(sounds)
}

/// Follows a stream of bytes in its declared format.
pub(super) fn of_stream(
    stages: &StageConfigs,
    format: AudioFormat,
    mut input: mpsc::Receiver<SessionInput>,
) -> Result<mpsc::Receiver<Sound>> {
    let (to, sounds) = mpsc::channel(BLOCKS);
    let (bytes, growing) = Growing::channel(BLOCKS);
    let decode = Decode::new(&stages.decode);
    let mut half = Half::new(stages, to.clone())?;
    let raw = format.encoding == Encoding::PcmS16le;
    let stopped = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = stopped.clone();
    on_thread(move || {
        let end = decode.stream(format, growing, &mut |block| half.take(&block));
        // Without a stop the caller has gone, and nobody waits for an end.
        if seen.load(std::sync::atomic::Ordering::Acquire) || end.is_err() {
            half.end(end);
        }
    })?;
    tokio::spawn(async move {
        while let Some(message) = input.recv().await {
            let sent = match message {
                SessionInput::Audio(chunk) => bytes.send(chunk).await.is_ok(),
                SessionInput::Finalize => {
                    // Raw samples are decoded as they come: once the thread has taken an empty piece, it has
                    // passed on all that came before.
                    if raw && bytes.send(Vec::new()).await.is_ok() {
                        drained(&bytes).await;
                    }
                    to.send(Sound::Flush).await.is_ok()
                }
                SessionInput::Stop => {
                    stopped.store(true, std::sync::atomic::Ordering::Release);
                    false
                }
            };
            if !sent {
                break;
            }
        }
    });
    Ok(sounds)
}

/// Waits until every place of the channel is free again, that is: until all of it was taken.
async fn drained(bytes: &mpsc::Sender<Vec<u8>>) {
    let _ = bytes.reserve_many(bytes.max_capacity()).await;
}

fn on_thread(work: impl FnOnce() + Send + 'static) -> Result<()> {
    thread::Builder::new()
        .name("decode".into())
        .spawn(work)
        .map(drop)
        .map_err(|e| Error::caused(Code::Internal, "cannot start a thread", e))
}

/// The half of a source that runs on the thread: resample and pass on.
struct Half {
    resample: Resample,
    spent: Duration,
    begin: Instant,
    waited: Duration,
    failed: Option<Error>,
    to: mpsc::Sender<Sound>,
}

impl Half {
    fn new(stages: &StageConfigs, to: mpsc::Sender<Sound>) -> Result<Self> {
        Ok(Self {
            resample: Resample::new(&stages.resample)?,
            spent: Duration::ZERO,
            begin: Instant::now(),
            waited: Duration::ZERO,
            failed: None,
            to,
        })
    }

    /// Resamples a block and passes it on; false when nobody wants more.
    fn take(&mut self, block: &Pcm) -> bool {
        let begin = Instant::now();
        let samples = self.resample.run(block);
        self.spent += begin.elapsed();
        match samples {
            Ok(samples) => self.send(samples),
            Err(e) => {
                self.failed = Some(e);
                false
            }
        }
    }

    fn send(&mut self, samples: Vec<f32>) -> bool {
        let begin = Instant::now();
        let sent = self.to.blocking_send(Sound::Samples(samples)).is_ok();
        self.waited += begin.elapsed();
        sent
    }

    fn end(mut self, end: Result<Decoded>) {
        let tail = self.resample.finish();
        let last = match (self.failed.take().map_or(end, Err), tail) {
            (Ok(decoded), Ok(tail)) => {
                self.send(tail);
                let decode = self.begin.elapsed().saturating_sub(self.spent + self.waited);
                Sound::End { decoded, decode, resample: self.spent }
            }
            (Err(e), _) | (_, Err(e)) => Sound::Failed(e),
        };
        // Nobody listening any more is no failure here.
        let _ = self.to.blocking_send(last);
    }
}
