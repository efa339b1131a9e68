//! The program behind TLS: what curl gets, certificates exchanged while it runs, and clients that
//! are known by theirs.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, KeyPair, SanType};
use rustix::process::Signal;
use serde_json::Value;

use crate::installation::{Installation, Ran};
use crate::process::Process;
use crate::wire::{Upstream, eventually};

/// Who signs, and where the files of a gateway lie.
pub(crate) struct Site {
    authority: Certificate,
    key: KeyPair,
    pub(crate) installation: Installation,
}

const TLS: &str =
    "tls: {certificates: [{cert: a.pem, key: a.key}], client_ca: ca.pem, client_auth: optional}";

impl Site {
    /// A gateway with TLS, and a contract that knows clients by their certificates.
    pub(crate) fn new(upstream: SocketAddr) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than that of what it signs, which openssl would take for its own issuer.
        params.distinguished_name.push(DnType::CommonName, "tests");
        let key = KeyPair::generate().unwrap();
        let installation = Installation::in_front_of(upstream)
            .controlling()
            .with(
                "[{bind: \"127.0.0.1:0\"}]",
                &format!("[{{bind: \"127.0.0.1:0\", {TLS}}}]"),
            )
            .contract("{id: named, owner: me, endpoint: \"GET /named\", consumers: [\"uri:spiffe://tests/one\"]}")
            .policy("consumer_not_declared: {action: drop}")
            .contract("{id: by_certificate, owner: me, endpoint: \"GET /mine\", per_client: {key: certificate, rate_limit_rpm: 1, burst: 2}}");
        let site = Self {
            authority: params.self_signed(&key).unwrap(),
            key,
            installation,
        };
        site.put("ca.pem", &site.authority.pem());
        site.renew();
        site
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.installation.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn put_signed(&self, name: &str, params: CertificateParams) {
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.authority, &self.key).unwrap();
        self.put(&format!("{name}.pem"), &signed.pem());
        self.put(&format!("{name}.key"), &key.serialize_pem());
    }

    /// A new certificate of the gateway.
    fn renew(&self) {
        self.put_signed(
            "a",
            CertificateParams::new(["gateway.test".to_owned()]).unwrap(),
        );
    }

    /// A certificate of a client.
    fn client(&self, name: &str) {
        let mut params = CertificateParams::default();
        let uri = format!("spiffe://tests/{name}");
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into().unwrap())];
        self.put_signed(name, params);
    }

    /// What curl prints of a request: the version of HTTP and the status.
    pub(crate) fn curl(&self, process: &Process, path: &str, more: &[&str]) -> String {
        let ran = self.ask(process, path, more);
        let text = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(!text.is_empty(), "{ran:?}");
        text
    }

    fn ask(&self, process: &Process, path: &str, more: &[&str]) -> Output {
        let mut command = self.command(process, path, more);
        command.output().expect("curl is there")
    }

    /// Curl on its way to this path.
    pub(crate) fn command(&self, process: &Process, path: &str, more: &[&str]) -> Command {
        let port = process.addresses[0].port();
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--max-time",
            "60",
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code}",
        ]);
        command.arg("--resolve");
        command.arg(format!("gateway.test:{port}:127.0.0.1"));
        command
            .arg("--cacert")
            .arg(self.installation.path("ca.pem"));
        command.args(more);
        command.arg(format!("https://gateway.test:{port}{path}"));
        command
    }
}

