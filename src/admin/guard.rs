//! Refuses what a web page could have sent, and counts what is in flight.
//!
//! Loopback is no protection against a browser on the same host: a page may point a name of its
//! own at 127.0.0.1 and ask there (DNS rebinding). Such a request carries that name as its host,
//! and a page that asks across origins carries `Origin`; an operator's tool does neither.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::admin::problem::Problem;
use crate::admin::state::AdminState;

pub(super) async fn guard(
    State(state): State<Arc<AdminState>>,
    request: Request,
    next: Next,
) -> Response {
    let _in_flight = InFlight::count(state);
    match check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Uncounts also when the handler is dropped because the caller left.
struct InFlight(Arc<AdminState>);

impl InFlight {
    fn count(state: Arc<AdminState>) -> Self {
        state.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |kind, detail| Err(Problem::new(StatusCode::FORBIDDEN, kind, detail));
    if headers.contains_key(header::ORIGIN) {
        let detail = "requests with an Origin field are refused; call without a browser";
        return refused("origin-refused", detail);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let one_loopback_host = hosts.next().is_none() && host.is_some_and(is_loopback);
    let target_agrees = uri
        .authority()
        .is_none_or(|authority| is_loopback(authority.as_str()));
    if one_loopback_host && target_agrees {
        return Ok(());
    }
    let detail = "the Host field must be localhost or a loopback address";
    refused("host-refused", detail)
}

/// `localhost` or a literal loopback address, with or without a port.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    if host.contains('@') {
        return false;
    }
    let name = authority.host();
    let literal = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || literal
            .unwrap_or(name)
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Uri, header};

    use super::{check, is_loopback};

    #[test]
    fn only_names_of_this_host_are_loopback() {
        for good in [
            "localhost",
            "LocalHost:9901",
            "127.0.0.1",
            "127.8.9.1:1",
            "[::1]:9901",
        ] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com:80",
            "localhost@example.com",
            "example.com@127.0.0.1",
            "10.0.0.1",
            "[::]",
            "0.0.0.0",
            "2130706433",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn one_host_and_no_origin() {
        let uri = Uri::from_static("/livez");
        let mut headers = HeaderMap::new();
        assert!(check(&uri, &headers).is_err(), "no host");
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(check(&uri, &headers).is_ok());
        let elsewhere = Uri::from_static("http://example.com/livez");
        assert!(
            check(&elsewhere, &headers).is_err(),
            "the target counts too"
        );
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(check(&uri, &headers).is_err(), "two hosts");
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        headers.insert(header::ORIGIN, HeaderValue::from_static("null"));
        assert!(check(&uri, &headers).is_err(), "a browser");
    }
}
