//! What can be found wrong before a process is started: said once, by one process.

use crate::cli::LocalArgs;
use anyhow::bail;

/// Checks the values of options.
///
/// # Errors
/// The first bad one, in words for people.
pub fn usage(models: &crate::roles::Models, args: &LocalArgs) -> Result<(), String> {
    args.training
        .settings()
        .map_err(|error| error.to_string())?;
    let _ = models;
    Ok(())
}

/// Checks what the options point to.
///
/// # Errors
/// The data folder is not there.
pub fn environment(args: &LocalArgs) -> anyhow::Result<()> {
    if let Some(data) = &args.worker.data
        && !data.is_dir()
    {
        let shown = data.display();
        bail!("data folder {shown}: not there; --data names a folder with the data set's files");
    }
    Ok(())
}
