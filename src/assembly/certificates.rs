//! The certificates of the listeners: read at the start, and again when their files change.
//!
//! Invariant: a listener always has certificates in force. What is put in force was read whole and
//! fits together; where it does not, the old ones stay, and log and metrics say why until it is
//! mended. An exchange touches no connection that is open. Deliberately not here: handshakes.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::StartError;
use crate::config::{Settings, Stamp};
use crate::diagnostic::{Code, Diagnostic, Place, Severity};
use crate::gateway::{clock, tls_file_fault};
use crate::telemetry::{CertificateExpiry, Reload, Telemetry};
use crate::tls::{ListenerTls, Material, TlsFault, TlsFiles};

/// Time between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The certificates of all listeners.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    listeners: Vec<OfListener>,
    held: Mutex<Held>,
}

/// One listener with TLS.
#[derive(Debug)]
struct OfListener {
    /// Its number.
    number: usize,
    files: TlsFiles,
    http2: bool,
    tls: Arc<ListenerTls>,
}

/// What holds, by position in `listeners`.
#[derive(Debug, Default)]
struct Held {
    in_force: Vec<InForce>,
    /// The addresses of all listeners, for metrics.
    addresses: Vec<String>,
}

#[derive(Debug)]
struct InForce {
    material: Material,
    /// What the files looked like when they were last read.
    seen: Stamp,
    /// Whether they could not be used then.
    is_refused: bool,
}

impl Certificates {
    /// Reads the certificates of every listener that has TLS.
    ///
    /// # Errors
    /// [`StartError::Tls`]: the first file that cannot be used.
    pub(super) fn read(settings: &Settings) -> Result<Arc<Self>, StartError> {
        let mut listeners = Vec::new();
        let mut in_force = Vec::new();
        for (number, listener) in settings.listeners.iter().enumerate() {
            let Some(files) = &listener.tls else { continue };
            let seen = Stamp::of_files(files.paths());
            let material = Material::read(files, listener.http2).map_err(|faults| {
                let fault = faults.into_iter().next();
                StartError::Tls(fault.map_or_else(String::new, |fault| fault.to_string()))
            })?;
            listeners.push(OfListener {
                number,
                files: files.clone(),
                http2: listener.http2,
                tls: ListenerTls::new(&material),
            });
            in_force.push(InForce {
                material,
                seen,
                is_refused: false,
            });
        }
        let held = Held {
            in_force,
            addresses: Vec::new(),
        };
        Ok(Arc::new(Self {
            listeners,
            held: Mutex::new(held),
        }))
    }

    /// What the listener of that number shakes hands with.
    pub(super) fn of(&self, number: usize) -> Option<Arc<ListenerTls>> {
        let mut listeners = self.listeners.iter();
        let found = listeners.find(|listener| listener.number == number)?;
        Some(Arc::clone(&found.tls))
    }

    /// Tells what the start found, under the addresses that the listeners have.
    pub(super) fn begin(&self, addresses: &[std::net::SocketAddr], telemetry: &Telemetry) {
        let mut held = self.held();
        held.addresses = addresses.iter().map(ToString::to_string).collect();
        for (listener, in_force) in self.listeners.iter().zip(&held.in_force) {
            let found = warnings(&listener.files, &in_force.material, now_s());
            tell(&found);
        }
        self.publish(&held, telemetry);
    }

    /// Reads the files that have changed and puts in force what can be; the findings of all.
    pub(super) fn reread(&self, telemetry: &Telemetry) -> Vec<Diagnostic> {
        let mut held = self.held();
        let mut found = Vec::new();
        for (listener, in_force) in self.listeners.iter().zip(&mut held.in_force) {
            let (ended, mut findings) = listener.reread(in_force, now_s());
            telemetry.note_certificates_read(ended);
            let (number, result) = (listener.number, ended.name());
            match ended {
                Reload::Refused => {
                    tracing::error!(event = "certificates_refused", listener = number);
                }
                Reload::Activated | Reload::Unchanged => {
                    tracing::info!(event = "certificates_read", listener = number, result);
                }
            }
            found.append(&mut findings);
        }
        tell(&found);
        self.publish(&held, telemetry);
        found
    }

    /// Whether any file looks otherwise than when it was read, and has stood still since `before`.
    fn is_due(&self, before: &mut Vec<Stamp>) -> bool {
        let stamps: Vec<Stamp> = self
            .listeners
            .iter()
            .map(|listener| Stamp::of_files(listener.files.paths()))
            .collect();
        let held = self.held();
        let mut pairs = held.in_force.iter().zip(&stamps);
        let has_changed = pairs.any(|(in_force, stamp)| in_force.seen != *stamp);
        let stands_still = *before == stamps;
        *before = stamps;
        has_changed && stands_still
    }

