use super::super::args::{self, Invocation, Stop};
use super::*;

fn parsed(words: &str) -> Result<Command, String> {
    match Invocation::parse(words.split_ascii_whitespace().map(Into::into), None) {
        Ok(Invocation { command: args::Command::Openwrt(command), .. }) => Ok(command),
        Ok(other) => Err(format!("{:?}", other.command)),
        Err(Stop::Usage { topic, message }) => Err(format!("{topic}: {message}")),
        Err(other) => Err(format!("{other:?}")),
    }
}

#[test]
fn what_is_understood() {
    let request = Request {
        ssid: Some(SsidRequest {
            ssid: "Home".into(),
            radios: vec!["radio0".into(), "radio1".into()],
            security: Some(Security::Mixed),
            take_over: true,
        }),
        profiles: vec!["iot".into()],
        bridge: Some(BridgeRequest {
            name: "br-lan".into(),
            ports: vec![("lan1".into(), false), ("lan4".into(), true)],
        }),
        country: Some("DE".into()),
    };
    let words = "--ssid Home --radio radio0 --radio radio1 --security mixed --take-over --profile iot --bridge br-lan \
                 --port lan1 --port lan4:t --country DE";
    let root = PathBuf::from("/");
    let what = What::Plan(Action::Have(request.clone()));
    assert_eq!(parsed(&format!("openwrt plan {words}")), Ok(Command { root: root.clone(), what }));
    let terms = Terms { fingerprint: Some("f".into()), hold: Hold::Until(7) };
    let what = What::Apply(Action::Have(request), terms);
    assert_eq!(parsed(&format!("openwrt apply {words} --fingerprint f --undo-after 7")), Ok(Command { root, what }));
    let removal = Removal { profiles: vec!["a".into(), "b".into()], ssids: vec!["c".into()] };
    let what = What::Plan(Action::Remove(removal));
    let words = "openwrt --root /x remove --profile a --profile b --ssid c --dry-run";
    assert_eq!(parsed(words), Ok(Command { root: "/x".into(), what }));
    assert_eq!(parsed("openwrt undo --if-pending").map(|c| c.what), Ok(What::Undo(Undo::IfPending)));
    assert_eq!(parsed("openwrt undo --at-boot").map(|c| c.what), Ok(What::Undo(Undo::AtBoot)));
    let terms = Terms { fingerprint: None, hold: Hold::Final };
    let what = What::Apply(Action::Remove(Removal::default()), terms);
    assert_eq!(parsed("openwrt remove --final").map(|c| c.what), Ok(what));
}

#[test]
fn what_is_not_understood() {
    for (words, expected) in [
        ("openwrt", "openwrt: say what to do"),
        ("openwrt aply", "openwrt: there is no command 'aply'"),
        ("openwrt plan Home", "openwrt plan: too many arguments"),
        (
            "openwrt apply --json --root /x",
            "openwrt apply: --root goes before the command: latchkey openwrt --root DIR plan",
        ),
        ("openwrt undo --root=/x", "openwrt undo: --root goes before the command: latchkey openwrt --root DIR plan"),
        ("openwrt plan --ssid a --ssid b", "openwrt plan: one --ssid at a time"),
        ("openwrt plan --radio radio0", "openwrt plan: --radio is for an SSID"),
        ("openwrt plan --security wpa2", "openwrt plan: --security is for an SSID"),
        ("openwrt plan --take-over", "openwrt plan: --take-over is for an SSID"),
        ("openwrt plan --ssid a --security wired", "openwrt plan: --security is wpa2, wpa3, mixed or enterprise"),
        ("openwrt plan --port lan1", "openwrt plan: --port is for the ports of a bridge"),
        ("openwrt plan --bridge b --port lan1:u", "openwrt plan: --port is PORT for untagged"),
        ("openwrt plan --fingerprint x", "openwrt plan: there is no option --fingerprint"),
        ("openwrt apply --undo-after 0", "openwrt apply: --undo-after wants seconds"),
        ("openwrt apply --final", "openwrt apply: there is no option --final"),
        ("openwrt remove --radio r", "openwrt remove: there is no option --radio"),
        ("openwrt confirm --if-pending", "openwrt confirm: there is no option --if-pending"),
        ("openwrt watch", "openwrt: a change is watched by its number"),
    ] {
        let why = parsed(words).expect_err(words);
        assert!(why.starts_with(expected), "{words}: {why}");
    }
}
