//! What the box knows of time: its zone, and moments that are certainly past.

use super::now;
use crate::config::Config;
use crate::service::Core;
use crate::time::UnixTime;
use crate::time::zone::{Zone, ZoneError};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Octets of the longest time zone file; those of the time zone database have less than 4 KiB.
const MOST: u64 = 65_536;
/// Where names such as `Europe/Berlin` are files.
const ZONEINFO: &str = "/usr/share/zoneinfo";

/// Puts the time zone into force: of the configuration, else of the environment, else of the system, else UTC.
pub fn follow(core: &mut Core, config: &Config) {
    let variable = std::env::var("TZ").ok();
    let (zone, source) = find(config, variable.as_deref(), Path::new("/etc"));
    if zone != core.zone && config.profiles.iter().any(|profile| !profile.hours.is_empty()) {
        let local = zone.local(core.time.effective(now()).wall);
        crate::log::info!("the hours of profiles are local time of {} ({source}), where it is {local}", zone.name());
    }
    core.zone = zone;
}

/// The zone, and where it was found.
fn find(config: &Config, variable: Option<&str>, etc: &Path) -> (Zone, &'static str) {
    // A bad one is an error of the configuration and does not come to this.
    if let Some(Ok(zone)) = config.main.timezone.as_deref().map(Zone::posix) {
        return (zone, "option timezone");
    }
    if let Some(text) = variable {
        match of_variable(text) {
            Ok(zone) => return (zone, "TZ in the environment"),
            Err(why) => crate::log::warn!("TZ in the environment {why}; set option timezone"),
        }
    }
    match read(&etc.join("TZ")).map(|contents| Zone::posix(&String::from_utf8_lossy(&contents))) {
        Ok(Ok(zone)) => return (zone, "/etc/TZ"),
        Ok(Err(why)) => crate::log::warn!("/etc/TZ {why}; or set option timezone"),
        Err(_) => {}
    }
    match read(&etc.join("localtime")).map(|contents| Zone::tzif("/etc/localtime", &contents)) {
        Ok(Ok(zone)) => return (zone, "/etc/localtime"),
        Ok(Err(why)) => crate::log::warn!("/etc/localtime {why}; set option timezone"),
        Err(_) => {}
    }
    (Zone::utc(), "no other is set: option timezone")
}

/// A value of `TZ`: a POSIX zone, or the name of a file (POSIX.1-2017, 8.3). Empty: UTC.
fn of_variable(text: &str) -> Result<Zone, ZoneError> {
    if text.is_empty() {
        return Ok(Zone::utc());
    }
    let name = text.strip_prefix(':').unwrap_or(text);
    Zone::posix(name).or_else(|why| {
        // An absolute path stands for itself.
        let contents = read(&Path::new(ZONEINFO).join(name)).map_err(|_| why)?;
        Zone::tzif(name, &contents)
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut contents = Vec::new();
    file.take(MOST).read_to_end(&mut contents)?;
    Ok(contents)
}

/// Tells the clock what this program knows: it was not installed after now. The registry's records are known already.
pub fn know(core: &mut Core) {
    let modified = std::env::current_exe().and_then(|path| path.metadata()?.modified());
    let Some(since) = modified.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()) else { return };
    let at = UnixTime(i64::try_from(since.as_secs()).unwrap_or(0));
    core.time.know(at, "this program was made then", now());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(timezone: &str) -> Config {
        let option = if timezone.is_empty() { String::new() } else { format!("\toption timezone '{timezone}'\n") };
        Config::parse(format!("config latchkey\n{option}")).expect("a configuration")
    }

    #[test]
    fn the_first_that_is_there() {
        let etc = tempfile::tempdir().expect("a directory");
        let found = |timezone: &str, variable: Option<&str>| {
            let (zone, source) = find(&config(timezone), variable, etc.path());
            (zone.name().to_owned(), source)
        };
        let hour = "XST-1".to_owned();
        assert_eq!(found("", None), ("UTC".into(), "no other is set: option timezone"));
        // A version 1 file: one type, an hour ahead of UTC.
        let mut file = b"TZif\0".to_vec();
        file.extend_from_slice(&[0; 15]);
        [0u32, 0, 0, 0, 1, 4].iter().for_each(|count| file.extend_from_slice(&count.to_be_bytes()));
        file.extend_from_slice(&3600u32.to_be_bytes());
        file.extend_from_slice(b"\0\0XST\0");
        std::fs::write(etc.path().join("localtime"), &file).expect("written");
        assert_eq!(found("", None), ("/etc/localtime".into(), "/etc/localtime"));
        std::fs::write(etc.path().join("TZ"), "no zone\n").expect("written");
        assert_eq!(found("", None).1, "/etc/localtime", "a bad file is passed over");
        std::fs::write(etc.path().join("TZ"), "XST-1\n").expect("written");
        assert_eq!(found("", None), (hour.clone(), "/etc/TZ"));
        assert_eq!(found("", Some("YST-2")), ("YST-2".into(), "TZ in the environment"));
        assert_eq!(found("", Some("Nowhere/Nothing")), (hour, "/etc/TZ"));
        assert_eq!(found("", Some("")).0, "UTC");
        assert_eq!(found("ZST-3", Some("YST-2")), ("ZST-3".into(), "option timezone"));

        let named = etc.path().join("localtime").display().to_string();
        assert_eq!(of_variable(&format!(":{named}")).map(|zone| zone.offset(UnixTime(0))), Ok(3600));
    }
}
