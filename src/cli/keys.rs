//! `visitscribe keys`: makes, lists and revokes API keys, straight in the database. Works while the service runs.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::ExposeSecret as _;

use crate::config::Config;
use crate::domain::access::{Role, TenantId};
use crate::domain::ids::KeyId;
use crate::domain::time::SystemClock;
use crate::service::open_store;

/// Make, list and revoke API keys.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
A key belongs to one tenant and has one role:
    admin        everything in its tenant
    manager      reads and holds visits, sees deliveries
    rep          holds and confirms visits
    integration  the CRM: makes visits, registers webhook endpoints, never confirms

    KEY=$(visitscribe keys create --tenant acme --role rep)")]
pub struct KeysArgs {
    #[command(subcommand)]
    command: Command,
    /// Configuration file; the environment overrides it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// Make a key and print it, alone, on stdout. It is shown this once; only its hash is kept
    Create {
        /// Whose key it is: 1 to 64 of a-z 0-9 - _
        #[arg(long, value_parser = tenant)]
        tenant: TenantId,
        /// admin, manager, rep or integration
        #[arg(long, value_parser = role)]
        role: Role,
    },
    /// List a tenant's keys: id, role, made, revoked
    List {
        /// Whose keys
        #[arg(long, value_parser = tenant)]
        tenant: TenantId,
    },
    /// Revoke a key; open streams that use it are closed within seconds
    Revoke {
        /// Whose key
        #[arg(long, value_parser = tenant)]
        tenant: TenantId,
        /// The key's id, key_... (see `keys list`), not its secret
        id: String,
    },
}

pub(super) fn tenant(name: &str) -> Result<TenantId, String> {
    TenantId::parse(name).ok_or_else(|| "a tenant is 1 to 64 of a-z 0-9 - _, for example acme".to_owned())
}

fn role(name: &str) -> Result<Role, String> {
    Role::parse(name).ok_or_else(|| "one of admin, manager, rep, integration".to_owned())
}

/// Runs the command.
pub async fn run(args: &KeysArgs) -> anyhow::Result<()> {
    let store = open_store(&Config::load(args.config.as_deref())?, Arc::new(SystemClock)).await?;
    match &args.command {
        Command::Create { tenant, role } => {
            let (_, secret) = store.create_key(tenant, *role).await?;
            println!("{}", secret.expose_secret());
        }
        Command::List { tenant } => {
            for key in store.list_keys(tenant).await? {
                let revoked = key.revoked_at.map_or("valid".to_owned(), |at| format!("revoked {at}"));
                println!("{}\t{}\t{}\t{revoked}", key.id, key.role.as_str(), key.created_at);
            }
        }
        Command::Revoke { tenant, id } => {
            store.revoke_key(tenant, &KeyId(id.clone())).await?;
            eprintln!("revoked");
        }
    }
    Ok(())
}
