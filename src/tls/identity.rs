//! Who a verified certificate of a client says that it is.
//!
//! Invariant: two kinds of names are never taken for one another, so a name that an authority
//! gives out as a common name cannot stand for another's URI.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The kinds of names, each before its names.
pub const KINDS: [&str; 3] = ["uri:", "dns:", "cn:"];

/// The longest name that counts, in bytes; a longer one names nobody.
pub const IDENTITY_BYTES_MAX: usize = 512;

/// The name in a certificate that was verified already: the first URI among its alternative names,
/// else the first DNS name, else the common name of its subject, each behind its kind (`uri:`,
/// `dns:`, `cn:`). `None` where it has no name of 1 to [`IDENTITY_BYTES_MAX`] printable ASCII
/// characters.
#[must_use]
pub fn identity(der: &[u8]) -> Option<Box<str>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map_or(&[][..], |found| &found.value.general_names);
    let mut uris = alternatives.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    if let Some(uri) = uris.next() {
        return named("uri:", uri);
    }
    let mut names = alternatives.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    if let Some(name) = names.next() {
        return named("dns:", &name.to_ascii_lowercase());
    }
    let subject = certificate.subject();
    let common = subject.iter_common_name().next()?;
    named("cn:", common.as_str().ok()?)
}

fn named(kind: &str, name: &str) -> Option<Box<str>> {
    let printable = name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let fits = (1..=IDENTITY_BYTES_MAX).contains(&name.len());
    (printable && fits).then(|| format!("{kind}{name}").into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::{IDENTITY_BYTES_MAX, identity, named};
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(sans: &[SanType], common: Option<&str>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.subject_alt_names = sans.to_vec();
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_uri_goes_before_a_dns_name_and_that_before_the_common_name() {
        let uri = SanType::URI("spiffe://a/b".try_into().unwrap());
        let dns = SanType::DnsName("Shop.Example".try_into().unwrap());
        let check = |sans: &[SanType], common: Option<&str>, expected: Option<&str>| {
            let der = certificate(sans, common);
            assert_eq!(identity(&der).as_deref(), expected, "{sans:?} {common:?}");
        };
        check(
            &[dns.clone(), uri.clone()],
            Some("shop"),
            Some("uri:spiffe://a/b"),
        );
        check(&[dns], Some("shop"), Some("dns:shop.example"));
        check(&[], Some("shop"), Some("cn:shop"));
        check(&[], Some("sh\u{f6}p"), None);
        check(&[], None, None);
        assert_eq!(identity(b"no certificate"), None);
    }

    #[test]
    fn a_name_is_printable_and_bounded() {
        let longest = "x".repeat(IDENTITY_BYTES_MAX);
        assert!(named("cn:", &longest).is_some());
        assert_eq!(named("cn:", &format!("{longest}x")), None);
        for bad in ["", "a\nb", "a\u{7f}", "\u{e9}"] {
            assert_eq!(named("cn:", bad), None, "{bad:?}");
        }
    }
}
