//! Signed notes: a text, a blank line, and signatures that name their keys.
//!
//! Invariant: a text leaves [`open_note`] only when a known key signed it; a signature that names a known key
//! and is wrong refuses the whole note. Private keys are never printed.
//!
//! Does not know what the text says, and no other kind of signature than Ed25519.
//! Source: C2SP signed-note; golang.org/x/mod/sumdb/note.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use thiserror::Error;

use crate::domain::merkle::Hash;

/// The signature type of Ed25519 in a key and in a key's hash.
const ED25519_TYPE: u8 = 0x01;
const KEY_HASH_BYTES: usize = 4;
const PUBLIC_KEY_BYTES: usize = 32;
/// What a signature line begins with: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";
/// A note beyond these bounds is refused unread.
const NOTE_BYTES_MAX: usize = 256 * 1024;
const SIGNATURES_MAX: usize = 100;

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyFault {
    #[error("a key's name must not be empty, nor hold white space, control characters or '+'")]
    Name,
    #[error("a verifying key is `<name>+<8 hexadecimal digits>+<base64>` of an Ed25519 key")]
    Form,
    #[error("the key's hash is not that of its name and bytes")]
    Hash,
}

/// Why a note was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoteFault {
    #[error("the note is not well-formed")]
    Malformed,
    #[error("no known key has signed the note")]
    Unsigned,
    #[error("the signature of {key} is wrong")]
    WrongSignature { key: String },
}

/// A public key with its name: what an auditor keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: Box<str>,
    public: [u8; PUBLIC_KEY_BYTES],
}

impl VerifyingKey {
    /// Errors: `Name`.
    pub fn new(name: &str, public: [u8; PUBLIC_KEY_BYTES]) -> Result<Self, KeyFault> {
        if !is_key_name(name) {
            return Err(KeyFault::Name);
        }
        Ok(Self {
            name: name.into(),
            public,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The short identifier of the key in a signature line.
    pub fn hash(&self) -> [u8; KEY_HASH_BYTES] {
        let parts: [&[u8]; 4] = [
            self.name.as_bytes(),
            b"\n",
            &[ED25519_TYPE],
            self.public.as_slice(),
        ];
        let [a, b, c, d, ..] = Hash::of(&parts).to_bytes();
        [a, b, c, d]
    }

    fn has_signed(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public)
            .verify(text.as_bytes(), signature)
            .is_ok()
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(&self.public);
        let hash = hex::encode(self.hash());
        write!(f, "{}+{hash}+{}", self.name, BASE64.encode(key))
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_hash), Some(key)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(KeyFault::Form);
        };
        let bytes = BASE64.decode(key).map_err(|_not_base64| KeyFault::Form)?;
        let [ED25519_TYPE, public @ ..] = bytes.as_slice() else {
            return Err(KeyFault::Form);
        };
        let public = public.try_into().map_err(|_other_len| KeyFault::Form)?;
        let key = Self::new(name, public)?;
        // One spelling for each key: what is printed is what is read.
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(KeyFault::Hash)
        }
    }
}

/// A private key with its name.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// Makes the key of 32 random bytes.
    ///
    /// Errors: `Name`.
    /// Source: RFC 8032, section 5.1.5; the seed is what it calls the private key.
    pub fn from_seed(seed: &[u8; 32], name: &str) -> Result<Self, KeyFault> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .expect("an Ed25519 key is made from any 32 bytes");
        let public = pair.public_key().as_ref().try_into();
        let public = public.expect("an Ed25519 public key has 32 bytes");
        Ok(Self {
            pair,
            verifying: VerifyingKey::new(name, public)?,
        })
    }

    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    fn signature_line(&self, text: &str) -> String {
        let mut signature = self.verifying.hash().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        let encoded = BASE64.encode(signature);
        format!("{SIGNATURE_PREFIX}{} {encoded}\n", self.verifying.name)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("name", &self.verifying.name)
            .finish_non_exhaustive()
    }
}

/// Signs a text, once with each key.
///
/// Errors: `Malformed` when the text does not end a line or holds a control character, `Unsigned` without keys.
pub fn sign_note(text: &str, keys: &[&SigningKey]) -> Result<String, NoteFault> {
    if keys.is_empty() {
        return Err(NoteFault::Unsigned);
    }
    let mut note = format!("{text}\n");
    for key in keys {
        note.push_str(&key.signature_line(text));
    }
    if text.ends_with('\n') && is_plain(&note) && keys.len() <= SIGNATURES_MAX {
        Ok(note)
    } else {
        Err(NoteFault::Malformed)
    }
}

/// Opens a note: its text, its last line break included.
///
/// Shape: signatures of unknown keys are ignored; at least one of `keys` must have signed.
pub fn open_note<'n>(note: &'n str, keys: &[VerifyingKey]) -> Result<&'n str, NoteFault> {
    if !is_plain(note) {
        return Err(NoteFault::Malformed);
    }
    // The text may hold blank lines itself; the last one ends it.
    let end = note.rfind("\n\n").ok_or(NoteFault::Malformed)?;
    let (text, rest) = note.split_at(end + 1);
    let lines = rest
        .strip_prefix('\n')
        .and_then(|lines| lines.strip_suffix('\n'))
        .ok_or(NoteFault::Malformed)?;
    let mut is_signed = false;
    for (number, line) in lines.split('\n').enumerate() {
        if number >= SIGNATURES_MAX {
            return Err(NoteFault::Malformed);
        }
        let signature = Signature::parse(line).ok_or(NoteFault::Malformed)?;
        is_signed |= signature.verify(text, keys)?;
    }
    if is_signed {
        Ok(text)
    } else {
        Err(NoteFault::Unsigned)
    }
}

/// One signature line.
struct Signature<'n> {
    name: &'n str,
    hash: [u8; KEY_HASH_BYTES],
    bytes: Vec<u8>,
}

impl<'n> Signature<'n> {
    fn parse(line: &'n str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        let decoded = BASE64.decode(encoded).ok()?;
        let (hash, bytes) = decoded.split_first_chunk::<KEY_HASH_BYTES>()?;
        (is_key_name(name) && !bytes.is_empty()).then(|| Self {
            name,
            hash: *hash,
            bytes: bytes.to_vec(),
        })
    }

    /// Says whether one of `keys` made the signature; `false` when it names none of them.
    fn verify(&self, text: &str, keys: &[VerifyingKey]) -> Result<bool, NoteFault> {
        let named = |key: &&VerifyingKey| key.name() == self.name && key.hash() == self.hash;
        let mut known = keys.iter().filter(named).peekable();
        if known.peek().is_none() {
            return Ok(false);
        }
        if known.any(|key| key.has_signed(text, &self.bytes)) {
            return Ok(true);
        }
        let key = format!("{}+{}", self.name, hex::encode(self.hash));
        Err(NoteFault::WrongSignature { key })
    }
}

fn is_key_name(name: &str) -> bool {
    let is_allowed =
        |character: char| !character.is_whitespace() && !character.is_control() && character != '+';
    !name.is_empty() && name.chars().all(is_allowed)
}

/// No control characters but line breaks, and not too long.
fn is_plain(note: &str) -> bool {
    note.len() <= NOTE_BYTES_MAX && note.bytes().all(|byte| byte >= 0x20 || byte == b'\n')
}
