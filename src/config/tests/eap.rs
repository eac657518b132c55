//! `config eap`, and networks without Wi-Fi keys.

use super::*;

#[test]
fn eap_is_read() {
    let config = parse("");
    assert_eq!((&*config.eap.realm, &*config.eap.server_name), ("latchkey.home.arpa", "latchkey.home.arpa"));
    assert_eq!((config.eap.tls_min, config.eap.crl_required), (TlsVersion::V1_2, CrlRequired::No));
    assert_eq!((&config.eap.certificate, &config.eap.methods[..]), (&None, &[EapMethod::Tls, EapMethod::Psk][..]));
    let eap = parse(
        "config eap\n\toption realm 'Home.Example'\n\toption server_name 'radius.home.example'\n\toption certificate '/etc/ssl/radius.crt'\n\
         \toption private_key '/etc/ssl/radius.key'\n\toption tls_min '1.3'\n\toption crl_required '1'\n\tlist methods 'psk'\n",
    )
    .eap;
    let files = Some(("/etc/ssl/radius.crt".into(), "/etc/ssl/radius.key".into()));
    let expected = Eap {
        realm: "home.example".into(),
        server_name: "radius.home.example".into(),
        certificate: files,
        tls_min: TlsVersion::V1_3,
        crl_required: CrlRequired::Yes,
        methods: vec![EapMethod::Psk],
    };
    assert_eq!(eap, expected);
}

#[test]
fn networks_without_keys() {
    let config = parse(
        "config ssid 'office'\n\toption ssid 'Office'\n\toption security 'enterprise'\nconfig ssid 'ports'\n\toption security 'wired'\n",
    );
    let found = |ssid: &[u8]| config.ssid(ssid).map(|ssid| (&*ssid.section, ssid.security, ssid.security.has_keys()));
    assert_eq!(found(b"Office"), Some(("office", Security::Enterprise, false)));
    assert_eq!(found(b""), Some(("ports", Security::Wired, false)));
    assert!(config.ssids.iter().all(|ssid| ssid.unknown == Unknown::Reject && ssid.backend == Backend::Radius));
}

#[test]
fn mistakes_about_eap() {
    let wired = "config ssid 'p'\n\toption security 'wired'\n";
    for (text, expected) in [
        (
            "config eap\n\toption realm 'a b'\n",
            "line 2: config eap: option realm: 'a b' is no domain name of at most 200",
        ),
        (
            "config eap\n\toption realm '-x.example'\n",
            "line 2: config eap: option realm: '-x.example' is no domain name",
        ),
        (
            "config eap\n\toption server_name 'x..y'\n",
            "line 2: config eap: option server_name: 'x..y' is no domain name",
        ),
        ("config eap\n\toption certificate '/a'\n", "line 1: config eap: option private_key: is missing"),
        ("config eap\n\toption private_key '/a'\n", "line 1: config eap: option certificate: is missing"),
        (
            "config eap\n\toption tls_min '1.1'\n",
            "line 2: config eap: option tls_min: cannot be '1.1': did you mean '1.2'?",
        ),
        (
            "config eap\n\toption crl_required 'yes'\n",
            "line 2: config eap: option crl_required: cannot be 'yes': allowed: 0, 1",
        ),
        (
            "config eap\n\tlist methods 'ttls'\n",
            "line 2: config eap: option methods: cannot be 'ttls': did you mean 'tls'?",
        ),
        (
            "config eap\n\tlist methods 'psk'\n\tlist methods 'psk'\n",
            "line 3: config eap: option methods: 'psk' is given twice",
        ),
        ("config eap\nconfig eap\n", "line 2: config eap: there is such a section on line 1 already"),
        (
            &format!("{wired}\toption ssid 'x'\n"),
            "line 3: config ssid 'p': option ssid: makes no sense with security 'wired'",
        ),
        (
            &format!("{wired}\toption psk_file '/x'\n"),
            "line 3: config ssid 'p': option psk_file: makes no sense with security 'wired', whose devices have no Wi-Fi keys: remove it",
        ),
        (
            &format!("{wired}\toption onboarding_key 'x'\n"),
            "line 3: config ssid 'p': option onboarding_key: makes no sense",
        ),
        (
            &format!("{wired}\toption unknown 'pairing'\n"),
            "line 3: config ssid 'p': option unknown: can only be 'reject'",
        ),
        (
            &format!("{wired}\toption backend 'psk-file'\n"),
            "line 3: config ssid 'p': option backend: can only be 'radius'",
        ),
        (
            &format!("{wired}{}", wired.replace("'p'", "'q'")),
            "line 4: config ssid 'q': option security: the section on line 1 is for the cable already",
        ),
    ] {
        let errors = errors(text);
        assert!(matches!(&errors[..], [one] if one.starts_with(expected)), "{text}: {errors:?}");
    }
}
