//! Real processes: whole jobs as users start them, what they print, and what killing them costs.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

mod bad_input;
mod bare_roles;
mod chaos;
mod checkpoint_tool;
mod contract;
mod data_formats;
mod durable_processes;
mod end_to_end;
mod fail_points;
mod failures;
mod further;
mod hosts;
mod kept;
mod looked_up;
mod own_shares;
mod parameters;
mod programs;
mod replay;
mod restart;
mod script_mode;
mod server_loss;
mod serving;
mod several_workers;
mod shared_schema;
mod signals;
mod small_sets;
mod tasks;
mod terminal;
mod used_model;
