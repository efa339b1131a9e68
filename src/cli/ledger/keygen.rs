//! `tidegate ledger keygen`: a new private key for checkpoints, and its public half.

use std::path::PathBuf;

use clap::Args;

use super::{FAILED, OK};
use crate::cli::stdio::{note, put};
use crate::ledger::LedgerKey;

#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// The new file, mode 0600; a file that is there is never written over.
    file: PathBuf,
    /// The name of a log (the text in its `origin` file): also print the verifier key of signed notes.
    #[arg(long, env = "TIDEGATE_NAME")]
    name: Option<String>,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &KeygenArgs) -> u8 {
    // Before the file is made, so that a bad name leaves none behind.
    if let Some(name) = &args.name
        && let Err(rule) = LedgerKey::from_seed([0; 32]).verifier(name)
    {
        note(format_args!(
            "tidegate: --name {name:?}: {rule}; take the text of the file 'origin'"
        ));
        return super::USAGE;
    }
    let key = match LedgerKey::create(&args.file) {
        Ok(key) => key,
        Err(error) => {
            note(format_args!("tidegate: {error}"));
            return FAILED;
        }
    };
    let mut text = key.public_pem();
    if let Some(name) = &args.name
        && let Ok(verifier) = key.verifier(name)
    {
        text += &verifier.to_text();
        text.push('\n');
    }
    let code = put(&text, OK);
    let file = args.file.display();
    if code != OK {
        note(format_args!(
            "tidegate: the private key {file} was made all the same; print its public half with \
             'openssl pkey -in {file} -pubout', or remove the file and run keygen again"
        ));
        return code;
    }
    note(format_args!(
        "private key {file} (mode 0600), public key id {}\n\
         1. name it: 'ledger: {{ key: {file} }}' in tidegate.yaml, and let the gateway's user own it\n\
         2. give what stands on stdout, the public key, to everyone who shall verify, by a way that \
         does not lead over this host\n\
         3. keep a copy of the private key offline, or none: a new one continues the ledger with a \
         record of kind 'key'",
        key.public_id()
    ));
    code
}
