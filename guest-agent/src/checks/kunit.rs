//! The module's own tests, which ran within the kernel when it was loaded.

use std::{fs, path::Path};

use rustix::{
    io::Errno,
    mount::{MountFlags, mount},
};

use super::context::{Context, Finding, holds, works};

/// Kernels with KUnit have this, whatever they test.
const BUILT_IN: &str = "/sys/module/kunit";
/// Seen by this process alone.
const DEBUGFS: &str = "/sys/kernel/debug";
/// What became of the module's suite, in KTAP.
const RESULTS: &str = "/sys/kernel/debug/kunit/liveupdate_lab/results";

/// Every test of the module's passed, and there are some.
pub(super) fn module_tests_pass(context: &mut Context) -> Result<(), Finding> {
    if !Path::new(BUILT_IN).exists() {
        return Err(Finding::lacks("the kernel is built without CONFIG_KUNIT=y: the debug and kasan profiles have it"));
    }
    // They run before the load returns.
    drop(context.device()?);
    match mount("debugfs", DEBUGFS, "debugfs", MountFlags::empty(), None) {
        Ok(()) | Err(Errno::BUSY) => {}
        Err(errno) => works("mount debugfs", Err(errno))?,
    }
    let results = fs::read_to_string(RESULTS)
        .map_err(|error| Finding::new(format!("{RESULTS} to tell how the module's tests went"), error.to_string()))?;
    let passed = judge(&results)?;
    eprintln!("module-tests-pass: {passed} passed");
    Ok(())
}

/// How many passed, if all did: as many as the plan says, each `ok`, not skipped, and the suite too.
fn judge(ktap: &str) -> Result<usize, Finding> {
    let lines = || ktap.lines().map(str::trim_start);
    if let Some(line) = lines().find(|line| line.starts_with("not ok ") || line.contains("# SKIP")) {
        return Err(Finding::new("every test within the module to pass", line));
    }
    let planned = lines().filter_map(|line| line.strip_prefix("1..")?.trim().parse::<usize>().ok()).next_back();
    let passed = |line: &&str| line.starts_with("ok ");
    // The last `ok` is the suite's.
    let came = lines().filter(passed).count().saturating_sub(1);
    let suite = lines().rfind(passed).is_some_and(|line| line.ends_with(" liveupdate_lab"));
    let whole = suite && came > 0 && planned == Some(came);
    let expected = "as many tests within the module to pass as it has, and the suite";
    holds(expected, whole, format!("{came} of {planned:?}, suite ok: {suite}"))?;
    Ok(came)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEN: &str = "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: liveupdate_lab\n    # speed: normal\n    \
                         1..2\n    # a.speed: normal\n    ok 1 a\n    ok 2 b\n\
                         # liveupdate_lab: pass:2 fail:0 skip:0 total:2\nok 1 liveupdate_lab\n";

    #[test]
    fn only_whole_results_are_green() {
        assert_eq!(judge(GREEN), Ok(2));
        for (of, instead) in [
            ("    ok 1 a", "    not ok 1 a"),
            ("ok 1 live", "not ok 1 live"),
            ("    ok 2 b\n", ""),
            ("    1..2", "    1..3"),
            ("    ok 2 b", "    ok 2 b # SKIP no time"),
            ("ok 1 liveupdate_lab\n", ""),
            ("    1..2\n", ""),
        ] {
            assert!(GREEN.contains(of));
            assert!(judge(&GREEN.replace(of, instead)).is_err(), "{instead} for {of}");
        }
        assert!(judge("").is_err());
    }
}
