//! The methods that tell of our own CA and of the certificate devices see.

use super::params::Params;
use super::{ApiError, Done};
use crate::config;
use crate::json::json;
use crate::pki::CertificateInfo;
use crate::pki::authority::certificate_pem;
use crate::registry::credential::KnownBy;
use crate::service::pki::OwnCa;
use crate::service::{Core, Now};
use serde_json::Value;

/// `ca_show`: the CA, the server certificate, and what is wrong with them. Makes nothing.
pub fn show(core: &mut Core, _: &Params, now: Now) -> Result<Done, ApiError> {
    let own = core.pki.own();
    let issuer = own.info().map(|info| info.issuer_hash);
    let of_ours = |known_by: &KnownBy| matches!(known_by, KnownBy::Serial { issuer: of, .. } if Some(*of) == issuer);
    let credentials = core.registry.devices().filter_map(|device| device.eap.as_ref());
    let issued = credentials
        .flat_map(|eap| &eap.certificates)
        .filter(|certificate| certificate.issued && of_ours(&certificate.known_by));
    let ca = own.info().map(|info| {
        let mut ca = certificate(info);
        ca["can_issue"] = json!(matches!(own, OwnCa::Whole(_)));
        ca["issued"] = json!(issued.count());
        ca
    });
    let server = core.pki.server().map(|server| {
        let mut value = certificate(&server.info);
        value["given"] = json!(server.given);
        value["issuer"] = json!(&*server.info.issuer);
        value["names"] = server.info.alt_names.iter().map(|name| json!(&**name)).collect();
        value["certificates"] = json!(server.chain.len());
        value
    });
    Ok(Done::Value(json!({
        "ca": ca,
        "server": server,
        "troubles": core.pki.troubles(),
        "warnings": core.pki.warnings(now.wall).into_iter().map(|warning| warning.text).collect::<Vec<_>>(),
    })))
}

/// `ca_export`: the CA's certificate, PEM, for devices to check the server by. The shell makes a CA before, if there is none.
pub fn export(core: &mut Core, _: &Params, _: Now) -> Result<Done, ApiError> {
    let Some(der) = core.pki.own().certificate() else {
        let why = core.pki.troubles().first().map_or("it could not be made", String::as_str);
        return Err(ApiError::new("no_ca", format!("there is no CA of latchkey's own: {why}")));
    };
    let mut value = core.pki.own().info().map(certificate).unwrap_or_default();
    value["pem"] = json!(certificate_pem(der));
    Ok(Done::Value(value))
}

/// `ca_issue`: a certificate for an access point that comes over RadSec, with its private key, which is kept nowhere. It counts for
/// `config client` with its name in option radsec, and for nothing else.
pub fn issue(core: &mut Core, params: &Params, now: Now) -> Result<Done, ApiError> {
    let name = params.need("name")?.to_ascii_lowercase();
    if !config::is_host_name(&name) {
        let message = format!("'{name}' is no domain name: write for example ap2.home.arpa, as in option radsec");
        return Err(ApiError::field("invalid", "name", message));
    }
    let issued = core.pki.issue_for_peer(&name, now.wall, &mut core.random);
    let issued = issued.map_err(|why| ApiError::new("no_ca", why))?;
    Ok(Done::Value(json!({
        "name": name,
        "subject": &*issued.info.subject,
        "ends": issued.info.not_after.map(|at| at.to_string()),
        "certificate": issued.certificate_pem,
        "private_key": &**issued.key_pem,
        "ca": issued.ca_pem,
    })))
}

