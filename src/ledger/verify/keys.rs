//! Which signatures count: the keys of `log.vkey` in the epochs that `key` records give them, or the
//! keys that the caller trusts.

use std::fs;
use std::io;
use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey;

use super::super::note::{NoteSignature, SignedNote, VerifierKey};
use super::report::{Broken, Damage, broken};
use super::tree::Hash;

/// A key that the caller trusts: under a name, or bare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey(Trusted);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Trusted {
    Named(Box<VerifierKey>),
    Bare(Box<VerifyingKey>),
}

impl TrustedKey {
    /// Reads verifier keys, one a line, or one public key in PEM.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        if text.trim_start().starts_with("-----BEGIN") {
            if text.contains("PRIVATE KEY-----") {
                return Err("this is a private key; give its public half, which 'openssl pkey -in FILE -pubout' prints".to_owned());
            }
            let key = VerifyingKey::from_public_key_pem(text.trim_start())
                .map_err(|error| format!("not an Ed25519 public key in PEM ({error})"))?;
            return Ok(vec![Self(Trusted::Bare(Box::new(key)))]);
        }
        let named = |line: &str| {
            let key = VerifierKey::parse(line.trim()).map_err(str::to_owned)?;
            Ok(Self(Trusted::Named(Box::new(key))))
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let keys: Vec<Self> = lines.map(named).collect::<Result<_, String>>()?;
        if keys.is_empty() {
            return Err("there is no key".to_owned());
        }
        Ok(keys)
    }

    /// The name that the key has, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.0 {
            Trusted::Named(key) => Some(key.name()),
            Trusted::Bare(_) => None,
        }
    }

    fn under(&self, origin: &str) -> Option<VerifierKey> {
        match &self.0 {
            Trusted::Named(key) => Some(key.as_ref().clone()),
            Trusted::Bare(key) => VerifierKey::new(origin, **key).ok(),
        }
    }
}

/// The keys that a check knows from the start.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) origin: Option<String>,
    /// What the caller trusts; then nothing else counts.
    pub(super) trusted: Option<Vec<VerifierKey>>,
    /// `log.vkey`, oldest first; `None` where there is no such file.
    pub(super) listed: Option<Vec<VerifierKey>>,
}

impl Keys {
    pub(super) fn new(origin: Option<String>, trusted: &[TrustedKey]) -> Self {
        let name = origin.as_deref().unwrap_or_default();
        let named = || trusted.iter().filter_map(|key| key.under(name)).collect();
        Self {
            trusted: (!trusted.is_empty()).then(named),
            listed: None,
            origin,
        }
    }

    /// Reads `log.vkey` where it is.
    pub(super) fn read_list(&mut self, dir: &Path) -> io::Result<Option<Damage>> {
        let file = dir.join("log.vkey");
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let rule = "log.vkey has one verifier key of this log a line";
        let wrong = |line: &str| Some(broken(rule, "a vkey and a newline", line).of_file(&file, 0));
        let text = String::from_utf8_lossy(&bytes);
        let Some(text) = text.strip_suffix('\n') else {
            return Ok(wrong("no newline at the end"));
        };
        let mut keys = Vec::new();
        for line in text.split('\n') {
            let named = |key: &VerifierKey| {
                let name = self.origin.as_deref();
                name.is_none_or(|origin| origin == key.name()) && key.to_text() == line
            };
            match VerifierKey::parse(line).ok().filter(named) {
                Some(key) => keys.push(key),
                None => return Ok(wrong(line)),
            }
        }
        self.listed = Some(keys);
        Ok(None)
    }

    /// True where nothing in view is signed and nobody asked for signatures.
    pub(super) const fn none(&self) -> bool {
        self.trusted.is_none() && self.listed.is_none()
    }

    /// The key among the known ones that signed, by its id.
    pub(super) fn signer(&self, note: &SignedNote) -> Option<[u8; 4]> {
        let keys = self.trusted.as_ref().or(self.listed.as_ref())?;
        let key = keys.iter().find(|key| note.is_signed_by(key))?;
        Some(key.id())
    }
}

/// The keys in the order in which `key` records put them in force.
#[derive(Debug, Clone, Default)]
pub(super) struct Epochs(Vec<(u64, VerifierKey)>);

impl Epochs {
    /// Takes a `key` record in.
    pub(super) fn begin(&mut self, seq: u64, key: &VerifierKey, keys: &Keys) -> Result<(), Broken> {
        let rule = "a key record names a key of this log, which log.vkey lists";
        let named = keys
            .origin
            .as_deref()
            .is_none_or(|origin| origin == key.name());
        let listed = keys
            .listed
            .as_ref()
            .is_none_or(|listed| listed.contains(key));
        if !named || !listed {
            let expected = if named {
                "a key in log.vkey"
            } else {
                "the name of this log"
            };
            return Err(broken(rule, expected, key.to_text()));
        }
        self.0.push((seq, key.clone()));
        Ok(())
    }

    /// The key in force for a checkpoint record.
    pub(super) fn current(&self) -> Option<&VerifierKey> {
        self.0.last().map(|(_, key)| key)
    }

    /// The key among those in force at some time that signed, by its id.
    pub(super) fn signer(&self, note: &SignedNote) -> Option<[u8; 4]> {
        let key = self.0.iter().find(|(_, key)| note.is_signed_by(key))?;
        Some(key.1.id())
    }

    /// Whether a note over `size` records may be of this key: the one in force there, or the one
    /// that came next, whose first note may cover less than its own record.
    pub(super) fn allow(&self, size: u64, id: [u8; 4]) -> bool {
        let later = self.0.partition_point(|(seq, _)| *seq < size);
        let near = self
            .0
            .iter()
            .skip(later.saturating_sub(1))
            .take(if later == 0 { 1 } else { 2 });
        // Before the first key record in view, any listed key may have been in force.
        let unknown = later == 0 && self.0.first().is_none_or(|(seq, _)| *seq > 1);
        unknown || near.into_iter().any(|(_, key)| key.id() == id)
    }
}

/// The note that a `checkpoint` record stands for.
pub(super) fn note_of(origin: &str, size: u64, root: &Hash, signature: &str) -> SignedNote {
    SignedNote {
        text: format!("{origin}\n{size}\n{}\n", STANDARD.encode(root)),
        signatures: vec![NoteSignature {
            name: origin.to_owned(),
            base64: signature.to_owned(),
        }],
    }
}
