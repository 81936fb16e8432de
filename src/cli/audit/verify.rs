//! `tidings audit verify`: holds an export against what the auditor has kept.
//!
//! Invariant: exit code 0 means intact and nothing else does. Needs no server, no network and no setting; memory
//! does not grow with the export. The report is on standard output, progress on standard error.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::input::{self, Line, Lines};
use crate::cli::output;
use crate::domain::audit::verify::{
    Extent, Finding, Report, Retained, Trust, Unchecked, Verdict, Verifier,
};
use crate::domain::checkpoint::VerifyingKey;

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings audit verify log.ndjson --key-file tidings.keys --checkpoint kept.checkpoint
  tidings audit verify log.ndjson --key 'tidings/env_…+1a2b3c4d+AX…' --whole
  curl -s \"$URL\" | tidings audit verify - --key-file tidings.keys --json

Keep keys and checkpoints where whoever runs the server cannot change them: each checkpoint is an event,
audit_log.checkpoint_created. Without --checkpoint a history that was made anew and signed again passes.

Exit codes:
  0   intact: nothing under the checkpoints was changed, removed, added or moved
  65  broken: the report names the first entry that was
  69  undecided: get the consistency proof between the kept checkpoint and the export's
  66  a file cannot be read, or is not what it should be
  2   wrong usage";

/// Something was changed, removed, added or moved (`EX_DATAERR` of sysexits.h).
const BROKEN: u8 = 65;
/// A proof is missing (`EX_UNAVAILABLE`).
const UNDECIDED: u8 = 69;
/// Lines between two tellings of the progress.
const PROGRESS: u64 = 10_000;

#[derive(Args)]
pub(in crate::cli) struct Verify {
    /// The NDJSON export, or - to read it from standard input
    #[arg(value_name = "EXPORT")]
    export: PathBuf,
    /// A public key that signs the environment's checkpoints; may be given again
    #[arg(long, value_name = "VKEY", required_unless_present = "key_file")]
    key: Vec<VerifyingKey>,
    /// A file with such keys: one a line, or the answer of /.well-known/tidings/audit-log-keys/…
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A checkpoint that you have kept: the signed note, or the JSON that carries it
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The proof that the kept checkpoint and the export's are of one log, as the API answers it
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    consistency_proof: Option<PathBuf>,
    /// Refuse an export that is only a part of the log
    #[arg(long)]
    whole: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Verify) -> anyhow::Result<ExitCode> {
    let trust = command.trust()?;
    let report = read(Lines::open(&command.export)?, &trust)?;
    if command.json {
        output::json(&ReportBody::from(&report))?;
    } else {
        let lines = report.to_string();
        let lines: Vec<String> = lines.lines().map(output::printable).collect();
        output::line(&lines.join("\n"))?;
    }
    Ok(match report.verdict {
        Verdict::Intact => ExitCode::SUCCESS,
        Verdict::Undecided => ExitCode::from(UNDECIDED),
        Verdict::Broken(_) => ExitCode::from(BROKEN),
    })
}

impl Verify {
    fn trust(&self) -> anyhow::Result<Trust> {
        let mut keys = self.key.clone();
        if let Some(path) = &self.key_file {
            keys.extend(input::keys(path)?);
        }
        let retained = match &self.checkpoint {
            None => None,
            Some(path) => Some(Retained {
                note: input::checkpoint(path)?,
                consistency: self
                    .consistency_proof
                    .as_deref()
                    .map(input::proof)
                    .transpose()?,
            }),
        };
        let extent = match self.whole {
            true => Extent::Whole,
            false => Extent::AsStated,
        };
        Ok(Trust {
            keys,
            retained,
            extent,
        })
    }
}

/// Verifies line by line; the first finding ends it.
fn read(mut lines: Lines, trust: &Trust) -> anyhow::Result<Report> {
    let mut verifier = Verifier::new(trust);
    let shows_progress = stderr().is_terminal();
    let mut read = 0_u64;
    while let Some(line) = lines.next()? {
        let taken = match line {
            Line::Text(text) => verifier.read(text),
            Line::Unreadable(fault) => verifier.refuse(fault),
        };
        if taken.is_err() {
            break;
        }
        read += 1;
        if shows_progress && read.is_multiple_of(PROGRESS) {
            let _told_or_not = write!(stderr(), "\r{read} lines");
        }
    }
    if shows_progress && read >= PROGRESS {
        let _told_or_not = writeln!(stderr());
    }
    Ok(verifier.finish())
}

#[derive(Serialize)]
struct ReportBody<'a> {
    verdict: &'static str,
    entries: u64,
    covered: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<FindingBody>,
    unchecked: Vec<UncheckedBody<'a>>,
}

#[derive(Serialize)]
struct FindingBody {
    line: u64,
    index: Option<u64>,
    id: Option<String>,
    message: String,
}

#[derive(Serialize)]
struct UncheckedBody<'a> {
    code: &'a str,
    message: String,
}

impl From<&Report> for ReportBody<'_> {
    fn from(report: &Report) -> Self {
        let finding = match &report.verdict {
            Verdict::Broken(finding) => Some(finding.into()),
            Verdict::Intact | Verdict::Undecided => None,
        };
        Self {
            verdict: report.verdict.as_str(),
            entries: report.entries,
            covered: report.covered,
            finding,
            unchecked: report.unchecked.iter().map(UncheckedBody::from).collect(),
        }
    }
}

impl From<&Finding> for FindingBody {
    fn from(finding: &Finding) -> Self {
        Self {
            line: finding.line,
            index: finding.index,
            id: finding.id.map(|id| id.to_string()),
            message: finding.what.to_string(),
        }
    }
}

impl From<&Unchecked> for UncheckedBody<'_> {
    fn from(unchecked: &Unchecked) -> Self {
        Self {
            code: unchecked.as_str(),
            message: unchecked.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
