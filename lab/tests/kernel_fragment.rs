//! Whether the configuration is what was asked for, and if not, why.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use lab::host::Compiler;
use lab::kernel::{Fragment, GUEST, Kconfig, Profile, Series};
use proptest::prelude::*;

const KCONFIG: &str = r#"
mainmenu "A kernel"

config EXPERT
	bool "Expert"

config KEXEC_FILE
	bool

menu "Live update"
	depends on EXPERT || !SMALL

config KEXEC_HANDOVER
	bool "kexec handover"
	depends on ARCH_SUPPORTS_KHO && \
		KEXEC_FILE
	help
	  Keeps memory. What follows is no dependency:
	  depends on NOTHING

config HIDDEN
	bool "Hidden" if EXPERT
	default y

if MODULES

config RUST
	bool "Rust support"
	depends on !MODVERSIONS || GENDWARFKSYMS
	select KEXEC_FILE if KEXEC_HANDOVER

endif # MODULES

endmenu
"#;

const SERIES: Series = Series { major: 7, minor: 3 };

fn problems(fragment: &str, config: &str) -> Vec<String> {
    Fragment::parse(fragment).unwrap().problems(SERIES, config, || Kconfig::from_text(KCONFIG))
}

#[test]
fn what_took_is_not_mentioned() {
    let config = "CONFIG_A=y\nCONFIG_N=8\nCONFIG_S=\"text\"\n# CONFIG_B is not set\n";
    let fragment =
        "# about A\nCONFIG_A=y\nCONFIG_N=8\nCONFIG_S=\"text\"\n# CONFIG_B is not set\n# CONFIG_C is not set\n";
    let asked = Fragment::parse(fragment).unwrap();
    assert_eq!(asked.problems(SERIES, config, || panic!("no need to read Kconfig files")), Vec::<String>::new());
}

#[test]
fn an_unmet_dependency_is_named_with_its_value() {
    let found = problems("CONFIG_KEXEC_HANDOVER=y", "CONFIG_EXPERT=y\nCONFIG_ARCH_SUPPORTS_KHO=y\n");
    let [problem] = &found[..] else { panic!("{found:?}") };
    assert!(problem.starts_with("CONFIG_KEXEC_HANDOVER should be y and is n"), "{problem}");
    assert!(problem.contains("KEXEC_FILE=n") && problem.contains("ARCH_SUPPORTS_KHO=y"), "{problem}");
    assert!(!problem.contains("NOTHING") && !problem.contains("EXPERT"), "only what is unmet: {problem}");
}

#[test]
fn what_encloses_an_option_counts() {
    let found = problems("CONFIG_RUST=y", "CONFIG_EXPERT=y\nCONFIG_MODVERSIONS=y\n");
    assert!(found[0].contains("MODULES=n"), "{found:?}");
    assert!(found[0].contains("MODVERSIONS=y, GENDWARFKSYMS=n"), "{found:?}");
    let found = problems("CONFIG_RUST=y", "CONFIG_SMALL=y\nCONFIG_MODULES=y\n");
    assert!(found[0].contains("`EXPERT || !SMALL` (EXPERT=n, SMALL=y)"), "{found:?}");
}

#[test]
fn options_without_a_prompt_unknown_and_selected_ones_are_told_apart() {
    assert!(problems("CONFIG_KEXEC_FILE=y", "")[0].contains("cannot be set by itself"));
    assert!(problems("CONFIG_HIDDEN=y", "")[0].contains("only if `EXPERT` holds"));
    assert!(problems("CONFIG_NO_SUCH=y", "")[0].contains("no such option"));
    let config = "CONFIG_KEXEC_FILE=y\nCONFIG_KEXEC_HANDOVER=y\nCONFIG_RUST=y\n";
    assert!(problems("# CONFIG_KEXEC_FILE is not set", config)[0].contains("selected by RUST"));
}

#[test]
fn lines_can_be_confined_to_kernels() {
    let text = "CONFIG_A=y # since 7.1\n# CONFIG_B is not set # until 6.18\nCONFIG_C=y # since 6.18 until 7.3\n";
    let fragment = Fragment::parse(text).unwrap();
    let lines = |major, minor| fragment.for_series(Series { major, minor });
    assert_eq!(lines(6, 17), "# CONFIG_B is not set\n");
    assert_eq!(lines(6, 18), "# CONFIG_B is not set\nCONFIG_C=y\n");
    assert_eq!(lines(7, 3), "CONFIG_A=y\nCONFIG_C=y\n");
    assert_eq!(lines(7, 10), "CONFIG_A=y\n");
}

