//! The forms that secrets have.

/// A secret in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'t> {
    /// Where it begins, in characters from 1.
    pub(super) column: u32,
    /// What it seems to be, with its article.
    pub(super) what: &'static str,
    /// The secret itself.
    pub(super) text: &'t str,
    /// Whether it is the first line of a private key, which the next ones continue.
    pub(super) is_key: bool,
}

/// A token that begins with a prefix and goes on with at least so many bytes of its alphabet.
struct Token {
    prefix: &'static str,
    least: usize,
    alphabet: fn(u8) -> bool,
    what: &'static str,
}

const fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

const fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn dashed(byte: u8) -> bool {
    word(byte) || byte == b'-'
}

const fn dotted(byte: u8) -> bool {
    dashed(byte) || byte == b'.'
}

const GITHUB: &str = "a token of GitHub";
const AWS: &str = "an access key of AWS";
const TOKENS: &[Token] = &[
    token("AKIA", 16, upper, AWS),
    token("ASIA", 16, upper, AWS),
    token("ghp_", 30, word, GITHUB),
    token("gho_", 30, word, GITHUB),
    token("ghu_", 30, word, GITHUB),
    token("ghs_", 30, word, GITHUB),
    token("ghr_", 30, word, GITHUB),
    token("github_pat_", 22, word, GITHUB),
    token("glpat-", 20, dashed, "a token of GitLab"),
    token("xoxa-", 10, dashed, "a token of Slack"),
    token("xoxb-", 10, dashed, "a token of Slack"),
    token("xoxp-", 10, dashed, "a token of Slack"),
    token("xoxr-", 10, dashed, "a token of Slack"),
    token("xoxs-", 10, dashed, "a token of Slack"),
    token("AIza", 35, dashed, "an API key of Google"),
    token("sk_live_", 16, word, "a key of Stripe"),
    token("rk_live_", 16, word, "a key of Stripe"),
    token("eyJ", 30, dotted, "a JSON web token"),
];

const fn token(
    prefix: &'static str,
    least: usize,
    alphabet: fn(u8) -> bool,
    what: &'static str,
) -> Token {
    Token {
        prefix,
        least,
        alphabet,
        what,
    }
}

/// Names that are followed by `=` and a secret, lower case.
const NAMES: [&str; 8] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
];

/// The secrets of a line.
pub(super) fn find(line: &str) -> Vec<Found<'_>> {
    let mut all: Vec<Found<'_>> = Vec::new();
    for token in TOKENS {
        all.extend(tokens(line, token));
    }
    all.extend(private_key(line));
    // Most lines have neither.
    if line.contains('=') {
        all.extend(assigned(line));
    }
    if line.contains('@') {
        all.extend(in_addresses(line));
    }
    all
}

/// Whether a private key ends in this line.
pub(super) fn ends_private_key(line: &str) -> bool {
    line.contains("-----END ")
}

fn found<'t>(line: &'t str, start: usize, text: &'t str, what: &'static str) -> Found<'t> {
    let before = line.get(..start).unwrap_or_default();
    Found {
        column: u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX),
        what,
        text,
        is_key: false,
    }
}

fn tokens<'t>(line: &'t str, token: &Token) -> impl Iterator<Item = Found<'t>> {
    let places = line.match_indices(token.prefix);
    places.filter_map(move |(start, prefix)| {
        let before = line.as_bytes().get(start.wrapping_sub(1));
        let rest = line.get(start + prefix.len()..)?.as_bytes();
        let length = rest.iter().take_while(|b| (token.alphabet)(**b)).count();
        let text = line.get(start..start + prefix.len() + length)?;
        let begins = !before.is_some_and(|byte| word(*byte));
        // A web token has three parts.
        let is_whole = token.prefix != "eyJ" || text.matches('.').count() == 2;
        (begins && is_whole && length >= token.least).then(|| found(line, start, text, token.what))
    })
}

/// The first line of a private key in PEM.
fn private_key(line: &str) -> Option<Found<'_>> {
    let start = line.find("-----BEGIN ")?;
    let text = line.get(start..)?;
    let is_private = text.contains("PRIVATE KEY");
    is_private.then(|| Found {
        is_key: true,
        ..found(line, start, text, "a private key")
    })
}

