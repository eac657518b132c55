//! Where a device may be: on these networks, at these access points.

use super::{Case, Refusal, refuse};
use crate::decision::reason::Reason;
use crate::mac::MacAddr;
use crate::registry::credential::Place;
use crate::registry::device::Device;

/// True when a device may be on this network at this access point; one that is not known is not judged.
pub fn fits(places: &[Place], ssid: &[u8], ap: Option<MacAddr>) -> bool {
    let aps = || places.iter().filter_map(|place| if let Place::Ap(bssid) = place { Some(*bssid) } else { None });
    may_be_on(places, ssid) && ap.is_none_or(|ap| aps().next().is_none() || aps().any(|bssid| bssid == ap))
}

/// True when a device may be on this network, at whichever access point.
pub fn may_be_on(places: &[Place], ssid: &[u8]) -> bool {
    let ssids = || places.iter().filter_map(|place| if let Place::Ssid(ssid) = place { Some(&**ssid) } else { None });
    ssids().next().is_none() || ssids().any(|allowed| allowed == ssid)
}

/// The places in words.
fn in_words(places: &[Place]) -> String {
    let words = places.iter().map(|place| match place {
        Place::Ssid(ssid) => format!("SSID {:?}", String::from_utf8_lossy(ssid)),
        Place::Ap(bssid) => format!("access point {bssid}"),
    });
    words.collect::<Vec<_>>().join(", ")
}

impl Case<'_> {
    pub(super) fn fits(&self, device: &Device) -> bool {
        fits(&device.places, self.request.ssid, self.request.ap)
    }

    pub(super) fn check_place(&self, device: &Device) -> Result<(), Refusal> {
        if self.fits(device) {
            return Ok(());
        }
        refuse(Some(device), Reason::WrongPlace { places: in_words(&device.places).into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_a_kind_and_both_kinds() {
        let ap = |last| MacAddr([2, 0, 0, 0, 0, last]);
        let ssid = |name: &str| Place::Ssid(name.as_bytes().into());
        let (home, work) = (ssid("Home"), ssid("Work"));
        for (places, at, bssid, expected) in [
            (vec![], "Home", Some(1), true),
            (vec![home.clone()], "Home", Some(1), true),
            (vec![home.clone()], "home", Some(1), false),
            (vec![home.clone(), work.clone()], "Work", None, true),
            (vec![Place::Ap(ap(1))], "Home", Some(1), true),
            (vec![Place::Ap(ap(1))], "Home", Some(2), false),
            (vec![Place::Ap(ap(1))], "Home", None, true),
            (vec![Place::Ap(ap(1)), Place::Ap(ap(2))], "Home", Some(2), true),
            (vec![home.clone(), Place::Ap(ap(1))], "Home", Some(2), false),
            (vec![home.clone(), Place::Ap(ap(1))], "Work", Some(1), false),
            (vec![home, Place::Ap(ap(1))], "Home", Some(1), true),
        ] {
            assert_eq!(fits(&places, at.as_bytes(), bssid.map(ap)), expected, "{places:?} {at} {bssid:?}");
        }
    }
}
