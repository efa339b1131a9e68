//! The report for a pull request.
//!
//! Values come from files that somebody else may have written, so everything in a table is shown as
//! code, and what could end a cell or the code is replaced.

use super::report::{Report, value};

/// The whole report.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!(
        "### Bundle diff\n\n- old: {}\n- new: {}\n- signatures are not verified here\n",
        report.old.text(),
        report.new.text()
    );
    for remark in report.remarks() {
        text += &format!("- {}\n", code(&remark));
    }
    text.push('\n');
    if report.is_empty() {
        return text + "Nothing changes.\n";
    }
    text += "| subject | what | old | new | consumer | protection | classes |\n\
             |---|---|---|---|---|---|---|\n";
    for change in &report.changes {
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            code(&change.subject),
            code(&change.what),
            code(value(change.from.as_deref())),
            code(value(change.to.as_deref())),
            change.consumer,
            change.protection,
            change.classes.join(", "),
        );
    }
    text += &format!("\n**Classes:** {}\n", report.classes.join(", "));
    match &report.needs {
        Some(needs) => text += &format!("\n**Signatures:** {}\n", needs.text()),
        None => text += "\n**Signatures:** name the root to see how many (`--root`)\n",
    }
    text + &impact(report)
}

fn impact(report: &Report) -> String {
    let Some((impact, rerun)) = report
        .impact
        .as_ref()
        .and_then(|impact| Some((impact, impact.rerun.as_ref()?)))
    else {
        return String::new();
    };
    let mut text = format!(
        "\n### Impact on recorded traffic\n\nOf {} recorded requests {} would fare otherwise.\n",
        rerun.requests, rerun.changed
    );
    if !rerun.changes.is_empty() {
        text += "\n| contract | was | would be | requests |\n|---|---|---|---|\n";
    }
    for change in &rerun.changes {
        let (contract, count) = (code(&change.contract), change.count);
        text += &format!(
            "| {contract} | {} | {} | {count} |\n",
            change.from, change.to
        );
    }
    text.push('\n');
    for note in impact.notes(rerun) {
        text += &format!("- {note}\n");
    }
    text
}

/// A text as code in a cell of a table.
fn code(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '`' => '\'',
            '|' => '/',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    format!("`{plain}`")
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn nothing_gets_out_of_its_cell() {
        assert_eq!(code("a|b`c\n| d |"), "`a/b'c / d /`");
    }
}
