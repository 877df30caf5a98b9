//! Bindings as plain data: what outlives the daemon.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::asked::{Device, EXPIRES_MAX};
use super::{Binding, Registrar};
use crate::config::{Config, NetworkId, PhoneId};
use crate::sip::Transport;
use crate::transaction::Hop;

/// A contact of a phone, by names instead of ids. Only those by UDP: a connection ends with the process that has it, and its phone sees that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// `[phone.NAME]`.
    pub phone: String,
    /// `[network.NAME]`.
    pub network: String,
    /// Its URI.
    pub contact: String,
    /// Our end.
    pub local: SocketAddr,
    /// Where its REGISTER came from.
    pub remote: SocketAddr,
    /// As in Route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `+sip.instance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// `reg-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reg_id: Option<u32>,
    /// Of its last REGISTER.
    pub call_id: String,
    /// The same.
    pub cseq: u32,
    /// Seconds that are left of it.
    pub expires: u32,
}

impl Registrar {
    /// What is to be kept of a phone's bindings, the oldest first; nothing: nothing is.
    #[must_use]
    pub fn saved(&self, config: &Config, now: Instant, phone: PhoneId) -> Vec<Saved> {
        let name = config.phones.get(phone.index()).map(|phone| &phone.name);
        let mut saved: Vec<Saved> = self
            .bindings(phone)
            .filter(|binding| binding.hop.transport == Transport::Udp)
            .filter_map(|binding| {
                let network = config.networks.get(binding.hop.network.index())?;
                let left = binding.expires.checked_duration_since(now)?;
                let device = binding.device.as_deref();
                Some(Saved {
                    phone: name?.clone(),
                    network: network.name.clone(),
                    contact: binding.contact.to_string(),
                    local: binding.hop.local,
                    remote: binding.hop.remote,
                    path: binding.path.as_deref().map(str::to_owned),
                    instance: device.map(|device| device.instance.to_string()),
                    reg_id: device.and_then(|device| device.reg_id),
                    call_id: binding.call_id.to_string(),
                    cseq: binding.cseq,
                    expires: u32::try_from(left.as_secs()).unwrap_or(EXPIRES_MAX),
                })
            })
            .collect();
        saved.reverse();
        saved
    }

    /// Takes back what was saved; the oldest of a phone first. `false`: there is no such phone or network any more, nothing is left of its time,
    /// the phone may not be there, or there is no room.
    pub fn restore(&mut self, config: &Config, now: Instant, saved: &Saved) -> bool {
        let networks = (0..).map(NetworkId).zip(&config.networks);
        let network = networks
            .into_iter()
            .find(|(_, network)| network.name == saved.network);
        let (Some(phone), Some((network, _))) = (config.phone_named(&saved.phone), network) else {
            return false;
        };
        let seconds = saved.expires.min(EXPIRES_MAX);
        if seconds == 0 || !config.may_be_at(phone, network, saved.remote.ip()) {
            return false;
        }
        let device = saved.instance.as_deref().map(|instance| Device {
            instance: instance.into(),
            reg_id: saved.reg_id,
        });
        let binding = Binding {
            contact: saved.contact.as_str().into(),
            hop: Hop {
                network,
                transport: Transport::Udp,
                local: saved.local,
                remote: saved.remote,
                connection: None,
            },
            path: saved.path.as_deref().map(Into::into),
            device: device.map(Box::new),
            expires: now + Duration::from_secs(u64::from(seconds)),
            call_id: saved.call_id.as_str().into(),
            cseq: saved.cseq,
        };
        let most = config.phone(phone).max_contacts;
        self.bind(phone, most, binding, seconds).is_ok()
    }
}
