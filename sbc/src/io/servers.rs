//! What the log says of trunks' servers.

use tracing::{info, warn};

use crate::config::{Config, TrunkId};
use crate::routing::locate::{News, Place};

/// How many servers a line names.
const SHOWN: usize = 8;

/// Writes a line.
pub(super) fn write(config: &Config, news: &News) {
    let name = |id: TrunkId| {
        let trunk = config.trunks.get(id.index());
        trunk.map_or("?", |trunk| trunk.name.as_str())
    };
    match news {
        News::Found {
            trunk,
            places,
            left_out,
        } => {
            let (trunk, servers) = (name(*trunk), listed(places));
            info!(trunk, servers, left_out, "servers found");
        }
        News::Lost { trunk, why, kept } => {
            let trunk = name(*trunk);
            match kept {
                0 => warn!(
                    trunk,
                    why, "its server is not known: calls to it fail until DNS says where it is"
                ),
                kept => warn!(
                    trunk,
                    why,
                    kept,
                    "DNS does not answer all that it is asked: the servers that were found are used"
                ),
            }
        }
        News::Back { trunk } => info!(
            trunk = name(*trunk),
            "DNS answers again where its servers are"
        ),
        News::Forgotten { trunk } => {
            warn!(
                trunk = name(*trunk),
                "DNS has not said for a day where its servers are: calls to it fail until it does"
            );
        }
        News::Rests {
            trunk,
            place,
            how,
            time,
        } => {
            let (trunk, reason, seconds) = (name(*trunk), how.words(), time.as_secs());
            warn!(trunk, server = %place, reason, seconds, "a server rests: others are asked first");
        }
        News::Recovered { trunk, place } => {
            info!(trunk = name(*trunk), server = %place, "a server answers again");
        }
    }
}

fn listed(places: &[Place]) -> String {
    let mut names: Vec<String> = places.iter().take(SHOWN).map(Place::to_string).collect();
    if places.len() > SHOWN {
        names.push(format!("and {} more", places.len() - SHOWN));
    }
    names.join(" ")
}
