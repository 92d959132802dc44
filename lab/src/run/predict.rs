//! What two kernels' sources let expect of a live update from one into the other.
//!
//! Only strings are looked at by which a kernel recognises what another left, and whether it has the thing at all: where
//! reality differs, a format has changed and its string has not.

use protocol::message::Interface;

use crate::result::{HopOutcome, KernelFacts, Prediction};

/// Whether a kernel can hand something over by this interface; if not, what it lacks.
///
/// # Errors
/// What it lacks.
pub fn can_hand_over(kernel: &KernelFacts, by: Interface) -> Result<(), String> {
    let lacks = |what: &str| Err(format!("{} has no {what}", kernel.requested));
    match by {
        _ if kernel.abi.kho.is_none() => lacks("Kexec HandOver"),
        Interface::Luo if kernel.abi.luo.is_none() => lacks("orchestrator"),
        Interface::Module | Interface::Kexecfs if kernel.module_sha256.is_none() => lacks("Rust, and so no module"),
        Interface::Kho if kernel.test_kho_sha256.is_none() => lacks("client of plain Kexec HandOver"),
        Interface::Luo | Interface::Module | Interface::Kexecfs | Interface::Kho => Ok(()),
    }
}

/// What is to be expected; `None` if the first kernel cannot hand anything over by this interface.
#[must_use]
pub fn predict(from: &KernelFacts, to: &KernelFacts, by: Interface) -> Option<Prediction> {
    can_hand_over(from, by).ok()?;
    let (old, new) = (&from.abi, &to.abi);
    let differ = |what: &str, old: &Option<String>, new: &Option<String>, outcome| {
        let (old, new) = (old.as_deref()?, new.as_deref()?);
        (old != new).then(|| Prediction { outcome, why: format!("{what}: {old} → {new}") })
    };
    if new.kho.is_none() {
        let why = format!("{} has no Kexec HandOver", to.requested);
        return Some(Prediction { outcome: HopOutcome::LostSilently, why });
    }
    // The orchestrator in the tree hands over its own state whatever else is, and is what dies of another's.
    let at_boot = differ("KHO", &old.kho, &new.kho, HopOutcome::Refused)
        .or_else(|| differ("LUO", &old.luo, &new.luo, HopOutcome::Panicked))
        .or_else(|| differ("LUO sessions", &old.session, &new.session, HopOutcome::Panicked));
    if at_boot.is_some() {
        return at_boot;
    }
    if let Err(why) = can_hand_over(to, by) {
        return Some(Prediction { outcome: HopOutcome::Ignored, why });
    }
    if by == Interface::Luo
        && let Some(unopenable) = differ("memfd", &old.memfd, &new.memfd, HopOutcome::Unopenable)
    {
        return Some(unopenable);
    }
    let of_files = if by == Interface::Luo { [&new.luo, &new.memfd] } else { [&None, &None] };
    let same: Vec<&str> = [&new.kho].into_iter().chain(of_files).flatten().map(String::as_str).collect();
    Some(Prediction { outcome: HopOutcome::Preserved, why: format!("both say {}", same.join(", ")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Abi;
    use crate::result::Profile;

    fn kernel(name: &str, kho: &str, luo: &str, memfd: &str) -> KernelFacts {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        KernelFacts {
            requested: name.to_owned(),
            release: name.to_owned(),
            version: String::new(),
            profile: Profile::Fast,
            origin: String::new(),
            source_sha256: String::new(),
            patches: Vec::new(),
            image_sha256: String::new(),
            config_sha256: String::new(),
            compiler: String::new(),
            rustc: None,
            module_sha256: (name >= "6.19").then(String::new),
            test_kho_sha256: some(kho),
            initramfs_sha256: String::new(),
            abi: Abi { kho: some(kho), luo: some(luo), memfd: some(memfd), ..Abi::default() },
        }
    }

    /// The versions as they are.
    fn series() -> [KernelFacts; 6] {
        [
            kernel("6.17", "kho-v1", "", ""),
            kernel("6.18", "kho-v1", "", ""),
            kernel("6.19", "kho-v1", "luo-v1", "memfd-v1"),
            kernel("7.1", "kho-v3", "luo-v1", "memfd-v2"),
            kernel("7.2", "kho-v4", "luo-v5", "memfd-v2"),
            kernel("7.3", "kho-v4", "luo-v5", "memfd-v2"),
        ]
    }

    fn of(from: &str, to: &str, by: Interface) -> Option<HopOutcome> {
        let series = series();
        let find = |name: &str| series.iter().find(|kernel| kernel.requested == name).unwrap();
        predict(find(from), find(to), by).map(|predicted| predicted.outcome)
    }

    #[test]
    fn the_first_string_that_differs_decides() {
        use HopOutcome::{Ignored, Preserved, Refused};
        for (from, to, by, expected) in [
            ("7.3", "7.2", Interface::Luo, Some(Preserved)),
            ("7.2", "7.3", Interface::Kexecfs, Some(Preserved)),
            ("7.3", "7.1", Interface::Module, Some(Refused)),
            ("7.1", "6.17", Interface::Kho, Some(Refused)),
            ("6.19", "6.18", Interface::Luo, Some(Ignored)),
            ("6.19", "6.18", Interface::Module, Some(Ignored)),
            ("6.19", "6.18", Interface::Kho, Some(Preserved)),
            // The string is the same. The format is not, and no string tells.
            ("6.17", "6.18", Interface::Kho, Some(Preserved)),
            ("6.18", "6.19", Interface::Luo, None),
            ("6.17", "6.17", Interface::Module, None),
        ] {
            assert_eq!(of(from, to, by), expected, "{from} → {to} by {}", by.name());
        }
    }

    #[test]
    fn skews_come_to_what_they_are_made_for() {
        use HopOutcome::{LostSilently, Panicked, Preserved, Unopenable};
        let now = kernel("7.3", "kho-v4", "luo-v5", "memfd-v2");
        let luo = kernel("7.3-luo", "kho-v4", "luo-v6", "memfd-v2");
        let memfd = kernel("7.3-memfd", "kho-v4", "luo-v5", "memfd-v3");
        let none = kernel("7.3-none", "", "", "");
        for (to, by, expected) in [
            (&luo, Interface::Luo, Panicked),
            (&luo, Interface::Module, Panicked),
            (&memfd, Interface::Luo, Unopenable),
            (&memfd, Interface::Module, Preserved),
            (&none, Interface::Luo, LostSilently),
        ] {
            let predicted = predict(&now, to, by).unwrap();
            assert_eq!(predicted.outcome, expected, "{}: {}", to.requested, predicted.why);
        }
        assert_eq!(predict(&now, &luo, Interface::Luo).unwrap().why, "LUO: luo-v5 → luo-v6");
    }
}
