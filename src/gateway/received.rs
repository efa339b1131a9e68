//! The fields of a request as they were received, whoever read them.
//!
//! The full proxy has them in a map, the fast lane as the edge read them: what is judged is the same.
//! Invariant: values of one name come in the order in which they were received. Deliberately not
//! here: which of them pass on.

use http::{HeaderMap, HeaderValue};

/// The fields of one request head.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(Kind<'a>);

#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    Map(&'a HeaderMap),
    Raw(&'a [httparse::Header<'a>]),
}

impl<'a> From<&'a HeaderMap> for Fields<'a> {
    fn from(map: &'a HeaderMap) -> Self {
        Self(Kind::Map(map))
    }
}

impl<'a> Fields<'a> {
    /// Those that the edge read.
    pub(crate) const fn raw(fields: &'a [httparse::Header<'a>]) -> Self {
        Self(Kind::Raw(fields))
    }

    /// The first value of a field. `name` is lower case, here and below.
    pub(crate) fn first(self, name: &str) -> Option<&'a [u8]> {
        match self.0 {
            Kind::Map(map) => map.get(name).map(HeaderValue::as_bytes),
            Kind::Raw(fields) => {
                let is = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
                fields.iter().find(is).map(|field| field.value)
            }
        }
    }

    /// All values of a field.
    pub(crate) fn all(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let (map, raw) = match self.0 {
            Kind::Map(map) => (Some(map.get_all(name)), None),
            Kind::Raw(fields) => (None, Some(fields)),
        };
        let mapped = map.into_iter().flatten().map(HeaderValue::as_bytes);
        let raw = raw.into_iter().flatten();
        let raw = raw.filter(move |field| field.name.eq_ignore_ascii_case(name));
        mapped.chain(raw.map(|field| field.value))
    }

    /// Goes through all of them once: names in any case.
    #[inline]
    pub(crate) fn each(self, mut visit: impl FnMut(&str, &'a [u8])) {
        match self.0 {
            Kind::Map(map) => {
                for (name, value) in map {
                    visit(name.as_str(), value.as_bytes());
                }
            }
            Kind::Raw(fields) => {
                for field in fields {
                    visit(field.name, field.value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::Fields;

    const RECEIVED: [(&str, &str); 4] = [("A", "1"), ("b", "2"), ("a", "3"), ("C", "")];

    fn check(fields: Fields<'_>) {
        assert_eq!(fields.first("a"), Some(b"1".as_slice()));
        assert_eq!(fields.first("c"), Some(b"".as_slice()));
        assert_eq!(fields.first("d"), None);
        let all: Vec<_> = fields.all("a").collect();
        assert_eq!(all, [b"1", b"3"]);
        assert_eq!(fields.all("d").count(), 0);
        let mut names = 0;
        fields.each(|name, _| names += usize::from(name.eq_ignore_ascii_case("a")));
        assert_eq!(names, 2);
    }

    #[test]
    fn both_readings_are_the_same() {
        let mut map = HeaderMap::new();
        for (name, value) in RECEIVED {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, value.parse().unwrap());
        }
        check(Fields::from(&map));
        let raw = RECEIVED.map(|(name, value)| httparse::Header {
            name,
            value: value.as_bytes(),
        });
        check(Fields::raw(&raw));
    }
}
