//! `tidegate schema`: JSON Schemas of all files, for editors and other programs.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::exit::{FAILED, OK, Outcome};
use crate::schema::{DOCUMENTS, Document, json_schema};

/// Prints the JSON Schemas (2020-12) of all files as one object, or keeps them in a folder.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Write one file for each schema into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "check")]
    pub out: Option<PathBuf>,
    /// Compare with the files of this folder; exit 1 where one is stale or missing.
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "schemas")]
    pub check: Option<PathBuf>,
}

/// Runs the verb; the result is the exit code: 0, or 1 where a file is stale or cannot be written.
#[must_use]
pub fn run(args: &SchemaArgs) -> u8 {
    let outcome = match (&args.out, &args.check) {
        (Some(folder), _) => write(folder),
        (None, Some(folder)) => check(folder),
        (None, None) => all(),
    };
    outcome.print()
}

/// All schemas by name.
fn all() -> Outcome {
    let named = |document: &Document| (document.name.to_owned(), json_schema(document));
    let schemas: Map<String, Value> = DOCUMENTS.iter().map(named).collect();
    Outcome {
        stdout: format!("{:#}\n", Value::Object(schemas)),
        stderr: String::new(),
        code: OK,
    }
}

fn write(folder: &Path) -> Outcome {
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        for document in DOCUMENTS {
            std::fs::write(folder.join(document.file_name()), document.text())?;
        }
        Ok(())
    });
    let folder = folder.display();
    match written {
        Ok(()) => Outcome {
            stdout: format!("{} schemas in {folder}\n", DOCUMENTS.len()),
            stderr: String::new(),
            code: OK,
        },
        Err(error) => Outcome {
            stdout: String::new(),
            stderr: format!("error: {folder}: {error}; name a folder that can be written\n"),
            code: FAILED,
        },
    }
}

fn check(folder: &Path) -> Outcome {
    let faults: Vec<String> = DOCUMENTS
        .iter()
        .filter_map(|document| fault(folder, document))
        .collect();
    if faults.is_empty() {
        return Outcome {
            stdout: format!(
                "{} schemas are as this program makes them\n",
                DOCUMENTS.len()
            ),
            stderr: String::new(),
            code: OK,
        };
    }
    let remedy = format!(
        "write them again: tidegate schema --out {}\n",
        folder.display()
    );
    Outcome {
        stdout: faults.concat(),
        stderr: remedy,
        code: FAILED,
    }
}

/// What is wrong with the file of a schema, as a line.
fn fault(folder: &Path, document: &Document) -> Option<String> {
    let path = folder.join(document.file_name());
    let shown = path.display();
    match std::fs::read_to_string(&path) {
        Ok(text) if text == document.text() => None,
        Ok(_) => Some(format!("{shown}: stale\n")),
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("{shown}: missing\n")),
        Err(error) => Some(format!("{shown}: {error}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::{check, write};
    use crate::schema::DOCUMENTS;

    // R116
    #[test]
    fn what_was_written_is_current_until_somebody_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schemas");
        let missing = check(&path);
        assert_eq!(missing.code, 1);
        assert_eq!(missing.stdout.lines().count(), DOCUMENTS.len());
        assert_eq!(write(&path).code, 0);
        assert_eq!(check(&path).code, 0);
        let file = path.join("policy.schema.json");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("1000000", "1000001", 1)).unwrap();
        let stale = check(&path);
        assert_eq!(stale.code, 1);
        assert!(
            stale.stdout.ends_with("policy.schema.json: stale\n"),
            "{}",
            stale.stdout
        );
        assert!(stale.stderr.contains("tidegate schema --out"));
    }
}
