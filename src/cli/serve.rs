//! `visitscribe serve`: the service. Binds first, so that a taken port is told before models are loaded; then
//! loads the models, then opens the data, then listens.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::domain::time::SystemClock;
use crate::error::{Code, Error};
use crate::service::{App, Hearing};
use crate::{http, telemetry};

/// Run the service: page, API, live streams and webhooks on one port.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
First time:
    visitscribe models fetch                                   the weights, once
    visitscribe serve &
    visitscribe keys create --tenant demo --role admin         a key for the page at http://127.0.0.1:8080

Configuration is a TOML file, overridden by VISITSCRIBE_<SECTION>__<KEY> in the environment, for example
VISITSCRIBE_DATA__DIR=/srv/visitscribe. Every key and its default: `visitscribe serve --print-config`.
SIGTERM and Ctrl-C drain: clients are told to reconnect, no acknowledged byte is lost.")]
pub struct ServeArgs {
    /// Configuration file; the environment overrides it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on, over server.listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<std::net::SocketAddr>,
    /// Print every configuration key with its meaning and default, and stop
    #[arg(long)]
    print_config: bool,
}

/// Runs the command until it is told to stop.
pub async fn run(args: &ServeArgs) -> anyhow::Result<()> {
    if args.print_config {
        print!("{}", crate::config::DEFAULTS);
        return Ok(());
    }
    let mut config = Config::load(args.config.as_deref())?;
    if let Some(listen) = args.listen {
        config.server.listen = listen.to_string();
    }
    telemetry::init(config.log.json, &config.log.level);
    let listener = bind(&config.server.listen).await?;
    let hearing = Hearing::load(&config).await?;
    let app = App::open(config, Arc::new(SystemClock), hearing).await?;

    let at = listener.local_addr()?;
    let next = if app.store.has_keys().await? {
        format!("page at http://{at}/")
    } else {
        "no API key yet: visitscribe keys create --tenant demo --role admin".to_owned()
    };
    eprintln!("visitscribe listens on http://{at}; {next}");

    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        eprintln!("draining; clients reconnect, nothing acknowledged is lost");
    };
    http::run(app, listener, stop).await?;
    Ok(())
}

async fn bind(listen: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(listen).await.map_err(|e| {
        let detail = if e.kind() == std::io::ErrorKind::AddrInUse {
            format!("{listen} is taken by another program; stop it or choose another with --listen ADDR:PORT")
        } else {
            format!("cannot listen on {listen}: {e}; choose another with --listen ADDR:PORT")
        };
        Error::new(Code::AddressInUse, detail)
    })
}
