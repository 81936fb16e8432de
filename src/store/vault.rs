//! The vault: opens what is sealed, and lends the key that seals.
//!
//! Invariant: no secret is at rest in plain form. AES-256-GCM under a key derived from the master key; the
//! owner's id is associated data, so that a sealed secret moved to another row does not open.
//! While a master key is being replaced the vault holds two and opens under both; which of them seals is not this
//! process's to decide but the installation's: see [`Sealer`].
//! Sealed form: version byte 1, 12 bytes of nonce, ciphertext with tag. Does not keep the master key's text.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

use super::error::StoreError;

/// Opens secrets that were sealed under one master key, or under the one before it.
pub struct Vault {
    keys: Keys,
    /// Of the master key that is being replaced.
    old: Option<Keys>,
    random: SystemRandom,
}

/// What is derived from one master key.
struct Keys {
    sealing: LessSafeKey,
    /// What keys that sign are derived from; it signs nothing itself.
    signing_root: hmac::Key,
}

/// The version of the sealed form.
const VERSION: u8 = 1;
/// What the key check seals.
const CHECK: &[u8] = b"tidings master key check";
/// What a fingerprint is made of.
const FINGERPRINT: &[u8] = b"tidings master key fingerprint v1";
const FINGERPRINT_BYTES: usize = 8;

impl Keys {
    fn new(master_key: &str) -> Self {
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
            sealing: LessSafeKey::new(key),
            signing_root: hmac::Key::new(hmac::HMAC_SHA256, &signing),
        }
    }

    /// The plain bytes; `None` when it was sealed for another owner, under another key, or was changed.
    fn open(&self, owner: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (&version, rest) = sealed.split_first()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>()?;
        if version != VERSION {
            return None;
        }
        let mut buffer = ciphertext.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .sealing
            .open_in_place(nonce, Aad::from(owner), &mut buffer);
        plain.ok().map(|plain| plain.to_vec())
    }

    fn opens_check(&self, check: &[u8]) -> bool {
        self.open(CHECK, check).is_some()
    }

    /// Recognises the master key among others, and says nothing else about it.
    fn fingerprint(&self) -> String {
        let tag = hmac::sign(&self.signing_root, FINGERPRINT);
        let short = tag.as_ref().iter().take(FINGERPRINT_BYTES);
        hex::encode(short.copied().collect::<Vec<_>>())
    }

    fn signing_key(&self, purpose: &str) -> SigningKey {
        let derived = hmac::sign(&self.signing_root, purpose.as_bytes());
        SigningKey(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }
}

impl Vault {
    /// Derives its keys from the master key's text.
    pub fn new(master_key: &str) -> Self {
        Self {
            keys: Keys::new(master_key),
            old: None,
            random: SystemRandom::new(),
        }
    }

    /// Opens what is sealed under the master key before this one too.
    #[must_use]
    pub fn replacing(mut self, old_master_key: &str) -> Self {
        self.old = Some(Keys::new(old_master_key));
        self
    }

    /// Whether it has the master key before this one too.
    pub const fn has_old(&self) -> bool {
        self.old.is_some()
    }

    /// Draws random bytes fit for a secret.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random
            .fill(&mut bytes)
            .expect("the operating system has random bytes");
        bytes
    }

    /// Opens what was sealed for `owner`.
    ///
    /// Errors: `Corrupt` when it was sealed for another owner, under a key that is not here, or was changed.
    pub fn open(&self, owner: &[u8], sealed: &[u8]) -> Result<String, StoreError> {
        let mut all = std::iter::once(&self.keys).chain(&self.old);
        let plain = all.find_map(|keys| keys.open(owner, sealed));
        plain
            .and_then(|plain| String::from_utf8(plain).ok())
            .ok_or_else(|| StoreError::corrupt("a sealed secret does not open"))
    }

    /// The sealer under the master key that is no longer to be replaced.
    pub const fn sealer(&self) -> Sealer<'_> {
        Sealer {
            vault: self,
            keys: &self.keys,
        }
    }

    /// The sealer under the master key before it, while there are two.
    pub fn old_sealer(&self) -> Option<Sealer<'_>> {
        let keys = self.old.as_ref()?;
        Some(Sealer { vault: self, keys })
    }

    /// The sealer under the master key that has sealed `check`; `None` when that key is not here.
    pub fn sealer_of(&self, check: &[u8]) -> Option<Sealer<'_>> {
        let mut all = std::iter::once(self.sealer()).chain(self.old_sealer());
        all.find(|sealer| sealer.opens_check(check))
    }

    /// The fingerprints of the master keys that are here.
    pub fn fingerprints(&self) -> Vec<String> {
        let all = std::iter::once(&self.keys).chain(&self.old);
        all.map(Keys::fingerprint).collect()
    }

    /// The fingerprint of the master key that is no longer to be replaced.
    pub fn fingerprint(&self) -> String {
        self.keys.fingerprint()
    }

    /// Whether a master key that is here has signed `text` for `purpose`.
    pub fn verifies(&self, purpose: &str, text: &str, signature: &str) -> bool {
        let mut all = std::iter::once(&self.keys).chain(&self.old);
        all.any(|keys| keys.signing_key(purpose).verifies(text, signature))
    }
}

/// Seals under one master key.
///
/// What is kept in rows is sealed by the sealer that `installation::sealer` answers, and by no other: the
/// installation knows which master key all servers have.
pub struct Sealer<'a> {
    vault: &'a Vault,
    keys: &'a Keys,
}

