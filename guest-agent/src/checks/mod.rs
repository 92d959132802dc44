//! The named checks of [`protocol::check`], a file a subject.
//!
//! Each runs in a process of its own, in a mount namespace of its own, and is killed with all that it
//! started when it has answered or its time is up. So it may give up its privileges, unshare and crash.
//! Standard output carries its answer: what it has to say beyond that goes to standard error.

mod agent;
mod aside;
mod broker;
mod carried;
mod close;
mod context;
mod cost;
mod crossing;
mod damage;
mod dice;
mod domain;
mod eventfd;
mod face;
mod fallback;
mod fault;
mod fuzz;
mod growth;
mod hammer;
mod handover;
mod kexecfs;
mod kunit;
mod layout;
mod leak;
mod luo;
mod memfd;
mod model;
mod observe;
mod off;
mod order;
mod pass;
mod plain;
mod pressure;
mod privilege;
mod published;
mod raw;
mod reason;
mod refusal;
mod restore;
mod root;
mod seat;
mod selftest;
mod sight;
mod soil;
mod state;
mod stays;
mod subsystem;
mod sysfs;
mod table;
mod unclaimed;
mod unload;
mod unwind;
mod veto;

use std::{
    collections::VecDeque,
    io::{stdin, stdout},
};

use protocol::{
    check::{Check, Notes, Order, Part, Verdict},
    frame::{Decoder, Frame},
    message::{Reply, Request, Span},
};

use crate::{frames, now};
use context::{Context, Finding};

/// What a check does, once it has been asked.
enum Body {
    /// All of it in one kernel.
    Within(fn(&mut Context) -> Result<(), Finding>),
    /// Its half before a live update and its half after it.
    Spans { leave: fn(&mut Context) -> Result<Notes, Finding>, find: fn(&mut Context, &Notes) -> Result<(), Finding> },
}