    fn publish(&self, held: &Held, telemetry: &Telemetry) {
        let mut expiries = Vec::new();
        for (listener, in_force) in self.listeners.iter().zip(&held.in_force) {
            let address = held.addresses.get(listener.number);
            let address = address.map_or("", String::as_str);
            let certificates = in_force.material.certificates().iter();
            expiries.extend(certificates.map(|facts| CertificateExpiry {
                listener: address.to_owned(),
                file: facts.path.display().to_string(),
                not_after_s: facts.not_after_s,
            }));
        }
        let is_good = held.in_force.iter().all(|in_force| !in_force.is_refused);
        telemetry.note_certificates(expiries, is_good);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Whoever panicked while it read has exchanged nothing by halves.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfListener {
    fn reread(&self, in_force: &mut InForce, now_s: i64) -> (Reload, Vec<Diagnostic>) {
        let seen = Stamp::of_files(self.files.paths());
        if seen == in_force.seen && !in_force.is_refused {
            let found = warnings(&self.files, &in_force.material, now_s);
            return (Reload::Unchanged, found);
        }
        in_force.seen = seen;
        let read = Material::read(&self.files, self.http2);
        let read = read.map_err(|faults| faults.iter().map(error).collect());
        let read = read.and_then(|material| fresh(material, &in_force.material, now_s));
        match read {
            Ok(material) => {
                self.tls.exchange(&material);
                let found = warnings(&self.files, &material, now_s);
                in_force.material = material;
                in_force.is_refused = false;
                (Reload::Activated, found)
            }
            Err(found) => {
                in_force.is_refused = true;
                (Reload::Refused, found)
            }
        }
    }
}

/// One that clients accept is not given up for one that they do not.
fn fresh(material: Material, old: &Material, now_s: i64) -> Result<Material, Vec<Diagnostic>> {
    let is_old_good = old
        .certificates()
        .iter()
        .all(|c| c.fault_at(now_s).is_none());
    let found: Vec<Diagnostic> = expiries(&material, now_s, Severity::Error);
    match is_old_good && !found.is_empty() {
        true => Err(found),
        false => Ok(material),
    }
}

/// What `check` says of the certificates: warnings, because files are also checked where the keys
/// are not, and must not be.
#[must_use]
pub fn certificate_findings(settings: &Settings) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for listener in &settings.listeners {
        let Some(files) = &listener.tls else { continue };
        match Material::read(files, listener.http2) {
            Ok(material) => found.extend(warnings(files, &material, now_s())),
            Err(faults) => found.extend(faults.iter().map(|fault| Diagnostic {
                severity: Severity::Warning,
                ..error(fault)
            })),
        }
    }
    let upstreams = settings.upstreams.iter();
    let faults = upstreams.filter_map(|upstream| tls_file_fault(upstream.tls.as_ref()?));
    found.extend(faults.map(|fault| {
        let remedy = fault.remedy;
        about(&fault.path, Severity::Warning, fault.reason, remedy)
    }));
    found
}

/// What clients or operators will stumble over, though it can be used.
fn warnings(files: &TlsFiles, material: &Material, now_s: i64) -> Vec<Diagnostic> {
    let mut found = expiries(material, now_s, Severity::Warning);
    let exposed = files.exposed_keys().into_iter();
    found.extend(exposed.map(|(path, mode)| {
        let message = format!("others than its owner can read the key (mode {mode:04o})");
        let remedy =
            "if nobody else can have read it: chmod 600; otherwise make a new key and certificate";
        about(path, Severity::Warning, message, remedy)
    }));
    found
}

fn expiries(material: &Material, now_s: i64, severity: Severity) -> Vec<Diagnostic> {
    let certificates = material.certificates().iter();
    let faulty = certificates.filter_map(|facts| {
        let fault = facts.fault_at(now_s)?;
        let remedy = "put a certificate in place that is valid today";
        Some(about(&facts.path, severity, fault.to_owned(), remedy))
    });
    faulty.collect()
}

fn error(fault: &TlsFault) -> Diagnostic {
    about(
        &fault.path,
        Severity::Error,
        fault.rule.clone(),
        fault.remedy,
    )
}

fn about(path: &Path, severity: Severity, message: String, remedy: &str) -> Diagnostic {
    Diagnostic {
        file: path.display().to_string().into(),
        place: Place::default(),
        code: Code::Certificate,
        severity,
        message,
        remedy: remedy.to_owned(),
        excerpt: None,
    }
}

fn tell(found: &[Diagnostic]) {
    for one in found {
        let (file, rule, remedy) = (&*one.file, &one.message, &one.remedy);
        tracing::warn!(event = "certificate_finding", file, rule, remedy);
    }
}

fn now_s() -> i64 {
    i64::try_from(clock::now().wall_us / 1_000_000).unwrap_or(i64::MAX)
}

/// The thread that looks at the files; it ends when this is dropped.
pub(super) struct CertificateWatch {
    _end: Option<Sender<()>>,
}

impl CertificateWatch {
    /// Starts looking, where there is something to look at.
    ///
    /// # Errors
    /// [`StartError::Thread`].
    pub(super) fn start(
        certificates: &Arc<Certificates>,
        telemetry: &Arc<Telemetry>,
        is_wanted: bool,
    ) -> Result<Self, StartError> {
        if !is_wanted || certificates.listeners.is_empty() {
            return Ok(Self { _end: None });
        }
        let (end, ended) = channel::<()>();
        let (certificates, telemetry) = (Arc::clone(certificates), Arc::clone(telemetry));
        let name = "certificates";
        let look = move || {
            let mut before = Vec::new();
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if certificates.is_due(&mut before) {
                    certificates.reread(&telemetry);
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned());
        let spawned = thread.spawn(look);
        spawned.map_err(|error| StartError::Thread { name, error })?;
        Ok(Self { _end: Some(end) })
    }
}

#[cfg(test)]
mod tests;
