//! What TLS may be spoken with, the same for EAP-TLS and RadSec: cipher suites, groups, signatures, and tickets.
//!
//! AES-GCM only, of which every implementation of TLS 1.3 has one (RFC 8446, section 9.1), and every one of EAP-TLS and RadSec
//! with TLS 1.2: ChaCha20-Poly1305 besides, and what would be needed for QUIC, are 20 KiB that no peer needs.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::crypto::ring::{ALL_KX_GROUPS, cipher_suite, sign};
use rustls::crypto::{CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms};
use rustls::pki_types::{PrivateKeyDer, SignatureVerificationAlgorithm};
use rustls::server::ProducesTickets;
use rustls::sign::SigningKey;
use rustls::{CipherSuiteCommon, Error, SignatureScheme, SupportedCipherSuite, TicketRotator, Tls13CipherSuite};
use std::fmt;
use std::sync::Arc;
use webpki::ring as algorithms;
use zeroize::Zeroizing;

/// The strongest first; the client's order counts.
static TLS_1_3: [Tls13CipherSuite; 2] =
    [without_quic(&cipher_suite::TLS13_AES_256_GCM_SHA384), without_quic(&cipher_suite::TLS13_AES_128_GCM_SHA256)];

const fn without_quic(suite: &'static SupportedCipherSuite) -> Tls13CipherSuite {
    let SupportedCipherSuite::Tls13(suite) = suite else { panic!("a suite of TLS 1.3") };
    Tls13CipherSuite {
        common: CipherSuiteCommon {
            suite: suite.common.suite,
            hash_provider: suite.common.hash_provider,
            confidentiality_limit: suite.common.confidentiality_limit,
        },
        hkdf_provider: suite.hkdf_provider,
        aead_alg: suite.aead_alg,
        quic: None,
    }
}

/// All that rustls has with ring: ECDSA on P-256 and P-384, Ed25519, RSA of 2048 bits and more.
static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        algorithms::ECDSA_P256_SHA256,
        algorithms::ECDSA_P256_SHA384,
        algorithms::ECDSA_P384_SHA256,
        algorithms::ECDSA_P384_SHA384,
        algorithms::ED25519,
        algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        algorithms::RSA_PKCS1_2048_8192_SHA256,
        algorithms::RSA_PKCS1_2048_8192_SHA384,
        algorithms::RSA_PKCS1_2048_8192_SHA512,
        algorithms::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
        algorithms::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
        algorithms::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    ],
    mapping: BY_SCHEME,
};

