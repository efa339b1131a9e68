//! nginx as a peer: configurations for N contracts, the ordinary way and indexed by hand.
//!
//! What it does not do, whichever way it is written: a circuit for each contract. Its passive check of
//! servers leaves out no server that is alone.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::Context;

use super::super::catalogue::{self, LIMITED, LIMITED_TEMPLATE};
use super::{Place, Prepared, Variant};
use crate::process::installed;
use crate::site::{free, nginx as base};

/// A line of JSON for each request.
const LINE: &str = r#"log_format line escape=json '{"time":"$time_iso8601","contract":"$contract","method":"$request_method","path":"$uri","status":$status,"bytes":$body_bytes_sent,"client":"$remote_addr","seconds":$request_time,"upstream_seconds":"$upstream_response_time"}';"#;

pub(super) fn prepare(variant: Variant, place: &Place<'_>) -> anyhow::Result<Prepared> {
    let program = installed("nginx").context("nginx is not installed")?;
    let address = free()?;
    let text = configuration(variant, place, address)?;
    let (folder, config) = place.write("nginx.conf", &text)?;
    let log = folder.join("nginx.log");
    let args = vec!["-p".into(), folder.into(), "-c".into(), config.into()];
    Ok(Prepared::peer(program, args, log, address))
}

fn configuration(
    variant: Variant,
    place: &Place<'_>,
    address: SocketAddr,
) -> anyhow::Result<String> {
    let folder = place.folder.canonicalize()?;
    let dir = folder.display();
    let upstream = place.upstream;
    let routes = routes(variant, place);
    let listen = listen(place, address);
    // Whoever tunes by hand lets lines wait for each other and answers fit into buffers.
    let tuned = match variant {
        Variant::ByHand => "pcre_jit on;",
        Variant::Plain | Variant::Governed => "",
    };
    let log = match variant {
        Variant::Plain => "access_log off;".to_owned(),
        Variant::Governed => format!("{LINE}\n  access_log {dir}/access.log line;"),
        Variant::ByHand => format!(
            "{LINE}\n  access_log {dir}/access.log line buffer=64k flush=1s;\n  \
             proxy_buffer_size 16k;\n  proxy_buffers 8 16k;"
        ),
    };
    let main =
        format!("{tuned}\nerror_log {dir}/error.log crit;\nevents {{ worker_connections 8192; }}");
    let http = format!(
        "{log}\n  keepalive_requests 100000000;\n  \
         upstream up {{ server {upstream} max_fails=10 fail_timeout=10s; keepalive 1024; \
         keepalive_requests 100000000; }}\n  \
         proxy_http_version 1.1;\n  proxy_set_header Connection \"\";\n  \
         proxy_set_header Host $host;\n  limit_req_status 429;\n{}\n  \
         server {{\n    {listen}\n{}  }}",
        routes.zones, routes.locations,
    );
    Ok(base::configuration(&folder, &main, &http))
}

fn listen(place: &Place<'_>, address: SocketAddr) -> String {
    let mut words = format!("listen {address} backlog=4096");
    let mut keys = String::new();
    if place.speaks.h2c {
        words += " http2";
    }
    if let (true, Some((cert, key))) = (place.speaks.tls, place.certificate) {
        words += " ssl";
        keys = format!(
            "ssl_certificate {}; ssl_certificate_key {};",
            cert.display(),
            key.display()
        );
    }
    format!("{words}; {keys}")
}

struct Routes {
    zones: String,
    locations: String,
}

fn routes(variant: Variant, place: &Place<'_>) -> Routes {
    let mut routes = Routes {
        zones: String::new(),
        locations: String::new(),
    };
    if variant == Variant::Plain {
        routes.locations = "    location / { proxy_pass http://up; }\n".to_owned();
        return routes;
    }
    if variant == Variant::ByHand {
        // One table for all contracts of a rate, with the contract as the key.
        routes.zones = "  limit_req_zone $contract zone=many:64m rate=10000000r/s;\n".to_owned();
    }
    // In the order in which nginx sorts them, expressions last: its own sorting takes seconds for
    // 10,000 that are not.
    let mut contracts: Vec<_> = place.catalogue.contracts().iter().collect();
    contracts.sort_by_key(|c| {
        let is_expression =
            variant == Variant::Governed && !catalogue::tail(&c.template).is_empty();
        (is_expression, &c.template)
    });
    for contract in contracts {
        let zone = match variant {
            Variant::ByHand => "many".to_owned(),
            Variant::Plain | Variant::Governed => routes.own_zone(&contract.id, "10000000r/s"),
        };
        let limit = format!("limit_req zone={zone} burst=1000000 nodelay;");
        routes.locate(
            variant,
            &contract.id,
            &contract.methods,
            &contract.template,
            &limit,
        );
    }
    let zone = routes.own_zone(LIMITED, "1r/m");
    let limit = format!("limit_req zone={zone};");
    routes.locate(variant, LIMITED, &["GET"], LIMITED_TEMPLATE, &limit);
    routes.locations += "    location / { return 404; }\n";
    routes.locations = format!("    set $contract \"\";\n{}", routes.locations);
    routes
}

impl Routes {
    fn own_zone(&mut self, id: &str, rate: &str) -> String {
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.zones,
            "  limit_req_zone $server_port zone={id}:32k rate={rate};"
        );
        id.to_owned()
    }

    fn locate(
        &mut self,
        variant: Variant,
        id: &str,
        methods: &[&str],
        template: &str,
        limit: &str,
    ) {
        let methods = methods.join(" ");
        let inner = format!(
            "limit_except {methods} {{ deny all; }} set $contract {id}; {limit} proxy_pass http://up;"
        );
        let expression = catalogue::regex(template);
        let prefix = catalogue::literal(template);
        // Exact paths and prefixes stand in a tree; expressions are tried one after the other.
        let _ = if catalogue::tail(template).is_empty() {
            writeln!(self.locations, "    location = {template} {{ {inner} }}")
        } else if variant == Variant::ByHand {
            writeln!(
                self.locations,
                "    location {prefix}/ {{ location ~ {expression} {{ {inner} }} return 404; }}"
            )
        } else {
            writeln!(self.locations, "    location ~ {expression} {{ {inner} }}")
        };
    }
}
