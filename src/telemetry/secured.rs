//! Handshakes and certificates, as a scrape tells them.
//!
//! Labels are addresses of listeners and files that the configuration names, never what a client
//! sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::telemetry::exposition::Exposition;
use crate::telemetry::names;
use crate::telemetry::render::{ConnectionCounts, Reload};

/// A certificate in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateExpiry {
    /// The address of its listener.
    pub listener: String,
    /// Its file.
    pub file: String,
    /// When it ends, seconds since 1970.
    pub not_after_s: i64,
}

/// What is known of the certificates of all listeners.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    held: Mutex<(Vec<CertificateExpiry>, bool)>,
    read: [AtomicU64; Reload::ALL.len()],
}

impl Certificates {
    pub(super) fn replace(&self, expiries: Vec<CertificateExpiry>, is_good: bool) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = (expiries, is_good);
    }

    pub(super) fn note(&self, ended: Reload) {
        if let Some(count) = self.read.get(ended as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(super) fn write(
    text: &mut Exposition<'_>,
    counts: &ConnectionCounts,
    certificates: &Certificates,
) {
    text.sample(&names::HANDSHAKES, &[], counts.handshakes as f64);
    for (end, number) in counts.tls {
        text.sample(&names::TLS_HANDSHAKES, &[end], number as f64);
    }
    for (reason, number) in counts.proxy {
        text.sample(&names::PROXY_REFUSED, &[reason], number as f64);
    }
    let held = certificates.held.lock();
    let (expiries, is_good) = &*held.unwrap_or_else(PoisonError::into_inner);
    if expiries.is_empty() {
        return;
    }
    for expiry in expiries {
        let labels = [expiry.listener.as_str(), expiry.file.as_str()];
        text.sample(
            &names::CERTIFICATE_EXPIRES,
            &labels,
            expiry.not_after_s as f64,
        );
    }
    let good = if *is_good { 1.0 } else { 0.0 };
    text.sample(&names::CERTIFICATES_OK, &[], good);
    for (ended, count) in Reload::ALL.into_iter().zip(&certificates.read) {
        let count = count.load(Ordering::Relaxed);
        text.sample(&names::CERTIFICATE_RELOADS, &[ended.name()], count as f64);
    }
}
