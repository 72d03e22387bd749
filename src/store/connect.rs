//! Opening the database and beginning writes. The one place where SQLite and PostgreSQL differ.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, ConnectOptions, Transaction};
use tokio::sync::watch;

use super::rows::{away, col, millis};
use crate::domain::time::SharedClock;
use crate::error::{Code, Error, Result};

/// Older ones can corrupt a WAL database when two connections write or checkpoint at the same instant (the
/// "WAL-reset bug", <https://sqlite.org/wal.html>).
const LEAST_SQLITE: [u32; 3] = [3, 51, 3];

/// WAL with FULL: a commit is on disk when it returns, and readers never wait for the writer.
/// `secure_delete`: deleted rows are overwritten with zeros.
const SQLITE_PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
    PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;";

/// Connections for reading on SQLite, for everything on PostgreSQL.
const CONNECTIONS: u32 = 8;

/// Time to wait for a connection. On SQLite that is the queue of writers; on PostgreSQL a database that is
/// away, of which clients are to hear within a second.
const SQLITE_WAIT: Duration = Duration::from_secs(5);
const POSTGRES_WAIT: Duration = Duration::from_millis(900);

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(super) reader: AnyPool,
    /// On SQLite one connection: writers queue here, in order, instead of polling for the lock.
    writer: AnyPool,
    /// How a write begins.
    begin: &'static str,
    pub(super) clock: SharedClock,
    commits: Arc<watch::Sender<u64>>,
}

impl Store {
    /// Opens `sqlite:PATH` (made if absent, with its folder) or `postgres://...`; [`Store::migrate`] comes next.
    ///
    /// `InvalidConfig` for another address, `StorageUnavailable` if it cannot be reached or is too old.
    pub async fn open(url: &str, clock: SharedClock) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let commits = Arc::new(watch::Sender::new(0));
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let (file, options) = path.split_once('?').unwrap_or((path, "mode=rwc"));
            if let Some(folder) = Path::new(file).parent() {
                std::fs::create_dir_all(folder).map_err(|cause| {
                    let detail =
                        "the folder of the database cannot be made; check data.dir and its permissions";
                    Error::caused(Code::StorageUnavailable, detail, cause)
                })?;
            }
            let options = parse(&format!("sqlite:{file}?{options}"))?;
            let writer = sqlite_pool(1).connect_with(options.clone()).await.map_err(unreachable)?;
            check_sqlite(&writer).await?;
            let reader = sqlite_pool(CONNECTIONS).connect_lazy_with(options);
            return Ok(Self { reader, writer, begin: "BEGIN IMMEDIATE", clock, commits });
        }
        if !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
            let detail = "the database address must begin with sqlite: or postgres:";
            return Err(Error::new(Code::InvalidConfig, detail));
        }
        let pool = AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(POSTGRES_WAIT);
        let pool = pool.connect_with(parse(url)?).await.map_err(unreachable)?;
        Ok(Self { reader: pool.clone(), writer: pool, begin: "BEGIN", clock, commits })
    }

    /// Brings the schema up to date. Safe to call each time.
    pub async fn migrate(&self) -> Result<()> {
        sqlx::migrate!("src/store/migrations").run(&self.writer).await.map_err(|cause| {
            let detail = "the database schema could not be brought up to date; the log has the cause";
            Error::caused(Code::StorageUnavailable, detail, cause)
        })
    }

    /// Whether the database answers: one row is read, as a mere connection does not touch SQLite's file.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT seq FROM audit_head").fetch_one(&self.reader).await.map_err(away).map(drop)
    }

    /// Changes at every commit that gives the dispatcher or an event stream something to do.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Begins a transaction that writes. Dropped without [`Write::commit`] it leaves no trace.
    pub(super) async fn write(&self) -> Result<Write> {
        let tx = self.writer.begin_with(self.begin).await.map_err(away)?;
        Ok(Write { tx, now: self.clock.now(), wakes: false, commits: self.commits.clone() })
    }
}

