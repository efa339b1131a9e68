//! A bar chart of CPU per request, by scenario and subject; readable on light and dark pages.

use std::fmt::Write as _;

use super::outcome::{CPU, Outcome};
use super::run::Run;

const WIDTH: u32 = 760;
/// Where bars begin: left of it stand the names.
const LEFT: u32 = 190;
/// Right of the longest bar stand the figures.
const RIGHT: u32 = 150;
const BAR: u32 = 16;
const STEP: u32 = 22;
const HEADING: u32 = 34;
const TOP: u32 = 44;
/// Bars end here, in microseconds: what is written the ordinary way would make all others dots.
const AXIS_MAX: f64 = 60.0;

/// Colours of both kinds of pages; text and lines follow the page's.
const STYLE: &str = "<style>\n\
    text { font: 12px system-ui, sans-serif; fill: #24292f; }\n\
    .title { font-size: 15px; font-weight: 600; } .head { font-weight: 600; }\n\
    .grid { stroke: #d0d7de; } .spread { stroke: #24292f; stroke-width: 1.5; }\n\
    .own { fill: #0a7ea4; } .engine { fill: #8250df; } .nginx { fill: #3fa35b; } .haproxy { fill: #c77d1a; }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #e6edf3; } .grid { stroke: #30363d; } .spread { stroke: #e6edf3; }\n\
    .own { fill: #2fb0dc; } .engine { fill: #a67cf2; } .nginx { fill: #56c274; } .haproxy { fill: #e3a04a; }\n\
    }\n</style>\n";

/// The plot of a run.
pub(super) fn plot(run: &Run) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for outcome in &run.outcomes {
        if outcome.subjects.iter().any(|s| s.spread(CPU).is_some()) {
            y = group(&mut body, outcome, y);
        }
    }
    let height = y + 30;
    let grid = grid(y);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"CPU microseconds per request\">\n{STYLE}\
         <text class=\"title\" x=\"12\" y=\"24\">CPU microseconds per request: median and spread of rounds</text>\n\
         {grid}{body}</svg>\n"
    )
}

fn x(us: f64) -> f64 {
    let room = f64::from(WIDTH - LEFT - RIGHT);
    f64::from(LEFT) + us.clamp(0.0, AXIS_MAX) / AXIS_MAX * room
}

/// Lines at each ten microseconds, and their numbers below.
fn grid(bottom: u32) -> String {
    let mut text = String::new();
    for us in (0_u32..=60).step_by(10) {
        let at = x(f64::from(us));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{us}</text>",
            bottom + 18
        );
    }
    text
}

/// One scenario; gives where the next one begins.
fn group(body: &mut String, outcome: &Outcome, top: u32) -> u32 {
    let mut y = top + HEADING;
    // Writing to a string cannot fail.
    let _ = writeln!(
        body,
        "<text class=\"head\" x=\"12\" y=\"{}\">{}</text>",
        top + 22,
        escaped(&outcome.title)
    );
    for subject in &outcome.subjects {
        let Some(spread) = subject.spread(CPU) else {
            continue;
        };
        let (end, middle) = (x(spread.median), f64::from(y) + f64::from(BAR) / 2.0);
        let beyond = if spread.median > AXIS_MAX {
            " &#187;"
        } else {
            ""
        };
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{}\" x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>\
             <line class=\"spread\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{:.1}{beyond}</text>",
            LEFT - 8,
            y + 12,
            escaped(&subject.label),
            class(&subject.label),
            end - f64::from(LEFT),
            x(spread.least),
            x(spread.most),
            x(spread.most).max(end) + 6.0,
            y + 12,
            spread.median,
        );
        y += STEP;
    }
    y
}

fn class(label: &str) -> &'static str {
    match label.split([' ', ',']).next() {
        Some("tidegate") => "own",
        Some("nginx") => "nginx",
        Some("HAProxy") => "haproxy",
        _ => "engine",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::outcome::Subject;
    use super::*;

    #[test]
    fn each_subject_has_a_bar_and_long_ones_are_cut_and_say_so() {
        let subject = |label: &str, figure| {
            let mut subject = Subject::of(label.to_owned());
            subject.add(CPU, figure);
            subject
        };
        let run = Run {
            about: Value::Null,
            outcomes: vec![Outcome {
                title: "a < b".to_owned(),
                subjects: vec![
                    subject("tidegate, N = 10", 30.0),
                    subject("nginx governed", 190.0),
                    Subject::of("not measured".to_owned()),
                ],
                ..Outcome::default()
            }],
            runs: 1,
            failed: vec![],
        };
        let text = plot(&run);
        assert_eq!(text.matches("<rect").count(), 2);
        assert!(
            text.contains("class=\"own\" x=\"190\" y=\"78\" width=\"210.0\""),
            "{text}"
        );
        assert!(text.contains("width=\"420.0\"") && text.contains("190.0 &#187;"));
        assert!(text.contains("a &lt; b"));
    }
}
