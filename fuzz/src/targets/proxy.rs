//! PROXY protocol headers: what is read is what a reader written apart reads, no byte behind the
//! header changes it, and a part of a header is never taken for one.

use std::net::{IpAddr, SocketAddr};

use tidegate::gateway::fuzzing;

/// Its bytes, and the client that it names.
type Header = (usize, Option<SocketAddr>);

/// The laws of one input.
pub fn run(bytes: &[u8]) {
    let read = fuzzing::proxy_protocol(bytes).ok();
    assert_eq!(read, apart(bytes), "{bytes:?}");
    match read {
        Some(Some((len, source))) => {
            let alone = fuzzing::proxy_protocol(&bytes[..len]);
            assert_eq!(alone, Ok(Some((len, source))), "bytes behind change it");
            for cut in [0, 1, len / 2, len - 1] {
                let part = fuzzing::proxy_protocol(&bytes[..cut]);
                assert_eq!(part, Ok(None), "{cut} of {len}");
            }
        }
        Some(None) => {}
        // What is refused is refused for good: no further byte mends it.
        None => {
            let more = [bytes, b"\r\n\r\n\0\r\nQUIT\n"].concat();
            assert!(fuzzing::proxy_protocol(&more).is_err());
        }
    }
}

/// The header field by field, as haproxy's text on the protocol has it, of at most 4 KiB; `None`
/// where there is none, `Some(None)` while it is not complete.
fn apart(bytes: &[u8]) -> Option<Option<Header>> {
    let signature = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10];
    let differs = |(one, other): (&u8, &u8)| one != other;
    if bytes.iter().zip(&signature).any(differs) {
        return None;
    }
    if bytes.len() < 16 {
        return Some(None);
    }
    let (version, command) = (bytes[12] / 16, bytes[12] % 16);
    let (family, transport) = (bytes[13] / 16, bytes[13] % 16);
    let length = usize::from(bytes[14]) * 256 + usize::from(bytes[15]);
    if version != 2 || command > 1 || 16 + length > 4096 {
        return None;
    }
    if bytes.len() < 16 + length {
        return Some(None);
    }
    // A connection of the proxy's own: whatever addresses it names, they are no client's.
    if command == 0 {
        return Some(Some((16 + length, None)));
    }
    let port = |at: usize| u16::from(bytes[at]) * 256 + u16::from(bytes[at + 1]);
    let source = match (family, transport) {
        (0, 0) | (3, 1) => None,
        (1, 1) if length >= 12 => {
            let octets: [u8; 4] = bytes[16..20].try_into().expect("four bytes");
            Some(SocketAddr::new(IpAddr::from(octets), port(24)))
        }
        (2, 1) if length >= 36 => {
            let octets: [u8; 16] = bytes[16..32].try_into().expect("sixteen bytes");
            Some(SocketAddr::new(IpAddr::from(octets), port(48)))
        }
        _ => return None,
    };
    Some(Some((16 + length, source)))
}
