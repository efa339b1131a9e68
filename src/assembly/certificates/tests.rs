//! What is read again, what is kept, and what is told of it.

use std::os::unix::fs::PermissionsExt as _;

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::config::load;
use crate::telemetry::ConnectionCounts;

struct Site {
    folder: tempfile::TempDir,
    telemetry: Telemetry,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connections = Box::new(ConnectionCounts::default);
        let telemetry = Telemetry::new(Vec::new(), &[], connections, clock::now());
        let site = Self { folder, telemetry };
        std::fs::create_dir(site.path("contracts")).unwrap();
        let main = "version: 1\nlisteners:\n  - bind: \"127.0.0.1:0\"\n  - bind: \"127.0.0.1:0\"\n    tls: {certificates: [{cert: a.pem, key: a.key}]}\nupstreams: {main: {servers: [\"127.0.0.1:9\"]}}\ncontracts: contracts\n";
        std::fs::write(site.path("tidegate.yaml"), main).unwrap();
        site
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> Settings {
        load(&self.path("tidegate.yaml")).unwrap().settings
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        let owner_alone = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(name), owner_alone).unwrap();
    }

    /// A new certificate until that year, and its key.
    fn make(year: i32) -> (String, String) {
        let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1_990, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn renew(&self, year: i32) {
        let (cert, key) = Self::make(year);
        self.put("a.pem", &cert);
        self.put("a.key", &key);
    }
}

fn told(found: &[Diagnostic]) -> Vec<(Severity, &str, &str)> {
    found
        .iter()
        .map(|one| {
            let name = one.file.rsplit('/').next().unwrap();
            (one.severity, name, one.message.as_str())
        })
        .collect()
}

#[test]
fn what_cannot_be_used_leaves_the_old_certificate_in_force() {
    let site = Site::new();
    site.renew(2_100);
    let certificates = Certificates::read(&site.settings()).unwrap();
    certificates.begin(&["127.0.0.1:1".parse().unwrap(); 2], &site.telemetry);
    assert!(certificates.of(0).is_none());
    let tls = certificates.of(1).unwrap();
    let first = tls.current();
    let is_first = || Arc::ptr_eq(&first, &tls.current());
    assert!(certificates.reread(&site.telemetry).is_empty());
    assert!(is_first(), "nothing has changed");
    let (cert, key) = Site::make(2_100);
    site.put("a.pem", &cert);
    let refusals: [(&dyn Fn(), &str, &str); 5] = [
        (&|| {}, "a.key", "it is not the key of the certificate"),
        (
            &|| site.put("a.key", "x"),
            "a.key",
            "it holds no private key",
        ),
        (
            &|| site.put("a.pem", "x"),
            "a.pem",
            "it holds no certificate as PEM",
        ),
        (
            &|| std::fs::remove_file(site.path("a.pem")).unwrap(),
            "a.pem",
            "No such file",
        ),
        (&|| site.renew(2_000), "a.pem", "it has expired"),
    ];
    for (change, file, rule) in refusals {
        change();
        let found = certificates.reread(&site.telemetry);
        let told = told(&found);
        let [(Severity::Error, at, message)] = told[..] else {
            panic!("{told:?}");
        };
        assert!(at == file && message.contains(rule), "{told:?}");
        assert_eq!(found[0].code, Code::Certificate);
        assert!(!found[0].remedy.is_empty() && is_first());
        // It is told as long as it is so.
        assert_eq!(certificates.reread(&site.telemetry).len(), 1);
    }
    site.put("a.pem", &cert);
    site.put("a.key", &key);
    assert!(certificates.reread(&site.telemetry).is_empty());
    assert!(!is_first());
}

#[test]
fn files_that_stand_still_are_taken_by_themselves() {
    let site = Site::new();
    site.renew(2_100);
    let certificates = Certificates::read(&site.settings()).unwrap();
    let mut before = Vec::new();
    assert!(!certificates.is_due(&mut before) && !certificates.is_due(&mut before));
    site.renew(2_101);
    assert!(!certificates.is_due(&mut before), "it may be half of it");
    assert!(certificates.is_due(&mut before));
    certificates.reread(&site.telemetry);
    assert!(!certificates.is_due(&mut before));
}

#[test]
fn a_start_warns_of_what_has_expired_and_of_keys_that_others_can_read() {
    let site = Site::new();
    let refused = Certificates::read(&site.settings()).unwrap_err();
    assert!(refused.to_string().contains("a.pem"), "{refused}");
    site.renew(2_000);
    let everyone = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(site.path("a.key"), everyone).unwrap();
    assert!(Certificates::read(&site.settings()).is_ok());
    let found = certificate_findings(&site.settings());
    let told = told(&found);
    let [
        (Severity::Warning, "a.pem", _),
        (Severity::Warning, "a.key", mode),
    ] = told[..]
    else {
        panic!("{told:?}");
    };
    assert!(mode.contains("0644"), "{mode}");
}
