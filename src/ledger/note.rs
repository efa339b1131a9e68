//! Signed notes and the checkpoint inside them: C2SP `signed-note` and `tlog-checkpoint`.
//!
//! A note is a text, an empty line and one line for each signature. A checkpoint's text is three
//! lines: origin, tree size, root in base64. Signatures of keys that nobody asked for are ignored,
//! as the specification wants it, so that other kinds can be added later.
//! Not here: where the private key lies.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use super::merkle::Hash;

/// The signature type of plain Ed25519 in `signed-note`.
const ED25519: u8 = 1;
/// A larger note is not read: ours are about 250 bytes.
const NOTE_BYTES_MAX: usize = 64 * 1024;
/// What a signature line begins with: an em dash and a space.
const SIGNATURE_LINE: &str = "\u{2014} ";

/// The state of a log: how many records, and the root of the tree over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// `<name>/<first 16 hex digits of the genesis hash>`.
    pub origin: String,
    /// Records covered: those numbered below it.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed, its last newline included.
    #[must_use]
    pub fn text(&self) -> String {
        let root = STANDARD.encode(self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Reads the text back; lines after the third are extensions and are ignored.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn from_text(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.split('\n');
        let (origin, size, root) = (lines.next(), lines.next(), lines.next());
        let origin = origin
            .filter(|origin| !origin.is_empty())
            .ok_or("the first line of a checkpoint is its origin")?;
        let size = size
            .filter(|size| *size == "0" || !size.starts_with('0'))
            .filter(|size| size.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|size| size.parse().ok())
            .ok_or("the second line of a checkpoint is its size, decimal, no leading zero")?;
        let root = root
            .and_then(|root| STANDARD.decode(root).ok())
            .and_then(|root| Hash::try_from(root).ok())
            .ok_or("the third line of a checkpoint is 32 bytes in base64")?;
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

/// One signature of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: String,
    /// Key id (4 bytes) and signature, in base64, as in the line.
    pub base64: String,
}

/// A text with its signatures; not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    /// The signed text, its last newline included.
    pub text: String,
    /// The signatures in order; at least one.
    pub signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Reads one note. Nothing is verified.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err("a note has at most 65,536 bytes");
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| "a note is UTF-8")?;
        if whole.chars().any(|c| c.is_control() && c != '\n') {
            return Err("a note has no control characters but newlines");
        }
        let (text, lines) = whole
            .rsplit_once("\n\n")
            .ok_or("an empty line stands between text and signatures")?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or("a note ends with a newline")?;
        let signature = |line: &str| {
            let (name, base64) = line.strip_prefix(SIGNATURE_LINE)?.split_once(' ')?;
            let name = Some(name).filter(|name| is_key_name(name))?.to_owned();
            let base64 = base64.to_owned();
            Some(NoteSignature { name, base64 })
        };
        let signatures: Option<Vec<_>> = lines.split('\n').map(signature).collect();
        Ok(Self {
            text: format!("{text}\n"),
            signatures: signatures.ok_or("a signature line is: em dash, key name, base64")?,
        })
    }

    /// The note as it is stored and sent.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut whole = format!("{}\n", self.text);
        for signature in &self.signatures {
            whole += &format!("{SIGNATURE_LINE}{} {}\n", signature.name, signature.base64);
        }
        whole
    }

    /// Whether `key` signed this text. Strict: no malleable encodings, no weak keys.
    #[must_use]
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        let signed = |signature: &&NoteSignature| {
            let bytes = STANDARD.decode(&signature.base64).ok()?;
            let (id, bytes) = bytes.split_at_checked(4)?;
            let bytes = Signature::from_slice(bytes).ok()?;
            let meant = signature.name == key.name && id == key.id();
            let text = self.text.as_bytes();
            (meant && key.key.verify_strict(text, &bytes).is_ok()).then_some(())
        };
        self.signatures.iter().any(|line| signed(&line).is_some())
    }
}

/// A public key with the name under which it signs; its text form is the `vkey` of signed notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: VerifyingKey,
}

impl VerifierKey {
    /// A key under a name: not empty, without spaces, control characters and `+`.
    ///
    /// # Errors
    /// The rule that the name breaks.
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self, &'static str> {
        if !is_key_name(name) {
            return Err("a key's name is not empty and has no spaces, control characters or '+'");
        }
        let name = name.to_owned();
        Ok(Self { name, key })
    }

    /// Reads `<name>+<8 hex digits>+<base64>`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(vkey: &str) -> Result<Self, &'static str> {
        const FORM: &str = "a verifier key is <name>+<8 hex digits>+<base64 of 0x01 and the key>";
        let (name, rest) = vkey.split_once('+').ok_or(FORM)?;
        let (id, base64) = rest.split_once('+').ok_or(FORM)?;
        let bytes = STANDARD.decode(base64).map_err(|_| FORM)?;
        let bytes: [u8; 32] = match bytes.split_first() {
            Some((&ED25519, key)) => key.try_into().map_err(|_| FORM)?,
            _ => return Err("only Ed25519 keys (type 1) are known"),
        };
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| "these bytes are no Ed25519 key")?;
        let this = Self::new(name, key)?;
        if hex::encode(this.id()) == id {
            Ok(this)
        } else {
            Err("the 8 hex digits are not those of this name and key")
        }
    }

    /// `<name>+<8 hex digits>+<base64>`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        let id = hex::encode(self.id());
        format!("{}+{id}+{}", self.name, STANDARD.encode(bytes))
    }

    /// The first four bytes of `SHA-256(name || "\n" || 0x01 || key)`.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let digest: Hash = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        [a, b, c, d]
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key alone.
    #[must_use]
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

/// What `signed-note` allows as the name of a key.
fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.chars().any(char::is_whitespace)
}
