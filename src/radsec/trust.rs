//! Whose certificates count, and for whom they have to be: the checks that rustls asks for, and that are made again when a
//! session is resumed or the files change.

use super::names::Names;
use crate::pki::blame;
use crate::pki::certificate::{LARGEST, read_pem_or_der, sha256};
use crate::pki::trust::{ALGORITHMS, LONGEST_CHAIN, Purpose};
use crate::pki::{CertificateInfo, CertificateProblem};
use crate::time::UnixTime;
use rustls::CertificateError;
use rustls::pki_types::{self, CertificateDer, TrustAnchor};
use std::sync::Arc;
use std::time::Duration;
use webpki::{EndEntityCert, Error};

/// Why a certificate is not taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// Which alert says so to the other side.
    pub alert: CertificateError,
    /// For people: the end of "acme's server aaa.acme.example: ...".
    pub words: Arc<str>,
}

impl Refusal {
    fn new(alert: CertificateError, words: impl Into<Arc<str>>) -> Refusal {
        Refusal { alert, words: words.into() }
    }
}

/// The authorities of a file, or our own.
#[derive(Debug)]
pub struct Authorities {
    anchors: Vec<TrustAnchor<'static>>,
    /// SHA-256 of each certificate in the file: one that is there itself counts, whoever signed it.
    pinned: Vec<[u8; 32]>,
    /// Where they are from, in words: `option ca (/etc/latchkey/acme.pem)`.
    source: Arc<str>,
}

impl Authorities {
    /// Reads a file of certificates (PEM or DER). `source` says where it is from, in words.
    ///
    /// # Errors
    /// What is wrong with the file, as the end of "... (file): ".
    pub fn read(file: &[u8], source: &str) -> Result<Authorities, String> {
        let found = read_pem_or_der(file).map_err(|why| why.to_string())?;
        Authorities::new(found.iter().map(|der| &der[..]), source)
    }

    /// These certificates (DER).
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn new<'a>(certificates: impl Iterator<Item = &'a [u8]>, source: &str) -> Result<Authorities, String> {
        let mut authorities = Authorities { anchors: Vec::new(), pinned: Vec::new(), source: source.into() };
        for (number, der) in (1..).zip(certificates) {
            let der = CertificateDer::from(der);
            let anchor = webpki::anchor_from_trusted_cert(&der)
                .map_err(|_| format!("certificate {number} in it cannot be used as a CA: take it out"))?;
            authorities.anchors.push(anchor.to_owned());
            authorities.pinned.push(sha256(&der));
        }
        Ok(authorities)
    }

    /// The names of the authorities (DER), which are told to clients.
    pub fn subjects(&self) -> impl Iterator<Item = &[u8]> {
        self.anchors.iter().map(|anchor| &anchor.subject[..])
    }

    fn check(&self, chain: &[CertificateDer<'_>], purpose: Purpose, wall: UnixTime) -> Result<(), Refusal> {
        let (own, others) = own_and_others(chain)?;
        let info = CertificateInfo::parse(own).map_err(|why| bad_form(&why))?;
        if self.pinned.contains(&info.fingerprint) {
            return info.check_dates(wall).map_err(|why| of_problem(&why));
        }
        let parsed = EndEntityCert::try_from(own).map_err(|why| of_problem(&blame::problem(&why, &info)))?;
        let time = pki_types::UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(wall.0).unwrap_or(0)));
        let result = parsed.verify_for_usage(ALGORITHMS, &self.anchors, others, time, purpose, None, None);
        result.map(drop).map_err(|why| self.refusal(&why, purpose, &info))
    }

    fn refusal(&self, why: &Error, purpose: Purpose, info: &CertificateInfo) -> Refusal {
        let moment = |time: &pki_types::UnixTime| UnixTime(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        match why {
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey if info.issuer == info.subject => Refusal::new(
                CertificateError::UnknownIssuer,
                format!("its certificate {} is signed by itself, and {} does not have it", info.subject, self.source),
            ),
            Error::UnknownIssuer => Refusal::new(
                CertificateError::UnknownIssuer,
                format!("its certificate is signed by a CA that {} does not name: {}", self.source, info.issuer),
            ),
            Error::InvalidSignatureForPublicKey => Refusal::new(
                CertificateError::UnknownIssuer,
                format!(
                    "its certificate is signed by {}, but with another key than that CA has in {}",
                    info.issuer, self.source
                ),
            ),
            Error::CertExpired { not_after, .. } if info.not_after != Some(moment(not_after)) => Refusal::new(
                CertificateError::Expired,
                format!("a CA of its certificate expired on {}", moment(not_after)),
            ),
            Error::CertExpired { not_after, .. } => {
                of_problem(&CertificateProblem::Expired { since: moment(not_after) })
            }
            Error::CertNotValidYet { not_before, .. } => {
                of_problem(&CertificateProblem::NotYetValid { from: moment(not_before) })
            }
            Error::EmptyEkuExtension | Error::RequiredEkuNotFoundContext(_) => {
                let (whom, usage) = match purpose {
                    Purpose::Client => ("clients", "clientAuth"),
                    Purpose::Server => ("servers", "serverAuth"),
                };
                let words = format!("its certificate is not made for {whom} (extended key usage {usage})");
                Refusal::new(CertificateError::InvalidPurpose, words)
            }
            why => of_problem(&blame::problem(why, info)),
        }
    }
}

