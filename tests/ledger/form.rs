//! Lines are in the canonical form of RFC 8785, as another writer has it.

use proptest::prelude::*;

use super::*;

fn canonical(entry: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(entry).ok()?;
    serde_json_canonicalizer::to_vec(&value).ok()
}

proptest! {
    /// Whatever the builder is given, RFC 8785 gives the same bytes, and the scanner takes them.
    #[test]
    fn the_builder_writes_the_canonical_form(
        text in any::<Vec<u8>>(),
        names in prop::collection::vec(".{0,12}", 0..4),
        uint in any::<u64>(),
        ints in prop::collection::vec(any::<i64>(), 0..6),
        counts in prop::collection::btree_map("[a-z_]{1,8}", 0_u64..1 << 53, 0..5),
        pairs in prop::collection::vec((0_u64..1 << 53, 0_u64..1 << 53), 0..4),
    ) {
        let mut line = Vec::new();
        Chain::genesis().append(&mut line, |entry| {
            entry.bytes("a_bytes", &text);
            entry.counts("b_counts", counts.iter().map(|(k, v)| (k.as_str(), *v)));
            entry.ints("c_ints", ints.iter().copied());
            entry.text("kind", "decision");
            entry.names("q_names", names.iter().map(String::as_str));
            entry.pairs("t_pairs", pairs.iter().copied());
            entry.uint("w_uint", uint);
        });
        prop_assert!(line.is_ascii());
        let mut scratch = Vec::new();
        let record = Record::check(line.strip_suffix(b"\n").unwrap(), &mut scratch).unwrap();
        prop_assert_eq!(canonical(record.entry()).unwrap(), record.entry());
    }

    /// What the scanner takes, RFC 8785 would have written; changed bytes included.
    #[test]
    fn the_scanner_takes_nothing_else(at in 0_usize..90, byte in 0x20_u8..0x7f) {
        let mut entry =
            br#"{"a":{"b":[1,-20,"x\\x7f"],"c":true},"d":[[1,2],[3,4]],"e":9007199254740991,"f":"\"q\""}"#
                .to_vec();
        let at = at % entry.len();
        entry[at] = byte;
        if Members::new(&entry).all(|member| member.is_ok()) {
            prop_assert_eq!(canonical(&entry).unwrap(), entry);
        }
    }
}
