//! The certificates that all servers get, and those of the devices: P-256, one CA for all.

use super::tls::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::path::{Path, PathBuf};

/// The name in the server's certificate.
pub const SERVER_NAME: &str = "radius.example.net";

/// The files that the servers read, and the devices.
pub struct Certificates {
    pub ca: PathBuf,
    pub server: PathBuf,
    pub server_key: PathBuf,
    pub authority: CertificateDer<'static>,
    pub devices: Vec<Identity>,
    /// The devices' certificates once more, as texts.
    pub device_pems: Vec<String>,
}

impl Certificates {
    /// Makes them in `dir`.
    pub fn make(dir: &Path, devices: usize) -> Result<Certificates, String> {
        let file = |name: &str, text: &str| {
            let path = dir.join(name);
            fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
            Ok::<_, String>(path)
        };
        let (ca, issuer) = authority("Benchmark CA")?;
        let (server, server_key) = signed(SERVER_NAME, &[ExtendedKeyUsagePurpose::ServerAuth], &issuer)?;
        let mut made = Certificates {
            ca: file("ca.pem", &ca.pem())?,
            server: file("server.pem", &server.pem())?,
            server_key: file("server.key", &server_key.serialize_pem())?,
            authority: ca.der().clone(),
            devices: Vec::new(),
            device_pems: Vec::new(),
        };
        for n in 0..devices {
            let name = format!("cert-{n:02}.example.net");
            let (certificate, key) = signed(&name, &[ExtendedKeyUsagePurpose::ClientAuth], &issuer)?;
            let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|e| format!("a key: {e}"))?;
            made.device_pems.push(certificate.pem());
            made.devices.push(Identity { name, chain: vec![certificate.der().clone()], key });
        }
        Ok(made)
    }
}

fn key() -> Result<KeyPair, String> {
    KeyPair::generate().map_err(|e| format!("a P-256 key: {e}"))
}

fn named(name: &str, alt_names: &[String]) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::new(alt_names).map_err(|e| format!("{name}: {e}"))?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 1, 1);
    Ok(params)
}

/// A certification authority.
pub fn authority(name: &str) -> Result<(rcgen::Certificate, Issuer<'static, KeyPair>), String> {
    let mut params = named(name, &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = key()?;
    let ca = params.self_signed(&key).map_err(|e| format!("{name}: {e}"))?;
    Ok((ca, Issuer::new(params, key)))
}

/// A certificate of an authority, and its key.
pub fn signed(
    name: &str,
    purposes: &[ExtendedKeyUsagePurpose],
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(rcgen::Certificate, KeyPair), String> {
    let mut params = named(name, &[name.to_owned()])?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purposes.to_vec();
    let key = key()?;
    let certificate = params.signed_by(&key, issuer).map_err(|e| format!("{name}: {e}"))?;
    Ok((certificate, key))
}