/// Each name and what it does; of the same shape as [`Check::shape`] says.
fn body(check: Check) -> Body {
    use Body::{Spans, Within};
    match check {
        Check::SaysWhatIsNotSo => Within(sight::says_what_is_not_so),
        Check::NeverEnds => Within(sight::never_ends),
        Check::DiesMidway => Within(sight::dies_midway),
        Check::DoesNotApply => Within(sight::does_not_apply),
        Check::FindsWhatWasNotLeft => Spans { leave: sight::leave, find: sight::find_other },
        Check::StateIsNormalAtStart => Within(state::is_normal_at_start),
        Check::DeviceNeedsAPrivilege => Within(state::device_needs_a_privilege),
        Check::CloseBeforePrepareForgets => Within(close::close_before_prepare_forgets),
        Check::CrashBeforePrepareForgets => Within(close::crash_before_prepare_forgets),
        Check::LuoClosedSessionForgets => Within(luo::registration::closed_session_forgets),
        Check::LuoClosedSessionLeaksNothing => Within(luo::registration::closed_session_leaks_nothing),
        Check::LuoFinishFreesTheUnclaimed => {
            Spans { leave: luo::retrieval::leave_unclaimed, find: luo::retrieval::finish_frees_the_unclaimed }
        }
        Check::LuoFailedRetrievalIsFinal => {
            Spans { leave: luo::retrieval::leave_to_fail, find: luo::retrieval::failed_retrieval_is_final }
        }
        Check::LuoSessionsAreHandedOut => Spans { leave: luo::broker::leave, find: luo::broker::find },
        Check::LuoArgumentsAreChecked => Within(luo::layout::arguments),
        Check::LuoLayoutIsFixed => Within(luo::fixed::layout_is_fixed),
        Check::LuoPreservesOnlyMemfds => Within(luo::fixed::only_memfds),
        Check::LuoDeviceIsExclusive => Within(luo::fixed::device_is_exclusive),
        Check::LuoContentsCross => Spans { leave: luo::contents::leave, find: luo::contents::find },
        Check::LuoMetadataCrosses => Spans { leave: luo::metadata::leave, find: luo::metadata::find },
        Check::LuoNamesAndTokensAreExact => Spans { leave: luo::names::leave, find: luo::names::find },
        Check::LuoFullBlocksCross => Spans { leave: luo::blocks::leave_full, find: luo::blocks::find_full },
        Check::LuoManyBlocksCross => Spans { leave: luo::blocks::leave_many, find: luo::blocks::find_many },
        Check::LuoMemoryComesBack => Spans { leave: luo::account::leave, find: luo::account::find },
        Check::LuoMostOfMemoryCrosses => Spans { leave: luo::most::leave, find: luo::most::find },
        Check::LuoCrowdCrosses => Spans { leave: luo::crowd::leave, find: luo::crowd::find },
        Check::LuoCostIsLinear => Spans { leave: luo::cost::leave, find: luo::cost::find },
        Check::LuoFirstGeneration => Spans { leave: luo::hops::leave_first, find: luo::hops::find_first },
        Check::LuoSecondGeneration => Spans { leave: luo::hops::leave_second, find: luo::hops::find_second },
        Check::LuoThirdGeneration => Spans { leave: luo::hops::leave_third, find: luo::hops::find_third },
        Check::LuoRefusedNameIsNoHarm => {
            Spans { leave: luo::lost::leave_refused_name, find: luo::lost::find_refused_name }
        }
        Check::LuoSealsAreMistaken => Spans { leave: luo::lost::leave_seals, find: luo::lost::find_seals },
        Check::LuoSysfsControlsNothing => Within(sysfs::in_tree_controls_nothing),
        Check::FuzzIoctl => Within(fuzz::ioctls),
        Check::FuzzRestore => Spans { leave: fuzz::leave, find: fuzz::find },
        Check::Hammer => Within(hammer::hammer),
        Check::PrepareUnderPressure => Within(pressure::prepare),
        Check::RestoreUnderPressure => Spans { leave: pressure::leave, find: pressure::find },
        Check::Model => Within(model::model),
        Check::ModuleTestsPass => Within(kunit::module_tests_pass),
        Check::PlainPayloadCrosses => Spans { leave: plain::leave, find: plain::find },
        Check::MemoryCrosses => Spans { leave: crossing::leave_memory, find: crossing::find_memory },
        Check::DeviceIsNotExclusive => Within(state::device_is_not_exclusive),
        Check::GoneBeforePrepare => Within(carried::gone_before_prepare),
        Check::ClosedInAnUpdateIsCarriedOver => Spans { leave: carried::leave, find: carried::find },
        Check::CancelThenForgets => Within(carried::cancel_then_forgets),
        Check::CloseInUpdated => Spans { leave: carried::leave_waiting, find: carried::close_in_updated },
        Check::FinishFreesTheUnclaimed => Spans { leave: unclaimed::leave_much, find: unclaimed::finish_frees },
        Check::UnclaimedIsKept => Spans { leave: unclaimed::leave_to_keep, find: unclaimed::is_kept },
        Check::RestOfTheUnclaimedIsKept => Spans { leave: unclaimed::leave_partly, find: unclaimed::rest_is_kept },
        Check::TakeAPartOfTheUnclaimed => Within(unclaimed::take_a_part),
        Check::UnloadedOnlyInNormal => Within(unload::only_in_normal),
        Check::StaysLoadedUntilFinish => Spans { leave: unload::leave, find: unload::find },
        Check::ChangesAreShown => Within(observe::changes_are_shown),
        Check::FilesTakeTheUsualCalls => Within(kexecfs::calls::are_taken),
        Check::HandoverIsToldToBeOff => Within(off::handover_is_told),
        Check::UnclaimedIsDropped => Spans { leave: unclaimed::leave_to_drop, find: unclaimed::is_dropped },
        Check::ChooseToDropTheUnclaimed => Within(unclaimed::choose_to_drop),
        Check::GenerationCounts => Spans { leave: unclaimed::leave_generation, find: unclaimed::generation_counts },
        Check::FailedRestoreCanBeRetried => Spans { leave: restore::leave, find: restore::find },
        Check::UnpreserveLeaksNothing => Within(leak::unpreserve),
        Check::FailedUpdateLeaksNothing => Within(leak::failed_update),
        Check::SessionsServeTheUnprivileged => Spans { leave: domain::leave, find: domain::find },
        Check::TokensAreRandom => Within(domain::tokens_are_random),
        Check::SessionsWorkElsewhere => Spans { leave: domain::leave_elsewhere, find: domain::find_elsewhere },
        Check::AgentHandsOutSessions => Spans { leave: agent::leave, find: agent::find },
        Check::BrokerServesAll => Spans { leave: broker::leave, find: broker::find },
        Check::WhatCameBackStays => Spans { leave: stays::leave, find: stays::find },
        Check::ArgumentsAreChecked => Within(layout::arguments),
        Check::UnknownCommandsAreRefused => Within(layout::unknown_commands),
        Check::EveryCallInThreeStates => Within(table::three_states),
        Check::EveryCallInUpdated => Spans { leave: table::leave, find: table::updated },
        Check::InstanceNeedsNoPrivilege => Within(kexecfs::mounting::needs_no_privilege),
        Check::InstanceStandsInNoMountinfo => Within(kexecfs::mounting::stands_in_no_mountinfo),
        Check::ServicesSeeTheirOwn => Within(kexecfs::mounting::services_see_their_own),
        Check::InstanceEndsWithItsLastDescriptor => Within(kexecfs::lifetime::ends_with_its_last_descriptor),
        Check::InstanceEndsWithItsKilledHolder => Within(kexecfs::lifetime::ends_with_its_killed_holder),
        Check::InstanceEndsWithItsUmount => Within(kexecfs::lifetime::ends_with_its_umount),
        Check::InstanceForgetsWhatItRegistered => Within(kexecfs::lifetime::forgets_what_it_registered),
        Check::LinkIntoInstanceIsRefused => Within(kexecfs::link::is_refused),
        Check::SysfsControlsNothing => Within(sysfs::controls_nothing),
        Check::InstanceIsNoSysfs => Within(kexecfs::special::is_no_sysfs),
        Check::ControlTakesEveryIoctl => Within(kexecfs::control::takes_every_ioctl),
        Check::ControlAnswersAsTheDevice => Within(kexecfs::control::answers_as_the_device),
        Check::ControlIsDelegated => Within(kexecfs::control::is_delegated),
        Check::StateIsAFileOfWords => Within(kexecfs::state::is_a_file_of_words),
        Check::PreserveFdTakesNumbers => Within(kexecfs::state::preserves_by_number),
        Check::InstanceIsFixedByPrepareAndFreeze => Within(kexecfs::fixed::by_prepare_and_freeze),
        Check::FilesCrossAsTheyWere => Spans { leave: kexecfs::through::leave, find: kexecfs::through::find },
        Check::ThousandFilesCross => Spans { leave: kexecfs::through::leave_many, find: kexecfs::through::find_many },
        Check::HugePagesStayInPlace => Spans { leave: kexecfs::huge::leave, find: kexecfs::huge::find },
        Check::ControlDrivesAnUpdate => {
            Spans { leave: kexecfs::cycle::leave_by_control, find: kexecfs::cycle::find_by_control }
        }
        Check::UnclaimedInstanceIsFreed => {
            Spans { leave: kexecfs::cycle::leave_unclaimed, find: kexecfs::cycle::find_it_freed }
        }
        Check::InstanceIsFoundByOwnerAndName => {
            Spans { leave: kexecfs::found::leave_by_the_dead, find: kexecfs::found::find_by_the_next }
        }
        Check::FailedRetrievalIsTriedAgain => Spans { leave: kexecfs::retried::leave, find: kexecfs::retried::find },
        Check::BoundServiceFindsItsState => {
            Spans { leave: kexecfs::service::leave_bound, find: kexecfs::service::find_bound }
        }
        Check::ServicesFindTheirOwn => {
            Spans { leave: kexecfs::service::leave_several, find: kexecfs::service::find_several }
        }
        Check::InstanceReachesGenerationTwo => {
            Spans { leave: kexecfs::generations::leave_first, find: kexecfs::generations::find_first }
        }
        Check::InstanceReachesGenerationThree => {
            Spans { leave: kexecfs::generations::leave_second, find: kexecfs::generations::find_second }
        }
        Check::CostFewSmallPages => Spans { leave: cost::pages::leave_few_small, find: cost::pages::find_few },
        Check::CostFewHugePages => Spans { leave: cost::pages::leave_few_huge, find: cost::pages::find_few },
        Check::CostManySmallPages => Spans { leave: cost::pages::leave_many_small, find: cost::pages::find_many },
        Check::CostManyHugePages => Spans { leave: cost::pages::leave_many_huge, find: cost::pages::find_many },
        Check::CostTenObjects => Spans { leave: cost::objects::leave_ten, find: cost::objects::find },
        Check::CostHundredObjects => Spans { leave: cost::objects::leave_hundred, find: cost::objects::find },
        Check::CostThousandObjects => Spans { leave: cost::objects::leave_thousand, find: cost::objects::find },
        Check::CostTenThousandObjects => Spans { leave: cost::objects::leave_ten_thousand, find: cost::objects::find },
        Check::NeedsComeFirst => Within(order::needs_come_first),
        Check::ACircleIsRefused => Within(order::a_circle_is_refused),
        Check::AMissingNeedFailsPrepare => Within(order::a_missing_need_fails_prepare),
        Check::AFileSetNeedsItsEventfd => Spans { leave: order::leave_set, find: order::find_set },
        Check::AFailedPrepareUnwinds => Within(unwind::a_failed_prepare_unwinds),
        Check::AFailedFreezeUnwinds => Within(unwind::a_failed_freeze_unwinds),
        Check::EveryFailedStepUnwinds => Within(unwind::every_failed_step_unwinds),
        Check::TheStateIsToldEverywhere => Within(subsystem::the_state_is_told_everywhere),
        Check::SubsystemsRegisterOnce => Within(subsystem::subsystems_register_once),
        Check::SubsystemsAreFixedWhilePrepared => Within(subsystem::subsystems_are_fixed_while_prepared),
        Check::AThousandSubsystems => Within(subsystem::a_thousand_subsystems),
        Check::SubsystemsRace => Within(subsystem::subsystems_race),
        Check::AModuleInUseStays => Within(subsystem::a_module_in_use_stays),
        Check::SubsystemDataCrosses => Spans { leave: handover::leave_data, find: handover::find_data },
        Check::ARestartFreezes => Spans { leave: handover::leave_unfrozen, find: handover::find_unfrozen },
        Check::AMemfdMustBeAskedFor => Within(memfd::a_memfd_must_be_asked_for),
        Check::AMemfdCrosses => Spans { leave: memfd::leave, find: memfd::find },
        Check::EventfdsCross => Spans { leave: eventfd::leave, find: eventfd::find },
        Check::AFailedFreezeStopsTheKexec => Spans { leave: veto::leave, find: veto::find },
        Check::WithoutAVetoNothingIsHandedOver => Spans { leave: fallback::leave, find: fallback::find },
        Check::ARefusalSaysWhy => Spans { leave: reason::leave, find: reason::find },
        Check::AnEmptyRootIsFreed => Spans { leave: root::leave_empty, find: root::find_freed },
        Check::ACancelledRootIsFreed => Spans { leave: root::leave_cancelled, find: root::find_freed },
        Check::AnUnreadRootIsDropped => Spans { leave: root::leave_empty, find: root::find_gone },
        Check::ARootOutgrowsItsPage => Spans { leave: growth::leave, find: growth::find },
        Check::ADamagedBodyIsReleased => Spans { leave: refusal::leave_body, find: refusal::find_body },
        Check::ADamagedRootIsGivenUp => Spans { leave: refusal::leave_root, find: refusal::find_root },
        Check::ADamagedRootHasADouble => Spans { leave: refusal::leave_first_root, find: refusal::find_first_root },
        Check::AnUnknownVersionIsReleasedOnRequest => {
            Spans { leave: refusal::leave_version, find: refusal::find_version }
        }
        Check::AnUnknownFramingIsLeftAlone => Spans { leave: refusal::leave_framing, find: refusal::find_framing },
        Check::AMistakenSessionIsRefusedAlone => Spans { leave: damage::leave_mistaken, find: damage::find_mistaken },
        Check::AForgedBodyDoesNoHarm => Spans { leave: damage::leave_forged_body, find: damage::find_forged },
        Check::AForgedRootDoesNoHarm => Spans { leave: damage::leave_forged_root, find: damage::find_forged },
        Check::AMissingHandlerIsNoPanic => {
            Spans { leave: damage::leave_without_handler, find: damage::find_without_handler }
        }
        Check::AnUnknownKindIsNoPanic => Spans { leave: damage::leave_without_kind, find: damage::find_without_kind },
    }
}

