//! `pending`: unknown devices that tried to join.

use super::Context;
use super::args::{Stop, Words};
use super::client::Failure;
use super::device::text::added;
use super::reply::Part;
use super::table::Table;
use super::text::Look;
use crate::json::json;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Show them.
    List {
        /// Those that are ignored instead.
        ignored: bool,
    },
    /// Register one.
    Approve {
        /// Its address.
        mac: String,
        /// The name it gets.
        name: String,
        /// The profile it gets.
        profile: Option<String>,
        /// Which certificate it has: the beginning of the fingerprint.
        certificate: Option<String>,
    },
    /// Take one off the list.
    Ignore {
        /// Its address.
        mac: String,
    },
    /// List it again when it comes.
    Unignore {
        /// Its address.
        mac: String,
    },
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Command, Stop> {
    words.about("pending");
    words.command(|words, name| match name {
        Some("list") => {
            words.about("pending list");
            let mut ignored = false;
            let [] = words.rest([], |_, option| {
                ignored |= option == "--ignored";
                Ok(option == "--ignored")
            })?;
            Ok(Command::List { ignored })
        }
        Some("approve") => {
            words.about("pending approve");
            let (mut profile, mut certificate) = (None, None);
            let [mac, name] = words.rest(["MAC", "NAME"], |words, option| {
                match option {
                    "--profile" => profile = Some(words.value()?),
                    "--certificate" => certificate = Some(words.value()?),
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            Ok(Command::Approve { mac, name, profile, certificate })
        }
        Some("ignore") => {
            words.about("pending ignore");
            let [mac] = words.rest(["MAC"], |_, _| Ok(false))?;
            Ok(Command::Ignore { mac })
        }
        Some("unignore") => {
            words.about("pending unignore");
            let [mac] = words.rest(["MAC"], |_, _| Ok(false))?;
            Ok(Command::Unignore { mac })
        }
        Some(other) => Err(words.unknown_command(other)),
        None => Err(words.usage("say what to do: list, approve, ignore or unignore")),
    })
}

/// Asks and prints.
pub fn run(context: &mut Context<'_>, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List { ignored } => {
            let reply = context.call("pending_list", json!({ "ignored": ignored }))?;
            context.finish(&reply, if *ignored { render_ignored } else { render })
        }
        Command::Approve { mac, name, profile, certificate } => {
            let params = json!({ "mac": mac, "name": name, "profile": profile, "certificate": certificate });
            let reply = context.call("pending_approve", params)?;
            context.finish(&reply, added)
        }
        Command::Ignore { mac } => {
            let reply = context.call("pending_ignore", json!({ "mac": mac }))?;
            context.finish(&reply, |_, _| format!("{mac} will not be listed again. It is still refused.\n"))
        }
        Command::Unignore { mac } => {
            let reply = context.call("pending_unignore", json!({ "mac": mac }))?;
            context.finish(&reply, |_, _| format!("{mac} will be listed when it comes again.\n"))
        }
    }
}

/// The unknown devices as a table.
fn render(reply: Part<'_>, look: &Look) -> String {
    let pending = reply.list("pending");
    if pending.len() == 0 {
        return "No unknown device has tried to join. Let one try: it will be listed here, to be approved.\n".into();
    }
    let mut table = Table::new(["MAC", "SSID", ">TRIES", "LAST SEEN", "FIRST SEEN", "AP", "PROVED", "WHY"]);
    let mut several = String::new();
    for unknown in pending {
        let (first, other) = (unknown.at("certificate"), unknown.at("other_certificate"));
        let (called, also) = (unknown.at("identity"), unknown.at("other_identity"));
        if !also.0.is_null() || (called.is_some() && !other.0.is_null()) {
            several.push_str(&format!("\nSeveral identities were shown at {}:\n", unknown.text("mac")));
            for (identity, when) in [(called, "first"), (also, "later")] {
                if identity.is_some() {
                    let (identity, realm) = (identity.text("identity"), identity.text("realm"));
                    several.push_str(&format!("  {when}  {identity}, of {realm}\n"));
                }
            }
        }
        if first.is_some() && !other.0.is_null() {
            several.push_str(&format!("\nTwo certificates were shown at {}:\n", unknown.text("mac")));
            for (certificate, when) in [(first, "first"), (other, "later")] {
                let start: String = certificate.text("fingerprint").chars().take(16).collect();
                let (subject, maker) = (certificate.text("subject"), certificate.text("maker"));
                several.push_str(&format!("  {when}  {start}  {subject}, of {maker}\n"));
            }
        }
        let random = if unknown.flag("randomised") { " (random)" } else { "" };
        table.row([
            format!("{}{random}", unknown.text("mac")).into(),
            unknown.text("ssid").into(),
            unknown.text("attempts").into(),
            unknown.when("last_seen", look).unwrap_or_default().into(),
            unknown.when("first_seen", look).unwrap_or_default().into(),
            unknown.text("nas").into(),
            match unknown.at("proved").0.as_str() {
                Some("certificate") if !other.0.is_null() => "two certificates at this address".into(),
                Some("certificate") => format!("certificate of {}", first.text("maker")).into(),
                Some("identity") if also.is_some() => "two identities at this address".into(),
                Some("identity") => format!("{} of {}", called.text("identity"), called.text("realm")).into(),
                Some("onboarding_key") => "onboarding key".into(),
                Some("other_key") => format!("key of {}", unknown.text("key_of")).into(),
                _ => "nothing".into(),
            },
            unknown.text("why").into(),
        ]);
    }
    let hint = "Let one in:  latchkey pending approve MAC NAME --profile P\nHide one:    latchkey pending ignore MAC\n";
    let which = if several.is_empty() {
        ""
    } else {
        "Say which:   latchkey pending approve MAC NAME --certificate FINGERPRINT-OR-IDENTITY\n"
    };
    format!("{}{several}\n{hint}{which}", table.render(look))
}

/// The ignored ones as a list.
fn render_ignored(reply: Part<'_>, _: &Look) -> String {
    let ignored = reply.list("ignored");
    if ignored.len() == 0 {
        return "No unknown device is ignored.\n".into();
    }
    let mut text = String::new();
    for unknown in ignored {
        let random = if unknown.flag("randomised") { " (random)" } else { "" };
        text.push_str(&format!("{}{random}\n", unknown.text("mac")));
    }
    text.push_str("\nList one again:  latchkey pending unignore MAC\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::PLAIN;
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_devices_are_a_table() {
        let reply = json!({ "pending": [
            { "mac": "00:11:22:33:44:55", "randomised": false, "ssid": "Home", "nas": "attic",
              "first_seen": "2027-01-31T16:00:00Z", "last_seen": "2027-01-31T17:57:00Z", "attempts": 12,
              "reason": "key_of_other", "why": "unknown device", "quarantined": false, "proved": "other_key",
              "key_of": "tv" },
            { "mac": "02:11:22:33:44:55", "randomised": true, "ssid": "Home", "nas": "attic",
              "first_seen": null, "last_seen": "2027-01-31T18:00:00Z", "attempts": 1,
              "reason": "quarantined", "why": "kept in quarantine", "quarantined": true, "proved": "onboarding_key" },
        ]});
        let expected = "\
MAC                         SSID  TRIES  LAST SEEN  FIRST SEEN  AP     PROVED          WHY
00:11:22:33:44:55           Home     12  3 min ago  2 h ago     attic  key of tv       unknown device
02:11:22:33:44:55 (random)  Home      1  just now   -           attic  onboarding key  kept in quarantine

Let one in:  latchkey pending approve MAC NAME --profile P
Hide one:    latchkey pending ignore MAC
";
        assert_eq!(render(Part(&reply), &PLAIN), expected);
        assert!(render(Part(&json!({ "pending": [] })), &PLAIN).starts_with("No unknown device"));
    }

    #[test]
    fn two_certificates_at_one_address_are_told_apart() {
        let certificate =
            |digits: &str| json!({ "maker": "acme", "subject": "CN=cam", "fingerprint": digits.repeat(32) });
        let mut one = json!({
            "mac": "00:11:22:33:44:55", "ssid": "Office", "nas": "attic", "last_seen": "2027-01-31T18:00:00Z", "attempts": 1,
            "why": "not approved", "proved": "certificate", "certificate": certificate("a1"), "other_certificate": null,
        });
        let text = render(Part(&json!({ "pending": [one] })), &PLAIN);
        assert!(text.contains("certificate of acme") && !text.contains("--certificate"), "{text}");
        one["other_certificate"] = certificate("b2");
        let text = render(Part(&json!({ "pending": [one] })), &PLAIN);
        for words in [
            "two certificates at this address",
            "Two certificates were shown at 00:11:22:33:44:55:\n  first  a1a1a1a1a1a1a1a1  CN=cam, of acme\n",
            "\n  later  b2b2b2b2b2b2b2b2  CN=cam, of acme\n",
            "latchkey pending approve MAC NAME --certificate FINGERPRINT-OR-IDENTITY\n",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn what_others_call_it_is_shown() {
        let mut one = json!({
            "mac": "00:11:22:33:44:55", "ssid": "Office", "nas": "attic", "last_seen": "2027-01-31T18:00:00Z", "attempts": 1,
            "why": "not approved", "proved": "identity", "identity": { "realm": "acme", "identity": "cam@acme.example" },
        });
        let text = render(Part(&json!({ "pending": [one] })), &PLAIN);
        assert!(text.contains("cam@acme.example of acme") && !text.contains("--certificate"), "{text}");
        one["other_identity"] = json!({ "realm": "acme", "identity": "thief@acme.example" });
        let text = render(Part(&json!({ "pending": [one] })), &PLAIN);
        for words in [
            "two identities at this address",
            "Several identities were shown at 00:11:22:33:44:55:\n  first  cam@acme.example, of acme\n",
            "  later  thief@acme.example, of acme\n",
            "--certificate FINGERPRINT-OR-IDENTITY\n",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn ignored_devices_are_a_list() {
        let reply = json!({ "ignored": [{ "mac": "02:11:22:33:44:55", "randomised": true }] });
        let expected = "02:11:22:33:44:55 (random)\n\nList one again:  latchkey pending unignore MAC\n";
        assert_eq!(render_ignored(Part(&reply), &PLAIN), expected);
        assert_eq!(render_ignored(Part(&json!({ "ignored": [] })), &PLAIN), "No unknown device is ignored.\n");
    }
}
