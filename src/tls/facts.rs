//! What a certificate says of itself: its names, and from when until when it is good.

use std::path::{Path, PathBuf};

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::files::TlsFault;

/// The certificate of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its file.
    pub path: PathBuf,
    /// From when on it is good, seconds since 1970.
    pub not_before_s: i64,
    /// When it ends, seconds since 1970.
    pub not_after_s: i64,
    /// The names that it is for, in lower case; one may begin with `*.`.
    pub names: Vec<Box<str>>,
}

impl CertificateFacts {
    pub(super) fn read(path: &Path, der: &[u8]) -> Result<Self, TlsFault> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| {
            let rule = format!("its first certificate cannot be read ({error})");
            TlsFault::new(path, rule, "name a file of X.509 certificates as PEM")
        })?;
        let validity = certificate.validity();
        Ok(Self {
            path: path.to_owned(),
            not_before_s: validity.not_before.timestamp(),
            not_after_s: validity.not_after.timestamp(),
            names: names(&certificate),
        })
    }

    /// What is wrong with it at `now_s` (seconds since 1970), in words; a client would refuse it.
    #[must_use]
    pub const fn fault_at(&self, now_s: i64) -> Option<&'static str> {
        if now_s >= self.not_after_s {
            Some("it has expired, and clients will not accept it")
        } else if now_s < self.not_before_s {
            Some("it is not valid yet, and clients will not accept it")
        } else {
            None
        }
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map(|found| &found.value.general_names);
    let names = alternatives.into_iter().flatten();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into_boxed_str()),
            _ => None,
        })
        .collect()
}
