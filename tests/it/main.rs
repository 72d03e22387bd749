//! One binary over the real server: a port, a database, stored audio, and fake engines behind a real pipeline.

// A panic here is the failure.
#![allow(clippy::unwrap_used)]

mod access;
mod browser;
mod classifier;
mod commands;
mod consent;
mod import_rule;
mod labels;
mod live;
mod openapi;
mod problems;
mod receiver;
mod restart;
mod sound;
mod speech;
mod tenants;
mod upload;
mod visit;
mod world;