/// Carries out the one order on standard input and answers on standard output.
pub(crate) fn run() -> ! {
    let (mut decoder, mut found) = (Decoder::default(), VecDeque::<Frame<Request>>::new());
    while found.is_empty() {
        if !matches!(frames::read_some(stdin(), &mut decoder, &mut found), Ok(1..)) {
            std::process::exit(1);
        }
    }
    let Some(Request::Check(order)) = found.pop_front().map(|frame| frame.message) else { std::process::exit(1) };
    let from = now();
    let mut context = Context::new(order.interface, order.dice);
    let verdict = carry_out(&mut context, &order).unwrap_or_else(Verdict::from);
    let stays = matches!(verdict, Verdict::Left { stays: true, .. });
    let figures = context.take_figures();
    let reply = Reply::Checked { verdict, figures, span: Span { from, to: now() } };
    let _ = frames::write_all(stdout(), &frames::encode_reply(0, 1, &reply));
    // Whoever stays does so until the kexec, with all that it has open.
    while stays && matches!(frames::read_some(stdin(), &mut decoder, &mut found), Ok(1..)) {}
    drop(context);
    std::process::exit(0)
}

fn carry_out(context: &mut Context, order: &Order) -> Result<Verdict, Finding> {
    privilege::own_mounts()?;
    match (body(order.check), &order.part) {
        (Body::Within(check), Part::Within) => check(context).map(|()| Verdict::Held),
        (Body::Spans { leave, .. }, Part::Leave) => {
            leave(context).map(|notes| Verdict::Left { notes, stays: context.stays() })
        }
        (Body::Spans { find, .. }, Part::Find { notes }) => find(context, notes).map(|()| Verdict::Held),
        (_, part) => Err(Finding::new(
            format!("an order that {} can carry out", order.check),
            format!("{part:?}, and its shape is {:?}", order.check.shape()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use protocol::check::Shape;

    use super::*;

    #[test]
    fn bodies_have_the_shapes_that_the_list_says() {
        for &check in Check::ALL {
            let within = matches!(body(check), Body::Within(_));
            assert_eq!(within, check.shape() == Shape::Within, "{check}");
        }
    }
}
