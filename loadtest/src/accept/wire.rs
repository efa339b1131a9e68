//! curl through the gateway, and curl past it: the same answers, byte for byte.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Context as _;

use super::{Context, Verdict};
use crate::generate;
use crate::process::installed;
use crate::site::{Nginx, PATIENCE, Setup, Site};

/// Targets that are sent as they stand, with further curl arguments.
const CASES: &[(&str, &[&str])] = &[
    ("/", &[]),
    ("/echo/plain", &[]),
    ("/echo/query?a=1&b=%20&c", &[]),
    ("/echo/encoded/a%2Fb", &[]),
    ("/echo/dots/../x", &[]),
    ("/echo/%2e%2e/x", &[]),
    ("//echo//slashes", &[]),
    ("/echo/case/%7Euser/%7euser", &[]),
    ("/echo/x", &["-X", "PATCH"]),
    ("/echo/x", &["-X", "PROPFIND"]),
    ("/echo/x", &["-X", "BREW"]),
    ("/echo/x", &["-X", "OPTIONS"]),
    ("/echo/x", &["-X", "DELETE"]),
    ("/echo/x", &["--head"]),
    ("/echo/x", &["--data", "some=body"]),
    (
        "/echo/x",
        &["-H", "Transfer-Encoding: chunked", "--data", "chunked body"],
    ),
    ("/files/all-bytes.bin", &[]),
    ("/files/all-bytes.bin", &["-H", "Range: bytes=100-299"]),
    ("/files/all-bytes.bin", &["--head"]),
    ("/files/empty.txt", &[]),
    ("/files/missing", &[]),
    ("/nothing", &[]),
    ("/moved", &[]),
    ("/teapot", &[]),
    ("/unknown/to/everyone/42", &[]),
];

/// Headers that belong to the connection, to the clock or to the gateway.
const NOT_COMPARED: [&str; 4] = [
    "connection:",
    "keep-alive:",
    "date:",
    "tidegate-decision-id:",
];

pub(super) struct Answer {
    /// The status line, then the headers that are compared, sorted.
    pub(super) head: Vec<String>,
    body: Vec<u8>,
    has_decision_id: bool,
}

pub(super) fn byte_for_byte(context: &Context) -> anyhow::Result<Verdict> {
    let folder = context.folder("wire");
    std::fs::create_dir_all(&folder)?;
    let nginx =
        Nginx::start(&folder.join("nginx"))?.context("nginx is not installed; make tools")?;
    let site = Site::prepare(&folder.join("site"), &Setup::observing(nginx.address))?;
    let mut gateway = site.start()?;

    let known: Vec<String> = generate::contracts(20, generate::SEED)
        .iter()
        .map(|contract| contract.path(0xabc))
        .collect();
    let mut cases: Vec<(&str, &[&str])> = CASES.to_vec();
    cases.extend(known.iter().map(|path| (path.as_str(), [].as_slice())));
    cases.extend(
        known
            .iter()
            .map(|path| (path.as_str(), ["-X", "BREW"].as_slice())),
    );

    let mut wrong = Vec::new();
    let (mut heads, mut bodies, mut ids) = (0, 0, 0);
    for (target, args) in &cases {
        let direct = curl(nginx.address, target, args)?;
        let through = curl(site.listen, target, args)?;
        let what = format!("{} {target}", args.join(" "));
        if direct.head != through.head {
            heads += 1;
            wrong.push(format!(
                "{what}: head {:?} became {:?}",
                direct.head, through.head
            ));
        }
        if direct.body != through.body {
            bodies += 1;
            wrong.push(format!(
                "{what}: body of {} bytes became {}",
                direct.body.len(),
                through.body.len()
            ));
        }
        if !through.has_decision_id {
            ids += 1;
            wrong.push(format!("{what}: no decision id"));
        }
    }
    gateway.stop(PATIENCE)?;
    let figure = format!(
        "{} requests: {heads} heads and {bodies} bodies differ, {ids} without decision id; {}",
        cases.len(),
        wrong
            .iter()
            .take(3)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; ")
    );
    Ok(Verdict::new(
        wrong.is_empty(),
        figure.trim_end_matches([';', ' ']).to_owned(),
    ))
}

/// One request by curl: what came back.
pub(super) fn curl(address: SocketAddr, target: &str, args: &[&str]) -> anyhow::Result<Answer> {
    let program = installed("curl").context("curl is not installed; make tools")?;
    let output = Command::new(program)
        .args([
            "--silent",
            "--show-error",
            "--include",
            "--http1.1",
            "--path-as-is",
            "--max-time",
            "20",
        ])
        .args(["-H", "Host: wire.test"])
        .args(args)
        .arg(format!("http://{address}{target}"))
        .output()?;
    anyhow::ensure!(
        output.status.success(),
        "curl {target}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let mut rest = output.stdout.as_slice();
    let mut head = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let (line, after) = rest.split_at(end);
        rest = after.get(2..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        head.push(String::from_utf8_lossy(line).into_owned());
    }
    let lower = |line: &str| line.to_ascii_lowercase();
    let has_decision_id = head
        .iter()
        .any(|l| lower(l).starts_with("tidegate-decision-id:"));
    head.retain(|line| {
        !NOT_COMPARED
            .iter()
            .any(|name| lower(line).starts_with(name))
    });
    // The order of headers with different names has no meaning.
    if let Some(headers) = head.get_mut(1..) {
        headers.sort_unstable();
    }
    Ok(Answer {
        head,
        body: rest.to_vec(),
        has_decision_id,
    })
}