fn metric(process: &Process, name: &str) -> Option<f64> {
    let text = process.ask("/metrics");
    let line = text.text().lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn curl_is_served_over_tls_in_both_versions_of_http() {
    let upstream = Upstream::ok();
    let site = Site::new(upstream.address);
    let process = Process::start(&site.installation);
    for (flag, told) in [("--http1.1", "1.1 200"), ("--http2", "2 200")] {
        assert_eq!(site.curl(&process, "/api/v1/status", &[flag]), told);
        let older = [flag, "--tls-max", "1.2"];
        assert_eq!(site.curl(&process, "/api/v1/status", &older), told);
    }
    let ancient = ["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"];
    assert_ne!(site.ask(&process, "/", &ancient).status.code(), Some(0));
    let completed = "tidegate_tls_handshakes_total{result=\"completed\"}";
    assert_eq!(metric(&process, completed), Some(4.0));
    let expires = metric(
        &process,
        "tidegate_tls_certificate_expires_timestamp_seconds",
    );
    assert!(expires.is_some_and(|at| at > 4e9), "{expires:?}");
    process.stop();
    assert_eq!(site.installation.replay(), 4);
}

#[test]
fn a_client_is_limited_by_its_certificate() {
    let upstream = Upstream::ok();
    let site = Site::new(upstream.address);
    for client in ["one", "two"] {
        site.client(client);
    }
    let process = Process::start(&site.installation);
    let get = |client: Option<&str>| {
        let files = client.map(|name| {
            let path = |end| site.installation.path(&format!("{name}.{end}"));
            [path("pem"), path("key")].map(|path| path.display().to_string())
        });
        let more = files
            .iter()
            .flat_map(|[cert, key]| ["--cert", cert, "--key", key]);
        let more: Vec<&str> = more.collect();
        let told = site.curl(&process, "/mine", &more);
        told.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!([get(Some("one")), get(Some("one"))], ["200", "200"]);
    assert_eq!(get(Some("one")), "429");
    // From the same address, and somebody else.
    assert_eq!(get(Some("two")), "200");
    assert_eq!(get(None), "200");
}

// R028
#[test]
fn a_certificate_names_the_caller() {
    let upstream = Upstream::ok();
    let site = Site::new(upstream.address);
    for client in ["one", "two"] {
        site.client(client);
    }
    let process = Process::start(&site.installation);
    for (client, told) in [(Some("one"), "200"), (Some("two"), "403"), (None, "403")] {
        let files = client.map(|name| {
            let path = |end| site.installation.path(&format!("{name}.{end}"));
            [path("pem"), path("key")].map(|path| path.display().to_string())
        });
        let more = files
            .iter()
            .flat_map(|[cert, key]| ["--cert", cert, "--key", key]);
        let more: Vec<&str> = more
            .chain(["-H", "X-Caller: uri:spiffe://tests/one"])
            .collect();
        for version in ["--http1.1", "--http2"] {
            let asked = [more.as_slice(), &[version]].concat();
            let found = site.curl(&process, "/named", &asked);
            assert!(found.ends_with(told), "{client:?} {version}: {found}");
        }
    }
}

#[test]
fn certificates_are_exchanged_while_it_runs() {
    let upstream = Upstream::ok();
    let site = Site::new(upstream.address);
    let process = Process::start(&site.installation);
    let served = || site.curl(&process, "/api/v1/status", &[]).ends_with("200");
    let activated = || metric(&process, "tidegate_tls_reloads_total{result=\"activated\"}");
    // A look may fall between the two files: then they are taken twice.
    let is_activated = || activated() >= Some(1.0);
    let is_good = || metric(&process, "tidegate_tls_last_reload_successful");
    assert!(served());
    site.renew();
    eventually("the watch", is_activated);
    assert!(served());
    site.put("a.pem", &site.authority.pem());
    let answer = process.post("/v1/reload", "{}");
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let finding = &answer["findings"][0];
    assert_eq!(finding["code"], "C320", "{answer}");
    let message = finding["message"].as_str().unwrap();
    assert!(
        message.contains("not the key of the certificate"),
        "{answer}"
    );
    assert!(served() && is_good() == Some(0.0));
    site.renew();
    process.signal(Signal::HUP);
    eventually("the old one to be replaced", || is_good() == Some(1.0));
    assert!(served());
}

#[test]
fn files_are_judged_before_they_are_needed() {
    let site = Site::new("127.0.0.1:9".parse().unwrap());
    site.installation.write();
    let check = || Ran::of(site.installation.command("check").output().unwrap());
    let fine = check();
    assert!(
        fine.code == Some(0) && !fine.stdout.contains("C320"),
        "{fine:?}"
    );
    site.put("a.key", "x");
    let warned = check();
    assert_eq!(warned.code, Some(0), "{warned:?}");
    assert!(
        warned.stdout.contains("C320") && warned.stdout.contains("a.key"),
        "{warned:?}"
    );
    let refused = site.installation.run_in_vain();
    assert!(
        refused.code != Some(0) && refused.stderr.contains("a.key"),
        "{refused:?}"
    );
}
