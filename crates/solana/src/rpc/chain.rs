//! Methods that tell of the chain as a whole.

use std::time::Duration;

use serde::Deserialize;
use sniper_core::ids::Address;
use sniper_core::units::Slot;

use super::error::RpcError;
use super::methods::{Options, any};
use super::pool::RpcConnectionPool;
use super::raw::{AtMost, Parsed};
use super::read::Weight;
use super::types::Commitment;

/// Most accounts whose fees can be asked for at once.
pub const FEE_ACCOUNTS_MAX: usize = 128;
/// More blocks than nodes keep fees of.
const FEE_BLOCKS_MAX: usize = 1_024;
/// Most leaders that a node tells at once.
pub const LEADERS_MAX: usize = 5_000;

/// Where an epoch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochInfo {
    /// Its number.
    pub epoch: u64,
    /// Its first slot.
    pub first: Slot,
    /// How many slots it has.
    pub slots: u64,
    /// The slot the node is at.
    pub at: Slot,
}

impl EpochInfo {
    /// The first slot of the next one.
    #[must_use]
    pub fn end(&self) -> Slot {
        Slot::new(self.first.get().saturating_add(self.slots))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEpoch {
    absolute_slot: u64,
    epoch: u64,
    slot_index: u64,
    slots_in_epoch: u64,
}

impl RawEpoch {
    fn check(&self) -> Result<(), &'static str> {
        let is_within = self.slot_index < self.slots_in_epoch;
        if is_within && self.slot_index <= self.absolute_slot {
            Ok(())
        } else {
            Err("a slot outside of its epoch")
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFee {
    slot: u64,
    prioritization_fee: u64,
}

impl RpcConnectionPool {
    /// What had to be paid at least in recent blocks to write all these accounts, in millionths of a lamport per compute
    /// unit; zero where nobody paid for any of them. Accounts beyond [`FEE_ACCOUNTS_MAX`] are left out.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn recent_prioritization_fees(
        &self,
        accounts: &[Address],
    ) -> Result<Vec<(Slot, u64)>, RpcError> {
        let keys: Vec<String> =
            accounts.iter().take(FEE_ACCOUNTS_MAX).map(Address::to_string).collect();
        let method = "getRecentPrioritizationFees";
        let fees: AtMost<RawFee, FEE_BLOCKS_MAX> =
            self.read(method, &[keys], Weight::Light, any).await?;
        Ok(fees.0.into_iter().map(|fee| (Slot::new(fee.slot), fee.prioritization_fee)).collect())
    }

    /// Where the epoch stands.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn epoch_info(&self, commitment: Commitment) -> Result<EpochInfo, RpcError> {
        let params = [Options::at(commitment)];
        let raw = self.read("getEpochInfo", &params, Weight::Light, RawEpoch::check).await?;
        Ok(EpochInfo {
            epoch: raw.epoch,
            first: Slot::new(raw.absolute_slot.saturating_sub(raw.slot_index)),
            slots: raw.slots_in_epoch,
            at: Slot::new(raw.absolute_slot),
        })
    }

    /// Who makes the blocks of `count` slots from `first` on, at most [`LEADERS_MAX`]. A node knows them up to the end of
    /// the epoch, and mostly of the next.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn slot_leaders(&self, first: Slot, count: usize) -> Result<Vec<Address>, RpcError> {
        let count = count.min(LEADERS_MAX);
        let check = |leaders: &AtMost<Parsed<Address>, LEADERS_MAX>| {
            if leaders.0.len() == count { Ok(()) } else { Err("another number of leaders") }
        };
        let params = (first.get(), count);
        let leaders = self.read("getSlotLeaders", &params, Weight::Light, check).await?;
        Ok(leaders.0.into_iter().map(|leader| leader.0).collect())
    }

    /// The slots of the epoch of `within` in which `leader` makes the blocks, ascending.
    ///
    /// # Errors
    /// As every read: see [`RpcError`].
    pub async fn leader_slots(
        &self,
        epoch: &EpochInfo,
        leader: &Address,
    ) -> Result<Vec<Slot>, RpcError> {
        #[derive(serde::Serialize)]
        struct Whose {
            identity: String,
        }
        let name = leader.to_string();
        let most = usize::try_from(epoch.slots).unwrap_or(usize::MAX);
        let check = |told: &Option<std::collections::BTreeMap<String, Vec<u64>>>| {
            let Some(told) = told else { return Err("no schedule of an epoch under way") };
            let fits = |slots: &Vec<u64>| {
                slots.len() <= most && slots.iter().all(|slot| *slot < epoch.slots)
            };
            if told.len() <= 1 && told.values().all(fits) { Ok(()) } else { Err("slots of others") }
        };
        let params = (epoch.first.get(), Whose { identity: name.clone() });
        let told = self.read("getLeaderSchedule", &params, Weight::Light, check).await?;
        let slots = told.and_then(|mut told| told.remove(&name)).unwrap_or_default();
        let first = epoch.first.get();
        let mut slots: Vec<Slot> =
            slots.into_iter().map(|slot| Slot::new(first.saturating_add(slot))).collect();
        slots.sort_unstable();
        Ok(slots)
    }

    /// Waits for the next slot that is told, at most so long: what is asked then goes with what others ask.
    pub async fn beat(&self, most: Duration) {
        let mut slots = self.slots();
        // A slot, or the time is over: either is fine.
        drop(tokio::time::timeout(most, slots.changed()).await);
    }
}
