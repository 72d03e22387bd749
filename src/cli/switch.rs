//! `visitscribe models switch | rollback | shadow`: which classifier judges, exchanged while the service runs.
//!
//! The classifier is loaded and checked here first, so that a bad one is told before anything is chosen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::domain::time::SystemClock;
use crate::engine::candidate;
use crate::error::{Error, Result};
use crate::pipeline::Catalog;
use crate::service::classifier::{Wish, next, taken};
use crate::service::open_store;

/// How long a service that runs gets to take a choice.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the three commands share.
#[derive(Debug, Clone, clap::Args)]
pub struct SwitchArgs {
    /// Configuration file of the service; the environment overrides it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs a command.
pub async fn run(args: &SwitchArgs, wish: Wish) -> Result<()> {
    let config = Config::load(args.config.as_deref())?;
    let pipeline = Catalog::load(config.pipeline_dir())?.get(&config.pipeline.name)?;
    let own = pipeline.models.moments.as_str();
    let store = open_store(&config, Arc::new(SystemClock)).await?;
    let wanted = next(&store, own, &wish).await?;

    let judging = wanted.active.as_deref().unwrap_or(own);
    let candidate = match wish {
        Wish::Switch(name) => Some(name),
        Wish::Rollback => Some(judging.to_owned()),
        Wish::Shadow(name) => name,
    };
    if let Some(name) = candidate {
        let models_dir = config.models_dir()?;
        let checking = tokio::task::spawn_blocking(move || candidate::load(&models_dir, &name).map(drop));
        checking.await.map_err(Error::internal)??;
    }
    let chosen = store.choose_classifier(&wanted).await?;
    if !taken(&store, &chosen, PATIENCE).await? {
        eprintln!("no service has taken it within {} s; one that starts will", PATIENCE.as_secs());
    }
    println!("active: {judging}\nshadow: {}", wanted.shadow.as_deref().unwrap_or("off"));
    Ok(())
}
