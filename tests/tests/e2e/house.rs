//! The whole home of the guide in its house: one config file, phones of three makings, a carrier that challenges every request. Each test is one
//! feature, and has a house of its own.

mod emergency;
mod extensions;
mod inbound;
mod intercom;
mod lamps;
mod outbound;
mod road;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::Result;
use sbc_tests::e2e::home::{Home, KITCHEN, LIVING, MOBILE, PUBLIC, SERVER, TRUNK};
use sbc_tests::e2e::{
    Account, Accounts, Baresip, Carrier, Daemon, Desk, Kamailio, Linphone, Manner, Need, Phone,
    RunAs, skipped,
};

use super::nat::ended;
use super::support::{ALICE, BOB};

const CONFIG: &str = include_str!("house/home.toml");
/// Two seconds of voice.
const VOICE: usize = 100;
const SOON: Duration = Duration::from_secs(60);
/// Who is outside, by number.
const FRIEND: &str = "+15557654321";
const CELL: &str = "+15557770000";
const HELP: &str = "911";
/// The house's own number.
const OURS: &str = "15555555555";
/// What phones play, in Hz: the living room's is [`ALICE`], the friend's [`BOB`].
const LINDA: u32 = 1_200;
const ROAD: u32 = 1_500;
const OFFICE: u32 = 1_050;
const OTHERS: u32 = 1_950;
/// Codecs of a phone that has both.
const BOTH: &str = "G722/16000/1,PCMU/8000/1";

/// The house with its box and its carrier. Phones come when they are wanted.
struct House<'h> {
    home: &'h Home,
    daemon: Daemon<'h>,
    carrier: Kamailio,
    phones: f64,
}

/// Whether a test has to be skipped.
fn skip(feature: &str) -> bool {
    let needs = [
        Need::Namespaces,
        Need::Program("ethtool"),
        Need::Program("nft"),
        Need::Program("baresip"),
        Need::Program("linphonec"),
        Need::Program("kamailio"),
    ];
    skipped(&format!("a home: {feature}"), &needs)
}

