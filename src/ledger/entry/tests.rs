//! Lines as they come out.

use super::*;

fn entry(members: impl FnOnce(&mut EntryBuilder<'_>)) -> String {
    let mut out = Vec::new();
    let prev = [b'a'; 64];
    let mut builder = EntryBuilder::begin(&mut out, 7, &prev);
    members(&mut builder);
    builder.finish();
    String::from_utf8(out)
        .unwrap()
        .replace(&"a".repeat(64), "P")
}

#[test]
fn frame_members_stand_at_their_sorted_places() {
    assert_eq!(entry(|_| {}), r#"{"prev":"P","seq":7,"v":1}"#);
    assert_eq!(
        entry(|e| {
            e.text("kind", "open");
            e.uint("ring", 1);
            e.uint("ts_us", 2);
            e.uint("worker", 3);
        }),
        r#"{"kind":"open","prev":"P","ring":1,"seq":7,"ts_us":2,"v":1,"worker":3}"#
    );
}

#[test]
fn every_type_of_member_has_one_form() {
    assert_eq!(
        entry(|e| {
            e.counts("a", [("x", 1), ("y", 2)]);
            e.counts("b", []);
            e.flag("c", true);
            e.hex("d", &[0, 0xab]);
            e.int("e", -5);
            e.ints("f", [-1, 0, 1]);
            e.names("g", ["p", "q"]);
            e.names("h", []);
            e.pairs("i", [(1, 2), (5, 5)]);
            e.uint("j", u64::MAX);
            e.uints("k", [9]);
        }),
        concat!(
            r#"{"a":{"x":1,"y":2},"b":{},"c":true,"d":"00ab","e":-5,"f":[-1,0,1],"#,
            r#""g":["p","q"],"h":[],"i":[[1,2],[5,5]],"j":9007199254740991,"k":[9],"#,
            r#""prev":"P","seq":7,"v":1}"#
        )
    );
}

#[test]
fn strings_are_printable_ascii_and_unambiguous() {
    for (value, expected) in [
        (&b"plain / text"[..], r#""plain / text""#),
        (b"a\"b", r#""a\"b""#),
        (b"\x7f", r#""\\x7f""#),
        (b"\\x7f", r#""\\x5cx7f""#),
        (b"\n\x00\xc3\xa4", r#""\\x0a\\x00\\xc3\\xa4""#),
    ] {
        let found = entry(|e| e.bytes("a", value));
        assert_eq!(
            found,
            format!(r#"{{"a":{expected},"prev":"P","seq":7,"v":1}}"#)
        );
    }
}

#[test]
#[should_panic(expected = "member a after b")]
#[cfg(debug_assertions)]
fn members_out_of_order_are_caught() {
    entry(|e| {
        e.uint("b", 1);
        e.uint("a", 1);
    });
}
