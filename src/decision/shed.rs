//! Shedding: which requests of a distressed route are asked to come back later.
//!
//! Refusing everybody would be an outage of our own making, so a share of the requests is shed,
//! the least important first, chosen by a hash and not by dice: decisions replay, a retry keeps
//! its fate for the minute, and nobody is the victim for ever.

use sha2::{Digest, Sha256};

use crate::observation::{CircuitState, ClientKey, Signals, Standing, Take};
use crate::policy::rules::Rules;
use crate::risk::Assessment;
use crate::units::{Bands, BasisPoints, ramp};

/// The most that is ever shed: recovery must stay observable.
pub const SHED_SHARE_MAX_BP: u64 = 9_000;

/// The share of this request's class that is shed at this distress.
///
/// The share of the whole grows from `medium` to `critical` and is taken from the lowest class
/// first: class c gives `(share - sum of lower classes) / f_c`, with f_c its share of the requests
/// that [`only_shedding_refuses`].
#[must_use]
pub fn shed_share(bands: &Bands, distress: BasisPoints, signals: &Signals) -> BasisPoints {
    let (from, to) = (bands.medium().wide(), bands.critical().wide());
    let share = ramp(distress.wide(), from, to)
        .wide()
        .max(u64::from(signals.slow_start_bp))
        .min(SHED_SHARE_MAX_BP);
    let mut left = share;
    for (class, offered) in signals.class_share_bp.iter().enumerate() {
        let offered = u64::from(*offered);
        if class == usize::from(signals.class) {
            let of_class = left * 10_000 / offered.max(1);
            return BasisPoints::saturating(of_class.min(SHED_SHARE_MAX_BP));
        }
        left = left.saturating_sub(offered);
    }
    BasisPoints::ZERO
}

/// Whether nothing but shedding refuses the request, or would have. Only such requests can be shed:
/// if those that are refused anyway had a share of their class, a client that is refused could
/// switch shedding off by declaring retries.
#[must_use]
pub fn only_shedding_refuses(rules: &Rules, assessment: &Assessment, signals: &Signals) -> bool {
    let is_limited = match signals.take {
        Take::Granted => false,
        // Shed, or else refused without a limit: one that would refuse is known of the client's.
        Take::NotAsked => signals.client_over,
        _ => signals.hold_ns == 0,
    };
    signals.standing == Standing::Contracted
        && signals.circuit != CircuitState::Open
        && assessment.abuse() < rules.bands.medium()
        && !is_limited
}

/// Where in 0..10000 a client's requests to a contract fall in this minute.
///
/// First eight bytes of SHA-256 over client, wall-clock minute and contract, big endian, mod 10000.
#[must_use]
pub fn shed_hash(client: ClientKey, wall_us: u64, contract: &str) -> u16 {
    hash(client, wall_us / 60_000_000, contract)
}

/// The same for one request of a client that sends a large part of the traffic: by its number
/// instead of the minute. Numbers and minutes are told apart by the highest bit.
#[must_use]
pub fn numbered_hash(client: ClientKey, number: u32, contract: &str) -> u16 {
    hash(client, u64::from(number) | 1 << 63, contract)
}

/// Where in 0..10000 a client falls on the canary of a contract, at any time.
///
/// The same construction under a name of its own: with the draw of shedding the clients of a small
/// canary would always be the first to be shed, and a canary would tell of distress alone.
#[must_use]
pub fn rollout_hash(client: ClientKey, contract: &str) -> u16 {
    let digest = Sha256::new()
        .chain_update(b"tidegate contract canary\0")
        .chain_update(client.0.to_be_bytes())
        .chain_update(contract.as_bytes());
    in_ten_thousand(digest)
}

fn hash(client: ClientKey, turn: u64, contract: &str) -> u16 {
    let digest = Sha256::new()
        .chain_update(client.0.to_be_bytes())
        .chain_update(turn.to_be_bytes())
        .chain_update(contract.as_bytes());
    in_ten_thousand(digest)
}

fn in_ten_thousand(digest: Sha256) -> u16 {
    let number = digest
        .finalize()
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    (number % 10_000) as u16
}

