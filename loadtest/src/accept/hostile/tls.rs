//! TLS in front of the real gateway: programs that people use, handshakes that never end, and
//! certificates that are exchanged under load.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::super::recorded::Recorded;
use super::super::{Context, Verdict};
use crate::process::{installed, rss_kib};
use crate::site::{PATIENCE, Setup, Site, post};
use crate::upstream::Upstream;

const HOST: &str = "gateway.test";
/// A browser that starts for the first time has much to do.
const BROWSER_MAX: Duration = Duration::from_secs(90);

/// A gateway with a certificate, in front of an upstream.
struct Secured {
    site: Site,
    upstream: Upstream,
}

impl Secured {
    fn prepare(context: &Context, name: &str) -> anyhow::Result<Self> {
        let upstream = Upstream::start()?;
        let setup = Setup {
            contracts: 0,
            ..Setup::observing(upstream.address())
        };
        let site = Site::prepare(&context.folder(name), &setup)?;
        let tls = "tls: { certificates: [{ cert: a.pem, key: a.key }] }";
        let bind = format!("{{ bind: \"{}\" }}", site.listen);
        site.amend(&bind, &format!("{{ bind: \"{}\", {tls} }}", site.listen))?;
        // h2load opens no connection anew when it is told that one has served enough.
        site.amend(
            "expose_headers:",
            "limits: { requests_per_connection: 10000000 }\nexpose_headers:",
        )?;
        make_pair(site.folder(), "a")?;
        Ok(Self { site, upstream })
    }

    fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.site.listen.port())
    }

    /// curl that knows the host and believes whatever certificate it is shown.
    fn curl(&self) -> Command {
        let mut command = Command::new("curl");
        let port = self.site.listen.port();
        command.args(["-sS", "-k", "--max-time", "30", "--resolve"]);
        command.arg(format!("{HOST}:{port}:127.0.0.1"));
        command
    }

    /// How many of `count` requests of one curl are answered with 200, in that version of HTTP.
    fn curl_answers(&self, version: &str, told: &str, count: u64) -> anyhow::Result<u64> {
        let mut command = self.curl();
        command
            .arg(version)
            .args(["-w", "%{http_version} %{http_code}\n"]);
        for number in 0..count {
            command.args(["-o", "/dev/null"]);
            command.arg(self.url(&format!("/echo?n={number}")));
        }
        let ran = command.output().context("curl")?;
        let text = String::from_utf8_lossy(&ran.stdout).into_owned();
        Ok(text.lines().filter(|line| *line == told).count() as u64)
    }

    /// Whether one request on a connection of its own is answered.
    fn is_served(&self) -> bool {
        let mut command = self.curl();
        command.args(["-o", "/dev/null", "-w", "%{http_code}"]);
        let ran = command.arg(self.url("/echo")).output();
        ran.is_ok_and(|ran| ran.stdout == b"200")
    }
}