impl Sealer<'_> {
    /// Draws random bytes fit for a secret.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        self.vault.random_bytes()
    }

    /// Seals `secret` for `owner`, the bytes of the id of the row that keeps it.
    pub fn seal(&self, owner: &[u8], secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = self.vault.random_bytes();
        let mut sealed = secret.to_vec();
        self.keys
            .sealing
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(owner),
                &mut sealed,
            )
            .expect("a secret is far below the limit of AES-GCM");
        [&[VERSION], &nonce[..], &sealed].concat()
    }

    /// Whether `sealed` is sealed for `owner` under this master key already.
    pub fn has_sealed(&self, owner: &[u8], sealed: &[u8]) -> bool {
        self.keys.open(owner, sealed).is_some()
    }

    /// What the installation keeps to recognise its master key.
    pub fn seal_check(&self) -> Vec<u8> {
        self.seal(CHECK, CHECK)
    }

    /// Whether this is the master key that sealed the check.
    pub fn opens_check(&self, check: &[u8]) -> bool {
        self.keys.opens_check(check)
    }

    /// Derives the key that signs for `purpose` alone; the same on every server with this master key.
    pub fn signing_key(&self, purpose: &str) -> SigningKey {
        self.keys.signing_key(purpose)
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
    fn verifies(&self, text: &str, signature: &str) -> bool {
        hex::decode(signature)
            .is_ok_and(|bytes| hmac::verify(&self.0, text.as_bytes(), &bytes).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a master key of some length";
    const NEXT: &str = "the master key that comes next";

    #[test]
    fn a_secret_opens_for_its_owner_under_its_key_and_for_nobody_else() {
        let vault = Vault::new(KEY);
        let sealed = vault.sealer().seal(b"endpoint 1", b"whsec_secret");

        assert_eq!(
            vault.open(b"endpoint 1", &sealed).expect("opens"),
            "whsec_secret"
        );
        assert!(vault.open(b"endpoint 2", &sealed).is_err());
        assert!(Vault::new(NEXT).open(b"endpoint 1", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault.open(b"endpoint 1", &changed).is_err(), "byte {at}");
        }
        assert!(vault.open(b"endpoint 1", &[]).is_err());
    }

    #[test]
    fn with_two_master_keys_both_open_and_the_one_that_the_check_names_seals() {
        let (before, between) = (Vault::new(KEY), Vault::new(NEXT).replacing(KEY));
        let after = Vault::new(NEXT);
        let sealed = before.sealer().seal(b"o", b"whsec_secret");
        let (old_check, new_check) = (before.sealer().seal_check(), after.sealer().seal_check());
        let sealed_between = |check: &[u8]| {
            let sealer = between.sealer_of(check).expect("both keys are here");
            sealer.seal(b"o", b"whsec_secret")
        };

        assert!(between.open(b"o", &sealed).is_ok());
        assert!(after.open(b"o", &sealed).is_err());
        assert!(before.open(b"o", &sealed_between(&old_check)).is_ok());
        assert!(after.open(b"o", &sealed_between(&old_check)).is_err());
        assert!(before.open(b"o", &sealed_between(&new_check)).is_err());
        assert!(after.open(b"o", &sealed_between(&new_check)).is_ok());
        assert!(before.sealer_of(&new_check).is_none());
        assert!(after.sealer_of(&old_check).is_none());
    }

    #[test]
    fn sealed_text_shows_nothing_and_never_repeats() {
        let vault = Vault::new(KEY);
        let (one, two) = (
            vault.sealer().seal(b"o", b"whsec_secret"),
            vault.sealer().seal(b"o", b"whsec_secret"),
        );

        assert_ne!(one, two);
        assert!(!one.windows(6).any(|window| window == b"whsec_"));
    }

    #[test]
    fn a_signature_is_good_for_its_text_purpose_and_master_key_alone() {
        let vault = |master: &str| Vault::new(master);
        let signature = vault(KEY).sealer().signing_key("downloads").sign("text");

        assert!(vault(KEY).verifies("downloads", "text", &signature));
        assert!(!vault(KEY).verifies("downloads", "other", &signature));
        assert!(!vault(KEY).verifies("else", "text", &signature));
        assert!(!vault(NEXT).verifies("downloads", "text", &signature));
        assert!(
            vault(NEXT)
                .replacing(KEY)
                .verifies("downloads", "text", &signature)
        );
        assert!(!vault(KEY).verifies("downloads", "text", ""));
        assert!(!vault(KEY).verifies("downloads", "text", &signature[2..]));
    }

    #[test]
    fn a_fingerprint_tells_master_keys_apart() {
        let between = Vault::new(NEXT).replacing(KEY);

        assert_eq!(between.fingerprint(), Vault::new(NEXT).fingerprint());
        assert_ne!(between.fingerprint(), Vault::new(KEY).fingerprint());
        assert_eq!(
            between.fingerprints(),
            [NEXT, KEY].map(|key| Vault::new(key).fingerprint())
        );
    }

    #[test]
    fn the_check_recognises_the_key() {
        let sealed = Vault::new(KEY).sealer().seal_check();

        assert!(Vault::new(KEY).sealer().opens_check(&sealed));
        assert!(!Vault::new(NEXT).sealer().opens_check(&sealed));
    }
}
