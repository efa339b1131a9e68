//! No bit of an envelope can change unseen, and no bytes stop the reader.

use proptest::prelude::*;

use super::*;

/// Every bit where this variable is 1, a sample of them elsewhere.
const ALL_BITS: &str = "TIDEGATE_TEST_ALL_BITS";
/// Bits that a sample passes over; prime, so that it meets all bits of bytes and of groups.
const STEP: usize = 97;

// R106
#[test]
fn every_bit_of_an_envelope_is_seen() {
    let root = root();
    let around = around(&root);
    let good = bundle(
        &manifest(1),
        &[contract("a", None, 60)],
        &["alice", "bob", "carol"],
    );
    assert!(verify(&good, &around).is_ok());
    let step = match std::env::var(ALL_BITS) {
        Ok(value) if value == "1" => 1,
        _ => STEP,
    };
    let mut flipped = good.clone();
    for bit in (0..good.len() * 8).step_by(step) {
        flipped[bit / 8] ^= 1 << (bit % 8);
        let found = verify(&flipped, &around);
        // The line feed at the end may become another white space, which says the same.
        let is_white = bit / 8 == good.len() - 1 && flipped[bit / 8].is_ascii_whitespace();
        match found {
            Err(refused) => assert!(refused.code.is_integrity(), "bit {bit}: {refused}"),
            Ok(_) => assert!(is_white, "bit {bit} was not seen"),
        }
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(flipped, good);
}

// R106
#[test]
fn every_cut_of_an_envelope_is_seen() {
    let root = root();
    let around = around(&root);
    let good = bundle(&manifest(1), &[], &["alice", "bob", "carol"]);
    for end in (0..good.len() - 1).step_by(STEP).chain([good.len() - 2]) {
        assert_eq!(code(verify(&good[..end], &around)), EnvelopeMalformed);
    }
}

proptest! {
    #[test]
    fn no_bytes_stop_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let root = root();
        let around = around(&root);
        prop_assert!(verify(&bytes, &around).is_err());
        prop_assert!(verify_root(&bytes, None).is_err());
        // Behind true signatures: whoever has the keys may still sign anything.
        let all = ["alice", "bob", "carol"];
        prop_assert!(verify(&sign(BUNDLE_TYPE, bytes.clone(), &all), &around).is_err());
        prop_assert!(verify_root(&sign(ROOT_TYPE, bytes, &all), None).is_err());
    }

    #[test]
    fn no_change_of_a_payload_stops_the_reader(at in 0_usize..3_000, byte in any::<u8>()) {
        let root = root();
        let around = around(&root);
        let mut payload = payload_of(&manifest(1), &[contract("a", None, 60)]);
        let at = at % payload.len();
        payload[at] = byte;
        let all = ["alice", "bob", "carol"];
        // Refused, or another valid payload that all of them signed.
        let _ = verify(&sign(BUNDLE_TYPE, payload, &all), &around);
    }
}
