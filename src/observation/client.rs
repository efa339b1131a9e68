//! Client identity: an address or a name, as a keyed hash.
//!
//! The key is secret and stays on the host, so nobody who reads a ledger can try out addresses;
//! replay needs no key, because the hash is what was recorded.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::observation::ClientKey;

/// Turns identities into [`ClientKey`]s with one secret.
#[derive(Clone)]
pub struct ClientHasher {
    key: [u8; 16],
}

impl std::fmt::Debug for ClientHasher {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ClientHasher { key: secret }")
    }
}

impl ClientHasher {
    /// A hasher with this secret.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        Self { key }
    }

    /// The key of an address: IPv4 as it is, IPv6 by its /64, which is what one client gets.
    #[must_use]
    pub fn of_address(&self, address: IpAddr) -> ClientKey {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                self.hash(&[4, a, b, c, d])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                self.hash(&[6, a, b, c, d, e, f, g, h])
            }
        }
    }

    /// The key of a name, for a client that is no address.
    #[must_use]
    pub fn of_name(&self, name: &[u8]) -> ClientKey {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u8(0);
        hasher.write(name);
        ClientKey(hasher.finish())
    }

    /// Of the few bytes of an address, their kind first: all in one, which is half the work of
    /// handing them over one after another, and the same hash.
    #[inline]
    fn hash(&self, bytes: &[u8]) -> ClientKey {
        ClientKey(SipHasher24::new_with_key(&self.key).hash(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;
    use std::net::IpAddr;

    use siphasher::sip::SipHasher24;

    use super::ClientHasher;

    #[test]
    fn an_address_is_hashed_as_its_kind_and_its_bytes() {
        let check = |text: &str, kind: u8, bytes: &[u8]| {
            let mut want = SipHasher24::new_with_key(&[7; 16]);
            want.write_u8(kind);
            want.write(bytes);
            let address: IpAddr = text.parse().expect("an address");
            let found = ClientHasher::new([7; 16]).of_address(address);
            assert_eq!(found.0, want.finish(), "{text}");
        };
        check("192.0.2.1", 4, &[192, 0, 2, 1]);
        check("2001:db8:1:2::9", 6, &[0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2]);
    }

    #[test]
    fn one_client_has_one_key() {
        let hasher = ClientHasher::new([7; 16]);
        let of = |text: &str| hasher.of_address(text.parse().expect("an address"));
        assert_eq!(
            of("192.0.2.1"),
            of("::ffff:192.0.2.1"),
            "mapped addresses are IPv4"
        );
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"), "one /64");
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        let other = ClientHasher::new([8; 16]);
        assert_ne!(of("192.0.2.1"), other.of_name(b"192.0.2.1"));
        assert!(!format!("{hasher:?}").contains('7'));
    }
}