/// `password=...`: the value, unless a placeholder stands for it.
fn assigned(line: &str) -> Vec<Found<'_>> {
    let lower = line.to_ascii_lowercase();
    let mut all = Vec::new();
    for name in NAMES {
        for (start, name) in lower.match_indices(name) {
            let before = lower.as_bytes().get(start.wrapping_sub(1));
            let begins = !before.is_some_and(u8::is_ascii_alphanumeric);
            let start = start + name.len();
            let rest = line.get(start..).unwrap_or_default();
            let Some(rest) = rest.strip_prefix('=').filter(|_| begins) else {
                continue;
            };
            let ends = |c: char| c.is_whitespace() || "\"'&,;)]".contains(c);
            let text = rest.split(ends).next().unwrap_or_default();
            if text.len() >= 4 && !text.starts_with(['$', '{', '<', '*', '=']) {
                all.push(found(line, start + 1, text, "a password or a key"));
            }
        }
    }
    all
}

/// `scheme://user:password@host`.
fn in_addresses(line: &str) -> impl Iterator<Item = Found<'_>> {
    line.match_indices("://").filter_map(move |(start, mark)| {
        let rest = line.get(start + mark.len()..)?;
        let ends = |c: char| c.is_whitespace() || "/\"'?#".contains(c);
        let authority = rest.split(ends).next()?;
        let (user, password) = authority.rsplit_once('@')?.0.split_once(':')?;
        let start = start + mark.len() + user.len() + 1;
        let is_secret = !password.is_empty() && !password.starts_with(['$', '{', '<', '*']);
        is_secret.then(|| found(line, start, password, "a password in an address"))
    })
}

#[cfg(test)]
mod tests {
    use super::find;

    /// Put together here, so that no scanner takes this file for one that holds secrets.
    fn made(prefix: &str, length: usize) -> String {
        let letters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        prefix
            .chars()
            .chain(letters.chars().cycle().take(length))
            .collect()
    }

    #[test]
    fn secrets_have_their_forms() {
        // R033
        let web = format!("{}.{}.{}", made("eyJ", 20), made("eyJ", 20), made("", 30));
        for (line, column, what) in [
            (made("AKIA", 16), 1, "AWS"),
            (format!("owner: {}", made("ASIA", 16)), 8, "AWS"),
            (format!("# é {}", made("ghp_", 36)), 5, "GitHub"),
            (made("github_pat_", 40), 1, "GitHub"),
            (made("glpat-", 20), 1, "GitLab"),
            (made("xoxb-", 24), 1, "Slack"),
            (made("AIza", 35), 1, "Google"),
            (made("sk_live_", 24), 1, "Stripe"),
            (format!("Bearer {web}"), 8, "web token"),
            (
                format!("-----BEGIN {} KEY-----", "PRIVATE"),
                1,
                "private key",
            ),
            (
                format!("-----BEGIN RSA {} KEY-----", "PRIVATE"),
                1,
                "private key",
            ),
            ("# db password=hunter2".to_owned(), 15, "password"),
            ("DB_PASSWORD=hunter2".to_owned(), 13, "password"),
            ("x?api_key=abcdef&y=1".to_owned(), 11, "password"),
            ("postgres://me:hunter2@db:1/x".to_owned(), 15, "address"),
        ] {
            let all = find(&line);
            assert_eq!(all.len(), 1, "{line}: {all:?}");
            assert_eq!(all[0].column, column, "{line}");
            assert!(all[0].what.contains(what), "{line}: {}", all[0].what);
        }
    }

    #[test]
    fn ordinary_lines_hold_none() {
        for line in [
            "endpoint: \"POST /api/v1/password/{token}\"",
            "per_client: { key: \"header:X-Api-Key\", rate_limit_rpm: 60 }",
            "# set password=$PASSWORD, secret={secret} or token=<yours>",
            "password==other",
            "mytoken=abcdef",
            "AKIASHORT",
            "XAKIAABCDEFGH23456789",
            "-----BEGIN PUBLIC KEY-----",
            "https://example.org:8080/a@b",
            "eyJhbGciOiJub25lIn0 is no token by itself, however long it may be",
            "",
        ] {
            let all = find(line);
            assert_eq!(all, [], "{line}");
        }
        for (line, count) in [
            (format!("{} {}", made("AKIA", 16), made("AKIA", 17)), 2),
            ("password=abcd token=efgh,password=ijkl".to_owned(), 3),
            ("a://b:c@d a://e:f@g".to_owned(), 2),
        ] {
            assert_eq!(find(&line).len(), count, "{line}");
        }
    }
}
