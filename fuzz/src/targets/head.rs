//! Request heads: what the edge lets pass is read in the same way by the parser behind it and by a
//! reader of lines written apart, and no later byte changes it.

use tidegate::gateway::fuzzing::{self, Framing, Head};

/// The laws of one head.
pub fn run(bytes: &[u8]) {
    let Ok(Some(head)) = fuzzing::head(bytes) else {
        return;
    };
    let text = bytes.get(..head.len).expect("a head is within its bytes");
    assert!(text.ends_with(b"\r\n\r\n"), "{text:?}");
    as_the_parser_reads(bytes, &head);
    as_lines(text, &head);
    let alone = fuzzing::head(text).ok().flatten();
    assert_eq!(
        alone.as_ref(),
        Some(&head),
        "bytes behind the head change it"
    );
    for cut in [head.len - 1, head.len / 2] {
        let part = fuzzing::head(text.get(..cut).unwrap_or_default());
        assert!(!matches!(part, Ok(Some(_))), "a part of a head is a head");
    }
}

/// httparse is what Pingora reads heads with.
fn as_the_parser_reads(bytes: &[u8], head: &Head) {
    let mut slots = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut slots);
    let read = request.parse(bytes).expect("the parser reads it as well");
    assert_eq!(read, httparse::Status::Complete(head.len));
    let target = request.path.unwrap_or_default();
    assert!(target.is_ascii() && !target.contains('#'), "{target:?}");
    let uri: Result<http_uri::Target, _> = http_uri::target(target);
    assert!(uri.is_ok(), "{target:?}");
}

/// The target as others have to read it: a path, an address or a star.
mod http_uri {
    pub(super) struct Target;

    pub(super) fn target(text: &str) -> Result<Target, ()> {
        let path = text.starts_with('/') || text == "*";
        let scheme = text.split_once("://").is_some_and(|(scheme, _)| {
            scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
        });
        (path || scheme).then_some(Target).ok_or(())
    }
}

/// Field lines split at their line ends and first colons alone.
fn as_lines(text: &[u8], head: &Head) {
    let text = String::from_utf8_lossy(text).into_owned();
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let first = lines.next().unwrap_or_default();
    assert_eq!(first.split(' ').count(), 3, "{first:?}");
    let mut lengths = Vec::new();
    let mut encodings = Vec::new();
    let mut hosts = 0;
    for line in lines {
        assert!(!line.contains(['\r', '\n']), "{line:?}");
        let (name, value) = line.split_once(':').expect("a field line has a colon");
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "content-length" => lengths.push(value.to_owned()),
            "transfer-encoding" => encodings.push(value.to_ascii_lowercase()),
            "host" => hosts += 1,
            _ => {}
        }
    }
    assert!(hosts <= 1 && (hosts == 1 || first.ends_with("HTTP/1.0")));
    let expected = match (&*lengths, &*encodings) {
        ([], []) => Framing::Length(0),
        ([length], []) => Framing::Length(length.parse().expect("a length is a number")),
        ([], [encoding]) if encoding == "chunked" => Framing::Chunked,
        other => panic!("let pass: {other:?}"),
    };
    assert_eq!(head.framing, expected, "{text:?}");
}
