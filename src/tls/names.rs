//! Which certificate a client is shown: by the name that it asks for (SNI).
//!
//! A name of its own goes before a `*.` that covers it; where several certificates are for one
//! name, the first whose kind of key the client knows. Without a match the first of the listener.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// The certificates of one listener.
#[derive(Debug, Default)]
pub(super) struct ByName {
    all: Vec<Arc<CertifiedKey>>,
    /// Positions in `all`, by name; that of a wildcard begins with its dot.
    names: HashMap<Box<str>, Vec<usize>>,
}

impl ByName {
    /// Adds one; the first that is added is the default.
    pub(super) fn add(&mut self, certified: CertifiedKey, names: &[Box<str>]) {
        let position = self.all.len();
        self.all.push(Arc::new(certified));
        for name in names {
            let key = name.strip_prefix('*').unwrap_or(name);
            self.names.entry(key.into()).or_default().push(position);
        }
    }

    /// The positions of those that are for a name, best first.
    fn candidates(&self, name: Option<&str>) -> &[usize] {
        let Some(name) = name else { return &[0] };
        let name = name.to_ascii_lowercase();
        let exact = self.names.get(name.as_str());
        // A wildcard stands for one label.
        let wildcard = || self.names.get(name.get(name.find('.')?..)?);
        exact.or_else(wildcard).map_or(&[0], Vec::as_slice)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(hello.server_name());
        let candidates = candidates.iter().filter_map(|at| self.all.get(*at));
        let schemes = hello.signature_schemes();
        let mut usable = candidates
            .clone()
            .chain(self.all.first())
            .filter(|certified| certified.key.choose_scheme(schemes).is_some());
        usable.next().or_else(|| self.all.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::ByName;

    #[test]
    fn an_exact_name_goes_before_a_wildcard_and_both_before_the_default() {
        let mut by_name = ByName::default();
        let names: [(&str, &[usize]); 4] = [
            ("a.example", &[1]),
            (".example", &[2, 3]),
            ("b.b.example", &[3]),
            ("one", &[4]),
        ];
        for (name, positions) in names {
            by_name.names.insert(name.into(), positions.to_vec());
        }
        let check = |name: Option<&str>, expected: &[usize]| {
            assert_eq!(by_name.candidates(name), expected, "{name:?}");
        };
        check(None, &[0]);
        check(Some("a.example"), &[1]);
        check(Some("A.Example"), &[1]);
        check(Some("c.example"), &[2, 3]);
        check(Some("b.b.example"), &[3]);
        check(Some("c.c.example"), &[0]);
        check(Some("example"), &[0]);
        check(Some("one"), &[4]);
        check(Some("two"), &[0]);
    }
}
