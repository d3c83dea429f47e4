//! What data are read, from where, and what is said of those that cannot be.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod csv;
mod csv_header;
mod csv_understood;
mod embedded;
mod fifo;
mod file_list;
mod folders;
mod formats;
mod gzip;
mod idx;
mod labels;
mod recordio;
mod roles;
mod shares;
mod stream;
mod stream_files;
mod streamed_table;
mod text;
mod warnings;
