//! What the verbs about bundles and roots share: keys, files, exit codes, people's words.
//!
//! A file is read once, from one descriptor, and never more of it than an envelope may have. What is
//! new goes into a new file; only who signs replaces one, whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use crate::bundle::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use crate::bundle::key_id;
use crate::bundle::refusal::Refused;
use crate::bundle::root::Root;
use crate::bundle::verify::{VerifiedRoot, verify_root};
use crate::cli::offline::{FAILED, INTEGRITY, USAGE, tell};
use crate::cli::stdio::put;
use crate::key_file::Purpose;

/// The words of errors about the keys that sign bundles and roots.
pub(super) const PURPOSE: Purpose = Purpose {
    code: "BUNDLE_KEY",
    keygen: "tidegate bundle keygen",
    user: "the user who signs",
};

/// The form of what is told on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    #[value(alias = "text")]
    Pretty,
    /// One JSON object.
    Json,
}

/// A command that contradicts itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// The findings about the configuration are told already; this is the exit code.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not valid")]
pub(super) struct Told(pub(super) u8);

/// The exit code of a verb; tells its error on stderr.
pub(super) fn end(result: Result<u8>) -> u8 {
    let error = match result {
        Ok(code) => return code,
        Err(error) => error,
    };
    if let Some(Told(code)) = error.downcast_ref() {
        return *code;
    }
    let refused = error.downcast_ref::<Refused>();
    let code = match refused {
        _ if error.is::<Usage>() => USAGE,
        Some(refused) => code_of(refused),
        None => FAILED,
    };
    tell(&error, code)
}

/// A refusal as it stands in every answer in JSON.
pub(super) fn in_json(refused: &Refused) -> Value {
    json!({
        "code": refused.code.name(),
        "detail": refused.detail,
        "remedy": refused.remedy,
    })
}

/// The exit code of a verb that was asked for JSON: a refusal has its object on stdout.
pub(super) fn end_in_json(result: Result<u8>) -> u8 {
    let refused = result.as_ref().err();
    let refused = refused.and_then(|error| error.downcast_ref::<Refused>());
    let told = refused.map(|refused| json!({ "result": "refused", "refusal": in_json(refused) }));
    let code = end(result);
    match told {
        Some(told) => put(&format!("{told:#}\n"), code),
        None => code,
    }
}

/// The exit code of a refusal: 65 where bytes or signatures are not what they claim.
pub(super) const fn code_of(refused: &Refused) -> u8 {
    if refused.code.is_integrity() {
        INTEGRITY
    } else {
        FAILED
    }
}

/// A private key, and where it was read from.
pub(super) struct Key {
    path: PathBuf,
    key: SigningKey,
    /// The id of its public half.
    pub(super) id: String,
}

impl Key {
    /// That a root does not know it, in words.
    pub(super) fn unknown(&self, remedy: &str) -> String {
        let (path, id) = (self.path.display(), &self.id);
        format!("UNKNOWN_KEY: {path}: key {id} is in no principal's hands; {remedy}")
    }
}

/// The keys in these files.
pub(super) fn keys(paths: &[PathBuf]) -> Result<Vec<Key>> {
    let read = paths.iter().map(|path| {
        let key = PURPOSE.read(path)?;
        Ok(Key {
            path: path.clone(),
            id: id_of(&key),
            key,
        })
    });
    read.collect()
}

/// Signs an envelope. That a key has signed already is no fault of the bytes.
pub(super) fn add(envelope: &mut Envelope, key: &Key) -> Result<()> {
    envelope.sign(&key.key).map_err(|refused| {
        let (code, path, id) = (refused.code.name(), key.path.display(), &key.id);
        anyhow!("{code}: {path}: key {id} has signed already; one signature of each key is enough")
    })
}

/// The fewest digits that name a key.
const KEY_DIGITS_MIN: usize = 12;

