//! `visitscribe migrate`: brings the database up to date, for operators who want that apart from `serve`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;
use crate::domain::time::SystemClock;
use crate::service::open_store;

/// Bring the database's tables up to date.
///
/// `serve` does this by itself when it starts. Run it alone before an upgrade of several servers that share
/// one PostgreSQL. Doing it again changes nothing.
#[derive(Debug, Clone, clap::Args)]
pub struct MigrateArgs {
    /// Configuration file; the environment overrides it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: &MigrateArgs) -> anyhow::Result<()> {
    open_store(&Config::load(args.config.as_deref())?, Arc::new(SystemClock)).await?;
    eprintln!("the database is up to date");
    Ok(())
}