/// A key and a certificate signed with it, made by openssl.
fn make_pair(folder: &Path, name: &str) -> anyhow::Result<()> {
    let path = |end: &str| folder.join(format!("{name}.{end}"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-days", "30", "-newkey", "ec"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    command.args(["-subj", "/CN=gateway.test"]);
    command.args(["-addext", "subjectAltName=DNS:gateway.test"]);
    command
        .arg("-keyout")
        .arg(path("key"))
        .arg("-out")
        .arg(path("pem"));
    let ran = command
        .output()
        .context("openssl is needed for certificates")?;
    ensure!(
        ran.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Ok(())
}

pub(super) fn programs(context: &Context) -> anyhow::Result<Verdict> {
    let secured = Secured::prepare(context, "tls-programs")?;
    let mut gateway = secured.site.start()?;
    let count = context.pick(50, 1_000);
    let mut figures = Vec::new();
    let mut pass = true;
    let mut wanted = 0;
    for (version, told) in [("--http1.1", "1.1 200"), ("--http2", "2 200")] {
        let answered = secured.curl_answers(version, told, count)?;
        pass &= answered == count;
        wanted += count;
        figures.push(format!("curl {version} {answered}/{count}"));
    }
    for (name, asked, answered) in [s_client(&secured)?, h2load(&secured, context)?] {
        pass &= asked == answered;
        wanted += asked;
        figures.push(format!("{name} {answered}/{asked}"));
    }
    let seen_before = secured.upstream.seen().requests;
    match browser(&secured, context)? {
        Some(is_shown) => {
            pass &= is_shown;
            let shown = if is_shown { "shows" } else { "does not show" };
            // It may ask for more than it was told to, such as an icon.
            wanted += secured.upstream.seen().requests - seen_before;
            figures.push(format!("chromium {shown} the page"));
        }
        None => figures.push("chromium is not installed".to_owned()),
    }
    gateway.stop(PATIENCE)?;
    let recorded = Recorded::read(&secured.site)?;
    pass &= recorded.decisions == wanted && recorded.losses == 0;
    figures.push(format!("{} of {wanted} recorded", recorded.decisions));
    Ok(Verdict::new(pass, figures.join("; ")))
}

/// A request typed into openssl: its name, requests and answers.
fn s_client(secured: &Secured) -> anyhow::Result<(&'static str, u64, u64)> {
    let mut answered = 0;
    for version in ["-tls1_2", "-tls1_3"] {
        let mut command = Command::new("openssl");
        command.args([
            "s_client",
            "-quiet",
            version,
            "-servername",
            HOST,
            "-connect",
        ]);
        command.arg(secured.site.listen.to_string());
        let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = streams.stderr(Stdio::null()).spawn().context("openssl")?;
        let request = format!("GET /echo HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        if let Some(stdin) = &mut child.stdin {
            stdin.write_all(request.as_bytes())?;
        }
        // With its input open it waits for the gateway's end.
        let stdin = child.stdin.take();
        let answer = child.wait_with_output()?;
        drop(stdin);
        answered += u64::from(answer.stdout.starts_with(b"HTTP/1.1 200"));
    }
    Ok(("openssl s_client", 2, answered))
}

fn h2load(secured: &Secured, context: &Context) -> anyhow::Result<(&'static str, u64, u64)> {
    let Some(program) = installed("h2load") else {
        return Ok(("h2load (not installed)", 0, 0));
    };
    let count: u64 = context.pick(500, 20_000);
    let url = format!("https://{}/echo", secured.site.listen);
    let ran = Command::new(program)
        .args(["-n", &count.to_string(), "-c", "10", "-m", "10", &url])
        .output()?;
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    // "status codes: 500 2xx, 0 3xx, ..."
    let line = text.lines().find(|line| line.starts_with("status codes:"));
    let number = line.and_then(|line| line.split(' ').nth(2)?.parse().ok());
    Ok(("h2load", count, number.unwrap_or(0)))
}

/// Whether a browser shows what the upstream said; `None` without one.
fn browser(secured: &Secured, context: &Context) -> anyhow::Result<Option<bool>> {
    let Some(program) = installed("chromium") else {
        return Ok(None);
    };
    let profile = context.folder("tls-browser");
    let mut command = Command::new(program);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--ignore-certificate-errors",
    ]);
    command.args([
        "--no-first-run",
        "--disable-background-networking",
        "--dump-dom",
    ]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command.arg(format!("--host-resolver-rules=MAP {HOST} 127.0.0.1"));
    command.arg(secured.url("/browser-was-here"));
    let before = secured.upstream.seen().requests;
    let ran = within(command, BROWSER_MAX)?;
    let page = String::from_utf8_lossy(&ran.stdout).into_owned();
    let is_shown = page.contains("<html") && secured.upstream.seen().requests > before;
    Ok(Some(is_shown))
}

/// Runs a program that must end in time.
fn within(mut command: Command, patience: Duration) -> anyhow::Result<Output> {
    let streams = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = streams.stderr(Stdio::null()).spawn()?;
    let deadline = Instant::now() + patience;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            bail!("a program did not end within {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(child.wait_with_output()?)
}

pub(super) fn slow_handshakes(context: &Context) -> anyhow::Result<Verdict> {
    let secured = Secured::prepare(context, "tls-slow")?;
    let wait = context.pick("2000", "10000");
    secured.site.amend(
        "version: 1\n",
        &format!("version: 1\ntimeouts: {{ handshake_ms: {wait} }}\n"),
    )?;
    let mut gateway = secured.site.start()?;
    let count: u64 = context.pick(50, 500);
    let mut slow = Vec::new();
    for number in 0..count {
        let mut stream = TcpStream::connect(secured.site.listen)?;
        // Nothing at all, or the beginning of a first message.
        if number % 2 == 0 {
            stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3])?;
        }
        slow.push(stream);
    }
    let under_way = secured.site.metrics()?.sum("tidegate_handshakes");
    let rss = rss_kib(gateway.id())?;
    let clean: u64 = context.pick(30, 300);
    let served = (0..clean).filter(|_| secured.is_served()).count() as u64;
    let timed_out = || -> anyhow::Result<u64> {
        let metrics = secured.site.metrics()?;
        Ok(metrics.labelled("tidegate_tls_handshakes_total", "timeout") as u64)
    };
    let deadline = Instant::now() + PATIENCE;
    while timed_out()? < count && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = timed_out()?;
    drop(slow);
    gateway.stop(PATIENCE)?;
    let pass = served == clean && ended == count;
    Ok(Verdict::new(
        pass,
        format!(
            "{served}/{clean} clean requests served beside {under_way} handshakes under way (RSS {rss} KiB); {ended}/{count} ended at {wait} ms"
        ),
    ))
}

pub(super) fn exchanges(context: &Context) -> anyhow::Result<Verdict> {
    let secured = Secured::prepare(context, "tls-exchanges")?;
    let pairs = 8;
    for number in 0..pairs {
        make_pair(secured.site.folder(), &format!("pair-{number}"))?;
    }
    let mut gateway = secured.site.start()?;
    let times: u64 = context.pick(20, 1_000);
    let stop = AtomicBool::new(false);
    let (served, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let exchanged = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let ended = if secured.is_served() {
                        &served
                    } else {
                        &failed
                    };
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let exchanged = exchange(&secured, times, pairs);
        stop.store(true, Ordering::Relaxed);
        exchanged
    })?;
    let metrics = secured.site.metrics()?;
    let refused = metrics.labelled("tidegate_tls_reloads_total", "refused") as u64;
    gateway.stop(PATIENCE)?;
    let (served, failed) = (served.into_inner(), failed.into_inner());
    let pass = exchanged == times && failed == 0 && served > 0;
    Ok(Verdict::new(
        pass,
        format!(
            "{exchanged}/{times} certificates exchanged ({refused} looks at halves refused); {failed} of {} requests failed, each on a handshake of its own",
            served + failed
        ),
    ))
}

/// How many of so many exchanges came into force.
fn exchange(secured: &Secured, times: u64, pairs: u64) -> anyhow::Result<u64> {
    let folder = secured.site.folder();
    let activated = || -> anyhow::Result<u64> {
        let metrics = secured.site.metrics()?;
        Ok(metrics.labelled("tidegate_tls_reloads_total", "activated") as u64)
    };
    for number in 0..times {
        for end in ["pem", "key"] {
            let from: PathBuf = folder.join(format!("pair-{}.{end}", number % pairs));
            // Put in place whole, as people do it.
            let next = folder.join(format!("next.{end}"));
            std::fs::copy(from, &next)?;
            std::fs::rename(next, folder.join(format!("a.{end}")))?;
        }
        let (status, answer) = post(secured.site.admin, "/v1/reload", "{}")?;
        ensure!(status == 200, "reload: {status} {answer}");
    }
    activated()
}
