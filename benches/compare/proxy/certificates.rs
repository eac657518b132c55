//! The certificates of RadSec: one authority, the home server, the proxies, and access points.

use crate::eap::certificates::{authority, signed};
use rcgen::{ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The home server's name.
pub const HOME: &str = "radius.acme.example";

/// The proxies' name, towards the home server and towards access points.
pub const PROXY: &str = "proxy.example.net";

/// A certificate and its key, as files and otherwise.
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
    chain: CertificateDer<'static>,
    secret: PrivateKeyDer<'static>,
}

/// All of them.
pub struct Site {
    pub ca: PathBuf,
    roots: Arc<RootCertStore>,
    home: Identity,
    pub proxy: Identity,
    pub access_points: Vec<(String, Identity)>,
}

impl Site {
    /// Makes them in `dir`, with so many access points.
    pub fn make(dir: &Path, access_points: usize) -> Result<Site, String> {
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let (certificate, issuer) = authority("RadSec CA")?;
        let ca = dir.join("ca.pem");
        fs::write(&ca, certificate.pem()).map_err(|e| format!("{}: {e}", ca.display()))?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).map_err(|e| format!("the CA: {e}"))?;
        let names = (0..access_points).map(|n| format!("ap-{n:03}.example.net"));
        Ok(Site {
            ca,
            roots: roots.into(),
            home: identity(dir, HOME, &issuer)?,
            proxy: identity(dir, PROXY, &issuer)?,
            access_points: names
                .map(|name| Ok((name.clone(), identity(dir, &name, &issuer)?)))
                .collect::<Result<_, String>>()?,
        })
    }

    /// The home server's side of TLS.
    pub fn server(&self) -> Result<Arc<ServerConfig>, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider.clone());
        let verifier = verifier.build().map_err(|e| format!("the verifier: {e}"))?;
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS: {e}"))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.home.chain.clone()], self.home.secret.clone_key())
            .map(Arc::new)
            .map_err(|e| format!("the home server's certificate: {e}"))
    }

    /// An access point's side of TLS.
    pub fn client(&self, access_point: &Identity) -> Result<Arc<ClientConfig>, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS: {e}"))?
            .with_root_certificates(self.roots.clone())
            .with_client_auth_cert(vec![access_point.chain.clone()], access_point.secret.clone_key())
            .map(Arc::new)
            .map_err(|e| format!("an access point's certificate: {e}"))
    }
}

/// For both sides of TLS: a proxy is client and server.
fn identity(dir: &Path, name: &str, issuer: &Issuer<'_, KeyPair>) -> Result<Identity, String> {
    let both = [ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let (certificate, key) = signed(name, &both, issuer)?;
    let file = |end: &str, text: &str| {
        let path = dir.join(format!("{name}.{end}"));
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok::<_, String>(path)
    };
    Ok(Identity {
        certificate: file("pem", &certificate.pem())?,
        key: file("key", &key.serialize_pem())?,
        chain: certificate.der().clone(),
        secret: PrivateKeyDer::try_from(key.serialize_der()).map_err(|e| format!("a key: {e}"))?,
    })
}
