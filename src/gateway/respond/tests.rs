//! Answers as clients read them.

use super::{Answer, DecisionId};
use crate::contract::{Method, MethodSet};
use crate::gateway::governor::{Failure, ParseRefusal};
use crate::units::{Reason, ReasonSet};

const GET: MethodSet = MethodSet::EMPTY.with(Method::Get);

#[test]
fn an_answer_is_a_problem_with_its_headers() {
    let answer = Answer::method_not_allowed(GET.with(Method::Head))
        .because(ReasonSet::EMPTY.with(Reason::ContractMethodDisallowed));
    let (head, body) = answer
        .message(DecisionId::new(*b"0123456789abcdef012345"))
        .unwrap();
    assert_eq!(head.status, 405);
    assert_eq!(head.headers["allow"], "GET, HEAD");
    assert_eq!(
        head.headers["tidegate-decision-id"],
        "0123456789abcdef012345"
    );
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["status"], 405);
    assert_eq!(body["instance"], "0123456789abcdef012345");
    assert_eq!(body["reason_codes"][0], "CONTRACT_METHOD_DISALLOWED");
}

#[test]
fn every_answer_says_whose_fault_it_is() {
    let check = |answer: Answer, status: u16, error: &str| {
        let (head, body) = answer.message(DecisionId::new([b'a'; 22])).unwrap();
        assert_eq!(head.status, status);
        let expected = format!("tidegate; error={error}");
        assert_eq!(head.headers["proxy-status"], expected, "{status}");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body.get("reason_codes"), None, "none is none: {body}");
    };
    check(Answer::quarantined(404), 404, "http_request_denied");
    check(Answer::quarantined(403), 403, "http_request_denied");
    check(Answer::refused(), 403, "http_request_denied");
    check(Answer::method_not_allowed(GET), 405, "http_request_denied");
    check(Answer::quota_exceeded(1), 429, "http_request_denied");
    check(Answer::abnormal_usage(1), 429, "http_request_denied");
    check(Answer::ambiguous_target(), 400, "http_request_error");
    check(Answer::reduced_capacity(1), 503, "connection_limit_reached");
    check(Answer::circuit_open(1), 503, "destination_unavailable");
    check(Answer::internal(), 500, "proxy_internal_error");
    let parsing = Answer::to_refusal(ParseRefusal::HeadTooLarge);
    assert_eq!(parsing.proxy_status, "tidegate; error=http_request_error");
    let unreachable = Answer::to_failure(Failure::Connect).unwrap();
    check(unreachable, 502, "connection_refused");
}

#[test]
fn a_refusal_in_parsing_is_whole_http() {
    let wire =
        Answer::to_refusal(ParseRefusal::HeadTimeout).closing_bytes(DecisionId::new([b'a'; 22]));
    let text = String::from_utf8(wire).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{text}"
    );
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("Content-Length: {}", body.len())),
        "{head}"
    );
    assert!(head.contains("Connection: close"), "{head}");
}
