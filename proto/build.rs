//! Compiles the protos with protox, a compiler in Rust: nothing to install.

use prost::Message;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=ps");
    let files =
        ["ps/v1/common.proto", "ps/v1/data.proto", "ps/v1/control.proto", "ps/v1/samples.proto"];
    let descriptors = protox::compile(files, ["."])?;
    // What a server tells clients that have no generated code.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Payloads are slices of the received buffer, not copies of it.
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
