//! Failures: what a person reads, and the number a script gets.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use crate::config::{ConfigError, SetupError};

/// The command failed; trying again may help.
const FAILED: u8 = 1;
/// The configuration or this machine must change first (`EX_CONFIG` of sysexits.h).
const CONFIGURATION: u8 = 78;

/// What was to be read cannot be (`EX_NOINPUT` of sysexits.h).
const NO_INPUT: u8 = 66;

/// A file that a command was given cannot be read, or is not what it should be; the cause says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct InputError(pub(super) String);

/// The exit code of a command that has one of its own when all goes well.
pub(super) fn of(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| fail(&error))
}

/// Tells the failure with its causes on standard error, and gives the exit code.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    if reader_is_gone(error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("tidings: {}", told(error));
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    let must_change = error
        .chain()
        .any(|cause| cause.is::<ConfigError>() || cause.is::<SetupError>());
    let is_input = error.downcast_ref::<InputError>().is_some();
    match (must_change, is_input) {
        (true, _) => CONFIGURATION,
        (false, true) => NO_INPUT,
        (false, false) => FAILED,
    }
}

/// The failure and its causes; a cause that the line before already told is left out.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !last.contains(&cause) {
            write!(text, "\n  because: {cause}").expect("a String takes every text");
        }
        last = cause;
    }
    text
}

/// Whoever read our output has enough, as in `tidings events tail | head`.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().map(io::Error::kind)
    };
    error
        .downcast_ref::<super::output::OutputClosed>()
        .is_some()
        && error
            .chain()
            .any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn what_a_restart_cannot_mend_has_its_own_code() {
        let faults = Vec::new();
        let configuration = Err::<(), _>(ConfigError { faults })
            .context("cannot start")
            .unwrap_err();
        let machine = anyhow::Error::new(SetupError("no PostgreSQL server found".to_owned()));

        assert_eq!(code(&configuration), CONFIGURATION);
        assert_eq!(code(&machine), CONFIGURATION);
        let input = anyhow::anyhow!("not found").context(InputError("cannot read it".to_owned()));
        assert_eq!(code(&input), NO_INPUT);
        assert_eq!(code(&anyhow::anyhow!("the server is away")), FAILED);
    }

    #[test]
    fn causes_are_told_once() {
        let error = anyhow::anyhow!("refused")
            .context("cannot connect: refused")
            .context("cannot start");

        assert_eq!(
            told(&error),
            "cannot start\n  because: cannot connect: refused"
        );
    }
}