/// A transaction and the instant it happens at.
pub(super) struct Write {
    pub tx: Transaction<'static, Any>,
    /// One instant for all rows of the transaction.
    pub now: Timestamp,
    /// Whether there will be something to send.
    pub wakes: bool,
    commits: Arc<watch::Sender<u64>>,
}

impl Write {
    pub fn now_ms(&self) -> i64 {
        millis(self.now)
    }

    /// Makes it all true at once. On an error the outcome is unknown and nothing may be promised.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await.map_err(away)?;
        if self.wakes {
            self.commits.send_modify(|count| *count += 1);
        }
        Ok(())
    }
}

fn parse(url: &str) -> Result<AnyConnectOptions> {
    // Statements carry no values, but they are noise: failures are logged where they are handled.
    let options = url.parse::<AnyConnectOptions>().map(ConnectOptions::disable_statement_logging);
    options.map_err(|cause| Error::caused(Code::InvalidConfig, "the database address cannot be read", cause))
}

fn sqlite_pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(connections).acquire_timeout(SQLITE_WAIT).after_connect(
        |connection, _| {
            Box::pin(async move { sqlx::raw_sql(SQLITE_PRAGMAS).execute(connection).await.map(drop) })
        },
    )
}

async fn check_sqlite(pool: &AnyPool) -> Result<()> {
    let row = sqlx::query("SELECT sqlite_version() AS version").fetch_one(pool).await.map_err(away)?;
    let version: String = col(&row, "version")?;
    if sqlite_is_old(&version) {
        let detail =
            format!("SQLite {version} can corrupt a database in WAL mode; 3.51.3 or newer is needed");
        return Err(Error::new(Code::StorageUnavailable, detail));
    }
    Ok(())
}

fn sqlite_is_old(version: &str) -> bool {
    let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    parts.as_slice() < LEAST_SQLITE.as_slice()
}

fn unreachable(cause: sqlx::Error) -> Error {
    Error::caused(Code::StorageUnavailable, "the database cannot be opened; check database.url", cause)
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::super::testing::Desk;
    use super::*;

    #[tokio::test]
    async fn sqlite_runs_as_it_must() {
        let desk = Desk::on_sqlite().await;
        for (pragma, expected) in [("synchronous", 2), ("foreign_keys", 1), ("secure_delete", 1)] {
            for pool in [&desk.store.reader, &desk.store.writer] {
                let sql = AssertSqlSafe(format!("SELECT * FROM pragma_{pragma}"));
                let value: i64 = sqlx::query_scalar(sql).fetch_one(pool).await.unwrap();
                assert_eq!(value, expected, "{pragma}");
            }
        }
        let mode: String = sqlx::query_scalar("SELECT * FROM pragma_journal_mode")
            .fetch_one(&desk.store.reader)
            .await
            .unwrap();
        assert_eq!(mode, "wal");
        desk.store.ping().await.unwrap();
        desk.store.migrate().await.unwrap();
    }

    /// `open` refuses older ones, so that this passes at all shows the bundled library is 3.51.3 or newer.
    #[test]
    fn an_old_sqlite_is_known() {
        assert!(["3.51.2", "3.50.9", "2.99.99", "3.51", ""].into_iter().all(sqlite_is_old));
        assert!(!["3.51.3", "3.51.10", "3.52.0", "4.0.0"].into_iter().any(sqlite_is_old));
    }

    #[tokio::test]
    async fn another_address_is_refused() {
        let clock: SharedClock = Arc::new(crate::domain::time::SystemClock);
        let error = Store::open("mysql://x", clock.clone()).await.err().unwrap();
        assert_eq!(error.code, Code::InvalidConfig);
        let error = Store::open("sqlite:/proc/none/x.db", clock).await.err().unwrap();
        assert_eq!(error.code, Code::StorageUnavailable);
    }
}