/// A key id on a command line, or its beginning.
pub(super) fn key_digits(text: &str) -> Result<String, String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && (KEY_DIGITS_MIN..=64).contains(&text.len()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!(
        "a key id has 64 hex digits, and at least {KEY_DIGITS_MIN} of them name it"
    ))
}

/// Takes out the signatures of these keys: whoever signed by mistake need not begin again.
pub(super) fn take_out(envelope: &mut Envelope, ids: &[String]) -> Result<()> {
    for digits in ids {
        let signatures = envelope.signatures().iter();
        let found: Vec<String> = signatures
            .filter(|signature| signature.key_id.starts_with(digits))
            .map(|signature| signature.key_id.clone())
            .collect();
        let [id] = &found[..] else {
            let many = found.len();
            return Err(anyhow!(
                "--remove {digits}: {many} signatures are of such a key; give the key id of one"
            ));
        };
        envelope.remove(id);
    }
    Ok(())
}

/// The bytes of an envelope; more than one may have are not read, for the reader to refuse.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = ENVELOPE_BYTES_MAX as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

/// A root that is pinned by its file.
pub(super) fn read_root(path: &Path) -> Result<VerifiedRoot> {
    verify_root(&read(path)?, None).with_context(|| format!("root {}", path.display()))
}

/// Makes a new file, durable on return, whole or not at all. What is there is never written over: it
/// may be the only copy of what gateways pin.
pub(super) fn create(path: &Path, bytes: &[u8]) -> Result<()> {
    // A link refuses to replace what is there, which a rename would not.
    let made = write(path, bytes, None, |under_way| {
        fs::hard_link(under_way, path)?;
        fs::remove_file(under_way)
    });
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(anyhow!(
            "{} is there already, and is not written over; name another file",
            path.display()
        )),
        made => made.with_context(|| format!("cannot write {}", path.display())),
    }
}

/// Puts other bytes in the place of a file, durable on return, whole or not at all. A symbolic link
/// stays one: its target is replaced.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let replaced = || {
        let target = fs::canonicalize(path)?;
        let facts = fs::metadata(&target)?;
        if !facts.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mode = Some(facts.permissions());
        write(&target, bytes, mode, |under_way| {
            fs::rename(under_way, &target)
        })
    };
    replaced().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file beside `path`, which `settle` then brings to its place.
fn write(
    path: &Path,
    bytes: &[u8],
    mode: Option<fs::Permissions>,
    settle: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut under_way = path.as_os_str().to_owned();
    under_way.push(format!(".{}.tmp", std::process::id()));
    let under_way = PathBuf::from(under_way);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&under_way)?;
    let settled = mode
        .map_or(Ok(()), |mode| file.set_permissions(mode))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| settle(&under_way));
    if settled.is_err() {
        // Half a file is of no use to anybody, and that it stays is no worse than the error.
        let _ = fs::remove_file(&under_way);
    }
    settled?;
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The names of those who hold these keys; of a key that the root does not know its id.
pub(super) fn names(root: Option<&Root>, ids: &[String]) -> Vec<String> {
    let name = |id: &String| {
        let holder = root.and_then(|root| root.holder(id));
        holder.map_or_else(|| format!("key {id}"), |(holder, _)| holder.name.clone())
    };
    let mut names: Vec<String> = ids.iter().map(name).collect();
    names.sort();
    names.dedup();
    names
}

/// The id of a private key's public half.
pub(super) fn id_of(key: &SigningKey) -> String {
    key_id(&key.verifying_key())
}

/// Names in a row, or `nobody`.
pub(super) fn row<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() {
        return "nobody".to_owned();
    }
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    names.join(", ")
}

/// How long it is from one time to another, in days and hours.
pub(super) fn span(from_us: u64, to_us: u64) -> String {
    let hours = to_us.abs_diff(from_us) / 3_600_000_000;
    let span = format!("{} d {} h", hours / 24, hours % 24);
    if to_us >= from_us {
        format!("in {span}")
    } else {
        format!("{span} ago")
    }
}
