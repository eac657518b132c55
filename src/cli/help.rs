//! What every command does and how it is called: the only place that says so.

use super::args::{Stop, Words};
use std::fmt::Write;

/// A command, or a group of commands.
pub struct Topic {
    /// The words that call it: `device add`.
    pub name: &'static str,
    /// Its arguments.
    pub arguments: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// What else one should know; empty, or whole lines.
    pub more: &'static str,
}

const fn topic(name: &'static str, arguments: &'static str, about: &'static str, more: &'static str) -> Topic {
    Topic { name, arguments, about, more }
}

/// All of them, in the order in which they are shown.
pub static TOPICS: &[Topic] = &[
    topic("status", "", "How the daemon is: configuration, devices, RADIUS counters", ""),
    topic("device", "COMMAND ...", "Register devices and look after them", ""),
    topic(
        "device add",
        "NAME [--profile P] [--mac MAC]... [--generate | --psk-stdin] [CREDENTIAL]... [--bind HOW] \
         [--max-devices N] [--expires TIME] [PLACE]...",
        "Register a device with credentials of its own",
        "\
\x20 --profile P        its profile in the configuration (VLAN and access); without it that of --maker, or the first
  --mac MAC          an address it has, in any usual notation; may be given several times
  --generate         have a Wi-Fi key made (as it is without --psk-stdin and CREDENTIAL, too)
  --psk-stdin        read its Wi-Fi key from standard input: one line
  --bind HOW         which addresses may use its key:
         first       the first address that proves the key gets it for good (the default)
         mac         only the addresses given with --mac
         any         any address: for phones that change theirs
  --max-devices N    how many addresses may use the key, 0 for any number
  --expires TIME     refuse it from then on: 2027-01-31T18:00:00Z, or 2027-01-31

PLACE is where it may be, anywhere if none is given; several at once are fine.
  --ssid SSID        let it in on this network only
  --ap BSSID         let it in at this access point only

CREDENTIAL is what it proves itself with in networks with 802.1X (WPA-Enterprise, or a cable) instead of
a Wi-Fi key; several at once are fine, and --generate or --psk-stdin adds a Wi-Fi key. Such a device may
come from any address unless --mac or --bind says otherwise.
  --eap-psk          EAP-PSK, with a key that is made here: it is fed into the device, too
  --eap-psk-key-file FILE
                     EAP-PSK, with the key in this file: 32 hexadecimal digits; - is standard input
  --nai NAI          the identity that goes with the key; without it one is made
  --certificate      EAP-TLS, with a certificate that is issued here, and its private key
    --out DIR        the directory for them: NAME.p12, NAME.key, NAME.crt and NAME.ca.crt
    --p12-password-file FILE
                     the password of NAME.p12; without it one is made
  --certificate-file FILE
                     EAP-TLS, with the certificate in this file, whoever signed it
  --public-key-file FILE
                     EAP-TLS, with the raw public key in this file (RFC 7250)
  --maker M --serial-number S
                     EAP-TLS, with the certificate its maker gave it, by the serial number on its label
  --maker M --alt-name N
                     the same by a name in it (DNS name, e-mail address or URI)
",
    ),
    topic("device list", "", "All devices, without their keys", ""),
    topic(
        "device show",
        "NAME [--secret]",
        "Everything about a device, and when it last proved who it is",
        "  --secret           its keys, too, and what to feed into it\n",
    ),
    topic("device credential", "COMMAND ...", "What a device proves itself with, one by one", ""),
    topic(
        "device credential add",
        "NAME [--generate | --psk-stdin] [CREDENTIAL]...",
        "Give a device one more credential",
        "\
\x20 --generate         a Wi-Fi key that is made
  --psk-stdin        a Wi-Fi key read from standard input: one line
CREDENTIAL: --eap-psk, --certificate and others, see latchkey help device add
",
    ),
    topic(
        "device credential remove",
        "NAME --wifi-key | --eap-psk | --certificate WHICH",
        "Take a credential from a device; it proves nothing from then on",
        "\
\x20 --wifi-key         its Wi-Fi key
  --eap-psk          its EAP-PSK key
  --certificate WHICH
                     the certificate or public key whose subject, serial number, name or fingerprint
                     begins like this; one that was issued here is revoked by that
The last one cannot be taken: latchkey device remove
",
    ),
    topic(
        "device set",
        "NAME KEY=VALUE...",
        "Change a device",
        "\
\x20 name=NAME          its name
  profile=P          its profile
  bind=first|mac|any which addresses may use its key
  max-devices=N      how many addresses may use its key, 0 for any number
  expires=TIME       refuse it from then on; never lets it stay
  mac=MAC,...        the addresses it has, in place of those known so far
  mac+=MAC           one more address
  mac-=MAC           one address less
  ssid=SSID          the network it is let in on, in place of those known so far; empty for any
  ssid+=SSID         one more network, ssid-=SSID one less
  ap=BSSID           the access point it is let in at; empty for any
  ap+=BSSID          one more access point, ap-=BSSID one less

A new key: latchkey device rotate NAME
",
    ),
    topic(
        "device rotate",
        "NAME [--psk-stdin | --eap-psk | --eap-psk-key-file FILE]",
        "Give a device a new key; the old one is refused from then on",
        "\
\x20 --psk-stdin        read the Wi-Fi key from standard input: one line; without it one is made
  --eap-psk          a new EAP-PSK key instead, made here
  --eap-psk-key-file FILE
                     a new EAP-PSK key instead, from this file: 32 hexadecimal digits; - is standard input
",
    ),
    topic("device block", "NAME", "Refuse a device until it is unblocked", ""),
    topic("device unblock", "NAME", "Let a blocked device in again", ""),
    topic("device remove", "NAME", "Forget a device and its key", ""),
    topic(
        "device import",
        "FILE.csv",
        "Register many devices at once, all or none",
        "\
FILE.csv begins with a header, of which only name must be there:
  name,profile,mac,key,bind,max_devices,expires,nai,eap_psk
Several addresses are separated by spaces. eap_psk is an EAP-PSK key, 32 hexadecimal digits, and nai
the identity that goes with it; one of them alone is enough, the other is made. A device with neither
key nor eap_psk nor nai is given a Wi-Fi key. Names and the keys made are printed as CSV. Certificates
are not in it. FILE - is standard input. At most 4 MB.
",
    ),
    topic(
        "device export",
        "[--secrets]",
        "All devices as CSV, to be imported elsewhere",
        "  --secrets          their keys, too: keep that file safe\n",
    ),
    topic("maker", "COMMAND ...", "Manufacturers that vouch for their devices with certificates", ""),
    topic(
        "maker add",
        "NAME --ca FILE --profile P [--admit listed|pending|all] [--crl FILE]...",
        "Let a manufacturer's certificates count",
        "\
\x20 --ca FILE          the CA certificates its devices' certificates are signed by (PEM or DER), which the
                     manufacturer publishes; - is standard input
  --profile P        the profile of devices that are registered by themselves or approved
  --admit listed     only devices that are registered: latchkey device add NAME --maker M ... (the default)
          pending    the same; others are listed by latchkey pending list
          all        every device it vouches for: new ones are registered by themselves
  --crl FILE         a list of revoked certificates; the daemon reads it again when it changes
",
    ),
    topic("maker list", "", "All of them", ""),
    topic("maker show", "NAME", "Everything about a manufacturer", ""),
    topic(
        "maker set",
        "NAME [--ca FILE] [--profile P] [--admit listed|pending|all] [--crl FILE]... [--no-crl]",
        "Change what is given, and leave the rest",
        "  --no-crl           no list of revoked certificates any more; the others as for maker add\n",
    ),
    topic("maker remove", "NAME", "Let a manufacturer's certificates count no longer", ""),
    topic(
        "maker import",
        "BUNDLE [--signed-by FILE | --unsigned] [--profile P] [--admit listed|pending|all] [--register] [--local] \
         [--dry-run] [--force]",
        "Take over what a manufacturer hands over: keys and certificates of its devices",
        "\
\x20 BUNDLE             the file (JSON); - is standard input
  --signed-by FILE   who signed it: the signer's certificate, its CA, or a public key (PEM or DER); without it
                     the CAs that are registered for this manufacturer
  --unsigned         take it without a signature, since you trust the way it came
  --profile P        the profile of devices that are registered
  --admit A          which devices may in by their certificates, as for maker add
  --register         register devices that are not known yet, too; without it only those that are get their keys
  --local            and let them be authenticated here: latchkey realm repoint NAME --to local
  --dry-run          only say what would change
  --force            take one that is older than the last one, or expired, or has expired CAs

Known devices keep name, profile, addresses, block and place. All of it is done, or nothing.
",
    ),
    topic(
        "maker export",
        "NAME [--realm R]... [--all] [--sign-with FILE] [--out FILE] [--secret]",
        "Hand over a manufacturer's devices, with their keys",
        "\
\x20 --realm R          devices whose identities are in this realm, too; *.R for all below
  --all              all devices that have keys or certificates: what this box vouches for
  --sign-with FILE   sign it with this private key (PEM; Ed25519, ECDSA P-256 or RSA); certificates in the same
                     file, the signer's first, go with the signature
  --out FILE         into this file, which only you can read; without it to standard output
  --secret           also when that is a terminal
",
    ),
    topic(
        "realm",
        "COMMAND ...",
        "Others that say who a device is: manufacturers, an online server",
        "\
A device that calls itself lamp-17@acme.example in a network with 802.1X has its home at acme.example: its
manufacturer has put a key or certificate into it, and runs servers that know it. A realm is what follows
the @, and a section of the configuration says whom to ask about it:

  config realm 'acme'
          list realm 'acme.example'
          list server 'radsec://radius.acme.example'
          option profile 'iot'
          option admit 'all'

latchkey passes the device's proof on to that server and hears yes or no. What the device may do here is
still decided here: VLAN, limits and blocking are those of the profile and of the device's entry. The
device is registered when it is let in for the first time (latchkey device list).

RadSec (radsec://) is encrypted and goes by certificates on both sides; udp:// is plain RADIUS with a shared
secret, for servers in one's own network. list realm 'default' is for everything that is nobody else's.
",
    ),
    topic("realm list", "", "All of them, and whether their servers answer", ""),
    topic("realm show", "NAME", "Everything about a realm", ""),
    topic(
        "realm test",
        "NAME",
        "Find out whether its servers can be reached, and what to mend if not",
        "\
Goes the way of a request, step by step, with each server: its address, the connection, TLS, the certificate and
the name in it, and an answer to Status-Server (\"are you there?\"), which needs no device. Nothing is
changed. The exit code is 0 when every server answers, 1 when one does not.
",
    ),
    topic(
        "realm repoint",
        "NAME --to SERVER... [--secret-file FILE] [--ca FILE] [--certificate FILE --private-key FILE] \
         [--server-name N] [--dry-run]",
        "Move a realm to other servers, or to this box; its devices stay",
        "\
\x20 --to SERVER...     radsec://HOST or udp://HOST, a port may follow (:2083); several in the order in which they are
                     to be asked. Or local: its devices are authenticated here. Or discover: DNS tells (RFC 7585)
  --secret-file FILE the secret shared with udp:// servers: one line; - is standard input
  --ca FILE          the CA that signed the certificate of radsec:// servers (PEM), a file on this box
  --certificate FILE --private-key FILE
                     the certificate by which they know this box, and its key; files on this box
  --server-name N    the name in their certificate, if it is not that of the host
  --dry-run          only show what would change

For the day a manufacturer closes down or moves: only the lines of this section that have to be others are
changed in the configuration file, and they are in force when the command is done. If the new configuration is
not in order, nothing is written. Devices keep their names, VLANs and limits. With --to local they need
credentials that this box knows: latchkey maker import brings what the manufacturer left behind.
",
    ),
    topic("profile", "COMMAND ...", "What devices may have: VLAN, access, hours", ""),
    topic("profile list", "", "All of them, and what uses them", ""),
    topic(
        "profile add",
        "NAME [OPTION]... [--dry-run]",
        "Add a profile to the configuration",
        "\
\x20 --vlan N           its VLAN, 1 to 4094; without it the network the SSID itself is in
  --access A         what its devices reach: internet, isolated (nothing, the default) or full
  --allow DEST       what they reach besides: ADDRESS[/LENGTH] [tcp|udp|icmp [PORT[-PORT]]]; may be given several times
  --hours HOURS      when they may be on the air: mon-fri 07:00-21:00, daily 22:00-06:00; may be given several times
  --isolate yes|no   whether they are kept from each other (yes is the default)
  --bridge B         the bridge of its VLAN, if it is not brvlanN
  --address A        an address of this box in its network: 192.168.20.1/24; may be given several times
  --dry-run          only show what would change in the file

The section is put behind the other profiles, and is in force when the command is done. Comments and everything else
in the file stay as they are.
",
    ),
    topic(
        "profile set",
        "NAME OPTION... [--dry-run]",
        "Change a profile in the configuration",
        "\
\x20 --vlan none        no VLAN any more
  --no-allow, --no-hours, --no-address
                     none of these any more
  --dry-run          only show what would change in the file
The other options as for profile add: what is given is changed, lists as a whole, and the rest stays. With another
VLAN, its devices are taken off the air and come back in it.
",
    ),
    topic(
        "profile remove",
        "NAME [--dry-run]",
        "Take a profile out of the configuration, unless something uses it",
        "  --dry-run          only show what would change in the file\n",
    ),
    topic("pending", "COMMAND ...", "Unknown devices that tried to join", ""),
    topic(
        "pending list",
        "[--ignored]",
        "Who knocked, the latest first",
        "  --ignored          those that are not listed, because you said so\n",
    ),
    topic(
        "pending approve",
        "MAC NAME [--profile P] [--certificate FINGERPRINT-OR-IDENTITY]",
        "Register an unknown device",
        "\
\x20 --profile P        its profile in the configuration (VLAN and access); without it the first one
  --certificate F    only if it has the certificate whose fingerprint, or is what its manufacturer calls by a name that,
                     begins like that (latchkey pending list)
",
    ),
    topic("pending ignore", "MAC", "Take an unknown device off the list", ""),
    topic("pending unignore", "MAC", "List it again when it comes", ""),
    topic(
        "pair",
        "[--profile P [--minutes N] [--ssid SSID] [--name NAME]] [--wait] | --stop",
        "Register the next device that joins with the onboarding key",
        "\
Opens a window in which the next unknown device that proves the onboarding key is registered, under
its address, and goes on using that key. One device, then the window closes. Without options it shows
the window, or how the last one ended.

  --profile P        the profile the device gets
  --minutes N        how long the window is open: 1 to 60 (default 5)
  --ssid SSID        only at this network; without it at all that have an onboarding key
  --name NAME        the name it gets; without it one made of its address, such as device-3f2a
  --wait             wait until it came (exit code 0) or the window closed (1)
  --stop             close the window
",
    ),
    topic(
        "log",
        "[--follow] [--device NAME] [--mac MAC] [--outcome WORD]... [--limit N]",
        "Who was let in, who was refused, and why",
        "\
\x20 --follow, -f       go on printing what happens (Ctrl-C ends it)
  --device NAME      only what this device did, what happened at its addresses, and what others did with its key
  --mac MAC          only this address
  --outcome WORD     only accepted, joined, refused or disconnect; may be given several times
  --limit N          only the latest N
",
    ),
    topic("sessions", "", "Who is connected, as access points account for it", ""),
    topic("stations", "", "Who is on the air of this box, with signal, rates and VLAN", ""),
    topic("qr", "NAME --ssid SSID", "Show a device's key as a QR code for a phone's camera", ""),
    topic("firewall", "COMMAND ...", "What profiles may reach", ""),
    topic(
        "firewall show",
        "[--rules]",
        "What profiles may reach, whether it is enforced, and what was dropped",
        "  --rules            the nftables ruleset itself\n",
    ),
    topic("firewall remove", "", "Remove the firewall's table, with or without the daemon", ""),
    topic("ca", "COMMAND ...", "The CA devices check latchkey by", ""),
    topic("ca show", "", "The CA, the certificate devices see, and what ends soon", ""),
    topic(
        "ca export",
        "[--out FILE]",
        "The CA's certificate (PEM), to be put on devices",
        "\
\x20 --out FILE         into a file instead of standard output
Makes the CA if there is none yet. Its key stays on this box: keep a copy of ca.crt and ca.key, which are in
the folder pki of state_dir.
",
    ),
    topic(
        "ca issue",
        "NAME --out DIR",
        "A certificate for an access point that comes over RadSec",
        "\
\x20 NAME               its DNS name, as in option radsec of its config client
\x20 --out DIR          where NAME.crt, NAME.key and NAME.ca.crt go; the key is kept nowhere else
It counts for that client only, as long as the section is there: to throw the access point out, remove the section
and reload.
",
    ),
    topic(
        "openwrt",
        "[--root DIR] COMMAND ...",
        "latchkey's networks in OpenWrt's own configuration",
        "  --root DIR         the directory that has etc/config (default /)\n",
    ),
    topic("openwrt status", "", "This box as OpenWrt has it: radios, networks, what is ours", ""),
    topic(
        "openwrt plan",
        "[--ssid SSID] [--radio R]... [--security S] [--take-over] [--profile P]... [--bridge BR [--port PORT[:t]]...] \
         [--country CC]",
        "Show what would change, line by line; changes nothing",
        "\
\x20 --ssid SSID        serve this SSID; alone, with networks for all profiles that have a VLAN
  --radio R          on this radio; several at once are fine. Without it: where it is, else on all that are on
  --security S       wpa2 (the default), wpa3, mixed or enterprise
  --take-over        a network of this name that is not ours is switched off, until ours is removed
  --country CC       the country of radios that have none: DE, for example
  --profile P        a network for this profile: bridge, address, DHCP, firewall zone
  --bridge BR        as a VLAN of this bridge, which filters VLANs already; else it gets a bridge of its own
  --port PORT[:t]    with this port of the bridge: for untagged frames, :t for tagged ones
Without arguments: what has to change in what is there already, after an upgrade of OpenWrt or with other profiles.
Only sections whose names begin with lk_ are made or removed; of others single options are changed, and put back later.
",
    ),
    topic(
        "openwrt apply",
        "[what plan takes] [--fingerprint F] [--undo-after SECONDS]",
        "Do it; undone after 90 s unless it is confirmed",
        "\
\x20 --fingerprint F    only if this still is the plan
  --undo-after SECONDS
                     the time for latchkey openwrt confirm: 1 to 3600 s
Who locked himself out just waits. A power cut undoes it, too.
",
    ),
    topic("openwrt confirm", "", "Keep what was applied", ""),
    topic(
        "openwrt undo",
        "[--if-pending | --at-boot]",
        "Take back what was applied and is not confirmed",
        "  --if-pending       only what waited before the box was started, or has waited too long: for scripts
  --at-boot          the same before the network is started: the system is not told\n",
    ),
    topic(
        "openwrt remove",
        "[--profile P]... [--ssid SSID]... [--dry-run] [--undo-after SECONDS | --final]",
        "Take out what is ours, and put back what was changed for it",
        "\
\x20 --profile P        only the network of this profile
  --ssid SSID        only this SSID
  --dry-run          only show it
  --final            not undone: for scripts, when nobody is there to confirm it
Undone after 90 s unless it is confirmed, as with apply.
",
    ),
    topic(
        "serve",
        "[--config FILE]",
        "Run the daemon in the foreground",
        "  --config FILE      its configuration (default /etc/config/latchkey); kill -HUP reads it again\n",
    ),
    topic(
        "check",
        "[--config FILE]",
        "Check a configuration file without using it",
        "  --config FILE      the file (default /etc/config/latchkey)\n",
    ),
    topic(
        "prepare",
        "[--config FILE]",
        "Make the key files that hostapd has to find when it starts",
        "\
\x20 --config FILE      the configuration (default /etc/config/latchkey)
For scripts that run before hostapd: networks with option backend 'psk-file' get a file without
keys where there is none. Needs no daemon.
",
    ),
    topic("help", "[COMMAND]", "Explain a command", ""),
    topic("version", "", "Print the version", ""),
];

/// Finds a topic by its words.
pub fn find(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}

/// `help [COMMAND [COMMAND]]`: which topic.
pub fn parse(words: &mut Words) -> Result<&'static str, Stop> {
    words.about("help");
    let ([], more) = words.rest_and_more([], |_, _| Ok(false))?;
    let name = more.join(" ");
    match find(&name) {
        Some(topic) => Ok(topic.name),
        None if name.is_empty() => Ok(""),
        None => Err(words.unknown_command(&name)),
    }
}

/// The usage line of a topic; of a group, the lines of its commands; of the empty topic, a general one.
pub fn usage(name: &str) -> String {
    let Some(topic) = find(name) else { return "usage: latchkey [--socket PATH] [--json] COMMAND ...\n".into() };
    let members: Vec<&Topic> = commands(topic).collect();
    let shown = if members.is_empty() { vec![topic] } else { members };
    let mut text = String::new();
    for (index, topic) in shown.iter().enumerate() {
        let label = if index == 0 { "usage:" } else { "      " };
        let line = format!("{label} latchkey {} {}", topic.name, topic.arguments);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The help of a topic; the empty one is the overview.
pub fn text(name: &str) -> String {
    let Some(topic) = find(name) else { return overview() };
    let mut text = format!("{}.\n\n{}", topic.about, usage(name));
    if commands(topic).next().is_some() {
        text.push('\n');
        list(&mut text, commands(topic));
    }
    if !topic.more.is_empty() {
        let _ = write!(text, "\n{}", topic.more);
    }
    text
}

fn overview() -> String {
    let mut text = String::from("latchkey gives every device on the network a key or certificate of its own.\n\n");
    text.push_str(&usage(""));
    text.push('\n');
    // Groups are shown by their commands.
    list(&mut text, TOPICS.iter().filter(|topic| members(topic).next().is_none()));
    text.push_str(
        "
  --socket PATH      the daemon's socket (default /var/run/latchkey/latchkey.sock, or LATCHKEY_SOCKET)
  --json             print JSON, for programs

Exit codes: 0 done, 1 refused, 2 usage, 3 daemon not reachable.
More about a command: latchkey help COMMAND
",
    );
    text
}

fn members(group: &Topic) -> impl Iterator<Item = &'static Topic> {
    let name = group.name;
    TOPICS.iter().filter(move |topic| topic.name.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))
}

/// The commands of a group, those of groups within it in their place.
fn commands(group: &Topic) -> impl Iterator<Item = &'static Topic> {
    members(group).filter(|topic| members(topic).next().is_none())
}

fn list<'a>(text: &mut String, topics: impl Iterator<Item = &'a Topic>) {
    let topics: Vec<&Topic> = topics.collect();
    let widest = topics.iter().map(|topic| topic.name.len()).max().unwrap_or(0).max(17);
    for topic in topics {
        let _ = writeln!(text, "  {:<widest$}  {}", topic.name, topic.about);
    }
}
