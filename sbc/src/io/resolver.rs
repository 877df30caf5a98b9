//! Asks DNS what the engine wants to know: /etc/hosts first, then the name servers of the config or of /etc/resolv.conf. Both files
//! are read again when they have changed.
//!
//! Nothing is kept here: the engine keeps answers for as long as they hold.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};
use tracing::{debug, warn};

use super::signalling::{Event, Inbox};
use crate::config::HostName;
use crate::engine::Input;
use crate::routing::locate::{Answer, Kind, Naptr, Question, Records, Srv, Trouble};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
/// How long one question may take, whatever the files say.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one name server has to answer, where no file says.
const TIMEOUT: Duration = Duration::from_secs(2);
/// What /etc/hosts says may change at any time.
const HOSTS_TTL: Duration = Duration::from_secs(10);
/// How long there is nothing, where the answer does not say (RFC 2308 5: no SOA).
const NOTHING_TTL: Duration = Duration::from_secs(60);
/// Records of an answer that are read; what matters is bounded again by who asks.
const MAX_RECORDS: usize = 128;

/// Asks DNS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// Those of the config; empty: the system's.
    servers: Arc<[SocketAddr]>,
    current: Arc<Mutex<Option<Current>>>,
}

/// What holds as long as the files stay as they are.
#[derive(Clone, Debug)]
struct Current {
    files: [Option<(SystemTime, u64)>; 2],
    hosts: Arc<Hosts>,
    resolver: TokioResolver,
}

impl Resolver {
    /// Asks these; if there are none, those of /etc/resolv.conf.
    #[must_use]
    pub fn new(servers: &[SocketAddr]) -> Resolver {
        Resolver {
            servers: servers.into(),
            current: Arc::new(Mutex::new(None)),
        }
    }

    /// Asks, and puts what comes of it into the inbox. Must be called within a runtime.
    pub(super) fn resolve(&self, question: Question, inbox: Inbox) {
        let resolver = self.clone();
        tokio::spawn(async move {
            let answer = resolver.ask(&question).await;
            let resolved = Input::Resolved { question, answer };
            inbox.put(Event::Input(resolved)).await;
        });
    }

    /// Asks; takes ten seconds at most.
    pub async fn ask(&self, question: &Question) -> Answer {
        let asked = tokio::time::timeout(PATIENCE, self.look_up(question)).await;
        let answer = asked.unwrap_or(Answer::Failed(Trouble::Timeout));
        debug!(%question, ?answer, "looked up");
        answer
    }

    async fn look_up(&self, question: &Question) -> Answer {
        let Ok(current) = self.current() else {
            return Answer::Failed(Trouble::NoServer);
        };
        // A name without a dot may be one of the search domains'; any other is whole.
        let text = question.name.as_str();
        let whole = if text.contains('.') { "." } else { "" };
        let Ok(name) = Name::from_ascii(format!("{text}{whole}")) else {
            return Answer::Nothing { ttl: NOTHING_TTL };
        };
        let kind = match question.kind {
            Kind::Naptr => RecordType::NAPTR,
            Kind::Srv => RecordType::SRV,
            Kind::A => RecordType::A,
            Kind::Aaaa => RecordType::AAAA,
        };
        let query = Query::query(name.clone(), kind);
        if let Some(known) = current.hosts.lookup_static_host(&query) {
            let records = read(question.kind, known.answers());
            let ttl = HOSTS_TTL;
            return Answer::Found { records, ttl };
        }
        match current.resolver.lookup(name, kind).await {
            Ok(found) => {
                let answers = found.answers();
                let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
                let ttl = Duration::from_secs(ttl.into());
                match read(question.kind, answers) {
                    records if records.is_empty() => Answer::Nothing { ttl },
                    records => Answer::Found { records, ttl },
                }
            }
            Err(error) => failed(&error),
        }
    }

    /// Reads the files if they have changed.
    fn current(&self) -> Result<Current, NetError> {
        let files = [RESOLV_CONF, HOSTS].map(|path| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        });
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = current.as_ref().filter(|known| known.files == files) {
            return Ok(known.clone());
        }
        let new = Current {
            files,
            hosts: Arc::new(Hosts::from_system().unwrap_or_default()),
            resolver: self.open()?,
        };
        *current = Some(new.clone());
        Ok(new)
    }

    fn open(&self) -> Result<TokioResolver, NetError> {
        let (config, mut options) = match &*self.servers {
            [] => of_system(),
            servers => {
                let servers = servers.iter().map(name_server).collect();
                (
                    ResolverConfig::from_parts(None, Vec::new(), servers),
                    usual(),
                )
            }
        };
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        // Ports of its own choice could be media ports, which the kernel's never are.
        options.os_port_selection = true;
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
    }
}

/// As /etc/resolv.conf has it; without one the resolver of this host, as the C library does.
fn of_system() -> (ResolverConfig, ResolverOpts) {
    let text = std::fs::read(RESOLV_CONF).unwrap_or_default();
    match parse_resolv_conf(text) {
        Ok(found) => found,
        Err(error) => {
            warn!(%error, "{RESOLV_CONF} names no name server that can be asked: asking 127.0.0.1");
            let local = SocketAddr::from(([127, 0, 0, 1], 53));
            let servers = vec![name_server(&local)];
            (
                ResolverConfig::from_parts(None, Vec::new(), servers),
                usual(),
            )
        }
    }
}

fn usual() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = TIMEOUT;
    options
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn failed(error: &NetError) -> Answer {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(
                none.response_code,
                ResponseCode::NoError | ResponseCode::NXDomain
            ) =>
        {
            let ttl = none.negative_ttl.map(|ttl| Duration::from_secs(ttl.into()));
            Answer::Nothing {
                ttl: ttl.unwrap_or(NOTHING_TTL),
            }
        }
        NetError::Timeout => Answer::Failed(Trouble::Timeout),
        NetError::NoConnections | NetError::Io(_) => Answer::Failed(Trouble::NoServer),
        _ => Answer::Failed(Trouble::Refused),
    }
}

/// The records of the kind that was asked; aliases on the way are left out.
fn read(kind: Kind, answers: &[Record]) -> Records {
    let data = answers.iter().map(|record| &record.data).take(MAX_RECORDS);
    match kind {
        Kind::Naptr => Records::Naptr(
            data.filter_map(|data| match data {
                RData::NAPTR(naptr) => Some(Naptr {
                    order: naptr.order,
                    preference: naptr.preference,
                    flags: String::from_utf8_lossy(&naptr.flags).into_owned(),
                    service: String::from_utf8_lossy(&naptr.services).into_owned(),
                    replacement: host_name(&naptr.replacement),
                }),
                _ => None,
            })
            .collect(),
        ),
        Kind::Srv => Records::Srv(
            data.filter_map(|data| match data {
                RData::SRV(srv) => Some(Srv {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    target: host_name(&srv.target),
                }),
                _ => None,
            })
            .collect(),
        ),
        Kind::A | Kind::Aaaa => {
            Records::Addresses(data.filter_map(|data| data.ip_addr()).collect())
        }
    }
}

fn host_name(name: &Name) -> Option<HostName> {
    HostName::parse(&name.to_ascii()).ok()
}
