//! Reads Rust source just far enough to see who names whom.
//!
//! Comments, strings and `#[cfg(test)]` blocks are blanked out, so that what is left is code
//! that ships; line numbers stay true. Not here: macros that build paths, and `use` renames
//! of whole modules, which the project does not use.

/// One token: an identifier or a single character of punctuation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The tokens of shipping code.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    without_tests(tokenise(&blank(source)))
}

/// Replaces comments, strings and character literals by spaces, keeping line breaks.
pub(crate) fn blank(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` itself if none does.
fn skip(chars: &[char], at: usize) -> usize {
    let peek = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if peek(1) == '/' => find(chars, at, |rest| rest[0] == '\n'),
        '/' if peek(1) == '*' => block_comment(chars, at),
        '"' => string(chars, at + 1),
        'r' if !word_before && (peek(1) == '"' || peek(1) == '#') => raw_string(chars, at),
        'b' if !word_before && peek(1) == '"' => string(chars, at + 2),
        '\'' if peek(1) == '\\' => find(chars, at + 3, |rest| rest[0] == '\'') + 1,
        '\'' if peek(2) == '\'' => at + 3,
        _ => at,
    }
    .min(chars.len())
}

fn find(chars: &[char], from: usize, stop: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len())
        .find(|i| stop(&chars[*i..]))
        .unwrap_or(chars.len())
}

fn block_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        if chars[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if chars[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn raw_string(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at; // A raw identifier.
    }
    let mut close = vec!['"'];
    close.extend(std::iter::repeat_n('#', hashes));
    find(chars, at + 2 + hashes, |rest| rest.starts_with(&close)) + close.len()
}

fn tokenise(blanked: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    for (number, line) in blanked.lines().enumerate() {
        let mut word = String::new();
        for c in line.chars().chain([' ']) {
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                out.push(Token {
                    text: std::mem::take(&mut word),
                    line: number + 1,
                });
            }
            if !c.is_whitespace() {
                out.push(Token {
                    text: c.to_string(),
                    line: number + 1,
                });
            }
        }
    }
    out
}

/// Cuts out every item that stands under `#[cfg(test)]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut out = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let marked = tokens[at..]
            .iter()
            .map(|t| t.text.as_str())
            .take(MARK.len())
            .eq(MARK);
        if marked {
            at = item_end(&tokens, at + MARK.len());
        } else {
            out.push(tokens[at].clone());
            at += 1;
        }
    }
    out
}

/// The end of the item at `at`: its closing brace, or its semicolon if it has no body.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Every path that shipping code names, as its leading segments.
///
/// `use crate::{a::B, c}` gives `crate a`, `crate c`. A path starts where the token before it
/// is not `::` or `.`.
pub(crate) fn paths(tokens: &[Token]) -> Vec<(Vec<String>, usize)> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let text = |back: usize| at.checked_sub(back).map_or("", |i| tokens[i].text.as_str());
        let continues = text(1) == "." || (text(1) == ":" && text(2) == ":");
        if !continues && is_word(&tokens[at].text) && is_sep(tokens, at + 1) {
            at = branch(tokens, at, &mut Vec::new(), &mut out).max(at + 1);
        } else {
            at += 1;
        }
    }
    out
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn is_sep(tokens: &[Token], at: usize) -> bool {
    tokens.len() > at + 1 && tokens[at].text == ":" && tokens[at + 1].text == ":"
}

/// Follows one path from `at`; a brace group gives one path per element. Returns where it ends.
fn branch(
    tokens: &[Token],
    mut at: usize,
    prefix: &mut Vec<String>,
    out: &mut Vec<(Vec<String>, usize)>,
) -> usize {
    let depth = prefix.len();
    let line = tokens[at].line;
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            at += 1;
            while at < tokens.len() && tokens[at].text != "}" {
                let next = if is_word(&tokens[at].text) {
                    branch(tokens, at, prefix, out)
                } else {
                    at + 1
                };
                at = next.max(at + 1);
            }
            prefix.truncate(depth);
            return at + 1;
        }
        if !is_word(&token.text) {
            break;
        }
        prefix.push(token.text.clone());
        at += 1;
        if !is_sep(tokens, at) {
            break;
        }
        at += 2;
    }
    out.push((prefix.clone(), line));
    prefix.truncate(depth);
    at
}
