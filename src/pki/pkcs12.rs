//! PKCS#12 (RFC 7292) as phones, Windows and OpenSSL 3 read it: PBES2 with AES-256-CBC and PBKDF2-HMAC-SHA-256 (RFC 8018), and a MAC
//! with SHA-256. Nothing older is written, nothing is read.

use super::authority::Random;
use super::certificate::sha256;
use super::der::{self, OCTET_STRING, SET, sequence, write};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Rounds of PBKDF2, twice, and of the key derivation of the MAC: 30 ms on a slow router, which serves nobody else meanwhile. The
/// file is for one device and its password is made, so its strength is in the password.
const ROUNDS: u16 = 10_000;

const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9];
const AES256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const SHROUDED_KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 2];
const CERT_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 3];
const X509_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];
const FRIENDLY_NAME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 20];
const LOCAL_KEY_ID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 21];
const NULL: &[u8] = &[5, 0];

/// What goes into the file.
pub struct Contents<'a> {
    /// What the device calls it.
    pub name: &'a str,
    /// The private key: PKCS#8, DER.
    pub key: &'a [u8],
    /// Its certificate, DER.
    pub certificate: &'a [u8],
    /// The CA's certificate, DER.
    pub ca: &'a [u8],
    /// What the device calls the CA.
    pub ca_name: &'a str,
}

/// Salts and initialisation vectors: for the certificates, the key, and the MAC.
pub struct Salts {
    certificates: [[u8; 16]; 2],
    key: [[u8; 16]; 2],
    mac: [u8; 16],
}

impl Salts {
    /// Takes what it needs of `random`.
    pub fn new(random: Random<'_>) -> Salts {
        let mut salts = Salts { certificates: [[0; 16]; 2], key: [[0; 16]; 2], mac: [0; 16] };
        for salt in salts.certificates.iter_mut().chain(&mut salts.key).chain([&mut salts.mac]) {
            random(salt);
        }
        salts
    }
}

/// Writes the file.
pub fn write_file(contents: &Contents<'_>, password: &str, salts: &Salts) -> Vec<u8> {
    let key_id = sha256(contents.certificate);
    let own_attributes = [friendly_name(contents.name), local_key_id(&key_id)].concat();
    let certificates = sequence(&[
        &bag(CERT_BAG, &certificate_bag(contents.certificate), &own_attributes),
        &bag(CERT_BAG, &certificate_bag(contents.ca), &friendly_name(contents.ca_name)),
    ]);
    let (algorithm, encrypted) = encrypt(&certificates, password, &salts.certificates);
    // EncryptedData (RFC 5652, 8), version 0.
    let info = sequence(&[&der::oid(DATA), &algorithm, &write(0x80, &[&encrypted])]);
    let certificates =
        sequence(&[&der::oid(ENCRYPTED_DATA), &write(0xa0, &[&sequence(&[&der::integer(&[0]), &info])])]);
    let (algorithm, encrypted) = encrypt(contents.key, password, &salts.key);
    let shrouded = sequence(&[&algorithm, &write(OCTET_STRING, &[&encrypted])]);
    let key = data(&sequence(&[&bag(SHROUDED_KEY_BAG, &shrouded, &own_attributes)]));
    let safe = sequence(&[&certificates, &key]);
    let mac = mac(&safe, password, &salts.mac);
    sequence(&[&der::integer(&[3]), &data(&safe), &mac])
}

/// ContentInfo of type data.
fn data(content: &[u8]) -> Vec<u8> {
    sequence(&[&der::oid(DATA), &write(0xa0, &[&write(OCTET_STRING, &[content])])])
}

/// SafeBag (RFC 7292, 4.2).
fn bag(kind: &[u8], value: &[u8], attributes: &[u8]) -> Vec<u8> {
    sequence(&[&der::oid(kind), &write(0xa0, &[value]), &write(SET, &[attributes])])
}

fn certificate_bag(der: &[u8]) -> Vec<u8> {
    sequence(&[&der::oid(X509_CERTIFICATE), &write(0xa0, &[&write(OCTET_STRING, &[der])])])
}

