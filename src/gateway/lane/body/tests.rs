//! The rules of bodies, one by one.

use bytes::BytesMut;

use super::{Broken, Relay, chunk_head};
use crate::gateway::lane::answer::{BodyEnd, ClientBody};

/// What goes out for these reads, `Broken` at the end where the body breaks, and what is left over.
fn relayed(end: BodyEnd, to: ClientBody, reads: &[&str]) -> (String, Result<String, Broken>) {
    let mut relay = Relay::new(end);
    let mut out = BytesMut::new();
    let mut result = Ok(String::new());
    for read in reads {
        result = relay
            .forward(read.as_bytes(), to, &mut out)
            .map(|left| String::from_utf8_lossy(left).into_owned());
        if result.is_err() || relay.is_complete() {
            break;
        }
    }
    if result.is_ok() && !relay.is_complete() {
        let ended = relay.ended();
        if ended.is_ok() {
            to.end(&mut out);
        }
        result = ended.map(|()| String::new());
    }
    (String::from_utf8_lossy(&out).replace("\r\n", "|"), result)
}

#[test]
fn a_length_is_counted() {
    let check = |length, reads: &[&str], sent: &str, left: Result<&str, Broken>| {
        let got = relayed(BodyEnd::Length(length), ClientBody::Length(length), reads);
        assert_eq!(got, (sent.to_owned(), left.map(str::to_owned)), "{reads:?}");
    };
    check(5, &["hello"], "hello", Ok(""));
    check(5, &["he", "", "llo"], "hello", Ok(""));
    check(5, &["he", "lloHTTP"], "hello", Ok("HTTP"));
    check(5, &["hell"], "hell", Err(Broken));
    check(5, &[], "", Err(Broken));
    check(0, &["HTTP"], "", Ok("HTTP"));
    check(0, &[], "", Ok(""));
}

#[test]
fn what_has_no_length_goes_in_chunks() {
    let check = |reads: &[&str], sent: &str| {
        let got = relayed(BodyEnd::Close, ClientBody::Chunked, reads);
        assert_eq!(got, (sent.to_owned(), Ok(String::new())), "{reads:?}");
    };
    check(&[], "0||");
    check(&["hello world", ""], "B|hello world|0||");
    check(&["a", "b"], "1|a|1|b|0||");
}

#[test]
fn chunks_are_read_strictly() {
    let check = |reads: &[&str], sent: &str, left: Result<&str, Broken>| {
        let got = relayed(BodyEnd::Chunked, ClientBody::Chunked, reads);
        assert_eq!(got, (sent.to_owned(), left.map(str::to_owned)), "{reads:?}");
    };
    check(&["5\r\nhello\r\n0\r\n\r\n"], "5|hello|0||", Ok(""));
    check(
        &["5;a=b\r\nhello\r\n", "0;c\r\nSum: 1\r\n\r\nHTTP"],
        "5|hello|0||",
        Ok("HTTP"),
    );
    check(
        &["0", "5", "\r", "\nhe", "llo", "\r", "\n0\r\n\r\n"],
        "2|he|3|llo|0||",
        Ok(""),
    );
    check(&["\r\n\r\n"], "0||", Ok(""));
    check(&["5\nhello"], "", Err(Broken));
    check(&["g\r\n"], "", Err(Broken));
    check(&["-1\r\n"], "", Err(Broken));
    check(&["5 5\r\nhello"], "", Err(Broken));
    check(&["1\r\nab"], "", Err(Broken));
    check(&["1\r\na", "b"], "1|a|", Err(Broken));
    check(&["1\r\na\r\n0\r\n\n"], "1|a|", Err(Broken));
    check(&["1\r\na\r\n0\r\nSum: 1\n\r\n"], "1|a|", Err(Broken));
    check(&["1\r\na\r\n"], "1|a|", Err(Broken));
    check(&["10000000000000000\r\n"], "", Err(Broken));
    check(&["ffffffffffffffff\r\na"], "", Err(Broken));
}

#[test]
fn a_broken_body_stays_broken_and_a_complete_one_complete() {
    let mut relay = Relay::new(BodyEnd::Chunked);
    let mut piece = b"x".as_slice();
    assert_eq!(relay.next(&mut piece), Err(Broken));
    let mut piece = b"0\r\n\r\n".as_slice();
    assert_eq!(relay.next(&mut piece), Err(Broken));
    assert_eq!(relay.ended(), Err(Broken));
    let mut relay = Relay::new(BodyEnd::Length(2));
    let mut piece = b"abc".as_slice();
    assert_eq!(relay.next(&mut piece), Ok(Some(b"ab".as_slice())));
    assert_eq!((piece, relay.bytes()), (b"c".as_slice(), 2));
    assert_eq!(relay.next(&mut piece), Ok(None));
    assert_eq!((relay.ended(), relay.is_complete()), (Ok(()), true));
}

#[test]
fn a_size_is_written_in_hexadecimal() {
    for size in [0, 1, 9, 10, 15, 16, 255, 4_096, 65_535, usize::MAX] {
        let mut out = BytesMut::new();
        chunk_head(size, &mut out);
        assert_eq!(out, format!("{size:X}\r\n"));
    }
}
