//! What is known of one trunk's servers, and what is told of it.

use std::time::Instant;

use super::book::STALE;
use super::input::{News, Place};
use super::plan::{Plan, Tier};
use super::question::Question;
use crate::config::TrunkId;

/// The servers of a trunk.
#[derive(Debug, Default)]
pub(super) struct Located {
    pub(super) tiers: Vec<Tier>,
    pub(super) questions: Vec<Question>,
    /// When DNS confirmed the tiers last.
    confirmed: Option<Instant>,
    /// It was told that DNS fails.
    is_lost: bool,
    /// The tiers have changed, which is told when they are whole.
    is_untold: bool,
}

impl Located {
    /// All of them, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.tiers.iter().flat_map(|tier| {
            let all = tier.servers.iter().flat_map(|server| &server.addresses);
            all.map(|&address| Place {
                address,
                transport: tier.transport,
            })
        })
    }

    /// Takes a plan, unless there is nothing in it and what was there is not too old; what is to be told.
    pub(super) fn adopt(&mut self, now: Instant, trunk: TrunkId, plan: &Plan) -> Option<News> {
        let is_empty = plan.tiers.is_empty();
        if !is_empty {
            if plan.tiers != self.tiers {
                self.tiers.clone_from(&plan.tiers);
                self.is_untold = true;
            }
            if plan.pending.is_some() {
                return None;
            }
            let is_new = std::mem::take(&mut self.is_untold);
            if plan.failed.is_none() {
                self.confirmed = Some(now);
                let was_lost = std::mem::take(&mut self.is_lost);
                let places = self.places().collect();
                return match (is_new, was_lost) {
                    (true, _) => Some(News::Found {
                        trunk,
                        places,
                        left_out: plan.left_out,
                    }),
                    (false, true) => Some(News::Back { trunk }),
                    (false, false) => None,
                };
            }
            if is_new {
                // Not all is known, but enough. What is missing is told when it still is the next time.
                self.confirmed = Some(now);
                return Some(News::Found {
                    trunk,
                    places: self.places().collect(),
                    left_out: plan.left_out,
                });
            }
        } else if let Some(confirmed) = self.confirmed
            && now.saturating_duration_since(confirmed) >= STALE
        {
            self.confirmed = None;
            self.tiers.clear();
            return Some(News::Forgotten { trunk });
        }
        if std::mem::replace(&mut self.is_lost, true) {
            return None;
        }
        let why = match &plan.failed {
            Some((question, trouble)) => format!("{question}: {trouble}"),
            None => "DNS knows no server of that name".to_owned(),
        };
        let why = match plan.left_out {
            Some(left_out) => format!("{why}; left out: {left_out}"),
            None => why,
        };
        let kept = self.places().count();
        Some(News::Lost { trunk, why, kept })
    }
}