fn friendly_name(name: &str) -> Vec<u8> {
    const BMP_STRING: u8 = 0x1e;
    let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    sequence(&[&der::oid(FRIENDLY_NAME), &write(SET, &[&write(BMP_STRING, &[&units])])])
}

fn local_key_id(id: &[u8]) -> Vec<u8> {
    sequence(&[&der::oid(LOCAL_KEY_ID), &write(SET, &[&write(OCTET_STRING, &[id])])])
}

/// PBES2 (RFC 8018, 6.2): the algorithm with its parameters, and what it makes of `plain`.
fn encrypt(plain: &[u8], password: &str, [salt, iv]: &[[u8; 16]; 2]) -> (Vec<u8>, Vec<u8>) {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, u32::from(ROUNDS), &mut *key);
    let derivation = sequence(&[
        &der::oid(PBKDF2),
        &sequence(&[
            &write(OCTET_STRING, &[salt]),
            &der::integer(&ROUNDS.to_be_bytes()),
            &sequence(&[&der::oid(HMAC_SHA256), NULL]),
        ]),
    ]);
    let scheme = sequence(&[&der::oid(AES256_CBC), &write(OCTET_STRING, &[iv])]);
    let algorithm = sequence(&[&der::oid(PBES2), &sequence(&[&derivation, &scheme])]);
    // Room for the padding, which always adds something.
    let mut buffer = Zeroizing::new(plain.to_vec());
    buffer.reserve_exact(16);
    buffer.resize(plain.len() + 16, 0);
    let cipher = cbc::Encryptor::<aes::Aes256>::new(&(*key).into(), &(*iv).into());
    // The buffer is large enough.
    let encrypted = cipher.encrypt_padded::<Pkcs7>(&mut buffer, plain.len()).unwrap_or_default().to_vec();
    (algorithm, encrypted)
}

/// MacData (RFC 7292, 4).
fn mac(safe: &[u8], password: &str, salt: &[u8; 16]) -> Vec<u8> {
    let key = mac_key(password, salt, ROUNDS);
    let digest = Hmac::<Sha256>::new_from_slice(&*key).map(|mac| mac.chain_update(safe).finalize().into_bytes());
    // HMAC takes keys of any length.
    let digest = digest.unwrap_or_default();
    let digest = sequence(&[&sequence(&[&der::oid(SHA256), NULL]), &write(OCTET_STRING, &[&digest])]);
    sequence(&[&digest, &write(OCTET_STRING, &[salt]), &der::integer(&ROUNDS.to_be_bytes())])
}

/// The key derivation of PKCS#12 for a MAC key (RFC 7292, B.2, ID 3) with SHA-256. The key has as many octets as the hash, so one
/// block of output is all.
fn mac_key(password: &str, salt: &[u8], rounds: u16) -> Zeroizing<[u8; 32]> {
    /// The block of SHA-256.
    const V: usize = 64;
    let units = password.encode_utf16().chain([0]);
    let password: Zeroizing<Vec<u8>> = Zeroizing::new(units.flat_map(u16::to_be_bytes).collect());
    let repeated = |text: &[u8]| -> Zeroizing<Vec<u8>> {
        Zeroizing::new(text.iter().copied().cycle().take(V * text.len().div_ceil(V)).collect())
    };
    let mut hash = Sha256::new().chain_update([3; V]).chain_update(repeated(salt).as_slice());
    hash.update(repeated(&password).as_slice());
    let mut key = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
    for _ in 1..rounds {
        let mut next: [u8; 32] = Sha256::digest(*key).into();
        *key = next;
        next.zeroize();
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7292 has no vectors; this is `openssl kdf` of OpenSSL 3 with the provider's PKCS12KDF.
    #[test]
    fn the_key_of_the_mac_is_the_one_openssl_derives() {
        let key = mac_key("secret", &[1, 2, 3, 4, 5, 6, 7, 8], 100);
        let hex: String = key.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, "823686953499ddedea72cad5824a6ebf74eb9f6279c0f885ddad52c6563ae360");
    }
}
