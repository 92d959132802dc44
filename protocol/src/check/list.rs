//! The list itself.

use serde::{Deserialize, Serialize};

use super::define::{Shape, checks};
use crate::message::Interface;

const MODULE: &[Interface] = &[Interface::Module];
/// Both faces of the module.
const FACES: &[Interface] = &[Interface::Module, Interface::Kexecfs];
const LUO: &[Interface] = &[Interface::Luo];
const KEXECFS: &[Interface] = &[Interface::Kexecfs];
const KHO: &[Interface] = &[Interface::Kho];
const ALL: &[Interface] = Interface::ALL;

// A line a check, grouped by the agent's files: `Variant = "name", Shape, faces;`
checks! {
    // guest-agent/src/checks/sight.rs
    /// Says what is not so, to prove that this is seen.
    SaysWhatIsNotSo = "says-what-is-not-so", Within, ALL;
    /// Never comes to an end, to prove that this is seen.
    NeverEnds = "never-ends", Within, ALL;
    /// Dies before it has said anything, to prove that this is seen.
    DiesMidway = "dies-midway", Within, ALL;
    /// Lacks something that no kernel has, to prove that this is no pass.
    DoesNotApply = "does-not-apply", Within, ALL;
    /// Finds other notes than it left, to prove that this is seen.
    FindsWhatWasNotLeft = "finds-what-was-not-left", Drives, ALL;

    // guest-agent/src/checks/state.rs
    /// Before anybody has done anything the state is NORMAL.
    StateIsNormalAtStart = "state-is-normal-at-start", Within, MODULE;
    /// The device lets nobody in without CAP_SYS_ADMIN.
    DeviceNeedsAPrivilege = "device-needs-a-privilege", Within, MODULE;

    // guest-agent/src/checks/close.rs
    /// What a closed device had registered is free to be registered by another one.
    CloseBeforePrepareForgets = "close-before-prepare-forgets", Within, MODULE;
    /// The same of a holder that is killed.
    CrashBeforePrepareForgets = "crash-before-prepare-forgets", Within, MODULE;

    // guest-agent/src/checks/crossing.rs
    /// What a holder preserved is the next kernel's, under the token and with the bytes that it had.
    MemoryCrosses = "memory-crosses", Spans, MODULE;

    // guest-agent/src/checks/plain.rs
    /// What the kernel's own test of Kexec HandOver hands over is the next kernel's, and sums up to the same.
    PlainPayloadCrosses = "plain-payload-crosses", Drives, KHO;

    // guest-agent/src/checks/state.rs
    /// Many may have the device open, and O_EXCL is refused.
    DeviceIsNotExclusive = "device-is-not-exclusive", Within, MODULE;

    // guest-agent/src/checks/carried.rs
    /// What is closed or killed before PREPARE is forgotten.
    GoneBeforePrepare = "gone-before-prepare", Within, FACES;
    /// What is closed or killed in PREPARED or FROZEN is carried over the kexec without its holder.
    ClosedInAnUpdateIsCarriedOver = "closed-in-an-update-is-carried-over", Drives, FACES;
    /// The same is forgotten when the update is called off.
    CancelThenForgets = "cancel-then-forgets", Within, FACES;
    /// In UPDATED a closed holder's registrations are forgotten, and what waits to be restored is not.
    CloseInUpdated = "close-in-updated", Spans, FACES;

    // guest-agent/src/checks/unclaimed.rs
    /// FINISH frees, to the page, what nobody restored, and nothing else.
    FinishFreesTheUnclaimed = "finish-frees-the-unclaimed", Drives, FACES;
    /// What nobody restored is there again two kernels later.
    UnclaimedIsKept = "unclaimed-is-kept", Spans, FACES;
    /// Without FINISH the next kernel gets what this one did not restore, and nothing of what it did.
    RestOfTheUnclaimedIsKept = "rest-of-the-unclaimed-is-kept", Spans, FACES;
    /// For the former: restores one of the files, and no more.
    TakeAPartOfTheUnclaimed = "take-a-part-of-the-unclaimed", Within, FACES;
    /// Or is not, if that was chosen.
    UnclaimedIsDropped = "unclaimed-is-dropped", Spans, FACES;
    /// Chooses so, in the kernel between.
    ChooseToDropTheUnclaimed = "choose-to-drop-the-unclaimed", Within, FACES;
    /// Each update makes the generation one more.
    GenerationCounts = "generation-counts", Spans, FACES;

    // guest-agent/src/checks/restore.rs
    /// A restore that fails, at whatever step, says so and can be made again.
    FailedRestoreCanBeRetried = "failed-restore-can-be-retried", Spans, FACES;

    // guest-agent/src/checks/leak.rs
    /// Registering and taking it back, in vain or not, costs no memory.
    UnpreserveLeaksNothing = "unpreserve-leaks-nothing", Within, FACES;
    /// PREPARE and FREEZE that fail, at whatever step, cost no memory and leave NORMAL.
    FailedUpdateLeaksNothing = "failed-update-leaks-nothing", Within, FACES;

    // guest-agent/src/checks/luo/
    /// What a session preserves is let go when the session is closed or its holder killed: neither may end before the
    /// kexec.
    LuoClosedSessionForgets = "luo-closed-session-forgets", Within, LUO;
    /// Preserving and closing costs no memory, nor does a refusal.
    LuoClosedSessionLeaksNothing = "luo-closed-session-leaks-nothing", Within, LUO;
    /// FINISH gives back the pages of what was not retrieved.
    LuoFinishFreesTheUnclaimed = "luo-finish-frees-the-unclaimed", Spans, LUO;
    /// A retrieval that fails within the file's handler fails for good, and its pages are lost until the next boot.
    LuoFailedRetrievalIsFinal = "luo-failed-retrieval-is-final", Spans, LUO;
    /// A broker holds the device alone; services without privileges use the session files that it sends them.
    LuoSessionsAreHandedOut = "luo-sessions-are-handed-out", Spans, LUO;
    /// Sizes come first, what is not known must be zero, and files are signed.
    LuoArgumentsAreChecked = "luo-arguments-are-checked", Within, LUO;
    /// While a memfd is preserved its size and holes are fixed, its contents are not; afterwards, and where that was
    /// refused, nothing is.
    LuoLayoutIsFixed = "luo-layout-is-fixed", Within, LUO;
    /// Whatever is no memfd is refused, a file with a name on a tmpfs too.
    LuoPreservesOnlyMemfds = "luo-preserves-only-memfds", Within, LUO;
    /// The device has one opener at a time, also when processors race for it.
    LuoDeviceIsExclusive = "luo-device-is-exclusive", Within, LUO;
    /// Holes, reserved pages, huge pages, and what is written after PRESERVE_FD, though memory is moved about meanwhile.
    LuoContentsCross = "luo-contents-cross", Spans, LUO;
    /// Size, position, mode and seals, each of which holds; name and times are known to be lost.
    LuoMetadataCrosses = "luo-metadata-crosses", Spans, LUO;
    /// Names and tokens that begin alike, end alike or are as long as they may be each lead to their own.
    LuoNamesAndTokensAreExact = "luo-names-and-tokens-are-exact", Spans, LUO;
    /// Exactly as many sessions and files as blocks hold, made, refused and closed around that number.
    LuoFullBlocksCross = "luo-full-blocks-cross", Drives, LUO;
    /// More than a thousand sessions, and a thousand files in one.
    LuoManyBlocksCross = "luo-many-blocks-cross", Drives, LUO;
    /// Retrieved, finished, dropped or given up: memory comes back to less than a page a file.
    LuoMemoryComesBack = "luo-memory-comes-back", Drives, LUO;
    /// More than half of the machine's memory at once.
    LuoMostOfMemoryCrosses = "luo-most-of-memory-crosses", Spans, LUO;
    /// Processes and threads that make, fill and close sessions at once.
    LuoCrowdCrosses = "luo-crowd-crosses", Spans, LUO;
    /// What a file costs to preserve, give up and retrieve grows as it does.
    LuoCostIsLinear = "luo-cost-is-linear", Drives, LUO;
    /// What is finished and preserved again in the next kernel is under its new name alone.
    LuoFirstGeneration = "luo-first-generation", Drives, LUO;
    /// What came, changed and preserved again, with more.
    LuoSecondGeneration = "luo-second-generation", Drives, LUO;
    /// And once more.
    LuoThirdGeneration = "luo-third-generation", Drives, LUO;
    /// A name that is refused while the last block is full does the next kernel no harm. (7.3.4 panics.)
    LuoRefusedNameIsNoHarm = "luo-refused-name-is-no-harm", Drives, LUO;
    /// A memfd that only must not be executed comes back sealed against writing, and one that is sealed after PRESERVE_FD
    /// without those seals.
    LuoSealsAreMistaken = "luo-seals-are-mistaken", Drives, LUO;
    /// There is nothing in /sys that could be written to.
    LuoSysfsControlsNothing = "luo-sysfs-controls-nothing", Within, LUO;

    // guest-agent/src/checks/unload.rs
    /// The module goes when it is in NORMAL and nothing of it is open, and not otherwise.
    UnloadedOnlyInNormal = "unloaded-only-in-normal", Within, FACES;
    /// After an update it stays until FINISH, and does not take the same description twice.
    StaysLoadedUntilFinish = "stays-loaded-until-finish", Drives, FACES;

    // guest-agent/src/checks/observe.rs
    /// Poll on the state in /sys, debugfs and the trace show each change.
    ChangesAreShown = "changes-are-shown", Within, FACES;

    // guest-agent/src/checks/kexecfs/calls.rs
    /// Files of an instance take splice, sendfile, copies, appends, holes and syncs, and its size is a limit.
    FilesTakeTheUsualCalls = "files-take-the-usual-calls", Within, KEXECFS;

    // guest-agent/src/checks/off.rs
    /// With kho=off the log says so, PREPARE and CANCEL are refused with EOPNOTSUPP, and the rest works.
    HandoverIsToldToBeOff = "handover-is-told-to-be-off", Within, FACES;

    // guest-agent/src/checks/domain.rs
    /// Processes without privileges keep files through sessions that they were given, each its own alone.
    SessionsServeTheUnprivileged = "sessions-serve-the-unprivileged", Spans, FACES;
    /// Tokens are 64 random bits.
    TokensAreRandom = "tokens-are-random", Within, FACES;
    /// A session file works in other namespaces, where there is no device.
    SessionsWorkElsewhere = "sessions-work-elsewhere", Spans, FACES;

    // guest-agent/src/checks/agent.rs
    /// An agent hands out sessions before and after the update, or vets each file itself; holders may crash.
    AgentHandsOutSessions = "agent-hands-out-sessions", Spans, FACES;

    // guest-agent/src/checks/broker.rs
    /// One process that has the machine decides for all others what they may have.
    BrokerServesAll = "broker-serves-all", Spans, FACES;

    // guest-agent/src/checks/layout.rs
    /// Every ioctl takes arguments that are longer or shorter as it should, and refuses those that are wrong.
    ArgumentsAreChecked = "arguments-are-checked", Within, FACES;
    /// Commands that are in no header are refused.
    UnknownCommandsAreRefused = "unknown-commands-are-refused", Within, FACES;

    // guest-agent/src/checks/table.rs
    /// Each call does in NORMAL, PREPARED and FROZEN what the table says.
    EveryCallInThreeStates = "every-call-in-three-states", Within, FACES;
    /// And in UPDATED.
    EveryCallInUpdated = "every-call-in-updated", Drives, FACES;
    // guest-agent/src/checks/kexecfs/mounting.rs
    /// An instance needs no privilege, no /dev, and gives no power over the machine.
    InstanceNeedsNoPrivilege = "instance-needs-no-privilege", Within, KEXECFS;
    /// An instance that is attached nowhere stands in no process's mountinfo.
    InstanceStandsInNoMountinfo = "instance-stands-in-no-mountinfo", Within, KEXECFS;
    /// Services of several users see their own instance alone, and the same machine.
    ServicesSeeTheirOwn = "services-see-their-own", Within, KEXECFS;

    // guest-agent/src/checks/kexecfs/lifetime.rs
    /// The last descriptor's close ends an instance, its memory counted.
    InstanceEndsWithItsLastDescriptor = "instance-ends-with-its-last-descriptor", Within, KEXECFS;
    /// A killed holder's instance ends too, during an update once that is cancelled.
    InstanceEndsWithItsKilledHolder = "instance-ends-with-its-killed-holder", Within, KEXECFS;
    /// Umount ends an instance, with an open file the lazy one when that is closed.
    InstanceEndsWithItsUmount = "instance-ends-with-its-umount", Within, KEXECFS;
    /// What was registered through an instance is forgotten with it.
    InstanceForgetsWhatItRegistered = "instance-forgets-what-it-registered", Within, KEXECFS;

    // guest-agent/src/checks/kexecfs/link.rs
    /// No descriptor can be linked into an instance.
    LinkIntoInstanceIsRefused = "link-into-instance-is-refused", Within, KEXECFS;

    // guest-agent/src/checks/sysfs.rs, kexecfs/special.rs
    /// What the module has in /sys tells the state and moves nothing.
    SysfsControlsNothing = "sysfs-controls-nothing", Within, FACES;
    /// The controls lie in a file system of its own type.
    InstanceIsNoSysfs = "instance-is-no-sysfs", Within, KEXECFS;

    // guest-agent/src/checks/kexecfs/control.rs
    /// `control` knows every ioctl that the device knows, and no other.
    ControlTakesEveryIoctl = "control-takes-every-ioctl", Within, KEXECFS;
    /// Both faces give the same answers, in every state.
    ControlAnswersAsTheDevice = "control-answers-as-the-device", Within, KEXECFS;
    /// A `control` has the power of who opened it.
    ControlIsDelegated = "control-is-delegated", Within, KEXECFS;

    // guest-agent/src/checks/kexecfs/state.rs
    /// `state` is read, written and polled in words.
    StateIsAFileOfWords = "state-is-a-file-of-words", Within, KEXECFS;
    /// `preserve_fd` takes numbers of its opener's files and gives tokens.
    PreserveFdTakesNumbers = "preserve-fd-takes-numbers", Within, KEXECFS;

    // guest-agent/src/checks/kexecfs/fixed.rs
    /// PREPARE fixes the layout of an instance, FREEZE its content, and CANCEL undoes both.
    InstanceIsFixedByPrepareAndFreeze = "instance-is-fixed-by-prepare-and-freeze", Within, KEXECFS;

    // guest-agent/src/checks/kexecfs/through.rs
    /// Files cross with bytes, holes, attributes and names.
    FilesCrossAsTheyWere = "files-cross-as-they-were", Spans, KEXECFS;
    /// A thousand files of one instance cross.
    ThousandFilesCross = "thousand-files-cross", Spans, KEXECFS;

    // guest-agent/src/checks/kexecfs/huge.rs
    /// Pages of 2 MiB stay where they are, in one piece.
    HugePagesStayInPlace = "huge-pages-stay-in-place", Spans, KEXECFS;

    // guest-agent/src/checks/kexecfs/cycle.rs
    /// A whole update is driven through `control`.
    ControlDrivesAnUpdate = "control-drives-an-update", Drives, KEXECFS;
    /// An instance that nobody asks for is freed by FINISH.
    UnclaimedInstanceIsFreed = "unclaimed-instance-is-freed", Drives, KEXECFS;

    // guest-agent/src/checks/kexecfs/found.rs
    /// An instance is its owner's, by name and key, though its holder died before the kexec.
    InstanceIsFoundByOwnerAndName = "instance-is-found-by-owner-and-name", Drives, KEXECFS;

    // guest-agent/src/checks/kexecfs/retried.rs
    /// A retrieval that failed at any step can be tried again, with nothing lost.
    FailedRetrievalIsTriedAgain = "failed-retrieval-is-tried-again", Spans, KEXECFS;

    // guest-agent/src/checks/kexecfs/service.rs
    /// A service finds its state in an instance that is bind-mounted into it.
    BoundServiceFindsItsState = "bound-service-finds-its-state", Spans, KEXECFS;
    /// Services with one name for theirs find their own each.
    ServicesFindTheirOwn = "services-find-their-own", Spans, KEXECFS;

    // guest-agent/src/checks/kexecfs/generations.rs
    /// An instance that no process holds crosses into a second kernel.
    InstanceReachesGenerationTwo = "instance-reaches-generation-two", Spans, KEXECFS;
    /// Changed there, it crosses into a third one.
    InstanceReachesGenerationThree = "instance-reaches-generation-three", Spans, KEXECFS;
    // guest-agent/src/checks/cost: what `cargo bench -p bench --bench interfaces` asks
    /// What 64 MiB in pages of 4 KiB cost to preserve and to retrieve, through each interface in turn.
    CostFewSmallPages = "cost-few-small-pages", Drives, MODULE;
    /// The same in pages of 2 MiB.
    CostFewHugePages = "cost-few-huge-pages", Drives, MODULE;
    /// The same of 1 GiB in pages of 4 KiB.
    CostManySmallPages = "cost-many-small-pages", Drives, MODULE;
    /// The same in pages of 2 MiB.
    CostManyHugePages = "cost-many-huge-pages", Drives, MODULE;
    /// What 10 files of a page cost in each step on their way.
    CostTenObjects = "cost-ten-objects", Drives, ALL;
    /// The same of 100.
    CostHundredObjects = "cost-hundred-objects", Drives, ALL;
    /// The same of 1,000.
    CostThousandObjects = "cost-thousand-objects", Drives, ALL;
    /// The same of 10,000.
    CostTenThousandObjects = "cost-ten-thousand-objects", Drives, ALL;

    // guest-agent/src/checks/order.rs
    /// What is needed is prepared and frozen first, and undone last.
    NeedsComeFirst = "needs-come-first", Within, FACES;
    /// Needs that lead back to where they began are refused, the way told.
    ACircleIsRefused = "a-circle-is-refused", Within, FACES;
    /// PREPARE fails when something that is needed is missing, and names it.
    AMissingNeedFailsPrepare = "a-missing-need-fails-prepare", Within, FACES;
    /// A set of files that needs its eventfd goes with it, and not without.
    AFileSetNeedsItsEventfd = "a-file-set-needs-its-eventfd", Spans, FACES;

    // guest-agent/src/checks/unwind.rs
    /// Wherever PREPARE fails, what was done is undone in reverse.
    AFailedPrepareUnwinds = "a-failed-prepare-unwinds", Within, FACES;
    /// Wherever FREEZE fails, everything is undone in reverse.
    AFailedFreezeUnwinds = "a-failed-freeze-unwinds", Within, FACES;
    /// The same for want of memory at each step of either, among files of all sorts.
    EveryFailedStepUnwinds = "every-failed-step-unwinds", Within, FACES;

    // guest-agent/src/checks/subsystem.rs
    /// Whoever tells the state tells the same, and wakes who waits for it to change.
    TheStateIsToldEverywhere = "the-state-is-told-everywhere", Within, FACES;
    /// A subsystem is registered and unregistered once.
    SubsystemsRegisterOnce = "subsystems-register-once", Within, FACES;
    /// No subsystem comes or goes while an update is prepared.
    SubsystemsAreFixedWhilePrepared = "subsystems-are-fixed-while-prepared", Within, FACES;
    /// A thousand subsystems take part in their order.
    AThousandSubsystems = "a-thousand-subsystems", Within, FACES;
    /// Registrations race with one another and with updates.
    SubsystemsRace = "subsystems-race", Within, FACES;
    /// A module whose subsystem is prepared cannot be unloaded.
    AModuleInUseStays = "a-module-in-use-stays", Within, FACES;

    // guest-agent/src/checks/handover.rs
    /// A number under a name is the next kernel's; who left none has none.
    SubsystemDataCrosses = "subsystem-data-crosses", Drives, FACES;
    /// A restart in PREPARED freezes first.
    ARestartFreezes = "a-restart-freezes", Drives, FACES;

    // guest-agent/src/checks/memfd.rs
    /// A memfd is preserved on demand alone, and its layout is fixed meanwhile.
    AMemfdMustBeAskedFor = "a-memfd-must-be-asked-for", Within, FACES;
    /// A memfd comes back on its pages, with size, position and seals.
    AMemfdCrosses = "a-memfd-crosses", Drives, FACES;

    // guest-agent/src/checks/stays.rs
    /// What came back is whole, counted and open as it was, stays so when caches are dropped, and is given back whole.
    WhatCameBackStays = "what-came-back-stays", Spans, FACES;

    // guest-agent/src/checks/eventfd.rs
    /// An eventfd comes back with count and flags, and wakes who waits.
    EventfdsCross = "eventfds-cross", Spans, FACES;

    // guest-agent/src/checks/veto.rs
    /// A kexec whose FREEZE fails is called off, and the next one goes through.
    AFailedFreezeStopsTheKexec = "a-failed-freeze-stops-the-kexec", Drives, FACES;

    // guest-agent/src/checks/fallback.rs
    /// Where a kexec cannot be called off and FREEZE fails, the next kernel is left nothing.
    WithoutAVetoNothingIsHandedOver = "without-a-veto-nothing-is-handed-over", Drives, FACES;

    // guest-agent/src/checks/reason.rs
    /// What is refused is told in words, of that call and no earlier one.
    ARefusalSaysWhy = "a-refusal-says-why", Drives, FACES;

    // guest-agent/src/checks/root.rs
    /// What a kernel with nothing to hand over has published is freed by the next one, to the page and without a word.
    AnEmptyRootIsFreed = "an-empty-root-is-freed", Drives, FACES;
    /// The same after an update that was called off.
    ACancelledRootIsFreed = "a-cancelled-root-is-freed", Drives, FACES;
    /// A kernel that does not look for it passes it on to none.
    AnUnreadRootIsDropped = "an-unread-root-is-dropped", Drives, FACES;

    // guest-agent/src/checks/growth.rs
    /// A description in more pieces than a page can name is prepared, cancelled, prepared again and found.
    ARootOutgrowsItsPage = "a-root-outgrows-its-page", Drives, FACES;

    // guest-agent/src/checks/refusal.rs
    /// A description with other bits in its body is refused, and the pages of what is not hit are freed, to the page.
    ADamagedBodyIsReleased = "a-damaged-body-is-released", Drives, FACES;
    /// One whose root and double are both damaged is refused, and said to be.
    ADamagedRootIsGivenUp = "a-damaged-root-is-given-up", Drives, FACES;
    /// One whose root alone is damaged is restored by its double.
    ADamagedRootHasADouble = "a-damaged-root-has-a-double", Drives, FACES;
    /// A description of another version is named and left alone; its pages are freed if that is asked for.
    AnUnknownVersionIsReleasedOnRequest = "an-unknown-version-is-released-on-request", Drives, FACES;
    /// One of another framing, which cannot be read at all, is named and left alone.
    AnUnknownFramingIsLeftAlone = "an-unknown-framing-is-left-alone", Drives, FACES;

    // guest-agent/src/checks/damage.rs
    /// A session that contradicts itself is refused, and nothing else.
    AMistakenSessionIsRefusedAlone = "a-mistaken-session-is-refused-alone", Drives, FACES;
    /// Wrong bits under a right checksum in the body do no harm.
    AForgedBodyDoesNoHarm = "a-forged-body-does-no-harm", Drives, FACES;
    /// The same of the root.
    AForgedRootDoesNoHarm = "a-forged-root-does-no-harm", Drives, FACES;
    /// A file for which there is no handler is refused and freed.
    AMissingHandlerIsNoPanic = "a-missing-handler-is-no-panic", Drives, FACES;
    /// Objects of an unknown kind are passed over and freed.
    AnUnknownKindIsNoPanic = "an-unknown-kind-is-no-panic", Drives, FACES;
    // guest-agent/src/checks/model/
    /// Random sequences of operations: each is refused, or not, as the documented table and a model of who
    /// owns what say.
    Model = "model", Within, FACES;

    // guest-agent/src/checks/fuzz/
    /// Garbage for every ioctl, mount option and control file: refused, and the machine works as before.
    FuzzIoctl = "fuzz-ioctl", Within, FACES;
    /// The same for what the previous kernel left: nobody gets it by chance, and it is there in the end.
    FuzzRestore = "fuzz-restore", Spans, FACES;

    // guest-agent/src/checks/hammer/
    /// Several processes at once, some of them killed: the books are right afterwards, and no memory is missing.
    Hammer = "hammer", Within, FACES;

    // guest-agent/src/checks/pressure.rs
    /// Without memory PREPARE says so and the machine stays NORMAL.
    PrepareUnderPressure = "prepare-under-pressure", Within, FACES;
    /// Without memory a restore may fail; with memory again it works, and nothing is lost.
    RestoreUnderPressure = "restore-under-pressure", Spans, FACES;

    // guest-agent/src/checks/kunit.rs
    /// The module's tests within the kernel ran when it was loaded, and all passed.
    ModuleTestsPass = "module-tests-pass", Within, MODULE;
}

impl Check {
    /// Whether a step may say its seed and its rounds.
    #[must_use]
    pub const fn throws_dice(self) -> bool {
        matches!(self, Self::Model | Self::FuzzIoctl | Self::FuzzRestore | Self::Hammer)
    }

    /// Whether it goes wrong on purpose: what a `must-fail` scenario is made of.
    #[must_use]
    pub const fn is_wrong_on_purpose(self) -> bool {
        matches!(self, Self::SaysWhatIsNotSo | Self::NeverEnds | Self::DiesMidway | Self::FindsWhatWasNotLeft)
    }
}
