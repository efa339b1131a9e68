//! Spellings of paths, made by rule from the paths of a few routes: the same seed gives the same.
//!
//! Each is bytes for a request line and never holds a line end: what splits a head is another
//! matter. They are distinct. Most are illegal, and some are ordinary.

use std::collections::HashSet;

use crate::random::Random;

/// At most so many rules for one spelling.
const RULES_MAX: u64 = 3;

/// What is put at the end of a segment.
const ENDS: &[&[u8]] = &[
    b" ",
    b"%20",
    b"%09",
    b"\t",
    b"%0a",
    b"%0A",
    b"%0d",
    b"%0d%0a",
    b"%00",
    b"\0",
    b"%0b",
    b"%7f",
    b"\x01",
    b".",
    b"..",
    b"%2e",
    b"%20.",
    b".%20",
    b"%2e%2e",
    b";",
    b";x=y",
    b";/x",
    b"%3b",
    b"%3Bx=y",
    b".json",
    b".html",
    b"::$DATA",
    b"~1",
    b"+",
    b"%2b",
    b"#",
    b"#x",
    b"%23x",
    b"?",
    b"?a=b",
    b"?/../x",
    b"%3fa=b",
    b"%3F",
    b"%253f",
    b"%2523",
    b"%E2%80%8B",
    b"%C2%AD",
    b"%EF%BB%BF",
    b"%u0000",
    b"%",
    b"%4",
    b"%zz",
    b"%u00",
    b"*",
    b"$",
    b"'",
    b"|",
    b"{x}",
    b"^",
    b",",
    b"%2c",
    b"&a=b",
    b"=",
];
/// What is put in place of a slash.
const SLASHES: &[&[u8]] = &[
    b"//",
    b"///",
    b"\\",
    b"/\\",
    b"\\/",
    b"%2f",
    b"%2F",
    b"%5c",
    b"%5C",
    b"%252f",
    b"%255c",
    b"%25252f",
    b"/./",
    b"/.//",
    b"/%2e/",
    b"/%2E/",
    b"/x/../",
    b"/x/%2e%2e/",
    b"/x/.%2e/",
    b"/x/%2E./",
    b"/x/..;/",
    b"/x/..;a=b/",
    b"/;/",
    b"/;x/",
    b"/.;/",
    b"/%3b/",
    b"/x/..%2f",
    b"/x/%2e%2e%2f",
    b"/x%2f../",
    b"/x/..\\",
    b"/x/..%5c",
    b"/%252e%252e/",
    b"/x/%252e%252e/",
    b"/..%00/",
    b"/%20/",
    b"/x/..%20/",
    b"%c0%af",
    b"%e0%80%af",
    b"%f0%80%80%af",
    b"\xc0\xaf",
    b"%u002f",
    b"%u2215",
    b"%EF%BC%8F",
    b"\xef\xbc\x8f",
    b"/%E2%80%A4/",
    b"/x/%E2%80%A4%E2%80%A4/",
    b"%2f/",
    b"/%2f",
    b"/%2f%2f",
    b";/",
    b"%3b/",
    b"?/",
    b"#/",
];
/// What stands before a path.
const STARTS: &[&[u8]] = &[
    b"/",
    b"//",
    b"\\",
    b"/\\",
    b"/.",
    b"/..",
    b"/../..",
    b"/%2e%2e",
    b"/x/..",
    b"/x/../..",
    b"/;x",
    b"/%20",
    b"//load",
    b"//other",
    b"http://load",
    b"http://load:80",
    b"http://other",
    b"HTTP://LOAD",
    b"https://load",
    b"http://load/..",
    b"http://x@load",
    b"http:",
    b"http:/",
    b"*",
    b".",
    b"/%2f",
    b"/x/%2e%2e",
    b"%2f",
    b"/_",
    b"/static/..",
    b"/files/..",
    b"/files/x/..",
    b"/files/%2e%2e",
    b"/api/..;",
    b"/orders/..",
];
/// What a path is made long with.
const UNITS: &[&[u8]] = &[b"/", b"/.", b"/x/..", b"a", b"%61", b"/a", b";", b"%25"];
/// Letters of other alphabets that some servers take for ours, encoded and raw.
const LOOKALIKES: &[(u8, &[u8])] = &[
    (b's', b"%C5%BF"),
    (b's', b"\xc5\xbf"),
    (b's', b"%EF%BD%93"),
    (b'k', b"%E2%84%AA"),
    (b'i', b"%C4%B1"),
    (b'i', b"%C4%B0"),
    (b'o', b"%D0%BE"),
    (b'e', b"%D0%B5"),
    (b'a', b"%EF%BD%81"),
    (b'.', b"%EF%BC%8E"),
];

