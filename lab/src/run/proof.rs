//! Whether a live update happened.
//!
//! A green run must not be possible without one: the new kernel says that it came by Kexec HandOver, from
//! the release that ran before, with the count one higher; the one that runs is the one that was loaded;
//! and it is another boot. Kernels before 7.1 are told neither release nor count.

use protocol::message::BootFacts;

use crate::kernel::{Series, Version};
use crate::result::{Failure, FailureKind, KernelFacts, Proof};

/// Whether the running kernel is this very build, by its banner.
pub(crate) fn is_build(facts: &BootFacts, kernel: &KernelFacts) -> bool {
    facts.release == kernel.release && facts.version.split_whitespace().eq(kernel.version.split_whitespace())
}

/// The command line with a number that no earlier update had.
pub(crate) fn marked(command_line: &str) -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let number = RandomState::new().hash_one(std::time::Instant::now());
    format!("{command_line} lab.update={number:016x}")
}

/// Puts side by side what the two generations say. `command_line` is the one that this update alone was given.
pub(crate) fn gather(before: &BootFacts, after: &BootFacts, command_line: &str) -> Proof {
    let previous = after.handover.as_ref().and_then(|handover| handover.previous.as_ref());
    Proof {
        from_release: before.release.clone(),
        to_release: after.release.clone(),
        to_version: after.version.clone(),
        command_line_matches: after.command_line.trim() == command_line,
        from_boot_id: before.boot_id.clone(),
        to_boot_id: after.boot_id.clone(),
        said_handover: after.handover.is_some(),
        said_previous_release: previous.map(|previous| previous.release.clone()),
        kexec_count: previous.map(|previous| previous.count),
    }
}

/// Whether kernels of this release are told which one came before.
fn is_told_its_past(release: &str) -> bool {
    const FIRST: Series = Series { major: 7, minor: 1 };
    let numbers = release.split(|c: char| c != '.' && !c.is_ascii_digit()).next().unwrap_or_default();
    numbers.parse().map_or(true, |version: Version| version.series >= FIRST)
}

/// Decides. `hop` counts from one.
pub(crate) fn check(proof: &Proof, hop: u32, loaded: &KernelFacts) -> Result<(), Failure> {
    let mut missing = Vec::new();
    if proof.from_boot_id == proof.to_boot_id {
        missing.push(format!("the boot id is still {}", proof.to_boot_id));
    }
    if proof.to_release != loaded.release {
        missing.push(format!("{} runs, {} was loaded", proof.to_release, loaded.release));
    } else if !proof.to_version.split_whitespace().eq(loaded.version.split_whitespace()) {
        missing.push(format!("another build runs: {}", proof.to_version.trim()));
    }
    if !proof.command_line_matches {
        missing.push("the kernel has not the command line that it was loaded with".to_owned());
    }
    match (&proof.said_previous_release, proof.kexec_count) {
        (Some(said), _) if *said != proof.from_release => {
            missing.push(format!("the kernel says that it came from {said}, {} ran before", proof.from_release));
        }
        (Some(_), Some(count)) if count != hop => {
            missing.push(format!("the kernel counts {count} live updates, this is number {hop}"));
        }
        (Some(_), Some(_)) => {}
        _ if !proof.said_handover => missing.push("the kernel does not say that it came by Kexec HandOver".to_owned()),
        _ if is_told_its_past(&loaded.release) => missing.push("the kernel does not say where it came from".to_owned()),
        _ => {}
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("nothing proves that a live update happened: {}", missing.join("; "));
    Err(Failure::new(FailureKind::UpdateNotProven, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Abi;
    use crate::result::Profile;

    fn proof() -> Proof {
        Proof {
            from_release: "7.3.4".to_owned(),
            to_release: "7.2.13".to_owned(),
            to_version: "Linux version 7.2.13 (lab@b)\n".to_owned(),
            command_line_matches: true,
            from_boot_id: "a".to_owned(),
            to_boot_id: "b".to_owned(),
            said_handover: true,
            said_previous_release: Some("7.3.4".to_owned()),
            kexec_count: Some(2),
        }
    }

    fn loaded() -> KernelFacts {
        KernelFacts {
            requested: "7.2".to_owned(),
            release: "7.2.13".to_owned(),
            version: "Linux version 7.2.13 (lab@b)".to_owned(),
            profile: Profile::Fast,
            origin: String::new(),
            source_sha256: String::new(),
            patches: Vec::new(),
            image_sha256: String::new(),
            config_sha256: String::new(),
            compiler: String::new(),
            rustc: None,
            module_sha256: None,
            test_kho_sha256: None,
            initramfs_sha256: String::new(),
            abi: Abi::default(),
        }
    }

    #[test]
    fn the_whole_proof_passes_and_each_part_is_needed() {
        assert_eq!(check(&proof(), 2, &loaded()), Ok(()));
        let spoilt: [fn(&mut Proof); 9] = [
            |proof| proof.to_version = "Linux version 7.2.13 (lab@a)".to_owned(),
            |proof| proof.command_line_matches = false,
            |proof| proof.to_boot_id = "a".to_owned(),
            |proof| proof.to_release = "7.3.4".to_owned(),
            |proof| proof.said_previous_release = Some("7.2.13".to_owned()),
            |proof| proof.kexec_count = Some(1),
            |proof| proof.kexec_count = Some(3),
            |proof| (proof.said_previous_release, proof.kexec_count) = (None, None),
            |proof| {
                *proof = Proof { said_handover: false, said_previous_release: None, kexec_count: None, ..proof.clone() }
            },
        ];
        for spoil in spoilt {
            let mut broken = proof();
            spoil(&mut broken);
            let failure = check(&broken, 2, &loaded()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::UpdateNotProven, "{broken:?}");
        }
    }

    #[test]
    fn of_kernels_that_are_not_told_no_more_is_asked() {
        let release = "6.19.11".to_owned();
        let old = KernelFacts { release: release.clone(), version: "Linux version 6.19.11".to_owned(), ..loaded() };
        let mut proof = Proof {
            to_release: release,
            to_version: old.version.clone(),
            said_previous_release: None,
            kexec_count: None,
            ..proof()
        };
        assert_eq!(check(&proof, 1, &old), Ok(()));
        proof.said_handover = false;
        assert!(check(&proof, 1, &old).is_err());
    }

    #[test]
    fn only_old_releases_are_not_told() {
        assert!(["6.19", "6.19.11", "6.19.0-rc1+"].iter().all(|release| !is_told_its_past(release)));
        assert!(["7.1", "7.1.13-lab", "7.3.4", "7.10.1", "a tree"].iter().all(|release| is_told_its_past(release)));
    }
}