fn own_and_others<'a, 'b>(
    chain: &'a [CertificateDer<'b>],
) -> Result<(&'a CertificateDer<'b>, &'a [CertificateDer<'b>]), Refusal> {
    let (own, others) =
        chain.split_first().ok_or_else(|| Refusal::new(CertificateError::BadEncoding, "it shows no certificate"))?;
    if chain.len() > LONGEST_CHAIN || chain.iter().any(|certificate| certificate.len() > LARGEST) {
        let words = format!("its certificates are too long: at most {LONGEST_CHAIN} of {LARGEST} octets each are read");
        return Err(Refusal::new(CertificateError::BadEncoding, words));
    }
    Ok((own, others))
}

fn bad_form(why: &CertificateProblem) -> Refusal {
    Refusal::new(CertificateError::BadEncoding, format!("its certificate {why}"))
}

fn of_problem(why: &CertificateProblem) -> Refusal {
    let alert = match why {
        CertificateProblem::Expired { .. } => CertificateError::Expired,
        CertificateProblem::NotYetValid { .. } => CertificateError::NotValidYet,
        CertificateProblem::Revoked => CertificateError::Revoked,
        CertificateProblem::UnknownIssuer { .. } => CertificateError::UnknownIssuer,
        CertificateProblem::BadSignature => CertificateError::BadSignature,
        CertificateProblem::WrongPurpose => CertificateError::InvalidPurpose,
        CertificateProblem::Form(_) | CertificateProblem::NoRevocationList(_) => CertificateError::BadEncoding,
    };
    let clock = if matches!(why, CertificateProblem::NotYetValid { .. }) { ": is this box's clock right?" } else { "" };
    Refusal::new(alert, format!("its certificate {why}{clock}"))
}

/// For whom a server's certificate has to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expected {
    /// This host: a DNS name, or an address in text.
    Host(Arc<str>),
    /// This realm (NAIRealm): DNS, which nobody signed, named the server (RFC 7585, 2.2).
    Realm(Arc<str>),
}

const IS_FOR: &str = "its certificate is for ";
const NOT_FOR: &str = ", not for ";

/// The name that a server's certificate is for, when these are the words of [`OfServer::check`] for one that is for another host: the first
/// of several. Nothing when it is for nobody or should be for a realm, or when something else is wrong.
pub fn other_name(words: &str) -> Option<&str> {
    let (names, whom) = words.strip_prefix(IS_FOR)?.split_once(NOT_FOR)?;
    let name = names.split([',', ' ']).next().filter(|name| !name.is_empty() && !name.starts_with('*'))?;
    (!names.starts_with("nobody (") && !whom.contains(' ')).then_some(name)
}

