//! PROXY protocol headers: what is read is what a reader written apart reads, no byte behind the
//! header changes it, and a part of a header is never taken for one.

use std::net::{IpAddr, SocketAddr};

use tidegate::gateway::fuzzing;

/// The laws of one input.
pub fn run(bytes: &[u8]) {
    let read = fuzzing::proxy_protocol(bytes);
    if let Ok(Some((len, source))) = read {
        assert!(len <= bytes.len() && len >= 16, "{len} of {}", bytes.len());
        assert_eq!(source, source_of(&bytes[..len]), "{:?}", &bytes[..len]);
        assert_eq!(
            fuzzing::proxy_protocol(&bytes[..len]),
            Ok(Some((len, source)))
        );
        for cut in [0, 1, len / 2, len - 1] {
            assert_eq!(fuzzing::proxy_protocol(&bytes[..cut]), Ok(None), "{cut}");
        }
    }
    // What is refused is refused for good: no further byte mends it.
    if read.is_err() {
        let more = [bytes, b"\r\n\r\n\0\r\nQUIT\n"].concat();
        assert!(fuzzing::proxy_protocol(&more).is_err());
    }
}

/// The client's address, field by field.
fn source_of(header: &[u8]) -> Option<SocketAddr> {
    assert_eq!(&header[..12], b"\r\n\r\n\0\r\nQUIT\n");
    let length = usize::from(header[14]) << 8 | usize::from(header[15]);
    assert_eq!(header.len(), 16 + length);
    if header[12] == 0x20 {
        return None;
    }
    assert_eq!(header[12], 0x21);
    let port = |at: usize| u16::from(header[at]) << 8 | u16::from(header[at + 1]);
    match header[13] {
        0x11 => {
            let octets: [u8; 4] = header[16..20].try_into().expect("four bytes");
            Some(SocketAddr::new(IpAddr::from(octets), port(24)))
        }
        0x21 => {
            let octets: [u8; 16] = header[16..32].try_into().expect("sixteen bytes");
            Some(SocketAddr::new(IpAddr::from(octets), port(48)))
        }
        _ => None,
    }
}
