//! Certificates for tests, made by `rcgen`, which knows all the odd forms that our own CA never makes.

use super::Voucher;
use super::certificate::sha256;
use super::crl::Crls;
use super::trust::Trust;
use crate::registry::Registry;
use crate::registry::credential::{Certificate, EapCredentials, KnownBy};
use crate::registry::device::Change;
use crate::registry::maker::{Admit, Maker};
use crate::time::UnixTime;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use std::path::PathBuf;

/// 2027-01-15.
pub const NOW: UnixTime = UnixTime(1_800_000_000);

/// A CA.
pub struct Ca {
    params: CertificateParams,
    key: KeyPair,
    pub der: Vec<u8>,
}

pub fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Ca {
    pub fn root(name: &str) -> Ca {
        Ca::root_with(name, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    pub fn root_with(name: &str, algorithm: &'static SignatureAlgorithm) -> Ca {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = ca_params(name);
        params.use_authority_key_identifier_extension = false;
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Ca { params, key, der }
    }

    pub fn sub(&self, name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Ca {
        let key = KeyPair::generate().unwrap();
        let mut params = ca_params(name);
        edit(&mut params);
        let der = params.signed_by(&key, &self.issuer()).unwrap().der().to_vec();
        Ca { params, key, der }
    }

    pub fn device(&self, name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = params(name);
        edit(&mut params);
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer()).unwrap().der().to_vec()
    }

    pub fn crl(&self, revoked: &[&[u8]], this: (i32, u8, u8), next: (i32, u8, u8)) -> Vec<u8> {
        let entry = |der: &&[u8]| {
            let serial = super::CertificateInfo::parse(der).unwrap().serial;
            RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial),
                revocation_time: date_time_ymd(2025, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(this.0, this.1, this.2),
            next_update: date_time_ymd(next.0, next.1, next.2),
            crl_number: SerialNumber::from(7u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer()).unwrap().der().to_vec()
    }

    pub fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// The certificates of a PEM text, DER.
pub fn pem(text: &str) -> Vec<Vec<u8>> {
    super::file::certificates(text.as_bytes()).unwrap()
}

/// What a registry is made of.
#[derive(Default)]
pub struct World {
    pub own: Option<Vec<u8>>,
    pub makers: Vec<Maker>,
    pub known: Vec<(KnownBy, bool)>,
    pub crls: Crls,
}

impl World {
    pub fn maker(mut self, name: &str, authorities: &[&[u8]]) -> World {
        self.makers.push(maker(name, authorities, &[]));
        self
    }

    /// A maker with revocation lists.
    pub fn maker_with(mut self, name: &str, authorities: &[&[u8]], crls: &[&str]) -> World {
        self.makers.push(maker(name, authorities, crls));
        self
    }

    pub fn knows(mut self, known_by: KnownBy, issued: bool) -> World {
        self.known.push((known_by, issued));
        self
    }

    pub fn pinned(self, der: &[u8]) -> World {
        self.knows(KnownBy::Fingerprint(sha256(der)), false)
    }

    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        for maker in &self.makers {
            registry.apply(&Change::PutMaker(Box::new(maker.clone())));
        }
        for (id, (known_by, issued)) in (1..).zip(&self.known) {
            let mut device = crate::registry::tests::device(id, &format!("device-{id}"), "iot", "a key for the Wi-Fi");
            let certificate = Certificate {
                known_by: known_by.clone(),
                subject: "CN=x".into(),
                not_after: None,
                mud_url: None,
                issued: *issued,
                since: NOW,
            };
            device.eap = Some(Box::new(EapCredentials { psk: None, certificates: vec![certificate], serial: 1 }));
            registry.apply(&Change::Put(vec![device]));
        }
        registry
    }

    pub fn trust(&self) -> Trust {
        Trust::new(self.own.as_deref(), &self.registry(), &self.crls)
    }

    /// Who vouches for a chain, or why nobody does in the words of the log.
    pub fn judge(&self, chain: &[&[u8]]) -> Result<Voucher, String> {
        self.judge_at(chain, NOW)
    }

    pub fn judge_at(&self, chain: &[&[u8]], wall: UnixTime) -> Result<Voucher, String> {
        let chain: Vec<CertificateDer<'_>> = chain.iter().map(|der| CertificateDer::from(*der)).collect();
        self.trust().verify(&chain, wall).map(|(_, voucher)| voucher).map_err(|why| why.to_string())
    }
}

fn maker(name: &str, authorities: &[&[u8]], crls: &[&str]) -> Maker {
    Maker {
        name: name.into(),
        authorities: authorities.iter().map(|der| Box::from(*der)).collect(),
        profile: "iot".into(),
        admit: Admit::Listed,
        crls: crls.iter().map(PathBuf::from).collect(),
        lists: Vec::new(),
        bundle_issued: None,
    }
}