/// `count` distinct spellings of these paths.
pub(crate) fn spellings(paths: &[&str], count: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed);
    let mut known = HashSet::with_capacity(count);
    let mut list = Vec::with_capacity(count);
    while list.len() < count {
        let mut spelling = pick(&mut random, paths).as_bytes().to_vec();
        for _ in 0..=random.below(RULES_MAX) {
            change(&mut random, &mut spelling);
        }
        spelling.retain(|byte| !matches!(byte, b'\r' | b'\n'));
        if !spelling.is_empty() && known.insert(spelling.clone()) {
            list.push(spelling);
        }
    }
    list
}

fn pick<'a, T: ?Sized>(random: &mut Random, list: &[&'a T]) -> &'a T {
    let place = random.below(list.len() as u64) as usize;
    list[place]
}

fn change(random: &mut Random, path: &mut Vec<u8>) {
    let at = random.below(path.len() as u64) as usize;
    match random.below(16) {
        0..=2 => replace(path, at, &escaped(random, path[at])),
        3..=5 => {
            if let Some(slash) = place_of(random, path, |byte| byte == b'/') {
                replace(path, slash, pick(random, SLASHES));
            }
        }
        6..=8 => {
            let end = place_of(random, path, |byte| byte == b'/').unwrap_or(path.len());
            let end = if random.chance(0.6) { path.len() } else { end };
            insert(path, end, pick(random, ENDS));
        }
        9 => {
            let mut start = pick(random, STARTS).to_vec();
            start.append(path);
            *path = start;
        }
        10 => flip_case(random, path),
        11 => path.push(b'/'),
        12 => lookalike(random, path),
        13 => lengthen(random, path),
        14 => _ = path.remove(at),
        _ => {
            let mut byte = random.below(256) as u8;
            if random.chance(0.5) {
                byte = path[at] ^ 1 << random.below(8);
            }
            path[at] = byte;
        }
    }
    if path.is_empty() {
        path.push(b'/');
    }
}

/// One byte in one of the ways in which it can be escaped.
fn escaped(random: &mut Random, byte: u8) -> Vec<u8> {
    let text = match random.below(12) {
        0..=2 => format!("%{byte:02x}"),
        3 | 4 => format!("%{byte:02X}"),
        5 => format!("%25{byte:02x}"),
        6 => format!("%2525{byte:02X}"),
        7 => format!("%{:02x}%{:02x}", 0xc0 | byte >> 6, 0x80 | byte & 0x3f),
        8 => format!("%e0%{:02x}%{:02x}", 0x80 | byte >> 6, 0x80 | byte & 0x3f),
        9 => format!("%u{byte:04x}"),
        10 => format!("%%{byte:02x}"),
        // The escape of an escape's own digits.
        _ => {
            let digits = format!("{byte:02x}");
            digits.bytes().fold("%".to_owned(), |text, digit| {
                text + &format!("%{digit:02x}")
            })
        }
    };
    text.into_bytes()
}

fn flip_case(random: &mut Random, path: &mut [u8]) {
    let all = random.chance(0.3);
    for byte in path {
        if byte.is_ascii_alphabetic() && (all || random.chance(0.3)) {
            *byte ^= 0x20;
        }
    }
}

fn lookalike(random: &mut Random, path: &mut Vec<u8>) {
    let place = random.below(LOOKALIKES.len() as u64) as usize;
    let (letter, other) = LOOKALIKES[place];
    if let Some(at) = place_of(random, path, |byte| byte.to_ascii_lowercase() == letter) {
        replace(path, at, other);
    }
}

fn lengthen(random: &mut Random, path: &mut Vec<u8>) {
    let unit = pick(random, UNITS);
    let most = if random.chance(0.05) { 3_000 } else { 80 };
    let many = unit.repeat(1 + random.below(most) as usize);
    let at = place_of(random, path, |byte| byte == b'/').unwrap_or(0);
    insert(path, at, &many);
}

fn place_of(random: &mut Random, path: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let places = path.iter().enumerate().filter(|(_, byte)| wanted(**byte));
    let places: Vec<usize> = places.map(|(at, _)| at).collect();
    let place = random.below(places.len() as u64) as usize;
    places.get(place).copied()
}

fn replace(path: &mut Vec<u8>, at: usize, with: &[u8]) {
    path.splice(at..=at, with.iter().copied());
}

fn insert(path: &mut Vec<u8>, at: usize, what: &[u8]) {
    path.splice(at..at, what.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::spellings;

    #[test]
    fn spellings_are_distinct_and_the_same_for_one_seed() {
        let paths = ["/orders/7", "/files/a/b"];
        let first = spellings(&paths, 2_000, 1);
        assert_eq!(first, spellings(&paths, 2_000, 1));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 2_000);
        assert!(first.iter().all(|path| !path.contains(&b'\n')));
    }
}
