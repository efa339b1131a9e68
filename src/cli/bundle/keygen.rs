//! `tidegate bundle keygen`: a private key, and its public half for a root.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::bundle::public_base64;
use crate::cli::offline::OK;
use crate::cli::signing::{PURPOSE, end, id_of};
use crate::cli::stdio::{note, put};

#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// The new file, mode 0600; a file that is there is never written over.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the verb; gives the exit code. stdout has the public half alone, for scripts.
pub(super) fn run(args: &KeygenArgs) -> u8 {
    end(make(args))
}

fn make(args: &KeygenArgs) -> Result<u8> {
    let key = PURPOSE.create(&args.out)?;
    let public = public_base64(&key.verifying_key());
    let code = put(&format!("{public}\n"), OK);
    note(format_args!(
        "private key {} (mode 0600), keyid {}\n\
         name its public half in a root: tidegate root init --principal NAME={public}",
        args.out.display(),
        id_of(&key)
    ));
    Ok(code)
}