#[test]
fn a_later_line_wins() {
    let fragment = Fragment::parse("# CONFIG_A is not set\nCONFIG_A=y\nCONFIG_A=m # until 6.18\n").unwrap();
    assert_eq!(fragment.for_series(SERIES), "CONFIG_A=y\n");
    assert_eq!(fragment.for_series(Series { major: 6, minor: 18 }), "CONFIG_A=m\n");
    assert!(fragment.problems(SERIES, "CONFIG_A=y\n", || panic!("it took")).is_empty());
}

#[test]
fn slips_are_found() {
    for (text, why) in [
        ("CONFIG_A", "no option"),
        ("A=y", "no option"),
        ("\n\nCONFIG_A=", "line 3"),
        ("CONFIG_A-B=y", "no name"),
        ("# CONFIG_A is unset", "is not set"),
        ("CONFIG_A=y # sicne 7.1", "since"),
        ("CONFIG_A=y # since seven", "since"),
    ] {
        let said = Fragment::parse(text).unwrap_err().to_string();
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn the_labs_own_fragment_is_sound() {
    let fragment = Fragment::parse(GUEST).unwrap();
    assert!(fragment.enables("RUST", SERIES) && fragment.enables("KEXEC_HANDOVER", SERIES));
    assert!(!fragment.enables("LIVEUPDATE", Series { major: 6, minor: 18 }));
}

#[test]
fn the_other_profiles_are_the_fast_one_and_more() {
    let fast = Fragment::parse(&Profile::Fast.fragment()).unwrap();
    let debug = ["PROVE_LOCKING", "DEBUG_ATOMIC_SLEEP", "DEBUG_KMEMLEAK", "KEXEC_HANDOVER_DEBUG", "KUNIT", "FAILSLAB"];
    let kasan = ["KASAN", "KASAN_GENERIC", "KASAN_VMALLOC", "STACKTRACE", "KUNIT"];
    for (profile, watches) in [(Profile::Debug, &debug[..]), (Profile::Kasan, &kasan)] {
        let watched = Fragment::parse(&profile.fragment()).unwrap();
        for watch in watches {
            assert!(watched.enables(watch, SERIES) && !fast.enables(watch, SERIES), "{profile}: {watch}");
        }
        let watched = watched.for_series(SERIES);
        let changed: Vec<_> = fast
            .for_series(SERIES)
            .lines()
            .filter(|line| !watched.lines().any(|other| other == *line))
            .map(str::to_owned)
            .collect();
        assert_eq!(changed, Vec::<String>::new(), "{profile}: a kernel that is watched has to be the kernel that runs");
    }
}

#[test]
fn rust_and_kasan_go_together_with_clang_alone() {
    let kconfig = Kconfig::from_text("config RUST\n\tbool \"Rust\"\n\tdepends on !KASAN || CC_IS_CLANG\n");
    let kasan = Fragment::parse("CONFIG_RUST=y\nCONFIG_KASAN=y\n").unwrap();
    let problems = kasan.problems(SERIES, "CONFIG_KASAN=y\nCONFIG_CC_IS_GCC=y\n", || kconfig);
    assert!(problems.len() == 1 && problems[0].contains("!KASAN || CC_IS_CLANG"), "{problems:?}");
    assert_eq!(Profile::Kasan.compiler(), Compiler::Clang);
    assert_eq!([Profile::Fast, Profile::Tuned, Profile::Debug].map(Profile::compiler), [Compiler::Gcc; 3]);
}

#[test]
fn a_profile_is_named_as_it_is_shown() {
    assert_eq!(Profile::ALL.map(|profile| profile.to_string().parse()), Profile::ALL.map(Ok));
    assert!(
        "".parse::<Profile>().is_err()
            && "Debug".parse::<Profile>().unwrap_err().contains("fast, tuned, debug or kasan")
    );
}

proptest! {
    #[test]
    fn no_text_upsets_the_readers(text in "([ \t]*(config|menu|if|endif|endmenu|depends on|help|bool|select|source|!|\\(|\\)|&&|\\|\\||=|\"|A|B|#)[ \n]){0,40}") {
        let _ = Fragment::parse(&text);
        let kconfig = Kconfig::from_text(&text);
        let _ = kconfig.explain("A", "y", &std::iter::once(("B".to_owned(), "y".to_owned())).collect());
        let _ = kconfig.explain("A", "n", &std::iter::empty().collect());
    }
}