/// What is asked of a server's certificate.
#[derive(Debug)]
pub struct OfServer {
    /// Who may have signed it.
    pub authorities: Authorities,
    /// For whom it has to be.
    pub expected: Expected,
}

impl OfServer {
    /// Checks a chain as the server shows it, its own certificate first.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, chain: &[CertificateDer<'_>], wall: UnixTime) -> Result<(), Refusal> {
        self.authorities.check(chain, Purpose::Server, wall)?;
        let (own, _) = own_and_others(chain)?;
        let names = names(own)?;
        let (is, whom) = match &self.expected {
            Expected::Host(host) => (names.is_for_host(host), host.to_string()),
            Expected::Realm(realm) => (names.is_for_realm(realm), format!("the realm {realm} (NAIRealm)")),
        };
        if is {
            return Ok(());
        }
        let words = format!("{IS_FOR}{names}{NOT_FOR}{whom}");
        Err(Refusal::new(CertificateError::NotValidForName, words))
    }
}

/// What is asked of a client's certificate.
#[derive(Debug)]
pub struct OfClient {
    /// Who may have signed it. Certificates that our own CA issues to devices have no names, so they are none of clients.
    pub authorities: Authorities,
    /// The names that clients have in the configuration.
    pub names: Vec<Arc<str>>,
}

impl OfClient {
    /// Checks a chain as a client shows it, and returns which of the names it has.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, chain: &[CertificateDer<'_>], wall: UnixTime) -> Result<Vec<Arc<str>>, Refusal> {
        self.authorities.check(chain, Purpose::Client, wall)?;
        self.named(chain)
    }

    /// Which of the names a chain has that was checked already.
    ///
    /// # Errors
    /// When it has none of them.
    pub fn named(&self, chain: &[CertificateDer<'_>]) -> Result<Vec<Arc<str>>, Refusal> {
        let (own, _) = own_and_others(chain)?;
        let own = names(own)?;
        let found: Vec<Arc<str>> = self.names.iter().filter(|name| own.has(name)).cloned().collect();
        if found.is_empty() {
            let words = format!("its certificate is for {own}, which is option radsec of no config client");
            return Err(Refusal::new(CertificateError::ApplicationVerificationFailure, words));
        }
        Ok(found)
    }

    /// The names of the authorities (DER): a client with several certificates chooses by them.
    pub fn subjects(&self) -> Vec<Vec<u8>> {
        self.authorities.subjects().map(<[u8]>::to_vec).collect()
    }
}

