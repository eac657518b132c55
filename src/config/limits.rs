//! What limits a profile beyond its VLAN: destinations that are allowed, and hours of the day.

use super::Prefix;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An entry of a profile's allow list: `192.168.1.10 tcp 443`, `2001:db8::/32 udp 5000-5010`, `192.168.1.20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allow {
    /// Where to.
    pub to: Prefix,
    /// How; every protocol when none is named.
    pub protocol: Option<Protocol>,
    /// The first and last destination port; every port when none is named.
    pub ports: Option<(u16, u16)>,
}

/// A protocol of the allow list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, or ICMPv6 when the destination is IPv6.
    Icmp,
}

/// Why a text is no entry of an allow list. `Display` names the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowError {
    /// Not an address, perhaps with protocol and port.
    #[error("is no destination: write ADDRESS[/LENGTH] [tcp|udp|icmp [PORT[-PORT]]], for example 192.168.1.10 tcp 443")]
    Form,
    /// The address is wrong.
    #[error("{0}")]
    Address(#[from] super::PrefixError),
    /// There is no such protocol.
    #[error("names a protocol that is none of tcp, udp and icmp")]
    Protocol,
    /// The port is wrong.
    #[error("has a port that is no number from 1 to 65535 and no range such as 5000-5010")]
    Port,
    /// ICMP has no ports.
    #[error("gives a port for icmp, which has none: leave it out")]
    PortOfIcmp,
}

impl FromStr for Allow {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Allow, AllowError> {
        let mut words = text.split_ascii_whitespace();
        let to = words.next().ok_or(AllowError::Form)?.parse()?;
        let protocol = match words.next() {
            None => None,
            Some("tcp") => Some(Protocol::Tcp),
            Some("udp") => Some(Protocol::Udp),
            Some("icmp") => Some(Protocol::Icmp),
            Some(_) => return Err(AllowError::Protocol),
        };
        let ports = words.next().map(|word| ports(word).ok_or(AllowError::Port)).transpose()?;
        if words.next().is_some() {
            return Err(AllowError::Form);
        }
        if protocol == Some(Protocol::Icmp) && ports.is_some() {
            return Err(AllowError::PortOfIcmp);
        }
        Ok(Allow { to, protocol, ports })
    }
}

fn ports(word: &str) -> Option<(u16, u16)> {
    let port = |digits: &str| {
        let only_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|port| only_digits && *port > 0)
    };
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to)?;
        if let Some(protocol) = self.protocol {
            let word = match protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
                Protocol::Icmp => "icmp",
            };
            write!(f, " {word}")?;
        }
        match self.ports {
            None => Ok(()),
            Some((first, last)) if first == last => write!(f, " {first}"),
            Some((first, last)) => write!(f, " {first}-{last}"),
        }
    }
}

/// An address of this box in a network, with the length of its prefix: `192.168.20.1/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostAddress {
    /// The address.
    pub address: IpAddr,
    /// 1 to 32 for IPv4, 1 to 128 for IPv6.
    pub length: u8,
}

impl FromStr for HostAddress {
    type Err = HostAddressError;

    fn from_str(text: &str) -> Result<HostAddress, HostAddressError> {
        let (address, length) = text.split_once('/').ok_or(HostAddressError)?;
        let address: IpAddr = address.parse().map_err(|_| HostAddressError)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let digits = length.bytes().all(|b| b.is_ascii_digit());
        let length = length.parse::<u8>().ok().filter(|length| digits && (1..=most).contains(length));
        let usable = !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
        Ok(HostAddress { address, length: length.filter(|_| usable).ok_or(HostAddressError)? })
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A text is no address with prefix length. `Display` names the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no address of this box with the length of its network: write for example 192.168.20.1/24")]
pub struct HostAddressError;

/// Hours of some days of the week in local time: `mon-fri 07:00-21:00`, `sat,sun 09:00-24:00`, `daily 22:00-06:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// The days on which it begins, bit 0 for Monday to bit 6 for Sunday.
    pub days: u8,
    /// Minutes after midnight when it begins, 0 to 1439.
    pub from: u16,
    /// Minutes after midnight when it ends, 1 to 1440. Not after `from`: on the following day.
    pub to: u16,
}

/// Why a text is no such hours. `Display` names the mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// Not days and hours.
    #[error(
        "is no schedule: write DAYS HH:MM-HH:MM, for example mon-fri 07:00-21:00, sat,sun 09:00-24:00 or daily 22:00-06:00"
    )]
    Form,
    /// There is no such day.
    #[error("has days that are none of mon, tue, wed, thu, fri, sat, sun, a range or list of these, and daily")]
    Days,
    /// There is no such time of day.
    #[error("has a time that is none from 00:00 to 24:00")]
    Time,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Hours, HoursError> {
        let mut words = text.split_ascii_whitespace();
        let (Some(days), Some(hours), None) = (words.next(), words.next(), words.next()) else {
            return Err(HoursError::Form);
        };
        let (from, to) = hours.split_once('-').ok_or(HoursError::Form)?;
        let (from, to) = (minutes(from)?, minutes(to)?);
        if from == 1440 || to == 0 {
            return Err(HoursError::Time);
        }
        Ok(Hours { days: days_of(days).ok_or(HoursError::Days)?, from, to })
    }
}

fn days_of(text: &str) -> Option<u8> {
    if text == "daily" {
        return Some(0x7f);
    }
    let index = |name: &str| DAYS.iter().position(|day| *day == name);
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (index(first)?, index(last)?);
        // sat-mon goes round the end of the week.
        (0..=(last + 7 - first) % 7).for_each(|n| days |= 1 << ((first + n) % 7));
    }
    Some(days)
}

