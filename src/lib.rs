//! visitscribe: from a consented sales visit's sound to a confirmed card and a signed webhook.
//!
//! The map, left to right as the data goes. A room may use the rooms to its left and no other
//! (`tests/it/import_rule.rs` holds this):
//!
//! ```text
//! domain <- engine <- stage <- pipeline <- service <- http <- cli <- main
//! domain <- store, webhook <- service;   error, telemetry, config <- all
//! ```
//!
//! * [`domain`]: the nouns. * [`engine`]: native models and the threads that own them.
//! * [`stage`]: the ten verbs, `decode` to `summarize`. * [`pipeline`]: verbs declared in a file and run
//!   over one visit. * [`store`]: SQL and stored audio. * [`webhook`]: envelope, signature, guarded client.
//! * [`service`]: the use cases. * [`http`]: routes, live protocol, page. * [`cli`]: the terminal.

pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod error;
pub mod http;
pub mod pipeline;
pub mod service;
pub mod stage;
pub mod store;
pub mod telemetry;
pub mod webhook;

pub use error::{Code, Error, Result};
