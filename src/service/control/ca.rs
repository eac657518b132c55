//! The methods that tell of our own CA and of the certificate devices see.

use super::params::Params;
use super::{ApiError, Done};
use crate::pki::CertificateInfo;
use crate::pki::authority::certificate_pem;
use crate::registry::credential::KnownBy;
use crate::service::pki::OwnCa;
use crate::service::{Core, Now};
use serde_json::{Value, json};

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

fn certificate(info: &CertificateInfo) -> Value {
    let fingerprint: Vec<String> = info.fingerprint.iter().map(|octet| format!("{octet:02X}")).collect();
    json!({
        "subject": &*info.subject,
        "ends": info.not_after.map(|at| at.to_string()),
        "fingerprint": fingerprint.join(":"),
    })
}
