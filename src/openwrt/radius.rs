//! What hostapd of this box and latchkey need to know of each other to speak RADIUS.

use super::Refused;
use super::draft::Opt;
use super::plan::Planner;
use super::view::of_kind;
use crate::config::Config;
use crate::wire::uci::parse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use zeroize::Zeroizing;

impl Planner<'_> {
    /// hostapd asks an address of this box from that same one: there has to be a client with it.
    pub fn client(&mut self, config: &Config, address: IpAddr) -> Result<(), Refused> {
        let text = self.draft.shared("latchkey");
        let document = parse(&text);
        let ours = |name: &str| {
            of_kind(&document, "client").any(|client| client.name() == name && self.made("latchkey", client))
        };
        let name = match config.client_for(address) {
            Some(known) if ours(&known.name) => known.name.to_string(),
            Some(_) => return Ok(()),
            None => self.free("latchkey", &["local"]),
        };
        let secret = self.secret(32);
        let options = [Opt::is("address", address.to_string()), Opt::is("secret", secret.as_str()).at_first()];
        if self.ensure("latchkey", "client", &name, &options)? {
            let new = "hostapd of this box becomes a client of latchkey, with a secret made for it";
            if !self.summary.iter().any(|line| line == new) {
                self.summary.push(new.into());
            }
        }
        Ok(())
    }
}

/// Where hostapd of this box reaches latchkey: for authentication, and for accounting.
pub(super) fn asked_at(config: &Config) -> Result<[(IpAddr, u16); 2], Refused> {
    let local = |addresses: &[SocketAddr]| -> Option<(IpAddr, u16)> {
        let best = addresses.iter().find(|address| address.ip().is_loopback() || address.ip().is_unspecified());
        let best = best.or(addresses.first())?;
        let here: IpAddr = if best.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        Some((if best.ip().is_unspecified() { here } else { best.ip() }, best.port()))
    };
    match (local(&config.main.auth_listen), local(&config.main.acct_listen)) {
        (Some(auth), Some(acct)) => Ok([auth, acct]),
        _ => Err(Refused::new("config", "", "latchkey's configuration has no address where hostapd could ask it")),
    }
}

/// The secret of who asks from an address.
fn secret_of(config: &Config, address: IpAddr) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let Some(client) = config.client_for(address) else {
        let message = format!("latchkey's configuration has no client for {address}: add one");
        return Err(Refused::new("config", "", message));
    };
    Ok(Zeroizing::new(client.secret.expose().to_vec()))
}

/// hostapd asks latchkey, and tells it who is connected: with that a key is proved.
pub(super) fn radius(config: &Config) -> Result<Vec<Opt>, Refused> {
    let [auth, acct] = asked_at(config)?;
    let (auth_secret, acct_secret) = (secret_of(config, auth.0)?, secret_of(config, acct.0)?);
    Ok(vec![
        Opt::list("auth_server", [auth.0.to_string()]),
        Opt::is("auth_port", auth.1.to_string()),
        Opt::is("auth_secret", &auth_secret),
        Opt::list("acct_server", [acct.0.to_string()]),
        Opt::is("acct_port", acct.1.to_string()),
        Opt::is("acct_secret", &acct_secret),
        Opt::is("nasid", "latchkey").at_first(),
    ])
}
