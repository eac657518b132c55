//! `config latchkey`.

use super::super::*;

fn main_of(options: &str) -> Result<Main, String> {
    let text = format!("config latchkey\n{options}");
    Config::parse(text).map(|config| config.main).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn whether_the_system_starts_it_and_where_ubus_is() {
    for (options, enabled, ubus) in [
        ("", Enabled::Yes, UbusAt::Auto),
        ("\toption enabled '0'\n\toption ubus 'off'\n", Enabled::No, UbusAt::Off),
        ("\toption enabled '1'\n\toption ubus 'auto'\n", Enabled::Yes, UbusAt::Auto),
        ("\toption ubus '/tmp/ubus.sock'\n", Enabled::Yes, UbusAt::At("/tmp/ubus.sock".into())),
    ] {
        let main = main_of(options).expect(options);
        assert_eq!((main.enabled, main.ubus), (enabled, ubus), "{options}");
    }
    let long = format!("\toption ubus '/{}'\n", "x".repeat(107));
    for (options, words) in [
        ("\toption enabled 'yes'\n", "option enabled: cannot be 'yes'"),
        ("\toption ubus 'on'\n", "option ubus: 'on' is neither auto, off, nor the absolute path"),
        ("\toption ubus 'ubus.sock'\n", "'ubus.sock' is neither"),
        (&long, "at most 107 octets"),
    ] {
        let why = main_of(options).expect_err(options);
        assert!(why.contains(words), "{why}");
    }
}
