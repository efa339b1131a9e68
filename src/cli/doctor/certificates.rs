//! The certificates of listeners: usable, good for a while, their keys for their owner alone.

use super::Checked;
use crate::config::Settings;
use crate::tls::{CertificateFacts, Material, TlsFiles};

/// A certificate that ends within so many days is a finding: automatic renewal has failed by then.
const DAYS_LEFT_MIN: i64 = 14;
const SECONDS_PER_DAY: i64 = 86_400;

pub(super) fn check(settings: &Settings, now_us: u64) -> Vec<Checked> {
    let now_s = i64::try_from(now_us / 1_000_000).unwrap_or(i64::MAX);
    let mut checks = Vec::new();
    for listener in &settings.listeners {
        let Some(files) = &listener.tls else { continue };
        match Material::read(files, listener.http2) {
            Ok(material) => {
                let certificates = material.certificates().iter();
                checks.extend(certificates.map(|facts| expiry(facts, now_s)));
            }
            Err(faults) => checks.extend(faults.into_iter().map(|fault| {
                let check = Checked::new("certificate", fault.path.display());
                check.finding("DOCTOR_CERTIFICATE", fault.rule, fault.remedy)
            })),
        }
        checks.extend(keys(files));
    }
    checks
}

fn expiry(facts: &CertificateFacts, now_s: i64) -> Checked {
    const CODE: &str = "DOCTOR_CERTIFICATE_EXPIRES";
    let check = Checked::new("certificate", facts.path.display());
    let remedy = "put a new certificate in place; it is taken without a restart";
    if let Some(fault) = facts.fault_at(now_s) {
        return check.finding(CODE, fault, remedy);
    }
    let days = (facts.not_after_s - now_s) / SECONDS_PER_DAY;
    let found = format!("usable, and good for {days} days");
    match days < DAYS_LEFT_MIN {
        true => check.finding(CODE, found, remedy),
        false => check.fine(found),
    }
}

fn keys(files: &TlsFiles) -> Vec<Checked> {
    let exposed = files.exposed_keys().into_iter();
    let remedy =
        "if nobody else can have read it: chmod 600; otherwise make a new key and certificate";
    let finding = |(path, mode): (&std::path::Path, u32)| {
        let found = format!("others than its owner can read it (mode {mode:04o})");
        let check = Checked::new("key of a certificate", path.display());
        check.finding("DOCTOR_CERTIFICATE_KEY", found, remedy)
    };
    exposed.map(finding).collect()
}