fn minutes(text: &str) -> Result<u16, HoursError> {
    let (hour, minute) = text.split_once(':').ok_or(HoursError::Form)?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    let (Ok(h), Ok(m)) = (hour.parse::<u16>(), minute.parse::<u16>()) else { return Err(HoursError::Time) };
    let within = two_digits(hour) && two_digits(minute) && m < 60 && (h < 24 || (h, m) == (24, 0));
    if within { Ok(h * 60 + m) } else { Err(HoursError::Time) }
}

impl Hours {
    /// True at this moment of the week.
    ///
    /// `day` counts from 0 for Monday to 6 for Sunday, `minute` from 0 at midnight to 1439.
    pub fn includes(&self, day: u8, minute: u16) -> bool {
        let on = |day: u8| self.days & (1 << (day % 7)) != 0;
        if self.from < self.to {
            return on(day) && (self.from..self.to).contains(&minute);
        }
        (on(day) && minute >= self.from) || (on((day + 6) % 7) && minute < self.to)
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days == 0x7f {
            f.write_str("daily")?;
        } else {
            let on = |day: usize| self.days & (1 << day) != 0;
            let (mut comma, mut next) = ("", 0);
            for (first, day) in DAYS.iter().enumerate().filter(|(first, _)| on(*first)) {
                if first < next {
                    continue;
                }
                // Three days in a row and more are a range.
                let length = (first..DAYS.len()).take_while(|day| on(*day)).count();
                let last = DAYS.get(first + length - 1).filter(|_| length > 2);
                match last {
                    Some(last) => write!(f, "{comma}{day}-{last}")?,
                    None => write!(f, "{comma}{day}")?,
                }
                next = if last.is_some() { first + length } else { first + 1 };
                comma = ",";
            }
        }
        let (from, to) = (self.from, self.to);
        write!(f, " {:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn allow_lists() {
        for text in ["192.168.1.10", "192.168.1.0/24 tcp 443", "2001:db8::/32 udp 5000-5010", "10.0.0.1 icmp"] {
            assert_eq!(text.parse::<Allow>().expect(text).to_string(), text);
        }
        for (text, error) in [
            ("", AllowError::Form),
            ("10.0.0.1 sctp", AllowError::Protocol),
            ("10.0.0.1 tcp 0", AllowError::Port),
            ("10.0.0.1 tcp 70000", AllowError::Port),
            ("10.0.0.1 tcp +1", AllowError::Port),
            ("10.0.0.1 tcp 9-8", AllowError::Port),
            ("10.0.0.1 icmp 8", AllowError::PortOfIcmp),
            ("10.0.0.1 tcp 1 2", AllowError::Form),
        ] {
            assert_eq!(text.parse::<Allow>(), Err(error), "{text}");
        }
        assert!(matches!("example.com tcp 443".parse::<Allow>(), Err(AllowError::Address(_))));
    }

    #[test]
    fn addresses_of_this_box() {
        for text in ["192.168.20.1/24", "fd00:20::1/64"] {
            assert_eq!(text.parse::<HostAddress>().expect(text).to_string(), text);
        }
        for text in
            ["192.168.20.1", "192.168.20.1/33", "192.168.20.1/0", "192.168.20.1/+8", "0.0.0.0/8", "ff02::1/64", "x/8"]
        {
            assert_eq!(text.parse::<HostAddress>(), Err(HostAddressError), "{text}");
        }
    }

    #[test]
    fn hours_of_the_week() {
        let work: Hours = "mon-fri 07:00-21:00".parse().expect("valid");
        assert!(work.includes(0, 420) && work.includes(4, 1259));
        assert!(!work.includes(0, 419) && !work.includes(4, 1260) && !work.includes(5, 600));
        let night: Hours = "fri 22:00-06:00".parse().expect("valid");
        assert!(night.includes(4, 1320) && night.includes(5, 359));
        assert!(!night.includes(5, 360) && !night.includes(4, 0) && !night.includes(5, 1320));
        let always: Hours = "daily 00:00-24:00".parse().expect("valid");
        assert!((0..7).all(|day| (0..1440).all(|minute| always.includes(day, minute))));
        assert_eq!(work.to_string(), "mon-fri 07:00-21:00");
        assert_eq!("sat-mon 08:00-09:00".parse::<Hours>().expect("valid").to_string(), "mon,sat,sun 08:00-09:00");
        for (text, error) in [
            ("", HoursError::Form),
            ("mon", HoursError::Form),
            ("mon 07:00", HoursError::Form),
            ("monday 07:00-08:00", HoursError::Days),
            ("mon,, 07:00-08:00", HoursError::Days),
            ("mon 7:00-08:00", HoursError::Time),
            ("mon 07:60-08:00", HoursError::Time),
            ("mon 24:00-08:00", HoursError::Time),
            ("mon 08:00-24:01", HoursError::Time),
            ("mon 08:00-00:00", HoursError::Time),
            ("mon 65000:00-00:01", HoursError::Time),
        ] {
            assert_eq!(text.parse::<Hours>(), Err(error), "{text}");
        }
    }

    proptest! {
        /// What is shown can be read again, and nothing that is read panics.
        #[test]
        fn any_text_is_read(text in "\\PC{0,40}|[a-z,-]{0,10} [0-9:-]{0,12}|[0-9./]{0,12} (tcp|udp) [0-9-]{0,8}") {
            if let Ok(hours) = text.parse::<Hours>() {
                prop_assert_eq!(hours.to_string().parse::<Hours>(), Ok(hours));
            }
            if let Ok(allow) = text.parse::<Allow>() {
                prop_assert_eq!(allow.to_string().parse::<Allow>(), Ok(allow));
            }
            let _ = text.parse::<HostAddress>();
        }
    }
}