#[cfg(test)]
mod tests {
    use super::{only_shedding_refuses, rollout_hash, shed_hash, shed_share};
    use crate::observation::{CircuitState, ClientKey, Signals, Standing, Take};
    use crate::policy::rules::Rules;
    use crate::risk::assess;
    use crate::units::{Bands, BasisPoints, FactorSet};

    #[test]
    fn the_lowest_class_is_shed_first() {
        let share = |distress, class, class_share_bp| {
            let signals = Signals {
                class,
                class_share_bp,
                ..Signals::default()
            };
            shed_share(
                &Bands::default(),
                BasisPoints::saturating(distress),
                &signals,
            )
            .get()
        };
        let all_ordinary = [0, 10_000, 0];
        assert_eq!(share(4_000, 1, all_ordinary), 0);
        assert_eq!(share(6_500, 1, all_ordinary), 5_000);
        assert_eq!(share(10_000, 1, all_ordinary), 9_000, "never all");
        // Half of everything is to go; retries are 30 % and give all they may.
        let mixed = [3_000, 6_000, 1_000];
        assert_eq!(share(6_500, 0, mixed), 9_000);
        assert_eq!(share(6_500, 1, mixed), 3_333);
        assert_eq!(share(6_500, 2, mixed), 0);
    }

    #[test]
    fn what_is_refused_anyway_is_no_part_of_what_can_be_shed() {
        let calm = Signals {
            known: FactorSet::ALL,
            ..Signals::default()
        };
        let of_take = |take, hold_ns, client_over| Signals {
            take,
            hold_ns,
            client_over,
            ..calm
        };
        let table = [
            (of_take(Take::Granted, 0, false), true),
            (of_take(Take::NotAsked, 0, false), true),
            (of_take(Take::NotAsked, 0, true), false),
            (of_take(Take::ClientRate, 0, true), false),
            (of_take(Take::ContractRate, 0, false), false),
            (of_take(Take::ContractRate, 5, false), true),
            (of_take(Take::Concurrency, 0, false), false),
            (of_take(Take::Probe, 0, false), false),
        ];
        let standings = [Standing::MethodNotAllowed, Standing::Unknown];
        let standings = standings.map(|standing| (Signals { standing, ..calm }, false));
        let circuit = CircuitState::Open;
        let open = (Signals { circuit, ..calm }, false);
        let rules = Rules::default();
        for (signals, want) in table.into_iter().chain(standings).chain([open]) {
            let assessment = assess(&rules, None, &signals);
            let found = only_shedding_refuses(&rules, &assessment, &signals);
            assert_eq!(found, want, "{signals:?}");
        }
    }

    // R285: else the clients of a small canary would be the first to be shed, always.
    #[test]
    fn the_canary_of_a_contract_has_a_draw_of_its_own() {
        let clients: Vec<ClientKey> = (0..10_000).map(ClientKey).collect();
        let canary = clients
            .iter()
            .filter(|client| rollout_hash(**client, "a") < 1_000);
        let canary: Vec<&ClientKey> = canary.collect();
        assert!((900..1_100).contains(&canary.len()), "{}", canary.len());
        for minute in 0..10 {
            let shed =
                |client: &&&ClientKey| shed_hash(***client, minute * 60_000_000, "a") < 1_000;
            let both = canary.iter().filter(shed).count();
            assert!((60..140).contains(&both), "{both} of the canary are shed");
        }
        let other = canary
            .iter()
            .filter(|client| rollout_hash(***client, "b") < 1_000);
        assert!(other.count() < 140, "another contract has other clients");
    }

    #[test]
    fn the_hash_is_spread_and_stays_for_a_minute() {
        let minute = 60_000_000;
        let at = |client, wall| shed_hash(ClientKey(client), wall, "a");
        assert_eq!(at(1, 0), at(1, minute - 1));
        assert_ne!(at(1, 0), at(1, minute));
        let below_half = (0..10_000).filter(|&client| at(client, 0) < 5_000).count();
        assert!((4_800..5_200).contains(&below_half), "{below_half}");
    }
}
