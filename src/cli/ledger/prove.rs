//! `tidegate ledger prove`: one record with everything that a stranger needs to check it.

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::{Value, json};

use super::{Format, OK, not_proved};
use crate::cli::stdio::{note, put};
use crate::ledger::{Hash, RecordProof, SignedHead, prove};

#[derive(Debug, Args)]
pub(super) struct ProveArgs {
    /// A ledger directory.
    dir: PathBuf,
    /// The number of the record.
    seq: u64,
    /// Prove it in the tree of this many records; without it, in that of the newest signed head.
    #[arg(long, env = "TIDEGATE_SIZE")]
    size: Option<u64>,
    /// Prove as well that this tree grew out of the one of this many records.
    #[arg(long, value_name = "SIZE", env = "TIDEGATE_CONSISTENCY_FROM")]
    consistency_from: Option<u64>,
    /// How to print the proof.
    #[arg(long, value_enum, default_value_t = Format::Json, env = "TIDEGATE_FORMAT")]
    format: Format,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &ProveArgs) -> u8 {
    let proof = match prove(&args.dir, args.seq, args.size, args.consistency_from) {
        Ok(proof) => proof,
        Err(error) => return not_proved(&error),
    };
    let text = match args.format {
        Format::Pretty => pretty(&proof),
        Format::Json => format!("{}\n", to_json(&proof)),
    };
    let code = put(&text, OK);
    for remark in remarks(&proof) {
        note(format_args!("tidegate: {remark}"));
    }
    code
}

/// What the reader should know about a proof that is right and says less than it could.
fn remarks(proof: &RecordProof) -> Vec<String> {
    let mut remarks = Vec::new();
    let unsigned = |size| {
        format!(
            "no signed head of {size} records is there, so nothing vouches for this root; \
             leave --size away to use the newest one, or wait a second for the next"
        )
    };
    if proof.head.is_none() {
        remarks.push(unsigned(proof.size));
    }
    if let Some(growth) = proof.growth.as_ref().filter(|growth| growth.head.is_none()) {
        remarks.push(unsigned(growth.from));
    }
    if proof.is_stub() {
        remarks.push(format!(
            "the content of record {} was taken out; its hash stands for what was there",
            proof.seq
        ));
    }
    remarks
}

fn note_of(head: Option<&SignedHead>) -> Option<&str> {
    head.map(|head| head.note.as_str())
}

fn hexes(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(hex::encode).collect()
}

fn base64s(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash)).collect()
}

fn to_json(proof: &RecordProof) -> Value {
    let growth = proof.growth.as_ref().map(|growth| {
        json!({
            "from": growth.from,
            "from_root": hex::encode(growth.root),
            "from_note": note_of(growth.head.as_ref()),
            "path": hexes(&growth.path),
            "path_base64": base64s(&growth.path),
        })
    });
    json!({
        "format": "tidegate-proof 1",
        "record": String::from_utf8_lossy(&proof.line),
        "index": proof.seq,
        "leaf": hex::encode(proof.leaf),
        "size": proof.size,
        "root": hex::encode(proof.root),
        "root_base64": STANDARD.encode(proof.root),
        "path": hexes(&proof.path),
        "path_base64": base64s(&proof.path),
        "note": note_of(proof.head.as_ref()),
        "vkey": proof.head.as_ref().and_then(|head| head.vkey.as_deref()),
        "consistency": growth,
    })
}

fn pretty(proof: &RecordProof) -> String {
    let mut text = format!(
        "record {} of {}\n{}\n",
        proof.seq,
        proof.size,
        String::from_utf8_lossy(&proof.line)
    );
    text += &format!("leaf  {}\n", hex::encode(proof.leaf));
    for (place, hash) in proof.path.iter().enumerate() {
        text += &format!("{place:>4}  {}\n", hex::encode(hash));
    }
    text += &format!("root  {}\n", hex::encode(proof.root));
    if let Some(growth) = &proof.growth {
        text += &format!(
            "\ngrown from {} records\nroot  {}\n",
            growth.from,
            hex::encode(growth.root)
        );
        for (place, hash) in growth.path.iter().enumerate() {
            text += &format!("{place:>4}  {}\n", hex::encode(hash));
        }
    }
    if let Some(note) = note_of(proof.head.as_ref()) {
        text += &format!("\n{note}");
    }
    text
}
