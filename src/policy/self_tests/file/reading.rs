//! A map whose keys may all be left out: each accessor gives a value, or rest.

use crate::diagnostic::Code;
use crate::observation::Share;
use crate::policy::self_tests::LimitState;
use crate::policy::self_tests::share::{parse_limit, parse_percent, parse_share};
use crate::yaml::{DecimalFault, Fields, Keys, Node, Sheet, Value, parse_decimal};

const TEXT_CHARS_MAX: usize = 64;

/// One map being read: a key that is not there is at rest, a faulty one is remembered.
pub(super) struct Reading<'s, 'a, 'n> {
    pub(super) sheet: &'s mut Sheet<'a>,
    pub(super) fields: Fields<'n>,
    pub(super) is_faulty: bool,
}

impl<'n> Reading<'_, '_, 'n> {
    pub(super) fn read<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Sheet<'_>, &'n Node, &str) -> Option<T>,
    ) -> Option<T> {
        let node = self.fields.get(key)?;
        let value = read(self.sheet, node, &format!("'{key}'"));
        self.is_faulty |= value.is_none();
        value
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &str,
        all: &[T],
        name: fn(T) -> &'static str,
        rest: T,
    ) -> T {
        let found = self.read(key, |sheet, node, what| {
            let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            sheet.choice(node, what, &names, |text| {
                all.iter().copied().find(|one| name(*one) == text)
            })
        });
        found.unwrap_or(rest)
    }

    pub(super) fn count(&mut self, key: &str, max: u32) -> Option<u32> {
        self.read(key, |sheet, node, what| {
            let value = sheet.integer(node, what, 0, u64::from(max))?;
            u32::try_from(value).ok()
        })
    }

    pub(super) fn share(&mut self, key: &str) -> Option<Share> {
        self.read(key, |sheet, node, what| {
            let text = sheet.text(node, what, TEXT_CHARS_MAX)?;
            let share = parse_share(text);
            if share.is_none() {
                let message = format!("{what} is no share of a number of requests: '{text}'");
                sheet.error(node.place, Code::TestShare, message);
            }
            share
        })
    }

    pub(super) fn percent(&mut self, key: &str, max: u16) -> Option<u16> {
        self.read(key, |sheet, node, what| {
            let text = sheet.text(node, what, TEXT_CHARS_MAX)?;
            let found = parse_percent(text).filter(|bp| *bp <= max);
            if found.is_none() {
                let (whole, rest) = (max / 100, max % 100);
                let most = match rest {
                    0 => format!("{whole}%"),
                    rest => format!("{whole}.{rest:02}%"),
                };
                let message = format!(
                    "{what} is a percentage such as 12.5%, at most {most} and with at most 2 \
                     digits after the point"
                );
                sheet.error(node.place, Code::OutOfRange, message);
            }
            found
        })
    }

    pub(super) fn limit(&mut self, key: &str) -> Option<LimitState> {
        self.read(key, |sheet, node, what| {
            let text = sheet.text(node, what, TEXT_CHARS_MAX)?;
            let limit = parse_limit(text);
            if limit.is_none() {
                let message = format!("{what} is no state of a limit: '{text}'");
                sheet.error(node.place, Code::TestLimit, message);
            }
            limit
        })
    }

    /// Thousandths of what the key is counted in.
    pub(super) fn thousandths(&mut self, key: &str) -> Option<u32> {
        self.read(key, |sheet, node, what| {
            let Value::Plain(text) = &node.value else {
                let message = format!("{what} is a number of milliseconds");
                sheet.error(node.place, Code::WrongType, message);
                return None;
            };
            let (code, message) = match parse_decimal(text, 3).map(u32::try_from) {
                Ok(Ok(value)) => return Some(value),
                Ok(Err(_)) | Err(DecimalFault::TooLarge) => {
                    (Code::OutOfRange, format!("{what} is at most 4294967 ms"))
                }
                Err(DecimalFault::TooFine) => (
                    Code::Decimal,
                    format!("{what} has at most 3 digits after the point"),
                ),
                Err(DecimalFault::NotADecimal) => (
                    Code::WrongType,
                    format!("{what} is a number of milliseconds"),
                ),
            };
            sheet.error(node.place, code, message);
            None
        })
    }

    pub(super) fn map<T>(
        &mut self,
        key: &str,
        keys: &Keys,
        read: impl FnOnce(&mut Reading<'_, '_, 'n>) -> Option<T>,
    ) -> Option<T> {
        self.read(key, |sheet, node, _| {
            let fields = sheet.fields(node, keys)?;
            let mut inner = Reading {
                sheet,
                fields,
                is_faulty: false,
            };
            read(&mut inner).filter(|_| !inner.is_faulty)
        })
    }

    pub(super) fn need(&mut self, key: &str) {
        self.is_faulty |= self.sheet.required(self.fields, key).is_none();
    }
}