impl<'h> House<'h> {
    /// The box is registered at its carrier.
    fn open(home: &'h Home) -> Result<House<'h>> {
        let carrier = Accounts::Strict.start(
            &home.carrier,
            &home.scratch,
            &Carrier {
                at: SocketAddrV4::new(TRUNK, 5060),
                customer: PUBLIC,
                behind: SocketAddrV4::new(TRUNK, 5070),
                username: "555555",
                password: "rosebud",
            },
        )?;
        let state = home.scratch.path().join("state");
        let secret = home.scratch.write("secret", "rosebud\n")?;
        let config = CONFIG
            .replace("@STATE@", &state.display().to_string())
            .replace("@SECRET@", &secret.display().to_string());
        let file = home.scratch.write("home.toml", &config)?;
        let arguments = ["run".as_ref(), "--config".as_ref(), file.as_os_str()];
        let daemon = Daemon::start(&home.server, &home.scratch, RunAs::Root, arguments)?;
        daemon.scrape_until("registered at the carrier", SOON, |metrics| {
            metrics.sum("sbc_trunk_registered", &[]) == 1.0
        })?;
        Ok(House {
            home,
            daemon,
            carrier,
            phones: 0.0,
        })
    }

    /// 6001, in the living room.
    fn living(&mut self, manner: Manner) -> Result<Baresip> {
        let phone = at_home("6001", SocketAddrV4::new(LIVING, 5060), ALICE, "one");
        self.baresip(&phone, manner)
    }

    /// 6002, in the kitchen.
    fn kitchen(&mut self) -> Result<Linphone> {
        let at = SocketAddrV4::new(KITCHEN, 5060);
        let mut linda = Linphone::start(&self.home.kitchen, &self.home.scratch, at.into(), LINDA)?;
        linda.register("6002", &SERVER.to_string(), "two")?;
        self.another()?;
        Ok(linda)
    }

    /// 6004, over TCP.
    fn office(&mut self, manner: Manner) -> Result<Baresip> {
        let at = SocketAddrV4::new(LIVING, 5080);
        let mut phone = at_home("6004", at, OFFICE, "four");
        if let Account::Registered { registrar, .. } = &mut phone.account {
            registrar.push_str(";transport=tcp");
        }
        self.baresip(&phone, manner)
    }

    /// 6003, on the road. It knows the box by the router's address.
    fn mobile(&mut self, transport: &str, manner: Manner) -> Result<Baresip> {
        let phone = Phone {
            account: Account::Registered {
                registrar: format!("{PUBLIC}{transport}"),
                password: "three".to_owned(),
            },
            ..at_home("6003", SocketAddrV4::new(MOBILE, 5060), ROAD, "three")
        };
        self.baresip(&phone, manner)
    }

    /// A phone of plain text in the kitchen.
    fn desk(&mut self, user: &'static str, port: u16, password: &str) -> Result<Desk> {
        let at = SocketAddrV4::new(KITCHEN, port);
        let sbc = SocketAddrV4::new(SERVER, 5060);
        let mut desk = Desk::open(&self.home.kitchen, at, sbc, user, password)?;
        desk.register()?;
        self.another()?;
        Ok(desk)
    }

    /// Who has that number at the carrier, and takes calls.
    fn outside(&self, number: &'static str, port: u16, tone: u32) -> Result<Baresip> {
        let phone = Phone {
            user: number,
            address: (TRUNK, port).into(),
            tone,
            account: Account::Registered {
                registrar: TRUNK.to_string(),
                password: "none".to_owned(),
            },
        };
        let mut phone = Baresip::start(&self.home.carrier, &self.home.scratch, &phone)?;
        phone.wait_registered()?;
        Ok(phone)
    }

    fn baresip(&mut self, phone: &Phone, manner: Manner) -> Result<Baresip> {
        let host = match phone.user {
            "6003" => &self.home.mobile,
            _ => &self.home.living,
        };
        let phone = Baresip::start_with(host, &self.home.scratch, phone, manner)?;
        self.another()?;
        Ok(phone)
    }

    /// Waits until one phone more is registered.
    fn another(&mut self) -> Result<()> {
        self.phones += 1.0;
        self.are_registered()
    }

    /// A phone takes its registration back.
    fn without(&mut self, mut phone: Baresip) -> Result<()> {
        phone.process().stop()?;
        self.phones -= 1.0;
        self.are_registered()
    }

    fn are_registered(&self) -> Result<()> {
        let phones = self.phones;
        let what = format!("{phones} phones registered");
        self.daemon
            .scrape_until(&what, SOON, |metrics| {
                metrics.sum("sbc_registrations", &[]) == phones
            })
            .map(drop)
    }

    /// Waits until so many calls are up or ring.
    fn has_calls(&self, calls: f64) -> Result<()> {
        let what = format!("{calls} calls");
        self.daemon
            .scrape_until(&what, SOON, |metrics| {
                metrics.sum("sbc_calls", &[]) == calls
            })
            .map(drop)
    }

    /// Nothing is left of any call, and nobody was told an address that is none where he is.
    fn is_quiet(&self) -> Result<()> {
        self.has_calls(0.0)?;
        let metrics = self.daemon.scrape_until("no flows", SOON, |metrics| {
            metrics.sum("sbc_flows", &[]) == 0.0
        })?;
        assert_eq!(metrics.sum("sbc_unreachable_address_total", &[]), 0.0);
        let printed = self.carrier.printed();
        assert!(!printed.contains("carrier: lost"), "{printed}");
        Ok(())
    }
}

/// A phone with an account, registered from home by UDP.
fn at_home(user: &'static str, at: SocketAddrV4, tone: u32, password: &str) -> Phone {
    Phone {
        user,
        address: at.into(),
        tone,
        account: Account::Registered {
            registrar: SERVER.to_string(),
            password: password.to_owned(),
        },
    }
}

/// The call is over for both; each has heard the other, without a gap.
fn both_heard(phones: [&mut Baresip; 2], tones: [u32; 2]) -> Result<()> {
    let [one, other] = phones;
    let heard = ended(one, other)?;
    // Each hears the other's.
    for (heard, tone) in heard.iter().zip(tones.iter().rev()) {
        assert_eq!((heard.tone, heard.gaps.len()), (*tone, 0), "{heard:?}");
        assert!(heard.seconds >= 1.5, "{heard:?}");
    }
    Ok(())
}

/// A number as a phone at that place dials it.
fn uri(number: &str, place: Ipv4Addr) -> String {
    format!("sip:{number}@{place}")
}
