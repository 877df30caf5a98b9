//! What `sbc check` says of trunks that have names: where DNS says that they are now.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use sbc::config::{Config, NetworkId, TrunkId};
use sbc::io::resolver::Resolver;
use sbc::routing::locate::{Action, Input, News, PlaceView, Places};

/// How long the look-ups may take in all.
const PATIENCE: Duration = Duration::from_secs(6);

/// What DNS said of the trunks that have names.
#[derive(Debug, Default)]
pub(super) struct Looked {
    trunks: Vec<Trunk>,
}

#[derive(Debug)]
struct Trunk {
    id: TrunkId,
    places: Vec<PlaceView>,
    sources: Vec<IpAddr>,
    /// Why there are none.
    why: Option<String>,
    left_out: Option<&'static str>,
}

impl Looked {
    /// Asks; takes [`PATIENCE`] at most, and no time at all where no trunk has a name.
    pub(super) fn up(config: &Config) -> Looked {
        let is_named = |trunk: &sbc::config::Trunk| {
            trunk.server.name().is_some() || !trunk.accept_names.is_empty()
        };
        if !config.trunks.iter().any(is_named) {
            return Looked::default();
        }
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
            return Looked::default();
        };
        let mut places = Places::new(config, [0; 32], Instant::now());
        let mut news = runtime.block_on(settle(config, &mut places));
        let trunks = (0..).map(TrunkId).zip(&config.trunks);
        let trunks = trunks.filter(|(_, trunk)| is_named(trunk)).map(|(id, _)| {
            let (why, left_out) = news.remove(&id).unwrap_or_default();
            Trunk {
                id,
                places: places.view(Instant::now(), config, id),
                sources: places.sources(id).collect(),
                why,
                left_out,
            }
        });
        Looked {
            trunks: trunks.collect(),
        }
    }

    /// In lines; empty if there was nothing to look up.
    pub(super) fn shown(&self, config: &Config) -> String {
        let mut text = String::new();
        for looked in &self.trunks {
            let trunk = config.trunk(looked.id);
            let name = &trunk.name;
            if trunk.server.name().is_some() {
                let places: Vec<String> = looked
                    .places
                    .iter()
                    .map(|view| view.place.to_string())
                    .collect();
                text += &match (places.as_slice(), &looked.why) {
                    ([], why) => format!(
                        "Warning: where trunk:{name} is ({}) is not known: {}. Calls to it fail until DNS says where it is.\n",
                        trunk.server,
                        why.as_deref().unwrap_or("DNS has not answered in time"),
                    ),
                    (all, _) => format!(
                        "trunk:{name} ({}) is at {}.\n",
                        trunk.server,
                        all.join(", ")
                    ),
                };
            }
            if let Some(left_out) = looked.left_out {
                text += &format!(
                    "  DNS offers more for trunk:{name}, which is left out: {left_out}.\n"
                );
            }
            if !trunk.accept_names.is_empty() {
                let names: Vec<&str> = trunk
                    .accept_names
                    .iter()
                    .map(|name| name.as_str())
                    .collect();
                let sources: Vec<String> = looked.sources.iter().map(ToString::to_string).collect();
                text += &match sources.as_slice() {
                    [] => format!(
                        "Warning: DNS does not say where trunk:{name} calls from ({}).\n",
                        names.join(", ")
                    ),
                    all => format!(
                        "trunk:{name} calls from {} ({}).\n",
                        all.join(", "),
                        names.join(", ")
                    ),
                };
            }
        }
        if !text.is_empty() {
            text.insert_str(0, "\nSERVERS, as DNS has them now\n");
        }
        text
    }

    /// Where the trunks of a network call from, as far as DNS says it.
    pub(super) fn sources(
        &self,
        config: &Config,
        network: NetworkId,
    ) -> impl Iterator<Item = IpAddr> {
        let here = self
            .trunks
            .iter()
            .filter(move |looked| config.trunk(looked.id).network == network);
        here.flat_map(|looked| looked.sources.iter().copied())
    }
}

/// What was told of each trunk last: why there is nothing, and what is left out.
type Told = BTreeMap<TrunkId, (Option<String>, Option<&'static str>)>;

async fn settle(config: &Config, places: &mut Places) -> Told {
    let resolver = Resolver::new(&config.sbc.resolver);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut asked = JoinSet::new();
    let mut told = Told::new();
    loop {
        while let Some(action) = places.poll_action() {
            match action {
                Action::Resolve(question) => {
                    let resolver = resolver.clone();
                    asked.spawn(async move {
                        let answer = resolver.ask(&question).await;
                        (question, answer)
                    });
                }
                Action::News(News::Found {
                    trunk, left_out, ..
                }) => {
                    told.insert(trunk, (None, left_out));
                }
                Action::News(News::Lost { trunk, why, .. }) => {
                    told.insert(trunk, (Some(why), None));
                }
                Action::News(_) | Action::Source(..) | Action::NoSource(..) => {}
            }
        }
        match timeout_at(deadline, asked.join_next()).await {
            Ok(Some(Ok((question, answer)))) => {
                let input = Input::Resolved { question, answer };
                places.handle_input(Instant::now(), config, input);
            }
            Ok(Some(Err(_))) => {}
            Ok(None) | Err(_) => return told,
        }
    }
}
