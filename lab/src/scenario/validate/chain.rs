//! A chain: the same round of steps over and over, each generation with something of its own to carry.

use std::num::NonZeroU32;

use super::{Refusal, State, Walk, refuse};
use crate::scenario::locate::Turn;
use crate::scenario::plan::{Action, Load};
use crate::scenario::raw::{self, Names};

/// Most updates of one chain.
const MAX_HOPS: u32 = 1000;
/// Updates into each kernel that hand over nothing, before the first that does: what they leave of the memory is what
/// the others must leave of it. A long chain has time for as many as it takes to see a single page.
fn empty_rounds(hops: u32) -> u32 {
    if hops < 50 { 3 } else { 9 }
}
/// What goes all the way.
const CARRIED: &str = "carried";

impl Walk<'_> {
    /// Each round creates, hands over all that is carried, updates, opens and compares it, finishes and counts.
    pub(super) fn chain(&mut self, chain: &raw::Chain) -> Result<(), Refusal> {
        let at = |key| vec![Turn::Key("chain"), Turn::Key(key)];
        let hops = chain.hops.get();
        if hops > MAX_HOPS {
            return Err((at("hops"), format!("a chain has at most {MAX_HOPS} hops"), None));
        }
        if self.state != State::Normal || self.anything_handed_over() || self.driven() {
            return refuse("a chain hands over by itself", "it begins where nothing is preserved and all is finished");
        }
        let kernel = |round: u32| match chain.kernels.len() {
            0 => None,
            several => Some(chain.kernels[round as usize % several].clone()),
        };
        let update = |round| raw::UpdateOptions { kernel: kernel(round), ..raw::UpdateOptions::default() };
        let kernels = u32::try_from(chain.kernels.len()).unwrap_or(u32::MAX).max(1);
        if kernels > hops {
            return Err((at("kernels"), format!("{kernels} kernels cannot take turns in {hops} hops"), None));
        }
        for round in 0..kernels * empty_rounds(hops) {
            self.update(&update(round))?;
            self.push(Action::Account(Load::Empty));
        }
        let create = |name, size| raw::Create { name, size, count: NonZeroU32::MIN };
        self.create(&create(CARRIED.to_owned(), chain.carry))?;
        for round in 0..hops {
            self.create(&create(addition(round), chain.add))?;
            let oldest = (round + 1).saturating_sub(chain.keep.get());
            let carried = std::iter::once(CARRIED.to_owned()).chain((oldest..=round).map(addition));
            let carried = Names(carried.collect());
            self.preserve(&carried)?;
            self.update(&update(round))?;
            self.retrieve(&carried)?;
            self.verify(&carried)?;
            self.finish()?;
            self.push(Action::Account(Load::Carried));
        }
        self.push(Action::Balance);
        Ok(())
    }
}

/// What the generation of this round adds.
fn addition(round: u32) -> String {
    format!("added[{round}]")
}