/// The time at which the first of these certificates that are good now ends: until then nothing changes by itself.
pub fn next_end(chain: &[CertificateDer<'_>], wall: UnixTime) -> Option<UnixTime> {
    let ends = chain.iter().filter_map(|der| CertificateInfo::parse(der).ok()?.not_after);
    ends.filter(|end| *end >= wall).min()
}

fn names<'a>(certificate: &'a [u8]) -> Result<Names<'a>, Refusal> {
    Names::of(certificate).map_err(|what| {
        let words = format!("its certificate is not accepted: {what} cannot be read");
        Refusal::new(CertificateError::BadEncoding, words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::testing::{Ca, NOW, params};
    use rcgen::{ExtendedKeyUsagePurpose as Usage, KeyPair, SanType, date_time_ymd};

    fn dns(name: &str) -> Vec<SanType> {
        vec![SanType::DnsName(name.try_into().unwrap())]
    }

    fn chain(ders: &[&[u8]]) -> Vec<CertificateDer<'static>> {
        ders.iter().map(|der| CertificateDer::from(der.to_vec())).collect()
    }

    fn server(ca: &Ca, host: &str) -> OfServer {
        let authorities = Authorities::new([&ca.der[..]].into_iter(), "option ca (/etc/acme.pem)").unwrap();
        OfServer { authorities, expected: Expected::Host(host.into()) }
    }

    #[test]
    fn what_is_wrong_with_a_server_is_said() {
        let (acme, other, twin) = (Ca::root("Acme CA"), Ca::root("Other CA"), Ca::root("Acme CA"));
        let sub = acme.sub("Acme Sub CA", |_| ());
        let old_sub = acme.sub("Acme Old CA", |params| params.not_after = date_time_ymd(2025, 1, 1));
        let good = |params: &mut rcgen::CertificateParams| params.subject_alt_names = dns("aaa.acme.example");
        let asked = server(&acme, "aaa.acme.example");
        let said = |chain: &[CertificateDer<'_>]| asked.check(chain, NOW).map_err(|why| why.words.to_string());
        let device = acme.device("aaa", good);
        assert_eq!(said(&chain(&[&device])), Ok(()));
        assert_eq!(said(&chain(&[&sub.device("aaa", good), &sub.der])), Ok(()));
        for (what, expected) in [
            (chain(&[]), "it shows no certificate"),
            (
                chain(&[&other.device("aaa", good)]),
                "its certificate is signed by a CA that option ca (/etc/acme.pem) does not name: CN=Other CA",
            ),
            (
                chain(&[&sub.device("aaa", good)]),
                "its certificate is signed by a CA that option ca (/etc/acme.pem) does not name: CN=Acme Sub CA",
            ),
            (
                chain(&[&twin.device("aaa", good)]),
                "its certificate is signed by CN=Acme CA, but with another key than that CA has in option ca (/etc/acme.pem)",
            ),
            (
                chain(&[&acme.device("aaa", |params| params.subject_alt_names = dns("radius.other.example"))]),
                "its certificate is for radius.other.example, not for aaa.acme.example",
            ),
            (
                chain(&[&acme.device("aaa.acme.example", |_| ())]),
                "its certificate is for nobody (no dNSName or iPAddress in its subjectAltName), not for aaa.acme.example",
            ),
            (
                chain(&[&acme.device("aaa", |params| {
                    good(params);
                    params.not_after = date_time_ymd(2026, 1, 31);
                })]),
                "its certificate expired on 2026-01-31T00:00:00Z",
            ),
            (
                chain(&[&acme.device("aaa", |params| {
                    good(params);
                    params.not_before = date_time_ymd(2030, 1, 1);
                })]),
                "its certificate is not valid before 2030-01-01T00:00:00Z: is this box's clock right?",
            ),
            (
                chain(&[&old_sub.device("aaa", good), &old_sub.der]),
                "a CA of its certificate expired on 2025-01-01T00:00:00Z",
            ),
            (
                chain(&[&acme.device("aaa", |params| {
                    good(params);
                    params.extended_key_usages = vec![Usage::ClientAuth];
                })]),
                "its certificate is not made for servers (extended key usage serverAuth)",
            ),
            (chain(&[b"no certificate"]), "its certificate is not accepted: it is no certificate"),
            (
                chain(&[&device, &sub.der, &sub.der, &sub.der, &sub.der, &sub.der, &sub.der]),
                "its certificates are too long: at most 6 of 8192 octets each are read",
            ),
        ] {
            assert_eq!(said(&what), Err(expected.to_owned()));
            let other = (expected.contains("radius.other.example")).then_some("radius.other.example");
            assert_eq!(other_name(expected), other, "{expected}");
        }
        let two = "its certificate is for a.example and 192.0.2.1, not for aaa.acme.example";
        assert_eq!(other_name(two), Some("a.example"));
        assert_eq!(other_name("its certificate is for a.example, not for the realm b.example (NAIRealm)"), None);
    }

    #[test]
    fn a_certificate_that_is_in_the_file_itself_counts_as_long_as_it_lasts() {
        let key = KeyPair::generate().unwrap();
        let mut params = params("aaa");
        params.subject_alt_names = dns("aaa.acme.example");
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let other = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let authorities = Authorities::new([&der[..]].into_iter(), "option ca").unwrap();
        let asked = OfServer { authorities, expected: Expected::Host("aaa.acme.example".into()) };
        assert_eq!(asked.check(&chain(&[&der]), NOW), Ok(()));
        let late = asked.check(&chain(&[&der]), UnixTime(NOW.0 + 20 * 365 * 86_400));
        assert_eq!(late.unwrap_err().alert, CertificateError::Expired);
        let why = asked.check(&chain(&[&other]), NOW).unwrap_err();
        assert_eq!(&*why.words, "its certificate CN=aaa is signed by itself, and option ca does not have it");
    }

    #[test]
    fn a_server_that_dns_named_has_to_be_for_the_realm() {
        let acme = Ca::root("Acme CA");
        let oid = vec![1, 3, 6, 1, 5, 5, 7, 8, 8];
        let realm = SanType::OtherName((oid, rcgen::OtherNameValue::Utf8String("acme.example".into())));
        let with = |names: Vec<SanType>| chain(&[&acme.device("aaa", |params| params.subject_alt_names = names)]);
        let asked = OfServer { expected: Expected::Realm("acme.example".into()), ..server(&acme, "") };
        assert_eq!(asked.check(&with(vec![realm]), NOW), Ok(()));
        let why = asked.check(&with(dns("acme.example")), NOW).unwrap_err();
        assert_eq!(&*why.words, "its certificate is for acme.example, not for the realm acme.example (NAIRealm)");
        assert_eq!(why.alert, CertificateError::NotValidForName);
    }

    #[test]
    fn the_first_end_of_a_chain_that_is_to_come_counts() {
        let acme = Ca::root("Acme CA");
        let until = |year| move |params: &mut rcgen::CertificateParams| params.not_after = date_time_ymd(year, 1, 1);
        let at = |year: i32| UnixTime(date_time_ymd(year, 1, 1).unix_timestamp());
        let sub = acme.sub("Acme Sub CA", until(2029));
        let both = chain(&[&acme.device("aaa", until(2031)), &sub.der]);
        assert_eq!(next_end(&both, NOW), Some(at(2029)));
        assert_eq!(next_end(&both, at(2029)), Some(at(2029)), "it is good in its last second");
        assert_eq!(next_end(&both, at(2030)), Some(at(2031)));
        assert_eq!(next_end(&both, at(2032)), None);
        assert_eq!(next_end(&[], NOW), None);
    }

    #[test]
    fn a_client_has_to_be_one_that_is_configured() {
        let acme = Ca::root("Acme CA");
        let authorities = Authorities::new([&acme.der[..]].into_iter(), "option ca of config radsec").unwrap();
        let asked =
            OfClient { authorities, names: vec!["ap1.example".into(), "192.0.2.7".into(), "ap2.example".into()] };
        let ask = |edit: &dyn Fn(&mut rcgen::CertificateParams)| {
            let chain = chain(&[&acme.device("ap1.example", |params| edit(params))]);
            asked.check(&chain, NOW).map(|names| names.join(" ")).map_err(|why| why.words.to_string())
        };
        assert_eq!(ask(&|params| params.subject_alt_names = dns("AP1.example")), Ok("ap1.example".into()));
        let both = |params: &mut rcgen::CertificateParams| {
            params.subject_alt_names = dns("ap2.example");
            params.subject_alt_names.push(SanType::IpAddress("192.0.2.7".parse().unwrap()));
        };
        assert_eq!(ask(&both), Ok("192.0.2.7 ap2.example".into()));
        for names in [dns("*.example"), dns("ap3.example"), vec![]] {
            let why = ask(&|params| params.subject_alt_names = names.clone()).unwrap_err();
            assert!(why.ends_with(", which is option radsec of no config client"), "{why}");
        }
        let server = |params: &mut rcgen::CertificateParams| {
            params.subject_alt_names = dns("ap1.example");
            params.extended_key_usages = vec![Usage::ServerAuth];
        };
        let why = "its certificate is not made for clients (extended key usage clientAuth)";
        assert_eq!(ask(&server), Err(why.to_owned()));
    }
}
