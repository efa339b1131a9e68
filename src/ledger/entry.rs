//! Builds one canonical line in a caller's buffer: sorted members, no spaces, integers only.
//!
//! Invariants: members are pushed in ascending key order (checked in debug builds); the frame's
//! own members `prev`, `seq` and `v` are put in at their sorted places; every string that leaves
//! here is printable ASCII, so RFC 8785, jq and this builder agree on its bytes.
//! Not here: what the members mean.

use super::frame::{FORMAT_VERSION, INTEGER_MAX};

/// The frame members that the builder inserts, in sorted order.
const FRAME: [&str; 3] = ["prev", "seq", "v"];

/// Collects the members of one entry. Obtained from [`super::Chain::append`].
#[derive(Debug)]
pub struct EntryBuilder<'a> {
    out: &'a mut Vec<u8>,
    seq: u64,
    prev: &'a [u8; 64],
    /// How many of `FRAME` are already written.
    framed: usize,
    last_key: &'static str,
    decision: bool,
}

impl<'a> EntryBuilder<'a> {
    /// Opens an entry at the end of `out`.
    pub(super) fn begin(out: &'a mut Vec<u8>, seq: u64, prev: &'a [u8; 64]) -> Self {
        out.push(b'{');
        Self {
            out,
            seq,
            prev,
            framed: 0,
            last_key: "",
            decision: false,
        }
    }

    /// True once the entry's kind is `decision`: such a line accounts for a worker's number.
    pub(super) const fn is_decision(&self) -> bool {
        self.decision
    }

    /// The number of the record.
    pub(super) const fn seq(&self) -> u64 {
        self.seq
    }

    /// Writes what is left of the frame and closes the entry: its last byte is `}`.
    pub(super) fn finish(mut self) {
        while self.framed < FRAME.len() {
            self.frame_member();
        }
        // Every member ends in a comma, and with the frame there always is a last one.
        if let Some(last) = self.out.last_mut() {
            *last = b'}';
        }
    }

    fn frame_member(&mut self) {
        match self.framed {
            0 => {
                self.out.extend_from_slice(b"\"prev\":\"");
                self.out.extend_from_slice(self.prev);
                self.out.extend_from_slice(b"\",");
            }
            1 => {
                self.out.extend_from_slice(b"\"seq\":");
                self.digits(self.seq);
                self.out.push(b',');
            }
            _ => {
                self.out.extend_from_slice(b"\"v\":");
                self.digits(FORMAT_VERSION);
                self.out.push(b',');
            }
        }
        self.framed += 1;
    }

    fn key(&mut self, key: &'static str) {
        debug_assert!(
            self.last_key < key && !FRAME.contains(&key) && key != "hash",
            "member {key} after {}",
            self.last_key
        );
        self.last_key = key;
        while let Some(frame) = FRAME.get(self.framed) {
            // The first letters decide nearly always, and cost no call.
            if key.as_bytes().first() < frame.as_bytes().first() || *frame > key {
                break;
            }
            self.frame_member();
        }
        self.out.reserve(key.len() + 3);
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A string member. Bytes outside printable ASCII, and the backslash itself, become the four
    /// visible characters `\xNN`, so that the captured text is unambiguous.
    pub fn text(&mut self, key: &'static str, value: &str) {
        self.decision |= key == "kind" && value == "decision";
        self.bytes(key, value.as_bytes());
    }

    /// Like [`Self::text`], for bytes that need not be UTF-8.
    pub fn bytes(&mut self, key: &'static str, value: &[u8]) {
        self.key(key);
        self.string(value);
        self.out.push(b',');
    }

    /// An integer member; values from 2^53 on are written as 2^53 - 1.
    pub fn uint(&mut self, key: &'static str, value: u64) {
        self.key(key);
        self.digits(value);
        self.out.push(b',');
    }

    /// A signed integer member; the magnitude saturates at 2^53 - 1.
    pub fn int(&mut self, key: &'static str, value: i64) {
        self.key(key);
        self.signed(value);
        self.out.push(b',');
    }

    /// A boolean member.
    pub fn flag(&mut self, key: &'static str, value: bool) {
        self.key(key);
        self.out
            .extend_from_slice(if value { b"true," } else { b"false," });
    }

    /// Bytes as lower-case hex digits.
    pub fn hex(&mut self, key: &'static str, value: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        for byte in value {
            for nibble in [byte >> 4, byte & 15] {
                self.out
                    .push(if nibble < 10 { b'0' } else { b'a' - 10 } + nibble);
            }
        }
        self.out.extend_from_slice(b"\",");
    }