fn certificate(info: &CertificateInfo) -> Value {
    let fingerprint: Vec<String> = info.fingerprint.iter().map(|octet| format!("{octet:02X}")).collect();
    json!({
        "subject": &*info.subject,
        "ends": info.not_after.map(|at| at.to_string()),
        "fingerprint": fingerprint.join(":"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Call;
    use super::super::tests::{call, core, now};
    use super::*;
    use crate::pki::authority::{Authority, Key};
    use crate::service::pki::Files;
    use serde_json::json;

    #[test]
    fn the_ca_is_shown_and_given_out_without_its_key() {
        let mut core = core();
        assert_eq!(
            call(&mut core, "ca_show", json!({})),
            json!({ "ca": null, "server": null, "troubles": [], "warnings": [] })
        );
        let error = call(&mut core, "ca_export", json!({}));
        assert_eq!(error["error"]["code"], "no_ca");
        core.pki.set_files(Files { troubles: vec!["/x/ca.key: no space left".into()], ..Files::default() });
        let error = call(&mut core, "ca_export", json!({}));
        assert_eq!(error["error"]["message"], "there is no CA of latchkey's own: /x/ca.key: no space left");
        let troubles = &call(&mut core, "status", json!({}))["troubles"];
        assert_eq!(*troubles, json!([{ "about": "certificates", "why": "/x/ca.key: no space left" }]));

        let key = Key::generate().expect("a key");
        let secret = key.to_pem();
        let authority = Authority::new(key, now().wall, &mut |buffer| buffer.fill(7)).expect("a CA");
        let der = authority.certificate().to_vec();
        core.pki.set_files(Files { own: OwnCa::Whole(Box::new(authority)), ..Files::default() });
        let shown = call(&mut core, "ca_show", json!({}));
        assert_eq!(shown["ca"]["can_issue"], true);
        assert_eq!(shown["ca"]["issued"], 0);
        let exported = call(&mut core, "ca_export", json!({}));
        assert_eq!(exported["fingerprint"], shown["ca"]["fingerprint"]);
        assert_eq!(exported["fingerprint"].as_str().map(str::len), Some(95));
        let pem = exported["pem"].as_str().expect("PEM");
        assert_eq!(crate::pki::certificate::read_pem_or_der(pem.as_bytes()), Ok(vec![der]));
        let line = secret.lines().nth(1).expect("a line of the key");
        assert!(!shown.to_string().contains(line) && !exported.to_string().contains(line));

        for (name, field) in [("", "name"), ("ap 2.example", "name"), ("-ap.example", "name")] {
            let error = call(&mut core, "ca_issue", json!({ "name": name }));
            assert_eq!(error["error"]["field"], field, "{name}: {error}");
        }
        let issued = call(&mut core, "ca_issue", json!({ "name": "AP2.home.arpa" }));
        let pem = issued["certificate"].as_str().expect("PEM");
        let [der] = &crate::pki::certificate::read_pem_or_der(pem.as_bytes()).expect("a certificate")[..] else {
            panic!()
        };
        let info = CertificateInfo::parse(der).expect("a certificate");
        assert_eq!(info.alt_names, ["ap2.home.arpa".into()]);
        assert_eq!(issued["ca"], exported["pem"]);
        let key = Key::from_pem(issued["private_key"].as_str().expect("PEM").as_bytes()).expect("a key");
        assert_eq!(info.public_key, crate::pki::certificate::sha256(&key.public_key()));
        // Devices cannot come with it.
        let (chain, wall) = ([der.as_slice().into()], now().wall);
        let refused = core.pki.trust().verify(&chain, wall).map(|_| ()).unwrap_err();
        assert!(matches!(
            refused,
            crate::pki::CertificateProblem::UnknownIssuer { .. } | crate::pki::CertificateProblem::Revoked
        ));
    }

    #[test]
    fn only_what_needs_a_ca_has_one_made() {
        for (line, needs) in [
            (r#"{"method":"ca_export"}"#, true),
            (r#"{"method":"ca_issue","params":{"name":"ap2.home.arpa"}}"#, true),
            (r#"{"method":"ca_show"}"#, false),
            (r#"{"method":"status"}"#, false),
            (r#"{"method":"device_add","params":{"name":"x","generate":true}}"#, false),
        ] {
            let call = Call::parse(line.as_bytes()).expect("a call");
            assert_eq!(call.needs_ca(), needs, "{line}");
        }
    }
}