/// For each scheme what it may mean: in TLS 1.2 the curve is not part of it.
const BY_SCHEME: &[(SignatureScheme, &[&dyn SignatureVerificationAlgorithm])] = &[
    (SignatureScheme::ECDSA_NISTP384_SHA384, &[algorithms::ECDSA_P384_SHA384, algorithms::ECDSA_P256_SHA384]),
    (SignatureScheme::ECDSA_NISTP256_SHA256, &[algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256]),
    (SignatureScheme::ED25519, &[algorithms::ED25519]),
    (SignatureScheme::RSA_PSS_SHA512, &[algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
    (SignatureScheme::RSA_PSS_SHA384, &[algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
    (SignatureScheme::RSA_PSS_SHA256, &[algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
    (SignatureScheme::RSA_PKCS1_SHA512, &[algorithms::RSA_PKCS1_2048_8192_SHA512]),
    (SignatureScheme::RSA_PKCS1_SHA384, &[algorithms::RSA_PKCS1_2048_8192_SHA384]),
    (SignatureScheme::RSA_PKCS1_SHA256, &[algorithms::RSA_PKCS1_2048_8192_SHA256]),
];

/// What rustls is given to work with.
pub fn provider() -> Arc<CryptoProvider> {
    let [aes_256, aes_128] = &TLS_1_3;
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            SupportedCipherSuite::Tls13(aes_256),
            SupportedCipherSuite::Tls13(aes_128),
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: ALL_KX_GROUPS.to_vec(),
        signature_verification_algorithms: SIGNATURES,
        secure_random: &Ring,
        key_provider: &Ring,
    })
}

#[derive(Debug)]
struct Ring;

impl SecureRandom for Ring {
    fn fill(&self, octets: &mut [u8]) -> Result<(), GetRandomFailed> {
        SystemRandom::new().fill(octets).map_err(|_| GetRandomFailed)
    }
}

impl KeyProvider for Ring {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        sign::any_supported_type(&Zeroizing::new(key))
    }
}

/// How long a key for tickets is in use for new ones, in seconds; what it made can be resumed for as long again.
const TICKETS: u32 = 6 * 60 * 60;

/// Sessions that clients keep, under a key that changes every 6 hours.
///
/// # Errors
/// When the system has no random octets.
pub fn tickets() -> Result<Arc<dyn ProducesTickets>, Error> {
    let ticketer = || Ok::<Box<dyn ProducesTickets>, _>(Box::new(Ticketer::new()?));
    Ok(Arc::new(TicketRotator::new(TICKETS, ticketer)?))
}

/// Tickets under one key, with AES-256-GCM: the nonce, what it hides, the tag (RFC 5116, section 5.2).
struct Ticketer(LessSafeKey);

impl Ticketer {
    fn new() -> Result<Ticketer, GetRandomFailed> {
        let mut key = Zeroizing::new([0; 32]);
        Ring.fill(&mut *key)?;
        Ok(Ticketer(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| GetRandomFailed)?)))
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer")
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        2 * TICKETS
    }

    /// A random nonce: of 2^32 under one key two are alike with a probability of 2^-32 (NIST SP 800-38D, 8.3), and a counter would
    /// tell who looks on how many clients there are.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        Ring.fill(&mut nonce).ok()?;
        let mut hidden = plain.to_vec();
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut hidden).ok()?;
        Some([&nonce, &*hidden].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, hidden) = ticket.split_first_chunk::<NONCE_LEN>()?;
        let mut octets = hidden.to_vec();
        let plain = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut octets).ok()?.len();
        octets.truncate(plain);
        Some(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring::default_provider;

    #[test]
    fn all_but_chacha20_and_quic_is_as_in_rustls() {
        let (ours, theirs) = (provider(), default_provider());
        let kept: Vec<_> =
            theirs.cipher_suites.iter().filter(|suite| !format!("{suite:?}").contains("CHACHA20")).collect();
        assert_eq!(ours.cipher_suites.iter().collect::<Vec<_>>(), kept);
        for (suite, other) in ours.cipher_suites.iter().zip(kept) {
            let (Some(suite), Some(other)) = (suite.tls13(), other.tls13()) else { continue };
            assert_eq!(suite.common.confidentiality_limit, other.common.confidentiality_limit);
            assert!(suite.quic.is_none() && other.quic.is_some());
        }
        let (ours, theirs) = (ours.signature_verification_algorithms, theirs.signature_verification_algorithms);
        assert_eq!(ours.supported_schemes(), theirs.supported_schemes());
        let ids = |all: &[&dyn SignatureVerificationAlgorithm]| {
            all.iter().map(|one| (one.public_key_alg_id(), one.signature_alg_id())).collect::<Vec<_>>()
        };
        assert_eq!(ids(ours.all), ids(theirs.all));
        for ((_, one), (_, other)) in ours.mapping.iter().zip(theirs.mapping) {
            assert_eq!(ids(one), ids(other));
        }
    }

    #[test]
    fn a_ticket_is_read_by_the_key_that_made_it() {
        let (ticketer, other) = (Ticketer::new().unwrap(), Ticketer::new().unwrap());
        let ticket = ticketer.encrypt(b"a session").unwrap();
        assert_eq!(ticketer.decrypt(&ticket).as_deref(), Some(&b"a session"[..]));
        assert_eq!(other.decrypt(&ticket), None);
        assert_ne!(ticketer.encrypt(b"a session").unwrap(), ticket, "each has a nonce of its own");
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(ticketer.decrypt(&changed), None, "octet {at}");
            assert_eq!(ticketer.decrypt(&ticket[..at]), None, "{at} octets");
        }
    }
}