    /// An array of unsigned integers.
    pub fn uints(&mut self, key: &'static str, values: impl IntoIterator<Item = u64>) {
        self.array(key, values, Self::digits);
    }

    /// An array of signed integers.
    pub fn ints(&mut self, key: &'static str, values: impl IntoIterator<Item = i64>) {
        self.array(key, values, Self::signed);
    }

    /// An array of strings.
    pub fn names<'s>(&mut self, key: &'static str, values: impl IntoIterator<Item = &'s str>) {
        self.array(key, values, |this, name| this.string(name.as_bytes()));
    }

    /// An array of `[first, last]` pairs.
    pub fn pairs(&mut self, key: &'static str, values: impl IntoIterator<Item = (u64, u64)>) {
        self.array(key, values, |this, (first, last)| {
            this.out.push(b'[');
            this.digits(first);
            this.out.push(b',');
            this.digits(last);
            this.out.push(b']');
        });
    }

    /// An object of name to unsigned integer. Names ascend and need no escaping.
    pub fn counts<'s>(
        &mut self,
        key: &'static str,
        values: impl IntoIterator<Item = (&'s str, u64)>,
    ) {
        self.key(key);
        self.out.push(b'{');
        let empty = self.out.len();
        let mut last = "";
        for (name, value) in values {
            debug_assert!(
                last < name && name.bytes().all(is_plain),
                "{name} after {last}"
            );
            last = name;
            self.out.push(b'"');
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"\":");
            self.digits(value);
            self.out.push(b',');
        }
        self.close(empty, b'}');
    }

    fn array<T>(
        &mut self,
        key: &'static str,
        values: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        self.key(key);
        self.out.push(b'[');
        let empty = self.out.len();
        for value in values {
            item(self, value);
            self.out.push(b',');
        }
        self.close(empty, b']');
    }

    /// Ends a list: its trailing comma, if it has one, becomes the bracket.
    fn close(&mut self, empty: usize, bracket: u8) {
        if self.out.len() > empty {
            self.out.pop();
        }
        self.out.push(bracket);
        self.out.push(b',');
    }

    fn digits(&mut self, value: u64) {
        let mut text = itoa::Buffer::new();
        self.out
            .extend_from_slice(text.format(value.min(INTEGER_MAX)).as_bytes());
    }

    fn signed(&mut self, value: i64) {
        let bound = INTEGER_MAX as i64;
        let mut text = itoa::Buffer::new();
        self.out
            .extend_from_slice(text.format(value.clamp(-bound, bound)).as_bytes());
    }

    fn string(&mut self, value: &[u8]) {
        self.out.push(b'"');
        // No early exit: this form of the check is vectorised, and almost every string passes.
        if value
            .iter()
            .fold(true, |plain, byte| plain & is_plain(*byte))
        {
            self.out.extend_from_slice(value);
        } else {
            self.escaped(value);
        }
        self.out.push(b'"');
    }

    #[cold]
    fn escaped(&mut self, value: &[u8]) {
        for byte in value {
            match *byte {
                b'"' => self.out.extend_from_slice(b"\\\""),
                byte if is_plain(byte) => self.out.push(byte),
                byte => self
                    .out
                    .extend_from_slice(format!("\\\\x{byte:02x}").as_bytes()),
            }
        }
    }
}

/// Printable ASCII that JSON writes as it is.
const fn is_plain(byte: u8) -> bool {
    (byte >= 0x20) & (byte <= 0x7e) & (byte != b'"') & (byte != b'\\')
}

#[cfg(test)]
mod tests {
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
}
