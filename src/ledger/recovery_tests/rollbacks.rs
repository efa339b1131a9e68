//! Fewer records than were signed: refused, unless a key of the log accepts it.

use super::*;

// R085
#[test]
fn a_suffix_written_again_is_refused() {
    let case = Case::signed(12).changed(|lines| {
        let mut scratch = Vec::new();
        let last = lines[3].strip_suffix(b"\n").unwrap();
        let record = Record::check(last, &mut scratch).unwrap();
        let mut chain = Chain::resume(4, record.hash);
        lines.truncate(4);
        for n in 3..20 {
            let mut line = Vec::new();
            let source = Source {
                boot: BootId::from_u32(1),
                worker: 0,
            };
            chain.append(&mut line, |entry| encode(entry, source, &(n + 100)));
            lines.push(line);
        }
    });
    let told = case.refuses("LEDGER_DAMAGED");
    assert!(told.contains("not the one that was signed"), "{told}");
}

// R085, R198
#[test]
fn fewer_records_than_signed_need_an_accepted_rollback() {
    for cut in [0, 5] {
        let case = Case::signed(12).changed(|lines| {
            lines.truncate(7);
            let keep = if cut == 0 { lines[6].len() } else { cut };
            lines[6].truncate(keep);
        });
        let records = if cut == 0 { 7 } else { 6 };
        let told = case.refuses("LEDGER_ROLLBACK");
        assert!(told.contains(&format!("has {records} records")), "{told}");
        assert!(told.contains("covers 12"), "{told}");
        let settings = Settings::new(case.path());
        let accepting = settings.clone().signed_by(key());
        let repair = recover(&accepting, "0", Some("disk \"1\" replaced")).unwrap();
        assert_eq!(repair.rolled_back, Some(12));
        assert_eq!(repair.found.torn.is_some(), cut > 0);
        // `open`, the fault, `close`.
        assert_eq!(
            (repair.found.records, repair.records),
            (records, records + 3)
        );
        let text = fs::read_to_string(&case.segment).unwrap();
        assert!(
            text.contains(r#""code":"LEDGER_ROLLBACK_ACCEPTED""#),
            "{text}"
        );
        assert!(text.contains(r#""signed_size":12"#), "{text}");
        assert!(text.contains(r#""reason":"disk \"1\" replaced""#), "{text}");
        // From then on starts go on, also when the new history has grown over the old head.
        for boot in 2..5 {
            let (ledger, mut producer) = start(&settings, boot).unwrap();
            push(&mut producer, 2);
            drop(producer);
            ledger.close().unwrap();
        }
        assert_eq!(verify(case.path()).unwrap().verdict, Verdict::Intact);
        let size = leaves(case.path()).len() as u64;
        assert!(size > 12);
        publish(&Disk::default(), case.path(), size);
        case.changed_to(size - 1).refuses("LEDGER_ROLLBACK");
    }
}

impl Case {
    /// Leaves that many lines.
    fn changed_to(&self, count: u64) -> &Self {
        let bytes = fs::read(&self.segment).unwrap();
        let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
        fs::write(&self.segment, lines[..count as usize].concat()).unwrap();
        self
    }
}

// R085
#[test]
fn a_rollback_is_accepted_by_a_key_of_the_log_alone() {
    let case = Case::signed(12).changed(|lines| lines.truncate(7));
    let before = fs::read(&case.segment).unwrap();
    let stranger = LedgerKey::from_seed([66; 32]);
    let bare = Settings::new(case.path());
    for settings in [bare.clone(), bare.clone().signed_by(stranger.clone())] {
        let refused = recover(&settings, "0", Some("mine")).unwrap_err();
        assert!(refused.to_string().contains("--key FILE"), "{refused}");
        assert!(!refused.is_about_evidence());
        assert_eq!(fs::read(&case.segment).unwrap(), before);
    }
    // Written by hand: without a signature, with a stranger's, and with that one in log.vkey.
    let origin = fs::read_to_string(case.path().join("origin")).unwrap();
    let origin = origin.trim();
    let note = fs::read_to_string(case.path().join("checkpoint")).unwrap();
    let root = Checkpoint::from_text(&note).unwrap().root;
    let text = format!(
        "tidegate-rollback-accepted\n{origin}\n7\n12\n{}\nmine\n",
        hex::encode(root)
    );
    let acceptance = |key: &LedgerKey| key.sign_text(origin, text.clone()).unwrap();
    let forge = |signed: Option<&LedgerKey>| {
        let mut scratch = Vec::new();
        let record = Record::check(&case.lines[6][..case.lines[6].len() - 1], &mut scratch);
        let mut chain = super::super::chain::Chain::resume(7, record.unwrap().hash);
        let mut line = Vec::new();
        chain.append(&mut line, |e| {
            if let Some(key) = signed {
                e.text("acceptance", &acceptance(key).signatures[0].base64);
            }
            e.text("code", "LEDGER_ROLLBACK_ACCEPTED");
            e.uint("kept", 7);
            e.text("kind", "fault");
            e.text("reason", "mine");
            e.hex("signed_root", &root);
            e.uint("signed_size", 12);
        });
        fs::write(&case.segment, [&before[..], &line].concat()).unwrap();
    };
    let refuses = |settings: &Settings| {
        let refused = start(settings, 9).unwrap_err();
        assert_eq!(refused.code(), "LEDGER_ROLLBACK", "{refused}");
    };
    let signing = bare.clone().signed_by(key());
    forge(None);
    refuses(&bare);
    refuses(&signing);
    forge(Some(&stranger));
    refuses(&bare);
    refuses(&signing);
    let vkeys = case.path().join("log.vkey");
    let listed = fs::read_to_string(&vkeys).unwrap();
    let other = stranger.verifier(origin).unwrap().to_text();
    fs::write(&vkeys, format!("{listed}{other}\n")).unwrap();
    refuses(&signing);
    fs::write(&vkeys, listed).unwrap();
    // The same words under the key of the log are an acceptance.
    forge(Some(&key()));
    for settings in [bare, signing] {
        start(&settings, 9).unwrap().0.close().unwrap();
    }
}
