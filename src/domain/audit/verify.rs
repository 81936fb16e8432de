//! The offline verifier: holds an export against checkpoints and public keys, and trusts nothing else.
//!
//! Invariant: an export is called intact only when every leaf that a verified checkpoint covers was shown to be
//! in its tree, every redacted or expired one is named by an entry of that tree, and the retained checkpoint,
//! if there is one, is a head of the same tree. What could not be checked is said, not implied.
//!
//! One pass; memory does not grow with the entries, only with the number of runs of redacted or expired ones.
//! Does not read files, and does not ask the platform anything.

mod finding;
mod link;
mod report;
mod run;

use super::export::{EntryLine, ExpiredLine, ExportEnd, ExportHeader, LineFault};
use super::grant::Grant;
use crate::domain::checkpoint::{Checkpoint, VerifyingKey};
use crate::domain::merkle::{Hash, verify_inclusion};
use link::Link;
use run::Run;

pub use finding::{Finding, What};
pub use report::{Report, Unchecked, Verdict};

/// What the auditor brings along.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub keys: Vec<VerifyingKey>,
    pub retained: Option<Retained>,
    pub extent: Extent,
}

/// A checkpoint that the auditor has kept, or got from somebody who has.
#[derive(Debug, Clone)]
pub struct Retained {
    pub note: String,
    /// The consistency proof between it and the export's checkpoint; needed only for an export that does not
    /// hold the retained checkpoint's last entry.
    pub consistency: Option<Vec<Hash>>,
}

/// How much of the log the export must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Extent {
    /// What its header says. Nobody signs the header, so the report says what that leaves open.
    #[default]
    AsStated,
    /// Every entry that the checkpoints cover, from the first.
    Whole,
}

/// Reads an export line by line.
///
/// Shape: lines without their line break, as they were written. After a finding the rest need not be read.
#[derive(Debug)]
pub struct Verifier<'t> {
    trust: &'t Trust,
    line: u64,
    entries: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Beginning,
    Reading(Box<Reading>),
    Ended(Box<Reading>),
    Broken(Finding),
}

/// An export whose header was accepted.
#[derive(Debug)]
struct Reading {
    header: ExportHeader,
    extent: Extent,
    link: Link,
    run: Run,
}

/// Verifies a whole export.
pub fn verify<L: AsRef<str>>(lines: impl IntoIterator<Item = L>, trust: &Trust) -> Report {
    let mut verifier = Verifier::new(trust);
    for line in lines {
        if verifier.read(line.as_ref()).is_err() {
            break;
        }
    }
    verifier.finish()
}

impl<'t> Verifier<'t> {
    pub fn new(trust: &'t Trust) -> Self {
        Self {
            trust,
            line: 0,
            entries: 0,
            state: State::Beginning,
        }
    }

    /// Reads the next line.
    ///
    /// Errors: the first thing that is wrong; [`Verifier::finish`] reports it too.
    pub fn read(&mut self, line: &str) -> Result<(), Finding> {
        self.line += 1;
        let state = std::mem::replace(&mut self.state, State::Beginning);
        if let State::Reading(reading) = &state {
            self.entries = reading.run.lines();
        }
        let next = match state {
            State::Beginning => self.begin(line),
            State::Reading(reading) => reading.read(line, self.line),
            State::Ended(_) => Err(Finding::at_line(self.line, What::AfterEnd)),
            State::Broken(finding) => Err(finding),
        };
        match next {
            Ok(state) => {
                self.state = state;
                Ok(())
            }
            Err(finding) => {
                self.state = State::Broken(finding.clone());
                Err(finding)
            }
        }
    }

    /// Takes note of a line that is no text, or is too long to be read.
    ///
    /// Errors: always, as [`Verifier::read`] does.
    pub fn refuse(&mut self, fault: LineFault) -> Result<(), Finding> {
        self.line += 1;
        let finding = match &self.state {
            State::Reading(reading) => reading.unreadable(self.line, fault),
            State::Broken(finding) => finding.clone(),
            State::Beginning | State::Ended(_) => Finding::unreadable(self.line, fault),
        };
        self.state = State::Broken(finding.clone());
        Err(finding)
    }

    /// Says what came out, once there are no more lines.
    pub fn finish(self) -> Report {
        let end = self.line + 1;
        match self.state {
            State::Broken(finding) => Report::broken(finding, self.entries),
            State::Beginning | State::Reading(_) => {
                Report::broken(Finding::at_line(end, What::EndMissing), self.entries)
            }
            State::Ended(reading) => reading.finish(self.line),
        }
    }

