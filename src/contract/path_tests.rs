//! The spellings of a path: what is one path, and what is none.

use super::{PathFault, canonicalise, split_query};
use PathFault::{
    Backslash, BareParameters, ControlByte, DotSegment, DoubleEncoding, Fragment, IncompleteEscape,
    NotAPath, NotUtf8, RawHighByte, TooManySegments,
};

fn check(raw: &str, expected: Result<&str, PathFault>) {
    check_bytes(raw.as_bytes(), expected);
}

fn check_bytes(raw: &[u8], expected: Result<&str, PathFault>) {
    let got = canonicalise(raw);
    let text = got.as_ref().map(|path| path.as_str()).map_err(|f| *f);
    assert_eq!(text, expected, "{}", raw.escape_ascii());
    if let Ok(path) = &got {
        let again = canonicalise(path.as_bytes()).unwrap();
        assert_eq!(again.as_str(), path.as_str(), "{raw:?} twice");
        assert_eq!(path.is_as_sent(), raw == path.as_bytes());
    }
}

#[test]
fn a_path_has_one_spelling() {
    // R020
    let table = [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("/A", "/A"),
        ("/%61", "/a"),
        ("/%41b%7e", "/Ab~"),
        ("/%2d%2E%5f", "/-._"),
        ("/a%20b", "/a%20b"),
        ("/a%3ab", "/a%3Ab"),
        ("/a:b", "/a:b"),
        ("/a;b=1", "/a;b=1"),
        ("/a%3fb", "/a%3Fb"),
        ("/a%23b", "/a%23b"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/%e2%82%ac", "/%E2%82%AC"),
        ("/a%2fb", "/a%2Fb"),
        ("//a", "//a"),
        ("/a//", "/a//"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a..b/c.", "/a..b/c."),
        ("/%2e%2e%2e", "/..."),
        ("/100%25", "/100%25"),
        ("/100%25x", "/100%25x"),
        ("/a%25%zz".split("%zz").next().unwrap(), "/a%25"),
        ("/{id}", "/{id}"),
        ("/a+b!$&'()*,=@|^\"<>`", "/a+b!$&'()*,=@|^\"<>`"),
    ];
    for (raw, canonical) in table {
        check(raw, Ok(canonical));
    }
}

#[test]
fn what_cannot_be_canonical_is_refused() {
    // R020
    let table = [
        ("", NotAPath),
        ("a", NotAPath),
        ("*", NotAPath),
        ("http://h/a", NotAPath),
        ("/a?b", NotAPath),
        ("/.", DotSegment),
        ("/..", DotSegment),
        ("/a/./b", DotSegment),
        ("/a/../b", DotSegment),
        ("/a/%2e/b", DotSegment),
        ("/a/%2E%2e/b", DotSegment),
        ("/a/.%2e", DotSegment),
        ("/a/..;x/b", DotSegment),
        ("/a/.;/b", DotSegment),
        ("/a/..%3bx/b", DotSegment),
        ("/a/%2e%2e;v=1/b", DotSegment),
        ("/a/..%2fb", DotSegment),
        ("/a%2f..%2Fb", DotSegment),
        ("/a\\b", Backslash),
        ("/a%5cb", Backslash),
        ("/a%5C..%5Cb", Backslash),
        ("/a%00", ControlByte),
        ("/a%0a", ControlByte),
        ("/a%1f", ControlByte),
        ("/a%7f", ControlByte),
        ("/a b", ControlByte),
        ("/a\tb", ControlByte),
        ("/a\x7f", ControlByte),
        ("/%2561", DoubleEncoding),
        ("/%252e%252e/a", DoubleEncoding),
        ("/%25%32%35", DoubleEncoding),
        ("/%25%34%31", DoubleEncoding),
        ("/%", IncompleteEscape),
        ("/%4", IncompleteEscape),
        ("/%zz", IncompleteEscape),
        ("/%4g/a", IncompleteEscape),
        ("/a/..%20/b", DotSegment),
        ("/a/;b", BareParameters),
        ("/;/a", BareParameters),
        ("/a/%3bb/c", BareParameters),
        ("/a%2F;b", BareParameters),
        ("/a#b", Fragment),
        ("/%ff", NotUtf8),
        ("/%c0%af", NotUtf8),
        ("/%e0%80%af", NotUtf8),
        ("/%c3/%a9", NotUtf8),
        ("/%ed%a0%80", NotUtf8),
        ("/caf\u{e9}", RawHighByte),
    ];
    for (raw, fault) in table {
        check(raw, Err(fault));
    }
    check_bytes(b"/a\0b", Err(ControlByte));
    check_bytes(b"/a\xff", Err(RawHighByte));
}

#[test]
fn segments_are_bounded() {
    check(&"/a".repeat(64), Ok(&"/a".repeat(64)));
    check(&"/a".repeat(65), Err(TooManySegments));
    check(&"/%61".repeat(65), Err(TooManySegments));
}

#[test]
fn what_the_contract_decides_is_flagged() {
    for (raw, slash, empty) in [
        ("/a", false, false),
        ("/a%2Fb", true, false),
        ("/a//b", false, true),
        ("//%2f", true, true),
        ("/a/", false, false),
    ] {
        let path = canonicalise(raw.as_bytes()).unwrap();
        assert_eq!(path.has_encoded_slash(), slash, "{raw}");
        assert_eq!(path.has_empty_segment(), empty, "{raw}");
    }
    let path = canonicalise(b"//a///b//").unwrap();
    assert_eq!(path.merged(), "/a/b/");
}

#[test]
fn the_query_is_cut_off_and_left_alone() {
    assert_eq!(split_query(b"/a?b?c=%"), (&b"/a"[..], Some(&b"b?c=%"[..])));
    assert_eq!(split_query(b"/a?"), (&b"/a"[..], Some(&b""[..])));
    assert_eq!(split_query(b"/a"), (&b"/a"[..], None));
}

#[test]
fn the_quick_look_agrees_with_the_scan() {
    for len in 1..=130 {
        let plain: Vec<u8> = (0..len)
            .map(|at| if at % 5 == 0 { b'/' } else { b'a' })
            .collect();
        for at in 0..len {
            for byte in *b"\0 !#%'()./09;?AZ[\\]az~\x7f\x80\xff" {
                let mut raw = plain.clone();
                raw[at] = byte;
                let quick = super::is_plainly_canonical(&raw, super::SEGMENTS_MAX);
                let scanned = super::scan(&raw).is_ok_and(|seen| {
                    !seen.escapes && !seen.dots && !seen.parameters && !seen.empty_segment
                });
                let looked_at = (9..=128).contains(&len) && byte >= b'(';
                assert_eq!(quick, scanned && looked_at, "{}", raw.escape_ascii());
            }
        }
    }
    let most = "/a".repeat(64);
    assert!(super::is_plainly_canonical(
        most.as_bytes(),
        super::SEGMENTS_MAX
    ));
    check(&most, Ok(&most));
}

proptest::proptest! {
    #[test]
    fn any_bytes_give_a_fault_or_a_fixed_point(raw in "(/(%[0-9a-fA-F]{2}|%25|\\.|;|[a-z]|/){0,12}){1,4}") {
        if let Ok(path) = canonicalise(raw.as_bytes()) {
            let again = canonicalise(path.as_bytes());
            proptest::prop_assert_eq!(again.as_ref().map(super::CanonicalPath::as_str), Ok(path.as_str()));
            proptest::prop_assert_eq!(again.map(|p| p.has_encoded_slash()), Ok(path.has_encoded_slash()));
        }
    }

    #[test]
    fn two_other_decoders_agree(raw in "(/(%[0-9a-fA-F]{2}|[ -~]|é|%C3%A9|%2e|;|\\.){0,10}){1,4}") {
        // R020
        if let Ok(path) = canonicalise(raw.as_bytes()) {
            let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
            proptest::prop_assert_eq!(decoded(path.as_str()), decoded(&raw));
            // The parser of browsers resolves dot segments in any spelling: there are none.
            let parse = |path: &str| url::Url::parse(&format!("http://h{path}")).unwrap();
            let (ours, theirs) = (parse(path.as_str()), parse(&raw));
            proptest::prop_assert_eq!(decoded(ours.path()), decoded(theirs.path()));
            proptest::prop_assert_eq!(decoded(ours.path()), decoded(&raw));
            proptest::prop_assert_eq!(ours.path().matches('/').count(), raw.matches('/').count());
        }
    }
}
