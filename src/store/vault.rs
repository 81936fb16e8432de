//! The vault: seals secrets before they reach a column, and opens them again.
//!
//! Invariant: no secret is at rest in plain form. AES-256-GCM under a key derived from the master key; the
//! owner's id is associated data, so that a sealed secret moved to another row does not open.
//! Sealed form: version byte 1, 12 bytes of nonce, ciphertext with tag. Does not keep the master key's text.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

use super::error::StoreError;

/// Seals and opens secrets under one master key.
pub struct Vault {
    key: LessSafeKey,
    /// What keys that sign are derived from; it signs nothing itself.
    signing_root: hmac::Key,
    random: SystemRandom,
}

/// The version of the sealed form.
const VERSION: u8 = 1;
/// What the key check seals.
const CHECK: &[u8] = b"tidings master key check";

impl Vault {
    /// Derives the sealing key from the master key's text.
    pub fn new(master_key: &str) -> Self {
        let derived = Sha256::new()
            .chain_update(b"tidings sealing key v1\0")
            .chain_update(master_key)
            .finalize();
        let key = UnboundKey::new(&AES_256_GCM, &derived).expect("AES-256 takes a key of 32 bytes");
        let signing = Sha256::new()
            .chain_update(b"tidings signing root v1\0")
            .chain_update(master_key)
            .finalize();
        Self {
            key: LessSafeKey::new(key),
            signing_root: hmac::Key::new(hmac::HMAC_SHA256, &signing),
            random: SystemRandom::new(),
        }
    }

    /// Draws random bytes fit for a secret.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random
            .fill(&mut bytes)
            .expect("the operating system has random bytes");
        bytes
    }

    /// Seals `secret` for `owner`, the bytes of the id of the row that keeps it.
    pub fn seal(&self, owner: &[u8], secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = self.random_bytes();
        let mut sealed = secret.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(owner),
                &mut sealed,
            )
            .expect("a secret is far below the limit of AES-GCM");
        [&[VERSION], &nonce[..], &sealed].concat()
    }

    /// Opens what was sealed for `owner`.
    ///
    /// Errors: `Corrupt` when it was sealed for another owner, under another key, or was changed.
    pub fn open(&self, owner: &[u8], sealed: &[u8]) -> Result<String, StoreError> {
        let corrupt = || StoreError::corrupt("a sealed secret does not open");
        let (&version, rest) = sealed.split_first().ok_or_else(corrupt)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(corrupt)?;
        if version != VERSION {
            return Err(corrupt());
        }
        let mut buffer = ciphertext.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(owner), &mut buffer)
            .ok()
            .ok_or_else(corrupt)?;
        String::from_utf8(plain.to_vec()).ok().ok_or_else(corrupt)
    }

    /// Derives the key that signs for `purpose` alone; the same on every server with this master key.
    pub fn signing_key(&self, purpose: &str) -> SigningKey {
        let derived = hmac::sign(&self.signing_root, purpose.as_bytes());
        SigningKey(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// What a new installation keeps to recognise its master key.
    pub fn seal_check(&self) -> Vec<u8> {
        self.seal(CHECK, CHECK)
    }

    /// Whether this is the master key that sealed the check.
    pub fn opens_check(&self, sealed: &[u8]) -> bool {
        self.open(CHECK, sealed).is_ok()
    }
}

/// Signs texts of one purpose with HMAC-SHA256.
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// The signature in hexadecimal digits.
    pub fn sign(&self, text: &str) -> String {
        hex::encode(hmac::sign(&self.0, text.as_bytes()))
    }

    /// Whether `signature` is this key's of `text`; takes the same time wherever it differs.
    pub fn verifies(&self, text: &str, signature: &str) -> bool {
        hex::decode(signature)
            .is_ok_and(|bytes| hmac::verify(&self.0, text.as_bytes(), &bytes).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_owner_under_its_key_and_for_nobody_else() {
        let vault = Vault::new("a master key of some length");
        let sealed = vault.seal(b"endpoint 1", b"whsec_secret");

        assert_eq!(
            vault.open(b"endpoint 1", &sealed).expect("opens"),
            "whsec_secret"
        );
        assert!(vault.open(b"endpoint 2", &sealed).is_err());
        assert!(
            Vault::new("another master key")
                .open(b"endpoint 1", &sealed)
                .is_err()
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault.open(b"endpoint 1", &changed).is_err(), "byte {at}");
        }
        assert!(vault.open(b"endpoint 1", &[]).is_err());
    }

    #[test]
    fn sealed_text_shows_nothing_and_never_repeats() {
        let vault = Vault::new("a master key of some length");
        let (one, two) = (
            vault.seal(b"o", b"whsec_secret"),
            vault.seal(b"o", b"whsec_secret"),
        );

        assert_ne!(one, two);
        assert!(!one.windows(6).any(|window| window == b"whsec_"));
    }

    #[test]
    fn a_signature_is_good_for_its_text_purpose_and_master_key_alone() {
        let key = |master: &str, purpose| Vault::new(master).signing_key(purpose);
        let signature = key("a master key", "downloads").sign("text");

        assert!(key("a master key", "downloads").verifies("text", &signature));
        assert!(!key("a master key", "downloads").verifies("other", &signature));
        assert!(!key("a master key", "else").verifies("text", &signature));
        assert!(!key("another master key", "downloads").verifies("text", &signature));
        assert!(!key("a master key", "downloads").verifies("text", ""));
        assert!(!key("a master key", "downloads").verifies("text", &signature[2..]));
    }

    #[test]
    fn the_check_recognises_the_key() {
        let sealed = Vault::new("the right key").seal_check();

        assert!(Vault::new("the right key").opens_check(&sealed));
        assert!(!Vault::new("the wrong key").opens_check(&sealed));
    }
}
