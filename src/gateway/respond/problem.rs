//! The body of an answer of ours: a problem of RFC 9457 in JSON.
//!
//! Invariant: no text of an answer needs escaping (a test compares with a serialiser), so the
//! body is its parts one after another and takes no serialiser and no buffer of its own. It is
//! told piece by piece, because over HTTP/1.1 its length stands before it.

use bytes::Bytes;

use super::Answer;
use crate::gateway::governor::DecisionId;

impl Answer {
    /// The body of the answer as decision `id`.
    pub(super) fn body(&self, id: DecisionId) -> Bytes {
        let mut body = Vec::with_capacity(self.body_len(id));
        self.write_body(id, &mut body);
        body.into()
    }

    /// The bytes that [`Self::write_body`] appends.
    pub(super) fn body_len(&self, id: DecisionId) -> usize {
        let mut length = 0;
        self.each_piece(id, |piece| length += piece.len());
        length
    }

    /// Appends the body.
    pub(super) fn write_body(&self, id: DecisionId, out: &mut Vec<u8>) {
        self.each_piece(id, |piece| out.extend_from_slice(piece));
    }

    #[inline]
    fn each_piece(&self, id: DecisionId, mut take: impl FnMut(&[u8])) {
        match self.front {
            Some(front) => take(front.as_bytes()),
            None => self.each_piece_of_front(&mut take),
        }
        take(id.as_bytes());
        let mut before: &[u8] = b"\",\"reason_codes\":[\"";
        let mut after: &[u8] = b"\"";
        for reason in self.reasons.iter() {
            take(before);
            take(reason.code().as_bytes());
            (before, after) = (b"\",\"", b"\"]");
        }
        take(after);
        if let Some(name) = self.violated {
            take(b",\"violated-policies\":[\"");
            take(name.as_bytes());
            take(b"\"]");
        }
        if let Some(case) = &self.case_id {
            take(b",\"case_id\":\"");
            take(case.as_bytes());
            take(b"\"");
        }
        take(b"}");
    }

    #[cold]
    fn each_piece_of_front(&self, take: &mut impl FnMut(&[u8])) {
        take(b"{\"type\":\"");
        take(self.kind.as_bytes());
        take(b"\",\"title\":\"");
        take(self.title.as_bytes());
        take(b"\",\"status\":");
        take(itoa::Buffer::new().format(self.status).as_bytes());
        take(b",\"detail\":\"");
        take(self.detail.as_bytes());
        take(b"\",\"instance\":\"");
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use crate::gateway::governor::DecisionId;
    use crate::gateway::respond::http1::tests::all_answers;

    #[derive(Serialize)]
    struct Problem<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        title: &'a str,
        status: u16,
        detail: &'a str,
        instance: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason_codes: Option<Vec<&'static str>>,
        #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
        violated_policies: Option<[&'static str; 1]>,
        #[serde(skip_serializing_if = "Option::is_none")]
        case_id: Option<&'a str>,
    }

    #[test]
    fn a_body_is_what_a_serialiser_writes() {
        let id = DecisionId::new(*b"0123456789abcdef012345");
        for answer in all_answers() {
            let codes: Vec<_> = answer.reasons.iter().map(|reason| reason.code()).collect();
            let problem = Problem {
                kind: answer.kind,
                title: answer.title,
                status: answer.status,
                detail: answer.detail,
                instance: id.as_str(),
                reason_codes: Some(codes).filter(|codes| !codes.is_empty()),
                violated_policies: answer.violated.map(|name| [name]),
                case_id: answer.case_id.as_deref(),
            };
            let expected = serde_json::to_string(&problem).unwrap();
            assert_eq!(answer.body(id), expected);
            assert_eq!(answer.body_len(id), expected.len());
        }
    }
}
