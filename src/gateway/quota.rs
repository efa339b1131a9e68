//! What a client is told about the limits that it shares or has: `RateLimit` and
//! `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-10.
//!
//! Invariant: `q` requests per `w` seconds is the rate, `r` is how many conform at once now, and
//! `t` is in how many seconds one more than those does, rounded up. So on a refusal `t` is never
//! later than `Retry-After`. The limit of an address behind a field is told only to those that it
//! refuses. Deliberately not here: the limit of unknown paths, which is no promise to anybody.

use std::ops::Deref;

use pingora::Result;

use super::answer_fields::AnswerFields;
use crate::observation::{Limit, Mode, Take};
use crate::pipeline::Admission;
use crate::rulebook::{ClientLimits, Rulebook};
use crate::units::{Moment, PerMinute, Tier};

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// All rates are per minute.
const WINDOW: &[u8] = b";w=60";

/// The names of the limits.
const CONTRACT: &str = "contract";
const CLIENT: &str = "client";
const ADDRESS: &str = "address";

/// One limit as a client is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests per minute.
    pub per_minute: u32,
    /// How many requests conform at once now.
    pub remaining: u32,
    /// Seconds until one more does, rounded up; 0 where none is missing.
    pub next_s: u32,
}

/// The limits that a response tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Of the contract, shared by all clients.
    pub contract: Option<Quota>,
    /// Of this client alone.
    pub client: Option<Quota>,
    /// Of the address behind the client, where that refused it.
    pub address: Option<Quota>,
}

impl Quota {
    /// A limit whose theoretical arrival time lies `tat_ns` ahead of now.
    fn of(rate: PerMinute, limit: &Limit, tat_ns: i64) -> Self {
        let remaining = limit.remaining(tat_ns);
        let next_ns = if tat_ns <= 0 {
            0
        } else {
            let worth = limit.period_ns().saturating_mul(remaining);
            let worth = i64::try_from(worth).unwrap_or(i64::MAX);
            limit.wait_ns(tat_ns.saturating_add(worth))
        };
        Self {
            per_minute: rate.get(),
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            next_s: seconds(next_ns),
        }
    }
}

/// What there is to tell after this decision. Nothing where the gateway only observes, and nothing
/// about contracts without limits.
#[inline]
pub(super) fn quotas(rulebook: &Rulebook, admission: &Admission, at: Moment) -> Quotas {
    let route = admission.route;
    let terms = rulebook.contract_of(route).map(|contract| contract.terms());
    let limited = terms.filter(|terms| {
        admission.signals.tier != Tier::ObserveOnly
            && (terms.rate_limit.is_some() || terms.client_rate_limit.is_some())
    });
    let Some(terms) = limited else {
        return Quotas::default();
    };
    let signals = &admission.signals;
    // What a limit refused and goes on nevertheless waits for a turn that it has taken.
    let used = match signals.take {
        Take::Granted => true,
        Take::ClientRate | Take::ContractRate => admission.hold_ns() > 0,
        Take::NotAsked | Take::Concurrency | Take::Probe => false,
    };
    let after = |tat_ns: i64, limit: &Limit| {
        let period_ns = i64::try_from(limit.period_ns()).unwrap_or(i64::MAX);
        if used {
            tat_ns.max(0).saturating_add(period_ns)
        } else {
            tat_ns
        }
    };
    let contract = terms.rate_limit.zip(rulebook.limit_of(route));
    let client = terms
        .client_rate_limit
        .zip(rulebook.client_limits_of(route));
    Quotas {
        contract: contract.map(|(rate, limit)| {
            // Where the contract's limit was not asked nobody has looked at it yet.
            let tat_ns = match signals.take {
                Take::NotAsked | Take::ClientRate if !used => {
                    let word = rulebook.route(route).rate(Mode::Real);
                    word.peek(limit, at.monotonic_ns)
                }
                _ => signals.contract_tat_ns,
            };
            Quota::of(rate, limit, after(tat_ns, limit))
        }),
        client: client.map(|(rate, limits)| {
            let limit = &limits.own;
            Quota::of(rate, limit, after(signals.client_tat_ns, limit))
        }),
        address: terms.client_rate_limit.and_then(|rate| {
            (violated(rulebook, admission) == Some(ADDRESS)).then(|| Quota {
                per_minute: rate.get().saturating_mul(ClientLimits::ADDRESS_FACTOR),
                remaining: 0,
                next_s: seconds(admission.wait_ns),
            })
        }),
    }
}

/// The name of the limit that refused the request. The limit of unknown paths has none.
pub(super) fn violated(rulebook: &Rulebook, admission: &Admission) -> Option<&'static str> {
    let contract = rulebook.contract_of(admission.route)?;
    match admission.signals.take {
        _ if admission.is_forwarded() => None,
        Take::ContractRate => Some(CONTRACT),
        Take::ClientRate => {
            let limits = rulebook.client_limits_of(admission.route)?;
            let is_address = limits.is_address_over(contract, &admission.signals);
            Some(if is_address { ADDRESS } else { CLIENT })
        }
        Take::NotAsked | Take::Granted | Take::Concurrency | Take::Probe => None,
    }
}

fn seconds(wait_ns: u64) -> u32 {
    u32::try_from(wait_ns.div_ceil(NANOS_PER_SECOND)).unwrap_or(u32::MAX)
}

