//! The PROXY protocol, version 2: whose connection a proxy in front hands on.
//!
//! Invariant: a pure function of bytes; it reads no further than the header, whose length is
//! bounded, and takes nothing for a header that is none. Version 1 (text) is told apart and refused.
//! Additional fields (TLVs) are skipped, a checksum among them: TCP has one, and whoever could
//! change the header could change it too. Deliberately not here: who is believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length.
const FIXED_BYTES: usize = 16;
/// The longest header, additional fields included.
pub(crate) const HEADER_BYTES_MAX: usize = 4 * 1024;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of the whole header; what follows is the client's.
    pub(crate) len: usize,
    /// The client; `None` where the connection is the proxy's own, or of a kind without addresses.
    pub(crate) source: Option<SocketAddr>,
}

/// Why bytes are no header of version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They are one of version 1.
    Version1,
    /// They do not begin as one, or what follows cannot be.
    Malformed,
    /// It is longer than 4 KiB.
    TooLong,
}

/// The header at the front of `bytes`; `None` while more of it is to come.
///
/// # Errors
/// [`Fault`], as soon as no further byte could mend it.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let begun = bytes.get(..SIGNATURE.len()).unwrap_or(bytes);
    if !SIGNATURE.starts_with(begun) {
        let is_text = bytes.starts_with(b"PROXY ") || b"PROXY ".starts_with(begun);
        // One letter is not enough to tell it from the methods of HTTP.
        return Err(match is_text && bytes.len() > 1 {
            true => Fault::Version1,
            false => Fault::Malformed,
        });
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(None);
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let len = FIXED_BYTES + length;
    if len > HEADER_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    let of_client = match command {
        0x20 => false,
        0x21 => true,
        _ => return Err(Fault::Malformed),
    };
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    let source = match of_client {
        true => source(family, body)?,
        false => None,
    };
    Ok(Some(Header { len, source }))
}

/// How long the header at the front of `bytes` is, as far as it can be told.
pub(super) fn wanted(bytes: &[u8]) -> usize {
    match bytes.first_chunk::<FIXED_BYTES>() {
        Some([.., high, low]) => FIXED_BYTES + usize::from(u16::from_be_bytes([*high, *low])),
        None => FIXED_BYTES,
    }
}

/// The first of the two addresses; the other one is where the client came to.
fn source(family: u8, body: &[u8]) -> Result<Option<SocketAddr>, Fault> {
    match family {
        // TCP over IPv4: two addresses, two ports.
        0x11 => {
            let body = body.first_chunk::<12>().ok_or(Fault::Malformed)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *body;
            let address = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
            let port = u16::from_be_bytes([high, low]);
            Ok(Some(SocketAddr::new(address, port)))
        }
        // TCP over IPv6.
        0x21 => {
            let body = body.first_chunk::<36>().ok_or(Fault::Malformed)?;
            let (address, _) = body.split_first_chunk::<16>().ok_or(Fault::Malformed)?;
            let [.., high, low, _, _] = *body;
            let address = IpAddr::V6(Ipv6Addr::from(*address));
            let port = u16::from_be_bytes([high, low]);
            Ok(Some(SocketAddr::new(address, port)))
        }
        // Unspecified, and a stream between two programs of one machine.
        0x00 | 0x31 => Ok(None),
        _ => Err(Fault::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Header, read, wanted};

    fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];

    fn v6() -> Vec<u8> {
        let mut body = vec![0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        body.extend([0; 16]);
        body.extend([0x1f, 0x90, 0, 80]);
        body
    }

    #[test]
    fn a_header_is_read_whole_and_no_further() {
        let with_fields = [&V4[..], &[3, 0, 4, 1, 2, 3, 4, 4, 0, 1, 0]].concat();
        let check = |command: u8, family: u8, body: &[u8], source: Option<&str>| {
            let bytes = header(command, family, body);
            let expected = Header {
                len: bytes.len(),
                source: source.map(|source| source.parse().unwrap()),
            };
            assert_eq!(read(&bytes), Ok(Some(expected)), "{command:x} {family:x}");
            assert_eq!(wanted(&bytes), bytes.len());
            let more = [&bytes[..], b"GET / HTTP/1.1"].concat();
            assert_eq!(read(&more), Ok(Some(expected)));
            for end in 0..bytes.len() {
                assert_eq!(read(&bytes[..end]), Ok(None), "{end}");
                assert!(wanted(&bytes[..end]) > end);
            }
        };
        check(0x21, 0x11, &V4, Some("192.0.2.1:8080"));
        check(0x21, 0x11, &with_fields, Some("192.0.2.1:8080"));
        check(0x21, 0x21, &v6(), Some("[2001:db8::1]:8080"));
        check(0x20, 0x00, &[], None);
        check(0x20, 0x11, &V4, None);
        check(0x20, 0xff, &[1, 2, 3], None);
        check(0x21, 0x00, &[1, 2, 3], None);
        check(0x21, 0x31, &[0; 216], None);
        check(
            0x21,
            0x11,
            &[&V4[..], &[0; 4_068]].concat(),
            Some("192.0.2.1:8080"),
        );
    }

    #[test]
    fn what_is_no_header_is_refused_as_soon_as_it_shows() {
        let check = |bytes: &[u8], expected: Fault| assert_eq!(read(bytes), Err(expected));
        check(
            b"PROXY TCP4 192.0.2.1 10.0.0.1 8080 80\r\n",
            Fault::Version1,
        );
        check(b"PROX", Fault::Version1);
        check(b"P", Fault::Malformed);
        check(b"GET / HTTP/1.1\r\n", Fault::Malformed);
        check(b"\r\n\r\n\0\r\nQUIX", Fault::Malformed);
        check(&[0x16, 3, 1], Fault::Malformed);
        check(&header(0x11, 0x11, &V4), Fault::Malformed);
        check(&header(0x22, 0x11, &V4), Fault::Malformed);
        check(&header(0x21, 0x11, &V4[..11]), Fault::Malformed);
        check(&header(0x21, 0x21, &V4), Fault::Malformed);
        check(&header(0x21, 0x12, &V4), Fault::Malformed);
        check(&header(0x21, 0x41, &V4), Fault::Malformed);
        check(&header(0x21, 0x11, &[0; 4_081]), Fault::TooLong);
        check(&header(0x20, 0x00, &[0; 65_535])[..16], Fault::TooLong);
    }
}
