//! The laws of the score, for so many random cases that rounding would show.
//!
//! `LAW_CASES=10000000` says how many; `LAW_CASE=17` runs one alone, a failure names it.

use tidegate::observation::{SLOW_START_MAX_BP, Signals, Take};
use tidegate::pipeline::judge;
use tidegate::policy::rules::{Rules, Stage};
use tidegate::risk::{Assessment, TABLE, assess};
use tidegate::units::{BasisPoints, FACTOR_COUNT, Factor};

use crate::any::{without, worsened};
use crate::cases::Cases;

/// As many as fit into a run of all tests.
const USUAL: u64 = 200_000;
/// Rules are drawn anew after so many.
const CASES_PER_RULES: u64 = 16;

/// How often each factor read something, and how often it could not be read.
#[derive(Debug, Default, Clone, Copy)]
struct Coverage {
    read: [u64; FACTOR_COUNT],
    insufficient: [u64; FACTOR_COUNT],
    slow_starts: u64,
}

impl Coverage {
    fn note(&mut self, assessment: &Assessment, signals: &Signals) {
        for factor in Factor::ALL {
            let place = factor as usize;
            self.read[place] += u64::from(assessment.reading(factor) > BasisPoints::ZERO);
            self.insufficient[place] += u64::from(assessment.insufficient().contains(factor));
        }
        self.slow_starts += u64::from(signals.slow_start_bp > 0);
    }

    fn plus(mut self, other: Self) -> Self {
        for place in 0..FACTOR_COUNT {
            self.read[place] += other.read[place];
            self.insufficient[place] += other.insufficient[place];
        }
        self.slow_starts += other.slow_starts;
        self
    }
}

fn bounded(assessment: &Assessment, rules: &Rules) {
    let mut worst = BasisPoints::ZERO;
    let mut sum = 0;
    for line in &TABLE {
        let contribution = assessment.contribution(line.factor);
        assert!(contribution <= assessment.reading(line.factor));
        assert!(contribution <= rules.weights.of(line.factor));
        if assessment.insufficient().contains(line.factor) {
            assert_eq!(assessment.reading(line.factor), BasisPoints::ZERO);
        }
        worst = worst.max(contribution);
        sum += contribution.wide();
    }
    assert!(assessment.risk() <= BasisPoints::FULL);
    assert!(assessment.risk() >= worst, "a single bad factor is hidden");
    // Truncation works against the request by at most 1 for each of the families.
    assert!(assessment.risk().wide() <= sum.min(10_000) + 7);
    assert_eq!(
        assessment.risk(),
        assessment.distress().max(assessment.abuse())
    );
}

/// Checks all laws on one case.
fn check(rules: &Rules, cases: &mut Cases, coverage: &mut Coverage) {
    let signals = cases.signals();
    let terms = cases.terms();
    let terms = terms.as_ref();
    let factor = Factor::ALL[cases.below(FACTOR_COUNT as u64) as usize];
    let step = match cases.below(2) {
        0 => 1 + cases.below(50) as u32,
        _ => 1 + cases.below(1_000_000_000) as u32,
    };
    let judged = judge(rules, terms, &signals);
    let assessment = judged.assessment;
    coverage.note(&assessment, &signals);
    bounded(&assessment, rules);

    // Equal inputs give equal bits, also when they were written down in between.
    let inputs = signals.to_inputs();
    let used = inputs.iter().rposition(|input| *input != 0);
    let used = used.map_or(0, |last| last + 1);
    let read = Signals::from_inputs(&inputs[..used]).unwrap();
    assert_eq!(judge(rules, terms, &read), judged);

    // Monotone in each factor; the takes are asked for their own sake.
    let before = Signals {
        take: Take::NotAsked,
        ..signals
    };
    let worse = judge(rules, terms, &worsened(before, factor, step));
    let plain = judge(rules, terms, &before);
    assert!(worse.assessment.distress() >= plain.assessment.distress());
    assert!(worse.assessment.abuse() >= plain.assessment.abuse());
    assert!(worse.decision.severity() >= plain.decision.severity());

    // A circuit that closed a moment ago only ever adds to what is shed.
    let slower = Signals {
        slow_start_bp: (signals.slow_start_bp + step as u16 % 500).min(SLOW_START_MAX_BP),
        ..before
    };
    let slower = judge(rules, terms, &slower);
    assert!(slower.decision.severity() >= plain.decision.severity());
    assert_eq!(slower.assessment, plain.assessment, "it is no risk");

    // What is not known changes nothing, whatever it would have said.
    let unknown = assess(rules, terms, &without(signals, factor));
    assert_eq!(unknown.reading(factor), BasisPoints::ZERO);
    let mut weightless = rules.clone();
    weightless.stages.set(factor, Stage::Shadow);
    let shadowed = assess(&weightless, terms, &signals);
    assert_eq!(unknown.distress(), shadowed.distress());
    assert_eq!(unknown.abuse(), shadowed.abuse());
    if !matches!(factor, Factor::UnknownEndpoint | Factor::MethodDisallowed) {
        let other = without(worsened(signals, factor, step), factor);
        assert_eq!(assess(rules, terms, &other), unknown);
    }
}

fn check_range(range: std::ops::Range<u64>) -> Coverage {
    let mut coverage = Coverage::default();
    let mut rules = Rules::default();
    let first = range.start;
    for case in range {
        let about = case / CASES_PER_RULES;
        if case == first || case % CASES_PER_RULES == 0 {
            rules = Cases::new(u64::MAX - about).rules();
        }
        let told = Told(case);
        check(&rules, &mut Cases::new(case), &mut coverage);
        std::mem::forget(told);
    }
    coverage
}

/// Says which case it was, where a law is broken.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        println!("broken in LAW_CASE={}", self.0);
    }
}

// R045
#[test]
fn the_laws_of_risk_hold_in_all_cases() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse().unwrap());
    if let Some(case) = number("LAW_CASE") {
        check_range(case..case + 1);
        return;
    }
    let count = number("LAW_CASES").unwrap_or(USUAL);
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let coverage = std::thread::scope(|scope| {
        let range = |part: u64| count * part / threads..count * (part + 1) / threads;
        let workers: Vec<_> = (0..threads)
            .map(|part| scope.spawn(move || check_range(range(part))))
            .collect();
        let coverages = workers.into_iter().map(|worker| worker.join().unwrap());
        coverages.fold(Coverage::default(), Coverage::plus)
    });
    println!("{count} cases; factor, cases in which it read something, could not be read:");
    for factor in Factor::ALL {
        let place = factor as usize;
        let (read, insufficient) = (coverage.read[place], coverage.insufficient[place]);
        println!("{:20} {read:10} {insufficient:10}", factor.name());
        assert!(read * 100 >= count, "{}: hardly ever read", factor.name());
        assert!(
            insufficient * 100 >= count,
            "{}: always known",
            factor.name()
        );
    }
    println!("{:20} {:10}", "slow start", coverage.slow_starts);
    assert!(
        coverage.slow_starts * 100 >= count,
        "slow start: hardly ever"
    );
}
