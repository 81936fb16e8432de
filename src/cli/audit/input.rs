//! What an auditor brings along, read from files: keys, a checkpoint, a consistency proof, an export's lines.
//!
//! Invariant: memory holds one line, and no line is longer than [`LINE_MAX`]; a file that cannot be read, or is not
//! what it should be, is an [`InputError`] and never a verdict. Lines go on as the bytes that they are.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use crate::cli::exit::InputError;
use crate::domain::audit::LineFault;
use crate::domain::checkpoint::VerifyingKey;
use crate::domain::merkle::Hash;

/// Bytes that a line may have: several times what an entry with everything that fits into it takes.
const LINE_MAX: u64 = 64 * 1024 * 1024;
const BUFFER: usize = 1024 * 1024;
/// Bytes of a file that is read at once.
const FILE_MAX: u64 = 1024 * 1024;

/// The text of a small file.
fn text(path: &Path) -> anyhow::Result<String> {
    let unreadable = || InputError(format!("cannot read {}", path.display()));
    let mut text = String::new();
    let file = File::open(path).with_context(unreadable)?;
    let mut file = file.take(FILE_MAX);
    file.read_to_string(&mut text).with_context(unreadable)?;
    Ok(text)
}

/// Keys: the JSON object of the API's answer, or one a line; empty lines and those that begin with `#` are passed
/// over.
pub(super) fn keys(path: &Path) -> anyhow::Result<Vec<VerifyingKey>> {
    #[derive(Deserialize)]
    struct Carrier {
        keys: Vec<Key>,
    }
    #[derive(Deserialize)]
    struct Key {
        vkey: String,
    }
    let text = text(path)?;
    let not_keys = || InputError(format!("{} holds what is no key", path.display()));
    let texts: Vec<String> = match text.starts_with('{') {
        true => {
            let carrier: Carrier = serde_json::from_str(&text).with_context(not_keys)?;
            carrier.keys.into_iter().map(|key| key.vkey).collect()
        }
        false => {
            let lines = text.lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines.map(str::to_owned).collect()
        }
    };
    let keys: Result<Vec<VerifyingKey>, _> = texts.iter().map(|key| key.parse()).collect();
    let keys = keys.with_context(not_keys)?;
    match keys.is_empty() {
        true => Err(InputError(format!("{} holds no key", path.display())).into()),
        false => Ok(keys),
    }
}

/// A signed note, or the JSON object that carries one: the API's answer, or the data of the event.
pub(super) fn checkpoint(path: &Path) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Carrier {
        note: String,
    }
    let text = text(path)?;
    if !text.starts_with('{') {
        return Ok(text);
    }
    let no_note = || InputError(format!("{} carries no checkpoint", path.display()));
    let carrier: Carrier = serde_json::from_str(&text).with_context(no_note)?;
    Ok(carrier.note)
}

/// The hashes of a proof: the JSON object of the API's answer, or one a line.
pub(super) fn proof(path: &Path) -> anyhow::Result<Vec<Hash>> {
    #[derive(Deserialize)]
    struct Carrier {
        hashes: Vec<String>,
    }
    let text = text(path)?;
    let no_proof = || InputError(format!("{} holds no consistency proof", path.display()));
    let hashes = match text.starts_with('{') {
        true => {
            let carrier: Carrier = serde_json::from_str(&text).with_context(no_proof)?;
            carrier.hashes
        }
        false => text.split_whitespace().map(str::to_owned).collect(),
    };
    let hashes: Result<Vec<Hash>, _> = hashes.iter().map(|hash| hash.parse()).collect();
    hashes.with_context(no_proof)
}

/// One line of an export.
pub(super) enum Line<'a> {
    Text(&'a str),
    /// It is none that the verifier could read.
    Unreadable(LineFault),
}

/// The lines of a file, or of standard input.
pub(super) struct Lines {
    name: String,
    source: Box<dyn BufRead>,
    line: Vec<u8>,
}

impl Lines {
    /// `-` is standard input.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::of("standard input", Box::new(io::stdin().lock())));
        }
        let name = path.display().to_string();
        let unreadable = || InputError(format!("cannot read {name}"));
        if fs::metadata(path).with_context(unreadable)?.is_dir() {
            return Err(InputError(format!("{name} is a directory")).into());
        }
        let file = File::open(path).with_context(unreadable)?;
        let source = Box::new(BufReader::with_capacity(BUFFER, file));
        Ok(Self::of(&name, source))
    }

    pub(super) fn of(name: &str, source: Box<dyn BufRead>) -> Self {
        Self {
            name: name.to_owned(),
            source,
            line: Vec::new(),
        }
    }

    /// The next line without its end, or `None` after the last.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut limited = (&mut self.source).take(LINE_MAX);
        let read = limited.read_until(b'\n', &mut self.line);
        read.with_context(|| InputError(format!("cannot read {}", self.name)))?;
        if self.line.is_empty() {
            return Ok(None);
        }
        match self.line.pop_if(|last| *last == b'\n') {
            None if u64::try_from(self.line.len()).is_ok_and(|len| len >= LINE_MAX) => {
                return Ok(Some(Line::Unreadable(LineFault::TooLong)));
            }
            Some(_) | None => {}
        }
        Ok(Some(match str::from_utf8(&self.line) {
            Ok(text) => Line::Text(text),
            Err(_) => Line::Unreadable(LineFault::NotText),
        }))
    }
}
