//! A visit streamed at the speed of speech, as a phone would send it, to learn how long finals take.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::replay::SendAs;
use crate::cli::replay::source::Audio;
use crate::domain::result::VisitResult;
use crate::domain::time::Millis;
use crate::engine::Engines;
use crate::error::{Error, Result};
use crate::pipeline::Pipeline;
use crate::pipeline::session::{self, Pass, SessionEvent, SessionHandle, SessionInput, SessionSetup};

/// Sound in one message.
const CHUNK: Duration = Duration::from_millis(100);

/// The result, and for each final the seconds from the end of its sound until it was there.
pub(super) async fn stream(
    pipeline: &Arc<Pipeline>,
    engines: &Engines,
    path: &Path,
    visit_at: jiff::ZonedDateTime,
    hotwords: Vec<String>,
) -> Result<(VisitResult, Vec<f64>)> {
    let path: PathBuf = path.to_path_buf();
    let audio = tokio::task::spawn_blocking(move || Audio::open(&path, SendAs::Pcm));
    let audio = audio.await.map_err(Error::internal)??;
    let setup = SessionSetup { format: audio.format, visit_at, hotwords, pass: Pass::Live, cuts: Vec::new() };
    let SessionHandle { input, mut events } = session::start(pipeline, engines, setup)?;
    let begin = Instant::now();
    tokio::spawn(async move {
        let bytes = CHUNK.as_millis() as usize * audio.bytes.len() / (audio.duration_ms.max(1) as usize);
        // Whole samples of two bytes.
        for (n, chunk) in (1..).zip(audio.bytes.chunks((bytes & !1).max(2))) {
            // It can be sent once it was spoken.
            tokio::time::sleep_until((begin + CHUNK * n).into()).await;
            if input.send(SessionInput::Audio(chunk.to_vec())).await.is_err() {
                return;
            }
        }
        // Whether anybody still listens is seen at the other end.
        let _ = input.send(SessionInput::Stop).await;
    });
    let mut waits = Vec::new();
    while let Some(event) = events.recv().await {
        match event {
            SessionEvent::Final(segment) => {
                let now = Millis(begin.elapsed().as_millis() as u64);
                waits.push(now.since(segment.end_ms).0 as f64 / 1000.0);
            }
            SessionEvent::Done(result) => return Ok((*result, waits)),
            SessionEvent::Failed(error) => return Err(error),
            _ => {}
        }
    }
    Err(Error::internal(anyhow::anyhow!("the session ended without a result")))
}
