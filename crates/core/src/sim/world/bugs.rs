//! Bugs that are planted on purpose: a simulator that finds none of them would prove nothing.
//!
//! Each is a small slip in what carries the core's wishes out, or in what is told to it, and lives in this simulator alone.

use super::chain::{Chain, MOST_BEHIND};
use crate::execution::{Commitment, Knows, Word};
use crate::ids::Signature;
use crate::units::{BlockHeight, Slot};

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $name:literal;)*) => {
        /// A planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug { $($(#[$doc])* $bug,)* }

        impl Bug {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$bug,)*];

            /// The name in reports and on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => $name,)* }
            }
        }
    };
}

bugs! {
    /// The record of signed bytes is written and not synced before they go out.
    SkipBarrier = "skip_barrier";
    /// They go out before their record is written at all.
    SendFirst = "send_first";
    /// A sync that failed is taken for one that did not.
    IgnoreFailedSync = "ignore_failed_sync";
    /// The record names other bytes than those that go out.
    WrongRecord = "wrong_record";
    /// Where the same bytes should go out again, the order is signed anew.
    ResignOnTimeout = "resign_on_timeout";
    /// An order found in the journal is signed anew.
    ResignOnRestart = "resign_on_restart";
    /// The records of signed bytes are not looked at when a process starts.
    ForgetRecords = "forget_records";
    /// An order that has not landed after some seconds is called expired.
    TimeoutIsExpiry = "timeout_is_expiry";
    /// So is one that no node took.
    SendErrorIsExpiry = "send_error_is_expiry";
    /// The first endpoint that answers is a majority.
    TrustOneNode = "trust_one_node";
    /// An endpoint that does not answer, or answers from an old state, knows nothing of the order.
    SilenceIsNo = "silence_is_no";
    /// What is confirmed is called final.
    ConfirmedIsFinal = "confirmed_is_final";
    /// Statuses are read from an older state than the height they are judged by.
    OldStatuses = "old_statuses";
    /// Histories are not searched.
    NoHistory = "no_history";
    /// The last height that bytes can land at is what one node says.
    OneNodesLastHeight = "one_nodes_last_height";
    /// The engine is not told that a landing was taken back.
    IgnoreRollback = "ignore_rollback";
    /// It is not told that landings can be.
    NoForks = "no_forks";
    /// What had landed and was not final is not followed after a restart.
    ForgetProvisional = "forget_provisional";
    /// The bytes of what had landed are forgotten before it is final.
    ForgetLandedBytes = "forget_landed_bytes";
    /// The rent of new accounts is not booked.
    ForgetRent = "forget_rent";
    /// The fee of a transaction that failed is not booked.
    ForgetFailedFee = "forget_failed_fee";
    /// Fees are booked twice.
    FeeTwice = "fee_twice";
    /// Only what an order gave is booked.
    ForgetGain = "forget_gain";
    /// A transaction that failed is taken for one that did what it should.
    FailedIsFilled = "failed_is_filled";
    /// What was expected is booked in place of what came.
    ExpectedIsFilled = "expected_is_filled";
    /// A transaction that failed is never seen.
    FailedIsUnseen = "failed_is_unseen";
    /// The signer does not look at the kill latch.
    SignAfterKill = "sign_after_kill";
    /// A pause does not reach the engine.
    IgnorePause = "ignore_pause";
    /// More orders in flight than allowed.
    LoosenOpenOrders = "loosen_open_orders";
    /// More orders in a minute.
    LoosenRate = "loosen_rate";
    /// Larger ones.
    LoosenValue = "loosen_value";
    /// More at stake altogether.
    LoosenExposure = "loosen_exposure";
    /// Numbers of events begin anew with a process.
    NumbersBeginAnew = "numbers_begin_anew";
    /// Events are stamped with the clock as it is, also when it was set back.
    ClockSetBack = "clock_set_back";
    /// The ends of orders are not journaled.
    EndsNotJournaled = "ends_not_journaled";
    /// A torn tail is left where it is, and written after.
    KeepTornTail = "keep_torn_tail";
    /// A damaged middle is skipped.
    SkipDamage = "skip_damage";
    /// Trading goes on before the fates of old orders are known.
    TradeBeforeResolved = "trade_before_resolved";
    /// An order that is over is sent once more.
    SendAfterEnd = "send_after_end";
    /// What the wallet holds is booked at every start.
    DepositAgain = "deposit_again";
    /// What is missing is booked as if it had been taken out.
    BookLosses = "book_losses";
    /// What others send is not booked.
    ForgetGifts = "forget_gifts";
    /// The state that balances are of is taken for the newest.
    CompareOld = "compare_old";
    /// The engine is not told of an expiry.
    LoseExpiry = "lose_expiry";
    /// Nor that an order was signed.
    LoseSigned = "lose_signed";
    /// The transaction has no least output.
    NoLeastOutput = "no_least_output";
    /// It gives twice what was approved.
    TwiceTheAmount = "twice_the_amount";
    /// An order whose sibling has landed is taken for one that still stands.
    ForgetSibling = "forget_sibling";
    /// The mark of a trail begins anew with a process.
    ForgetMark = "forget_mark";
    /// What the operator asked for is asked for again when a process starts.
    PlaceAgain = "place_again";
    /// What the operator cancels is not.
    IgnoreCancel = "ignore_cancel";
    /// A limit is carried out at whatever price there is.
    ForgetLimit = "forget_limit";
    /// The operator is told that a ticket stands before its record is durable.
    AcknowledgeFirst = "acknowledge_first";
}

/// What planted bugs make of what nodes swear to.
pub(super) fn bend_words(
    bug: Bug,
    mut words: Vec<Word>,
    of: &mut u32,
    chain: &Chain,
    name: &Signature,
) -> Vec<Word> {
    match bug {
        Bug::TrustOneNode => {
            words.truncate(1);
            *of = 1;
        }
        Bug::SilenceIsNo => {
            for word in &mut words {
                if word.knows == Knows::Stale {
                    word.knows = Knows::Nothing;
                }
            }
            let highest = words.iter().map(|word| (word.height, word.slot)).max();
            let (height, slot) = highest.unwrap_or_default();
            for voter in (0_u8..).take(usize::try_from(*of).unwrap_or(0)) {
                if !words.iter().any(|word| word.voter == voter) {
                    words.push(Word { voter, height, slot, knows: Knows::Nothing });
                }
            }
        }
        Bug::ConfirmedIsFinal => {
            let tip = chain.view(Commitment::Confirmed, 0);
            for word in &mut words {
                (word.height, word.slot) = (BlockHeight::new(tip.height), Slot::new(tip.slot));
                if let Knows::Seen { status, landing } = &mut word.knows
                    && status.commitment == Commitment::Confirmed
                {
                    status.commitment = Commitment::Finalized;
                    // What it did is read from the same state.
                    *landing = chain.landing(name, 0, true).map(|(_, landing)| landing);
                }
            }
        }
        Bug::OldStatuses => {
            for word in &mut words {
                word.knows = match chain.landing(name, MOST_BEHIND, false) {
                    None => Knows::Nothing,
                    Some((status, landing)) => Knows::Seen { status, landing: Some(landing) },
                };
                let tip = chain.view(Commitment::Confirmed, 0);
                (word.height, word.slot) = (BlockHeight::new(tip.height), Slot::new(tip.slot));
            }
        }
        Bug::NoHistory => {
            for word in &mut words {
                if let Knows::Seen { status, .. } = word.knows
                    && status.commitment == Commitment::Finalized
                {
                    word.knows = Knows::Nothing;
                }
            }
        }
        _ => {}
    }
    words
}
