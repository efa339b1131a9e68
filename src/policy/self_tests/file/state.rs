//! `state` of a self-test.

use crate::contract::file::bounds::COUNT_MAX;
use crate::diagnostic::Code;
use crate::observation::{CircuitState, SLOW_START_MAX_BP, Share};
use crate::policy::self_tests::share::{parse_limit, parse_percent, parse_share};
use crate::policy::self_tests::state::{
    BurnShares, CIRCUITS, DRAWS, LEDGERS, LimitState, LoadState, RETRIES, SPREAD_MAX, TailState,
    TestState, ledger_key, retry_key,
};
use crate::units::{Band, BasisPoints, Tier};
use crate::yaml::{DecimalFault, Fields, Keys, Node, Sheet, Value, parse_decimal};

const STATE_KEYS: Keys = Keys::plain(
    "'state'",
    &[
        "tier",
        "circuit",
        "probes",
        "slow_start",
        "band",
        "failed",
        "slow",
        "retries",
        "in_flight",
        "waiting",
        "latency",
        "traffic",
        "burn",
        "class_mix",
        "client_limit",
        "client_refusals",
        "rate_limit",
        "retry",
        "ledger",
        "draw",
    ],
);

const TAIL_KEYS: Keys = Keys::plain("'latency'", &["p95_ms", "baseline_ms"]);
const LOAD_KEYS: Keys = Keys::plain("'traffic'", &["offered", "usual", "spread"]);
const BURN_KEYS: Keys = Keys::plain("'burn'", &["5m", "30m", "1h", "6h", "3d"]);
const MIX_KEYS: Keys = Keys::plain("'class_mix'", &["retries", "ordinary", "high"]);

const TEXT_CHARS_MAX: usize = 64;

/// The state; every key is read, so that every fault is reported.
pub(super) fn read_state(sheet: &mut Sheet<'_>, node: &Node) -> Option<TestState> {
    let fields = sheet.fields(node, &STATE_KEYS)?;
    let rest = TestState::default();
    let mut keys = Reading {
        sheet,
        fields,
        is_faulty: false,
    };
    let state = TestState {
        tier: keys.choice("tier", &Tier::ALL, Tier::key, rest.tier),
        circuit: keys.choice("circuit", &CIRCUITS, CircuitState::name, rest.circuit),
        probes_spent: keys.choice("probes", &[true], |_| "spent", false),
        slow_start: BasisPoints::saturating(u64::from(
            keys.percent("slow_start", SLOW_START_MAX_BP).unwrap_or(0),
        )),
        band: keys.choice("band", &Band::ALL, Band::key, rest.band),
        failed: keys.share("failed"),
        slow: keys.share("slow"),
        retries: keys.share("retries"),
        in_flight: keys.count("in_flight", COUNT_MAX).unwrap_or(0),
        waiting: keys.count("waiting", COUNT_MAX).unwrap_or(0),
        latency: keys.map("latency", &TAIL_KEYS, read_tail),
        traffic: keys.map("traffic", &LOAD_KEYS, read_load),
        burn: keys.map("burn", &BURN_KEYS, read_burn).unwrap_or_default(),
        class_mix_bp: keys
            .map("class_mix", &MIX_KEYS, read_mix)
            .unwrap_or(rest.class_mix_bp),
        client_limit: keys.limit("client_limit"),
        client_refusals: keys.count("client_refusals", COUNT_MAX).unwrap_or(0),
        rate_limit: keys.limit("rate_limit"),
        retry: keys.choice("retry", &RETRIES, retry_key, rest.retry),
        ledger: keys.choice("ledger", &LEDGERS, ledger_key, rest.ledger),
        draw_bp: keys.percent("draw", DRAWS - 1),
    };
    (!keys.is_faulty).then_some(state)
}

/// One map being read: a key that is not there is at rest, a faulty one is remembered.
struct Reading<'s, 'a, 'n> {
    sheet: &'s mut Sheet<'a>,
    fields: Fields<'n>,
    is_faulty: bool,
}

impl<'n> Reading<'_, '_, 'n> {
    fn read<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Sheet<'_>, &'n Node, &str) -> Option<T>,
    ) -> Option<T> {
        let node = self.fields.get(key)?;
        let value = read(self.sheet, node, &format!("'{key}'"));
        self.is_faulty |= value.is_none();
        value
    }

    fn choice<T: Copy>(&mut self, key: &str, all: &[T], name: fn(T) -> &'static str, rest: T) -> T {
        let found = self.read(key, |sheet, node, what| {
            let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            sheet.choice(node, what, &names, |text| {
                all.iter().copied().find(|one| name(*one) == text)
            })
        });
        found.unwrap_or(rest)
    }

    fn count(&mut self, key: &str, max: u32) -> Option<u32> {
        self.read(key, |sheet, node, what| {
            let value = sheet.integer(node, what, 0, u64::from(max))?;
            u32::try_from(value).ok()
        })
    }

    fn share(&mut self, key: &str) -> Option<Share> {
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

    fn percent(&mut self, key: &str, max: u16) -> Option<u16> {
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

    fn limit(&mut self, key: &str) -> Option<LimitState> {
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
    fn thousandths(&mut self, key: &str) -> Option<u32> {
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

    fn map<T>(
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

    fn need(&mut self, key: &str) {
        self.is_faulty |= self.sheet.required(self.fields, key).is_none();
    }
}

fn read_tail(keys: &mut Reading<'_, '_, '_>) -> Option<TailState> {
    keys.need("p95_ms");
    keys.need("baseline_ms");
    let (p95_us, baseline_us) = (keys.thousandths("p95_ms"), keys.thousandths("baseline_ms"));
    Some(TailState {
        p95_us: p95_us?,
        baseline_us: baseline_us?,
    })
}

fn read_load(keys: &mut Reading<'_, '_, '_>) -> Option<LoadState> {
    keys.need("offered");
    keys.need("usual");
    let (offered, usual) = (
        keys.count("offered", COUNT_MAX),
        keys.count("usual", COUNT_MAX),
    );
    let spread = keys.count("spread", SPREAD_MAX);
    Some(LoadState {
        offered: offered?,
        usual: usual?,
        spread: spread.unwrap_or(0),
    })
}

#[allow(clippy::unnecessary_wraps, reason = "read as the other maps are")]
fn read_burn(keys: &mut Reading<'_, '_, '_>) -> Option<BurnShares> {
    Some(BurnShares {
        m5: keys.share("5m"),
        m30: keys.share("30m"),
        h1: keys.share("1h"),
        h6: keys.share("6h"),
        d3: keys.share("3d"),
    })
}

#[allow(clippy::unnecessary_wraps, reason = "read as the other maps are")]
fn read_mix(keys: &mut Reading<'_, '_, '_>) -> Option<[u16; 3]> {
    Some(["retries", "ordinary", "high"].map(|key| keys.percent(key, 10_000).unwrap_or(0)))
}
