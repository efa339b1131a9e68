//! HAProxy as a peer: configurations for N contracts, the ordinary way and indexed by hand.
//!
//! Outliers are found by what the server answers (`observe layer7`); one server group serves all
//! contracts, so a contract that fails is not set apart from the others.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::Context;

use super::super::catalogue::{self, LIMITED, LIMITED_TEMPLATE};
use super::{Place, Prepared, Variant};
use crate::process::installed;
use crate::site::free;

/// A line of JSON for each request.
const LINE: &str = r#"log-format "{\"time\":\"%tr\",\"contract\":\"%[var(txn.contract)]\",\"method\":\"%HM\",\"path\":\"%HPO\",\"status\":%ST,\"bytes\":%B,\"client\":\"%ci\",\"ms\":%Ta,\"upstream_ms\":%Tr}""#;

pub(super) fn prepare(variant: Variant, place: &Place<'_>) -> anyhow::Result<Prepared> {
    let program = installed("haproxy").context("haproxy is not installed")?;
    let address = free()?;
    let text = configuration(variant, place, address)?;
    let (folder, config) = place.write("haproxy.cfg", &text)?;
    let args = vec!["-db".into(), "-f".into(), config.into()];
    // Its lines go to stdout, which is a file.
    let log = folder.join("haproxy.log");
    Ok(Prepared::peer(program, args, log, address))
}

fn configuration(
    variant: Variant,
    place: &Place<'_>,
    address: SocketAddr,
) -> anyhow::Result<String> {
    let upstream = place.upstream;
    let (log, logged) = match variant {
        Variant::Plain => ("", String::new()),
        Variant::Governed | Variant::ByHand => (
            "  log stdout format raw local0 info\n",
            format!("  log global\n  {LINE}\n"),
        ),
    };
    let rules = match variant {
        Variant::Plain => String::new(),
        Variant::Governed | Variant::ByHand => routes(variant, place)? + LIMITS,
    };
    let server = match variant {
        Variant::Plain => format!("  server up {upstream}\n"),
        Variant::Governed | Variant::ByHand => format!(
            "  server up {upstream} check inter 5s observe layer7 error-limit 10 on-error mark-down\n"
        ),
    };
    let bind = bind(place, address)?;
    Ok(format!(
        "global\n  nbthread 1\n  maxconn 8192\n{log}\
         defaults\n  mode http\n  timeout connect 3s\n  timeout client 60s\n  timeout server 30s\n  \
         timeout http-request 10s\n  http-reuse always\n{logged}\
         backend limits\n  stick-table type string len 64 size 200k expire 5m store http_req_rate(60s)\n\
         frontend front\n  {bind}\n{rules}  default_backend up\n\
         backend up\n{server}"
    ))
}

/// Of each contract; the contract that nearly all are refused by comes first.
const LIMITS: &str = "  http-request track-sc0 var(txn.contract) table limits\n  \
    http-request deny deny_status 429 if { var(txn.contract) -m str limited_v1 } { sc_http_req_rate(0,limits) gt 1 }\n  \
    http-request deny deny_status 429 if { sc_http_req_rate(0,limits) gt 1000000000 }\n";

fn bind(place: &Place<'_>, address: SocketAddr) -> anyhow::Result<String> {
    let mut words = format!("bind {address} backlog 4096");
    if place.speaks.h2c {
        words += " proto h2";
    }
    if let (true, Some((cert, key))) = (place.speaks.tls, place.certificate) {
        let both = std::fs::read_to_string(cert)? + &std::fs::read_to_string(key)?;
        let (_, file) = place.write("both.pem", &both)?;
        words += &format!(" ssl crt {}", file.display());
    }
    Ok(words)
}

/// A table from paths to a contract and one of a few kinds; a kind is checked by rules of its own.
///
/// The ordinary way the table has an expression for each contract, tried one after the other, and a
/// kind is a set of methods. By hand it is a tree of the first three segments, and a kind is a tail
/// together with methods.
fn routes(variant: Variant, place: &Place<'_>) -> anyhow::Result<String> {
    let by_hand = variant == Variant::ByHand;
    let mut kinds: Vec<(String, String)> = Vec::new();
    let mut map = String::new();
    let mut add = |id: &str, methods: &[&str], template: &str| {
        let (key, tail) = if by_hand {
            // The key is what `field` gives: without the first slash.
            let literal = catalogue::literal(template);
            let key = literal.trim_start_matches('/').to_owned();
            (key, catalogue::tail(template).to_owned())
        } else {
            (catalogue::regex(template), String::new())
        };
        let kind = (tail, methods.join(" "));
        let at = kinds.iter().position(|k| *k == kind).unwrap_or_else(|| {
            kinds.push(kind);
            kinds.len() - 1
        });
        // Writing to a string cannot fail.
        let _ = writeln!(map, "{key} {id}|{at}");
    };
    for contract in place.catalogue.contracts() {
        add(&contract.id, &contract.methods, &contract.template);
    }
    add(LIMITED, &["GET"], LIMITED_TEMPLATE);
    let (_, file) = place.write("routes.map", &map)?;
    let lookup = if by_hand {
        format!("path,field(2,/,3),map_str({})", file.display())
    } else {
        format!("path,map_reg({})", file.display())
    };
    let mut rules = format!(
        "  http-request set-var(txn.route) {lookup}\n  \
         http-request deny deny_status 404 if !{{ var(txn.route) -m found }}\n  \
         http-request set-var(txn.contract) var(txn.route),field(1,|)\n  \
         http-request set-var(txn.kind) var(txn.route),field(2,|)\n"
    );
    for (at, (tail, methods)) in kinds.iter().enumerate() {
        let is = format!("{{ var(txn.kind) -m str {at} }}");
        // Writing to a string cannot fail.
        if by_hand {
            let expression = catalogue::regex(&format!("/{{a}}/{{b}}/{{c}}{tail}"));
            let _ = writeln!(
                rules,
                "  http-request deny deny_status 404 if {is} !{{ path_reg {expression} }}"
            );
        }
        let _ = writeln!(
            rules,
            "  http-request deny deny_status 405 if {is} !{{ method {methods} }}"
        );
    }
    Ok(rules)
}
