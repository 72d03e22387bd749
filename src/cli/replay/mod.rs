//! `visitscribe replay`: a live client. It streams a file as if it were being recorded now and prints what
//! comes back.
//!
//! It speaks only the protocol: it shares no code with the server's side of it, so that it can stand for any
//! other client. The demo runs it too, for the delays it measures.

mod client;
mod message;
mod report;
mod send;
mod show;
pub(super) mod source;

use std::path::PathBuf;

use url::Url;

pub use report::{Report, percentile};
pub use show::colour;

/// Streams an audio file through the live protocol, as a phone would, and prints what comes back.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Example, for a visit that exists and whose customer agreed (docs/API.md):
    export VISITSCRIBE_KEY=$(visitscribe keys create --tenant acme --role admin)
    visitscribe replay visit.ogg --visit vis_...

A lost connection is taken up again at the first byte that the server lacks. Delays count
from the moment the sound was sent: to a first partial from the start of its segment, to a
final from the end of it.")]
pub struct ReplayArgs {
    /// WAV, FLAC, MP3, M4A, Ogg or WebM file
    pub audio: PathBuf,
    /// The visit to stream into, vis_...
    #[arg(long, value_name = "ID")]
    pub visit: String,
    /// Times as fast as speech; 0: as fast as the server allows
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Where the service is
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: Url,
    /// An API key
    #[arg(long, env = "VISITSCRIBE_KEY", hide_env_values = true)]
    pub key: String,
    /// What is sent: decoded samples, or the file's own bytes as they are
    #[arg(long, value_enum, default_value_t = SendAs::Pcm)]
    pub encoding: SendAs,
    /// Print the server's messages as they are, one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SendAs {
    /// The file's own bytes, paced by their share of its duration
    Container,
    /// Decoded to 16 kHz mono, 16 bits a sample, paced exactly
    Pcm,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // Slower than a tenth, the pause between two chunks nears the server's idle limit.
        Ok(speed) if speed == 0.0 || (0.1..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("give 0 or a number from 0.1 to 1000".to_owned()),
    }
}

/// Runs the command: streams to the end and prints how long things took.
pub async fn run(args: &ReplayArgs) -> anyhow::Result<()> {
    let report = stream(args).await?;
    if !args.json {
        println!("\n{report}");
    }
    Ok(())
}

/// Streams to the end, printing what comes back, and returns what was measured.
pub async fn stream(args: &ReplayArgs) -> anyhow::Result<Report> {
    let (path, encoding) = (args.audio.clone(), args.encoding);
    let audio = tokio::task::spawn_blocking(move || source::Audio::open(&path, encoding)).await??;
    client::Client::new(args, &audio).run().await
}
