//! What becomes of unknown devices, and the onboarding key: options of `config ssid`.

use super::super::Unknown;
use super::Scope;
use crate::registry::weak;
use crate::secret::Passphrase;
use crate::wire::uci::Entry;

impl Scope<'_, '_> {
    /// What becomes of unknown devices, with what that needs and nothing else.
    pub(super) fn unknown(&mut self, ssid: Option<&[u8]>) -> Option<Unknown> {
        const WORDS: &[(&str, Word)] =
            &[("reject", Word::Reject), ("quarantine", Word::Quarantine), ("pairing", Word::Pairing)];
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Word {
            Reject,
            Quarantine,
            Pairing,
        }
        let word = self.word("unknown", WORDS, Word::Reject);
        let profile = self.entry("quarantine_profile").map(|entry| (entry, self.text(entry)));
        let key = self.entry("onboarding_key").map(|entry| (entry, self.onboarding_key(entry, ssid)));
        let unused = match word {
            Word::Reject => [profile.as_ref().map(|(entry, _)| *entry), key.as_ref().map(|(entry, _)| *entry)],
            Word::Pairing => [profile.as_ref().map(|(entry, _)| *entry), None],
            Word::Quarantine => [None, None],
        };
        for entry in unused.into_iter().flatten() {
            let now = if word == Word::Reject { "reject" } else { "pairing" };
            let message =
                format!("has no effect while unknown is '{now}': remove it, or write option unknown 'quarantine'");
            self.warn(entry.line, &entry.name, message);
        }
        if word == Word::Quarantine && profile.is_none() {
            self.missing("quarantine_profile", "add option quarantine_profile with the name of a profile");
        }
        if word != Word::Reject && key.is_none() {
            self.missing("onboarding_key", "add option onboarding_key '...' with 8 to 63 characters");
        }
        match (word, profile, key) {
            (Word::Reject, ..) => Some(Unknown::Reject),
            (Word::Pairing, _, Some((_, key))) => Some(Unknown::Pairing { onboarding_key: key? }),
            (Word::Quarantine, Some((_, profile)), Some((_, key))) => {
                Some(Unknown::Quarantine { profile: profile?.into(), onboarding_key: key? })
            }
            _ => None,
        }
    }

    fn onboarding_key(&mut self, entry: &Entry<'_>, ssid: Option<&[u8]>) -> Option<Passphrase> {
        // Octets that are no UTF-8 are no printable ASCII either: let the key's own check say so.
        let text = std::str::from_utf8(entry.value.octets()).unwrap_or("\u{fffd}");
        match Passphrase::new(text) {
            Ok(key) => {
                if let Err(weakness) = weak::check(&key, "", &[ssid.unwrap_or_default()]) {
                    let reason = weakness.to_string().replace(", or use --generate", "");
                    self.warn(entry.line, "onboarding_key", reason);
                }
                Some(key)
            }
            Err(e) => {
                self.error(entry.line, Some("onboarding_key"), e.to_string());
                None
            }
        }
    }
}
