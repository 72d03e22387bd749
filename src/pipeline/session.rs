//! One visit in flight: bytes of the declared stream in, partials, finals, moments and the result out.
//!
//! The caller (service/live, or a command) owns durability: it feeds bytes that are already on disk, in
//! order and without holes, and may feed them faster or slower than real time. The session runs as one task;
//! all channels are bounded, so a caller that does not read events stops the session, never fills memory.
//! Dropping the handle ends it.

mod partial;
mod run;
mod second;
mod told;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Pipeline, source};
use crate::domain::audio::{AudioFormat, Samples};
use crate::domain::ids::{MomentId, SegmentId};
use crate::domain::moment::Moment;
use crate::domain::result::VisitResult;
use crate::domain::time::Millis;
use crate::domain::transcript::{Gap, Segment};
use crate::engine::Engines;
use crate::error::{Error, Result};
pub use crate::stage::recognize::Pass;

/// Inputs and events that may wait.
const CHANNEL: usize = 64;

/// What is known of a visit before its first byte.
#[derive(Debug, Clone)]
pub struct SessionSetup {
    /// How to read the bytes.
    pub format: AudioFormat,
    /// The visit's time and zone: what 下周三 is resolved against.
    pub visit_at: jiff::ZonedDateTime,
    /// Names and terms to expect.
    pub hotwords: Vec<String>,
    /// Live: partials, each segment at once, and again in packed windows. Batch: packed windows only.
    pub pass: Pass,
    /// Where earlier sessions over the same audio cut on request ([`SessionEvent::Cut`]), in order.
    pub cuts: Vec<Samples>,
}

/// What the caller sends.
#[derive(Debug)]
pub enum SessionInput {
    /// The next bytes of the stream.
    Audio(Vec<u8>),
    /// Make everything heard so far final now.
    Finalize,
    /// No more bytes will come: finish and report [`SessionEvent::Done`].
    Stop,
}

/// What the session reports, in order.
#[derive(Debug)]
pub enum SessionEvent {
    /// Replaceable text of the segment being spoken.
    Partial(Partial),
    /// A segment as the first pass heard it.
    Final(Segment),
    /// The segment of that id as the second pass heard it: other words, the same stretch.
    Corrected(Segment),
    /// A key moment, after the final it rests on. One with an id told before replaces that one.
    Moment(Moment),
    /// A moment told before is none.
    Retracted(MomentId),
    /// What was heard before this is being made final on request; its finals follow. A session that hears
    /// the audio again must cut here too, or its finals will have other bounds under the same ids.
    Cut(Samples),
    /// Audio without a transcript.
    Gap(Gap),
    /// How far it has come.
    Progress {
        /// Audio decoded and judged for speech.
        decoded_ms: Millis,
        /// Audio before this has its final text.
        recognized_ms: Millis,
    },
    /// The whole result; the last event.
    Done(Box<VisitResult>),
    /// The session cannot go on; the last event. Stored audio is untouched.
    Failed(Error),
}

/// Text of a segment that is still being spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// The id its final will most likely have.
    pub segment_id: SegmentId,
    /// Counts from 1 within the segment.
    pub rev: u32,
    /// Masked, whole characters.
    pub text: String,
    /// So many leading characters will not change; never shrinks within a segment.
    pub stable_chars: usize,
    /// Start of the segment.
    pub start_ms: Millis,
    /// How far it has been heard.
    pub end_ms: Millis,
}

/// The two ends the caller holds. Dropping `input` without [`SessionInput::Stop`] abandons the session.
pub struct SessionHandle {
    /// Bounded; waits when the session is behind.
    pub input: mpsc::Sender<SessionInput>,
    /// Bounded; must be read.
    pub events: mpsc::Receiver<SessionEvent>,
}

/// Starts a session over a stream of bytes. Must be called inside a tokio runtime.
pub fn start(pipeline: &Arc<Pipeline>, engines: &Engines, setup: SessionSetup) -> Result<SessionHandle> {
    let (input, inputs) = mpsc::channel(CHANNEL);
    let sounds = source::of_stream(&pipeline.stages, setup.format, inputs)?;
    let events = run::spawn(pipeline, engines, setup, sounds)?;
    Ok(SessionHandle { input, events })
}

/// Starts a session over a whole file; `setup.format` is ignored, the file tells its own.
pub fn start_file(
    pipeline: &Arc<Pipeline>,
    engines: &Engines,
    setup: SessionSetup,
    path: PathBuf,
) -> Result<mpsc::Receiver<SessionEvent>> {
    let sounds = source::of_file(&pipeline.stages, path)?;
    run::spawn(pipeline, engines, setup, sounds)
}

#[cfg(test)]
mod tests;