    fn begin(&self, line: &str) -> Result<State, Finding> {
        let found = |what| Finding::at_line(self.line, what);
        let header = ExportHeader::parse(line).map_err(|fault| found(What::Unreadable(fault)))?;
        let checkpoint = Checkpoint::parse_and_verify(&header.checkpoint, &self.trust.keys)
            .map_err(|fault| found(What::Checkpoint(fault)))?;
        let tree = match header.organization {
            Some(organization) => organization.to_string(),
            None => "environment".to_owned(),
        };
        if checkpoint.origin.rsplit('/').next() != Some(tree.as_str()) {
            return Err(found(What::OtherTree));
        }
        if self.trust.extent == Extent::Whole && !header.is_whole() {
            return Err(found(What::NotWhole));
        }
        let link = Link::new(checkpoint, self.trust).map_err(found)?;
        let begins_at_first = header.complete && header.range_start.is_none();
        let run = Run::new(header.complete, begins_at_first.then_some(0));
        Ok(State::Reading(Box::new(Reading {
            header,
            extent: self.trust.extent,
            link,
            run,
        })))
    }
}

impl Reading {
    fn read(mut self: Box<Self>, text: &str, line: u64) -> Result<State, Finding> {
        // The first member says which kind of line it is; what is no kind at all is read as an entry.
        if text.starts_with(r#"{"object""#) {
            let end = ExportEnd::parse(text).map_err(|fault| Finding::unreadable(line, fault))?;
            if end.entries != self.run.lines() {
                let (stated, found) = (end.entries, self.run.lines());
                return Err(Finding::at_line(line, What::OtherCount { stated, found }));
            }
            return Ok(State::Ended(self));
        }
        if text.starts_with(r#"{"expired""#) {
            let expired =
                ExpiredLine::parse(text).map_err(|fault| Finding::unreadable(line, fault))?;
            self.expired(&expired)
                .map_err(|what| Finding::at_leaf(line, expired.index, None, what))?;
        } else {
            let entry = EntryLine::parse(text).map_err(|fault| self.unreadable(line, fault))?;
            let (index, id) = (entry.entry.index(), entry.entry.id());
            self.entry(&entry)
                .map_err(|what| Finding::at_leaf(line, index, Some(id), what))?;
        }
        Ok(State::Reading(self))
    }

    fn entry(&mut self, line: &EntryLine) -> Result<(), What> {
        let entry = &line.entry;
        let index = entry.index();
        if entry.organization() != self.header.organization {
            return Err(What::OtherTree);
        }
        if !line.is_authority {
            self.run.step(index)?;
        }
        if entry.leaf_hash() != line.leaf_hash {
            return Err(What::Changed);
        }
        if line.is_authority && line.inclusion.is_none() {
            return Err(What::Unproven);
        }
        self.leaf(index, line.leaf_hash, line.inclusion.as_deref())?;
        if !line.is_authority {
            self.run.grow(index, line.leaf_hash, &mut self.link)?;
        }
        if entry.is_redacted() {
            self.run.redacted.insert(index);
        }
        if let Some(grant) = Grant::of(entry) {
            self.run.grants.push(grant);
        }
        Ok(())
    }

    fn expired(&mut self, line: &ExpiredLine) -> Result<(), What> {
        self.run.step(line.index)?;
        self.leaf(line.index, line.leaf_hash, line.inclusion.as_deref())?;
        self.run.grow(line.index, line.leaf_hash, &mut self.link)?;
        self.run.expired.insert(line.index);
        Ok(())
    }

    /// Checks a leaf against the export's checkpoint.
    fn leaf(&mut self, index: u64, leaf: Hash, inclusion: Option<&[Hash]>) -> Result<(), What> {
        let (size, root) = (self.link.export().size, &self.link.export().root);
        match inclusion {
            None if index >= size => {
                self.run.beyond += 1;
                Ok(())
            }
            None => Err(What::Unproven),
            Some(_) if index >= size => Err(What::Added),
            Some(proof) => {
                verify_inclusion(&leaf, index, size, proof, root)
                    .map_err(|_fault| What::NotInTree)?;
                self.link.proven(&leaf, index, proof)
            }
        }
    }

    /// A line that cannot be read stands where the next entry should.
    fn unreadable(&self, line: u64, fault: LineFault) -> Finding {
        match self.run.expected() {
            Some(index) => Finding::at_leaf(line, index, None, What::Unreadable(fault)),
            None => Finding::unreadable(line, fault),
        }
    }

    fn finish(self, line: u64) -> Report {
        let covered = self.link.covered();
        let must_reach = match self.extent {
            Extent::Whole => covered.max(self.link.retained_size()),
            Extent::AsStated if self.header.complete && self.header.range_end.is_none() => covered,
            Extent::AsStated => 0,
        };
        let broken = |finding| Report::broken(finding, self.run.lines());
        let from = self.run.reach();
        if let Some(to) = must_reach.checked_sub(1).filter(|&to| to >= from) {
            return broken(Finding::at_line(line, What::CutOff { from, to }));
        }
        if let Some((index, what)) = self.run.unexcused(covered) {
            return broken(Finding::at_leaf(line, index, None, what));
        }
        Report::of(&self.header, &self.link, &self.run)
    }
}

#[cfg(test)]
mod tests;
