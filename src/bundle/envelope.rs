//! DSSE envelopes: a payload, its type, and signatures over both.
//!
//! What is signed is the pre-authentication encoding of type and payload, so a signature for one
//! type never holds for another. The reader takes one spelling only: no unknown member, no member
//! twice, base64 in its canonical alphabet and padding. So no bit of an envelope can change without
//! the envelope being refused, or being the same envelope.
//! Not here: which keys count, and what the payload means.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::refusal::{RefusalCode, Refused};
use super::text::{is_digest, key_id};

/// The type of a bundle's payload.
pub const BUNDLE_TYPE: &str = "application/vnd.tidegate.bundle.v1+json";

/// The type of a root's payload.
pub const ROOT_TYPE: &str = "application/vnd.tidegate.root.v1+json";

/// The most bytes of an envelope: 16 MiB.
pub const ENVELOPE_BYTES_MAX: usize = 16 << 20;

/// The most signatures of an envelope: more principals than any threshold asks for.
pub const SIGNATURES_MAX: usize = 64;

/// A payload with its signatures; nothing of it has been checked but the spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

/// One signature: which key says it made it, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// The name of the key, 64 hex digits.
    pub key_id: String,
    /// The signature.
    pub bytes: [u8; 64],
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeForm {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<SignatureForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureForm {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// A payload that nobody has signed.
    #[must_use]
    pub fn unsigned(payload_type: &str, payload: Vec<u8>) -> Self {
        Self {
            payload_type: payload_type.to_owned(),
            payload,
            signatures: Vec::new(),
        }
    }

    /// Reads an envelope of this type.
    ///
    /// # Errors
    /// [`RefusalCode::TooLarge`], [`RefusalCode::EnvelopeMalformed`], [`RefusalCode::PayloadType`],
    /// [`RefusalCode::SignatureTwice`].
    pub fn parse(unverified: &[u8], payload_type: &str) -> Result<Self, Refused> {
        let read = Self::read(unverified, payload_type);
        read.map_err(|refused| for_type(refused, payload_type))
    }

    fn read(unverified: &[u8], payload_type: &str) -> Result<Self, Refused> {
        if unverified.len() > ENVELOPE_BYTES_MAX {
            let detail = format!("{} bytes, more than {ENVELOPE_BYTES_MAX}", unverified.len());
            let remedy = "split the contracts among gateways";
            return Err(Refused::new(RefusalCode::TooLarge, detail, remedy));
        }
        let form: EnvelopeForm = serde_json::from_slice(unverified)
            .map_err(|error| malformed(format!("no DSSE envelope: {error}")))?;
        if form.payload_type != payload_type {
            let detail = format!("the payload's type is not {payload_type}");
            let remedy = "name the right file: bundles and roots are not exchangeable";
            return Err(Refused::new(RefusalCode::PayloadType, detail, remedy));
        }
        let payload = STANDARD
            .decode(&form.payload)
            .map_err(|error| malformed(format!("the payload is no base64: {error}")))?;
        if form.signatures.len() > SIGNATURES_MAX {
            return Err(malformed(format!("more than {SIGNATURES_MAX} signatures")));
        }
        let mut envelope = Self::unsigned(payload_type, payload);
        for form in &form.signatures {
            envelope.push(signature(form)?)?;
        }
        Ok(envelope)
    }

    /// Adds a signature.
    ///
    /// # Errors
    /// [`RefusalCode::SignatureTwice`] where its key has signed already.
    pub fn push(&mut self, signature: EnvelopeSignature) -> Result<(), Refused> {
        let is_same = |other: &EnvelopeSignature| other.key_id == signature.key_id;
        if self.signatures.iter().any(is_same) {
            let detail = format!("key {} stands twice", signature.key_id);
            let remedy = "one signature of each key is enough";
            return Err(Refused::new(RefusalCode::SignatureTwice, detail, remedy));
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Takes out the signature of a key, if it has one.
    pub fn remove(&mut self, key_id: &str) {
        self.signatures
            .retain(|signature| signature.key_id != key_id);
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`RefusalCode::SignatureTwice`] where the key has signed already.
    pub fn sign(&mut self, key: &SigningKey) -> Result<(), Refused> {
        let bytes = key.sign(&self.signed_bytes()).to_bytes();
        let key_id = key_id(&key.verifying_key());
        self.push(EnvelopeSignature { key_id, bytes })
    }

    /// The payload, which no signature may vouch for yet.
    #[must_use]
    pub fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signatures, in the order of the file.
    #[must_use]
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// What a signature is made over.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload_type, &self.payload)
    }

    /// The envelope as a file: JSON in one line.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let form = EnvelopeForm {
            payload: STANDARD.encode(&self.payload),
            payload_type: self.payload_type.clone(),
            signatures: self.signatures.iter().map(SignatureForm::from).collect(),
        };
        // Strings in a struct always have a JSON form.
        let mut bytes = serde_json::to_vec(&form).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

impl EnvelopeSignature {
    /// Whether this key made it over these bytes; strict, so that it has one spelling only.
    #[must_use]
    pub fn is_by(&self, key: &VerifyingKey, signed: &[u8]) -> bool {
        key.verify_strict(signed, &Signature::from_bytes(&self.bytes))
            .is_ok()
    }
}

impl From<&EnvelopeSignature> for SignatureForm {
    fn from(signature: &EnvelopeSignature) -> Self {
        Self {
            keyid: signature.key_id.clone(),
            sig: STANDARD.encode(signature.bytes),
        }
    }
}

fn signature(form: &SignatureForm) -> Result<EnvelopeSignature, Refused> {
    let bytes = STANDARD.decode(&form.sig).ok();
    let bytes = bytes.and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    match bytes {
        Some(bytes) if is_digest(&form.keyid) => Ok(EnvelopeSignature {
            key_id: form.keyid.clone(),
            bytes,
        }),
        Some(_) => Err(malformed("a keyid is 64 hex digits in lower case")),
        None => Err(malformed("a sig is 64 bytes in base64")),
    }
}

/// DSSE's PAE: both parts with their lengths, so that none can be taken for the other.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

fn malformed(detail: impl Into<String>) -> Refused {
    let remedy = "build it again with tidegate bundle build, or fetch it again";
    Refused::new(RefusalCode::EnvelopeMalformed, detail, remedy)
}

/// The remedies above are those of bundles; a root is made by other commands, and is never large.
fn for_type(refused: Refused, payload_type: &str) -> Refused {
    let remedy = match refused.code {
        RefusalCode::EnvelopeMalformed => {
            "make it again with tidegate root init or rotate, or fetch it again"
        }
        RefusalCode::TooLarge => "name the right file: a root is far smaller",
        _ => return refused,
    };
    if payload_type != ROOT_TYPE {
        return refused;
    }
    Refused::new(refused.code, refused.detail, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the DSSE specification.
    #[test]
    fn what_is_signed_is_spelled_as_published() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            encoded,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    fn signed() -> (Envelope, SigningKey) {
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut envelope = Envelope::unsigned(BUNDLE_TYPE, b"{}".to_vec());
        envelope.sign(&key).unwrap();
        (envelope, key)
    }

    #[test]
    fn an_envelope_reads_back() {
        let (envelope, key) = signed();
        let read = Envelope::parse(&envelope.to_bytes(), BUNDLE_TYPE).unwrap();
        assert_eq!(read, envelope);
        let [signature] = read.signatures() else {
            panic!("one signature")
        };
        assert!(signature.is_by(&key.verifying_key(), &read.signed_bytes()));
    }

    #[test]
    fn one_spelling_is_read() {
        let (mut envelope, _) = signed();
        let text = String::from_utf8(envelope.to_bytes()).unwrap();
        let check = |from: &str, to: &str, code| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let refused = Envelope::parse(changed.as_bytes(), BUNDLE_TYPE).unwrap_err();
            assert_eq!(refused.code, code, "{changed}");
        };
        check("e30=", "e30", RefusalCode::EnvelopeMalformed);
        check("e30=", "e31=", RefusalCode::EnvelopeMalformed);
        check("e30=", " e30=", RefusalCode::EnvelopeMalformed);
        check("bundle.v1", "bundle.v2", RefusalCode::PayloadType);
        check(
            "{\"payload",
            "{\"more\":1,\"payload",
            RefusalCode::EnvelopeMalformed,
        );
        check(
            "{\"payload",
            "{\"payload\":\"\",\"payload",
            RefusalCode::EnvelopeMalformed,
        );
        let root = Envelope::parse(b"{}", ROOT_TYPE).unwrap_err();
        assert_eq!(root.code, RefusalCode::EnvelopeMalformed);
        assert!(root.remedy.contains("tidegate root init"), "{root}");
        let twice = envelope.signatures()[0].clone();
        let refused = envelope.push(twice).unwrap_err();
        assert_eq!(refused.code, RefusalCode::SignatureTwice);
        let id = envelope.signatures()[0].key_id.clone();
        envelope.remove(&id);
        assert!(envelope.signatures().is_empty());
    }
}
