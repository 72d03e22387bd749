//! `visitscribe export labels`: confirmed visits as training data, straight from the database. Works while the
//! service runs.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::config::Config;
use crate::domain::access::TenantId;
use crate::domain::time::SystemClock;
use crate::error::Error;
use crate::service::labels::{Export, export};
use crate::service::open_store;

/// Take data out of the service
#[derive(Debug, Clone, clap::Args)]
pub struct ExportArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// Write confirmed visits, with what was corrected in them, as training dialogues
    ///
    /// One file a visit, VISIT.tsv, in the format of models/moments/data/dialogues: masked words only, and only of
    /// visits whose consent stands. A label is the model's unless the person who confirmed the card corrected it;
    /// the line `# by_hand` of each file tells which were. Every file is noted in the audit log. The names of the
    /// files are printed.
    Labels(LabelsArgs),
}

#[derive(Debug, Clone, clap::Args)]
struct LabelsArgs {
    /// Whose visits
    #[arg(long, value_parser = super::keys::tenant)]
    tenant: TenantId,
    /// Folder to write to, made if absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only visits confirmed on this day or later, as YYYY-MM-DD in server.timezone
    #[arg(long, value_name = "DATE")]
    since: Option<Date>,
    /// Replace files that are there, and remove those of visits whose consent was withdrawn since
    #[arg(long)]
    overwrite: bool,
    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Configuration file; the environment overrides it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: &ExportArgs) -> anyhow::Result<()> {
    let Command::Labels(args) = &args.command;
    let config = Config::load(args.config.as_deref())?;
    let timezone = config.timezone()?;
    let since = match args.since {
        Some(date) => date.to_zoned_datetime(timezone.clone()).map_err(Error::internal)?.timestamp(),
        None => Timestamp::UNIX_EPOCH,
    };
    let store = open_store(&config, Arc::new(SystemClock)).await?;
    let taken = export(
        &store,
        &Export {
            tenant: &args.tenant,
            since,
            out: &args.out,
            overwrite: args.overwrite,
            dry_run: args.dry_run,
            timezone,
        },
    )
    .await?;
    let mut stdout = std::io::stdout().lock();
    for file in &taken.files {
        writeln!(stdout, "{file}")?;
    }
    let (visits, state) = (taken.files.len(), if args.dry_run { "would be written" } else { "written" });
    eprintln!("{visits} visits {state}: {} labels, {} of them by hand", taken.labels, taken.by_hand);
    Ok(())
}
