//! `visitscribe pipeline list|check`: which pipelines there are, and whether they are right.

use clap::Subcommand;

use crate::config::Config;
use crate::error::{Code, Error, Result};
use crate::pipeline::Catalog;

/// Show declared pipelines, or check them and run the cases written in their files
#[derive(Debug, clap::Args)]
pub struct PipelineArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show every pipeline with its models
    List,
    /// Check the graph, load the models, run the cases; a mistake is told with its file and line
    Check {
        /// Pipelines to check [default: all]
        names: Vec<String>,
    },
}

/// Runs the command.
pub async fn run(args: PipelineArgs, config: &Config) -> Result<()> {
    let catalog = Catalog::load(config.pipeline_dir())?;
    match args.command {
        Command::List => {
            list(&catalog, &config.pipeline.name);
            Ok(())
        }
        Command::Check { names } => check(&catalog, config, names).await,
    }
}

fn list(catalog: &Catalog, active: &str) {
    for name in catalog.names() {
        let mark = if name == active { "*" } else { " " };
        match catalog.get(name) {
            Ok(p) => {
                println!("{mark} {name}  version {}  {}", p.reference.version, p.description);
                let voices = p.models.voiceprints.iter();
                let models = [&p.models.vad]
                    .into_iter()
                    .chain(voices)
                    .chain([&p.models.recognizer, &p.models.moments]);
                println!("    models: {}", models.map(String::as_str).collect::<Vec<_>>().join(" "));
            }
            Err(e) => println!("{mark} {name}  cannot be used: {e}"),
        }
    }
}

async fn check(catalog: &Catalog, config: &Config, names: Vec<String>) -> Result<()> {
    let names = if names.is_empty() { catalog.names().map(str::to_owned).collect() } else { names };
    let mut bad = 0;
    for name in &names {
        let pipeline = catalog.get(name)?;
        let engines = super::load(config, &pipeline)?;
        for case in &pipeline.cases {
            let differences = case.run(&pipeline, &engines).await?;
            if !differences.is_empty() {
                bad += 1;
                let line = case.line(catalog.text(name).unwrap_or_default());
                let at = format!("{}:{line}", catalog.file(name).unwrap_or(name));
                eprintln!("{at}: case {:?}: {}", case.name, differences.join("; "));
            }
        }
        println!("{name}: graph right, models loaded, {} cases", pipeline.cases.len());
    }
    if bad > 0 {
        return Err(Error::new(Code::InvalidPipeline, format!("{bad} of the cases did not hold; see above")));
    }
    Ok(())
}