/// Puts the fields into a response. They replace an upstream's own: it counts behind the gateway
/// and does not know who was refused there.
pub(super) fn tell(response: &mut impl AnswerFields, quotas: Quotas) -> Result<()> {
    let named: [(&[u8], &[u8], _); 3] = [
        (b", \"contract\";q=", b", \"contract\";r=", quotas.contract),
        (b", \"client\";q=", b", \"client\";r=", quotas.client),
        (b", \"address\";q=", b", \"address\";r=", quotas.address),
    ];
    let (mut policy, mut state) = (Line::new(), Line::new());
    for (rate, rest, quota) in named {
        let Some(quota) = quota else { continue };
        policy.next(rate);
        policy.number(quota.per_minute);
        policy.put(WINDOW);
        state.next(rest);
        state.number(quota.remaining);
        state.put(b";t=");
        state.number(quota.next_s);
    }
    if !policy.is_empty() {
        response.insert("RateLimit-Policy", &policy)?;
        response.insert("RateLimit", &state)?;
    }
    Ok(())
}

/// More than three limits take: the longest name, two numbers of ten digits, what stands between.
const LINE_BYTES: usize = 128;

/// The value of a field.
struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
}

impl Line {
    const fn new() -> Self {
        Self {
            bytes: [0; LINE_BYTES],
            len: 0,
        }
    }

    /// Begins the next limit; the first has no comma before it.
    #[inline]
    fn next(&mut self, begin: &[u8]) {
        let from = if self.is_empty() { b", ".len() } else { 0 };
        self.put(begin.get(from..).unwrap_or_default());
    }

    #[inline]
    fn number(&mut self, number: u32) {
        match u8::try_from(number) {
            // Most are: what remains of a refusal, and its seconds.
            Ok(digit @ 0..=9) => self.put(&[b'0' + digit]),
            _ => self.put(itoa::Buffer::new().format(number).as_bytes()),
        }
    }

    #[inline]
    fn put(&mut self, part: &[u8]) {
        let end = self.len + part.len();
        // There is room for all that can be said; a test says it.
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(part);
            self.len = end;
        }
    }
}

impl Deref for Line {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use pingora::http::ResponseHeader;

    use super::{Quota, Quotas, tell};
    use crate::observation::Limit;
    use crate::units::PerMinute;

    #[test]
    fn what_remains_and_when_there_is_more() {
        const MS: i64 = 1_000_000;
        let check = |rate, burst, tat_ms: i64, remaining, next_s| {
            let rate = PerMinute::new(rate).unwrap();
            let limit = Limit::new(rate, NonZeroU32::new(burst));
            let quota = Quota::of(rate, &limit, tat_ms * MS);
            assert_eq!(
                (quota.remaining, quota.next_s),
                (remaining, next_s),
                "{rate:?} {burst} {tat_ms}"
            );
        };
        // A period of one second, three at once.
        check(60, 3, -5_000, 3, 0);
        check(60, 3, 0, 3, 0);
        check(60, 3, 1_000, 2, 1);
        check(60, 3, 2_000, 1, 1);
        check(60, 3, 2_001, 0, 1);
        check(60, 3, 3_000, 0, 1);
        check(1, 1, 60_000, 0, 60);
        check(1, 2, 60_000, 1, 60);
        check(1, 2, 119_001, 0, 60);
        check(6_000, 1, 10, 0, 1);
    }

    #[test]
    fn the_longest_values_have_room() {
        let most = Some(Quota {
            per_minute: u32::MAX,
            remaining: u32::MAX,
            next_s: u32::MAX,
        });
        let quotas = Quotas {
            contract: most,
            client: most,
            address: most,
        };
        let mut response = ResponseHeader::build(200, None).unwrap();
        tell(&mut response, quotas).unwrap();
        let of = |name: &str| response.headers.get(name).unwrap().to_str().unwrap();
        let max = u32::MAX;
        let [policy, state] = ["contract", "client", "address"].iter().fold(
            [String::new(), String::new()],
            |[policy, state], name| {
                let comma = if policy.is_empty() { "" } else { ", " };
                [
                    format!("{policy}{comma}\"{name}\";q={max};w=60"),
                    format!("{state}{comma}\"{name}\";r={max};t={max}"),
                ]
            },
        );
        assert_eq!([of("ratelimit-policy"), of("ratelimit")], [policy, state]);
    }

    #[test]
    fn fields_replace_those_of_the_upstream() {
        let quota = |per_minute, remaining| Quota {
            per_minute,
            remaining,
            next_s: 1,
        };
        let check = |contract, client, policy: Option<&str>, state: Option<&str>| {
            let mut response = ResponseHeader::build(200, None).unwrap();
            response.append_header("RateLimit", "upstream").unwrap();
            response.append_header("RateLimit", "twice").unwrap();
            let quotas = Quotas {
                contract,
                client,
                address: None,
            };
            tell(&mut response, quotas).unwrap();
            let all = |name| -> Vec<&str> {
                let fields = response.headers.get_all(name);
                fields.iter().map(|value| value.to_str().unwrap()).collect()
            };
            assert_eq!(all("ratelimit-policy"), Vec::from_iter(policy));
            match state {
                Some(state) => assert_eq!(all("ratelimit"), [state]),
                None => assert_eq!(all("ratelimit"), ["upstream", "twice"]),
            }
        };
        check(None, None, None, None);
        check(
            Some(quota(100, 9)),
            None,
            Some("\"contract\";q=100;w=60"),
            Some("\"contract\";r=9;t=1"),
        );
        check(
            Some(quota(100, 9)),
            Some(quota(10, 0)),
            Some("\"contract\";q=100;w=60, \"client\";q=10;w=60"),
            Some("\"contract\";r=9;t=1, \"client\";r=0;t=1"),
        );
    }
}
