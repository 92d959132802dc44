//! Building, on trees that only look like kernels: a Makefile that takes no time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc;

use lab::cache::Cache;
use lab::host::{Cancel, Compiler, Progress, Silent};
use lab::kernel::{Error, Kernel, KernelSource, KernelSpec, Patch, Profile, Provider, module};
use tempfile::TempDir;

const MAKEFILE: &str = r##"VERSION = 7
PATCHLEVEL = 3
SUBLEVEL = 4
SHELL = /bin/sh

tinyconfig:
	echo CONFIG_TINY=y > $(O)/.config
olddefconfig:
	grep -v CONFIG_REFUSED $(O)/.config > $(O)/new || true
	mv $(O)/new $(O)/.config
bzImage: prepare
	echo step >> $(O)/steps
	$(MAKE) -f Makefile $(O)/arch/x86/boot/bzImage
$(O)/arch/x86/boot/bzImage: main.c
	@echo "  CC      main.o"
	gcc -Wall -c main.c -o $(O)/main.o
	cp $(O)/main.o $@
prepare:
	mkdir -p $(O)/include/config $(O)/include/generated $(O)/arch/x86/boot
	echo 7.3.4 > $(O)/include/config/kernel.release
	echo '#define LINUX_COMPILE_BY "'$(KBUILD_BUILD_USER)'"' > $(O)/include/generated/compile.h
	echo '#define LINUX_COMPILE_HOST "'$(KBUILD_BUILD_HOST)'"' >> $(O)/include/generated/compile.h
	echo '#define LINUX_COMPILER "'$(CC)'"' >> $(O)/include/generated/compile.h
	echo '#define UTS_VERSION "#1 SMP"' > $(O)/include/generated/utsversion.h
ifdef M
modules:
	test -z '$(CLIPPY)'
	echo '$(CC)' > $(O)/module-cc
	gcc -c $(M)/hello.c -o $(M)/hello.ko
else
modules: bzImage
	touch $(O)/Module.symvers
endif
.PHONY: tinyconfig olddefconfig bzImage prepare modules
"##;

struct Bench {
    dir: TempDir,
    cache: Cache,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let cache = Cache::at(&dir.path().join("cache")).unwrap();
        let bench = Self { dir, cache };
        fs::create_dir(bench.tree()).unwrap();
        fs::write(bench.tree().join("Makefile"), MAKEFILE).unwrap();
        fs::write(bench.tree().join("Kconfig"), "config REFUSED\n\tbool \"No\"\n\tdepends on MISSING\n").unwrap();
        fs::write(bench.tree().join("main.c"), "int main(void) { return 0; }\n").unwrap();
        bench
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("linux")
    }

    fn source(&self) -> KernelSource {
        KernelSource::Path(self.tree())
    }

    fn obtain(&self, source: &KernelSource) -> Result<Kernel, Error> {
        self.provider("").obtain(source, &Silent, &Cancel::new())
    }

    fn provider(&self, fragment: &str) -> Provider<'_> {
        Provider::new(&self.cache).with_fragment(fragment)
    }

    fn sh(&self, script: &str) {
        let status = Command::new("sh").args(["-ec", script]).current_dir(self.dir.path()).status().unwrap();
        assert!(status.success(), "{script}");
    }
}

fn builds(kernel: &Kernel) -> usize {
    fs::read_to_string(kernel.build_dir.join("steps")).unwrap().lines().count()
}

#[test]
fn a_directory_is_built_again_only_after_an_edit() {
    let bench = Bench::new();
    let first = bench.obtain(&bench.source()).unwrap();
    assert_eq!(first.release, "7.3.4");
    assert_eq!(first.source.version, "7.3");
    assert!(!first.rust);
    assert!(first.version_string.starts_with("Linux version 7.3.4 (liveupdate-lab@"), "{}", first.version_string);
    assert!(first.version_string.contains(&first.key[..16]), "the banner names the build");
    assert_eq!(bench.obtain(&bench.source()).unwrap(), first);
    assert_eq!(builds(&first), 1);

    fs::write(bench.tree().join("main.c"), "int main(void) { return 1; }\n").unwrap();
    let second = bench.obtain(&bench.source()).unwrap();
    assert_eq!(builds(&second), 2);
    assert_eq!(second.build_dir, first.build_dir, "make goes on where it was");
    assert_ne!(second.image_sha256, first.image_sha256);
    assert!(first.image.is_file(), "a kernel in use is left alone");
    assert_eq!(fs::read_dir(bench.tree()).unwrap().count(), 3, "nothing is written into the tree");
}

#[test]
fn a_git_directory_is_judged_by_content() {
    let bench = Bench::new();
    bench.sh("cd linux && git init -q && git add . && git -c user.name=x -c user.email=x@x commit -qm x");
    let first = bench.obtain(&bench.source()).unwrap();
    bench.sh("touch -d 2001-01-01 linux/main.c");
    assert_eq!(bench.obtain(&bench.source()).unwrap().key, first.key, "the same content");
    bench.sh("echo '// more' >> linux/main.c");
    let edited = bench.obtain(&bench.source()).unwrap();
    assert_ne!(edited.key, first.key);
    bench.sh("echo '// new' > linux/other.c");
    assert_ne!(bench.obtain(&bench.source()).unwrap().key, edited.key, "unknown files count");
}

#[test]
fn a_commit_is_built_as_it_was() {
    let bench = Bench::new();
    bench.sh("cd linux && git init -q && git add . && git -c user.name=x -c user.email=x@x commit -qm x && git tag v1");
    bench.sh("echo 'broken' > linux/main.c");
    for repository in [format!("{}", bench.tree().display()), format!("file://{}", bench.tree().display())] {
        let source: KernelSource = format!("git:{repository}#v1").parse().unwrap();
        let kernel = bench.obtain(&source).unwrap();
        assert_eq!(kernel.source.sha256.len(), 40);
        assert_eq!(kernel.source.requested, source.to_string());
        assert_eq!(builds(&kernel), 1);
    }
    let missing: KernelSource = format!("git:{}#v2", bench.tree().display()).parse().unwrap();
    assert!(bench.obtain(&missing).unwrap_err().to_string().contains("no commit `v2`"));
}

#[test]
fn a_tarball_is_checked_and_built_once() {
    let bench = Bench::new();
    bench.sh("tar -cJf linux-7.3.4.tar.xz linux && sha256sum linux-7.3.4.tar.xz | cut -c1-64 > sum");
    let sum = fs::read_to_string(bench.dir.path().join("sum")).unwrap();
    let url = format!("file://{}", bench.dir.path().join("linux-7.3.4.tar.xz").display());
    let source: KernelSource = format!("{url}#sha256={}", sum.trim()).parse().unwrap();
    let kernel = bench.obtain(&source).unwrap();
    assert_eq!(kernel.source.sha256, sum.trim());

    fs::remove_file(bench.dir.path().join("linux-7.3.4.tar.xz")).unwrap();
    assert_eq!(bench.obtain(&source).unwrap(), kernel, "nothing is fetched again");
    assert_eq!(builds(&kernel), 1);

    // A bit turns over in the image.
    fs::write(&kernel.image, "x").unwrap();
    let mended = bench.obtain(&source).unwrap();
    assert_eq!(mended.image_sha256, kernel.image_sha256);
    assert_eq!(lab::cache::digest::file(&mended.image).unwrap(), kernel.image_sha256);

    bench.sh("tar -czf other.tar.gz linux");
    let url = format!("file://{}", bench.dir.path().join("other.tar.gz").display());
    let wrong: KernelSource = format!("{url}#sha256={}", "0".repeat(64)).parse().unwrap();
    assert!(matches!(bench.obtain(&wrong), Err(Error::WrongHash { .. })));
    let unchecked: KernelSource = url.parse().unwrap();
    assert_eq!(bench.obtain(&unchecked).unwrap().release, "7.3.4");
}

#[test]
fn the_compilers_first_error_is_shown() {
    let bench = Bench::new();
    fs::write(bench.tree().join("main.c"), "int main(void) { return nonsense; }\n").unwrap();
    let Err(Error::Build { excerpt, log, .. }) = bench.obtain(&bench.source()) else { panic!("it compiled") };
    assert!(excerpt[0].contains("main.c:1") && excerpt[0].contains("error: "), "{excerpt:?}");
    assert!(fs::read_to_string(&log).unwrap().contains("nonsense"), "the whole log is kept");

    fs::write(bench.tree().join("main.c"), "int main(void) { return 0; }\n").unwrap();
    bench.obtain(&bench.source()).unwrap();
}

#[test]
fn a_refused_option_stops_the_build_with_the_reason() {
    let bench = Bench::new();
    let result = bench.provider("CONFIG_TINY=y\nCONFIG_REFUSED=y\n").obtain(bench.source(), &Silent, &Cancel::new());
    let said = result.unwrap_err().to_string();
    assert!(said.contains("CONFIG_REFUSED should be y and is n: it depends on `MISSING` (MISSING=n)"), "{said}");
    assert!(!said.contains("TINY"), "{said}");
}

#[test]
fn each_profile_has_a_build_of_its_own() {
    let bench = Bench::new();
    let [fast, tuned, debug, kasan] = Profile::ALL.map(|profile| {
        let provider = Provider::new(&bench.cache).with_profile(profile);
        let kernel = provider.obtain(bench.source(), &Silent, &Cancel::new()).unwrap();
        assert_eq!(kernel.profile, profile);
        assert_eq!(provider.obtain(bench.source(), &Silent, &Cancel::new()).unwrap(), kernel);
        assert_eq!(builds(&kernel), 1);
        kernel
    });
    assert_ne!(fast.key, debug.key);
    assert!(tuned.key != fast.key && tuned.build_dir != fast.build_dir);
    assert_ne!(fast.build_dir, debug.build_dir);
    assert_ne!(fast.config_sha256, debug.config_sha256);
    assert!(kasan.key != fast.key && kasan.build_dir != debug.build_dir && kasan.config_sha256 != debug.config_sha256);
}

#[test]
fn a_kernel_and_its_modules_are_compiled_by_what_the_profile_says() {
    let bench = Bench::new();
    let sources = bench.dir.path().join("kmod");
    fs::create_dir(&sources).unwrap();
    fs::write(sources.join("hello.c"), "int hello;\n").unwrap();
    let keys = Profile::ALL.map(|profile| {
        // The options are the same: only the compiler tells.
        let provider = bench.provider("").with_profile(profile).with_fragment("");
        let kernel = provider.obtain(bench.source(), &Silent, &Cancel::new()).unwrap();
        module::build(&bench.cache, &kernel, &sources, &Silent, &Cancel::new()).unwrap();
        let for_module = fs::read_to_string(kernel.build_dir.join("module-cc")).unwrap();
        let clang = profile.compiler() == Compiler::Clang;
        assert_eq!(kernel.version_string.contains("clang"), clang, "{profile}: {}", kernel.version_string);
        assert_eq!(for_module.contains("clang"), clang, "{profile}: {for_module}");
        kernel.key
    });
    assert!(keys[0] == keys[1] && keys[1] == keys[2] && keys[2] != keys[3], "{keys:?}");
}

/// What a kernel returns from main() instead of zero.
fn returning(value: u32) -> Patch {
    let text = format!(
        "--- a/main.c\n+++ b/main.c\n@@ -1 +1 @@\n-int main(void) {{ return 0; }}\n+int main(void) {{ return {value}; }}\n"
    );
    Patch::parse(&format!("return-{value}.patch"), text).unwrap()
}

#[test]
fn a_patched_kernel_is_built_beside_the_others_and_known_by_its_banner() {
    let bench = Bench::new();
    bench.sh("cd linux && git init -q && git add . && git -c user.name=x -c user.email=x@x commit -qm x && git tag v1");
    let plain = KernelSpec::plain(format!("git:{}#v1", bench.tree().display()).parse().unwrap());
    let patched = |value| plain.clone().with_patch(returning(value));
    let obtain = |spec: &KernelSpec| bench.provider("").obtain(spec, &Silent, &Cancel::new());

    let base = obtain(&plain).unwrap();
    let [one, two] = [1, 2].map(|value| obtain(&patched(value)).unwrap());
    let banners = [&base, &one, &two].map(|kernel| kernel.version_string.clone());
    assert!(banners[0] != banners[1] && banners[1] != banners[2] && banners[0] != banners[2], "{banners:?}");
    assert_eq!(one.source, base.source, "the source is the same");
    assert_eq!(one.patches, [returning(1)]);
    assert!(one.image_sha256 != base.image_sha256 && one.image_sha256 != two.image_sha256);
    assert_eq!((&one.build_dir, builds(&two)), (&two.build_dir, 2), "one place for both");
    assert_eq!(obtain(&patched(1)).unwrap(), one, "kept");
    assert_eq!(builds(&two), 2);

    let main = |dir: &Path| fs::read_to_string(dir.join("main.c")).unwrap();
    assert!(main(&base.source_dir).contains("return 0"), "the cached tree stays as it was");
    assert!(main(&two.source_dir).contains("return 2"));

    // A module is built against the kernel that it is for, whatever was on the workbench last.
    let sources = bench.dir.path().join("kmod");
    fs::create_dir(&sources).unwrap();
    fs::write(sources.join("hello.c"), "int hello;\n").unwrap();
    module::build(&bench.cache, &one, &sources, &Silent, &Cancel::new()).unwrap();
    assert!(main(&one.source_dir).contains("return 1"));
    assert_eq!(builds(&one), 3);
}

#[test]
fn a_patched_kernel_takes_its_modules_along() {
    let bench = Bench::new();
    bench.sh("cd linux && git init -q && git add . && git -c user.name=x -c user.email=x@x commit -qm x && git tag v1");
    let sources = bench.dir.path().join("kmod");
    fs::create_dir(&sources).unwrap();
    fs::write(sources.join("hello.c"), "int hello;\n").unwrap();
    let plain = KernelSpec::plain(format!("git:{}#v1", bench.tree().display()).parse().unwrap());
    let provider = bench.provider("CONFIG_RUST=y\n").with_modules(&sources);
    let obtain = |value| provider.obtain(plain.clone().with_patch(returning(value)), &Silent, &Cancel::new()).unwrap();
    let (one, two) = (obtain(1), obtain(2));
    for kernel in [&one, &two] {
        module::build(&bench.cache, kernel, &sources, &Silent, &Cancel::new()).unwrap();
    }
    assert_eq!(builds(&two), 2, "neither came back to the workbench");

    // Sources that do not build are a matter of the module, not of the kernel.
    fs::write(sources.join("hello.c"), "int hello\n").unwrap();
    let three = obtain(3);
    let built = module::build(&bench.cache, &three, &sources, &Silent, &Cancel::new());
    assert!(matches!(built, Err(Error::Build { .. })));
}

#[test]
fn a_patch_that_does_not_fit_changes_nothing_and_what_it_breaks_is_put_right() {
    let bench = Bench::new();
    bench.sh("cd linux && git init -q && git add . && git -c user.name=x -c user.email=x@x commit -qm x && git tag v1");
    let plain = KernelSpec::plain(format!("git:{}#v1", bench.tree().display()).parse().unwrap());
    let obtain = |spec: KernelSpec| bench.provider("").obtain(spec, &Silent, &Cancel::new());
    let good = obtain(plain.clone().with_patch(returning(1))).unwrap();

    let said = obtain(plain.clone().with_patch(returning(2)).with_patch(returning(3))).unwrap_err().to_string();
    assert!(said.contains("return-3.patch does not apply to Linux 7.3") && said.contains("main.c"), "{said}");
    assert!(fs::read_to_string(good.source_dir.join("main.c")).unwrap().contains("return 1"));

    let breaks = "--- a/main.c\n+++ b/main.c\n@@ -1 +1 @@\n-int main(void) { return 0; }\n+nonsense\n\
                  --- /dev/null\n+++ b/new.c\n@@ -0,0 +1 @@\n+int new;\n";
    let breaks = Patch::parse("breaks.patch", breaks.to_owned()).unwrap();
    assert!(matches!(obtain(plain.clone().with_patch(breaks)), Err(Error::Build { .. })));
    assert!(good.source_dir.join("new.c").is_file());
    let next = obtain(plain.with_patch(returning(4))).unwrap();
    assert!(!next.source_dir.join("new.c").exists(), "what the one before added is gone");

    let here = KernelSpec::plain(bench.source()).with_patch(returning(1));
    assert!(obtain(here).unwrap_err().to_string().contains("patch it there"), "a directory is someone's own");
}

#[test]
fn words_about_options_build_nothing_anew() {
    let bench = Bench::new();
    let obtain = |fragment| bench.provider(fragment).obtain(bench.source(), &Silent, &Cancel::new()).unwrap();
    let first = obtain("CONFIG_TINY=y\n");
    assert_eq!(obtain("# why\n\nCONFIG_TINY=y # since 7.0\nCONFIG_OTHER=y # until 6.18\n"), first);
    assert_eq!(builds(&first), 1);
    assert_ne!(obtain("CONFIG_TINY=y\nCONFIG_OTHER=y\n").key, first.key);
}

#[test]
fn what_is_no_tree_is_refused() {
    let bench = Bench::new();
    fs::remove_file(bench.tree().join("Kconfig")).unwrap();
    assert!(matches!(bench.obtain(&bench.source()), Err(Error::NotATree { .. })));
    let nowhere = KernelSource::Path("/nonexistent/linux".into());
    assert!(matches!(bench.obtain(&nowhere), Err(Error::Io { .. })));
}

/// Tells when a stage begins.
struct Stages(Mutex<mpsc::Sender<String>>);

impl Progress for Stages {
    fn stage(&self, name: &str, _total: Option<u64>) {
        let _ = self.0.lock().unwrap().send(name.to_owned());
    }
    fn advance(&self, _done: u64) {
        let _ = self.0.lock().unwrap().send("step".to_owned());
    }
    fn note(&self, _line: &str) {}
}

#[test]
fn cancelled_the_whole_family_of_processes_ends() {
    let bench = Bench::new();
    let endless =
        MAKEFILE.replace("@echo", "sleep 1000 & echo $$! > $(O)/pid; echo").replace("main.o\"\n", "main.o\"; wait\n");
    fs::write(bench.tree().join("Makefile"), endless).unwrap();
    let (sender, stages) = mpsc::channel();
    let cancel = Cancel::new();
    let (provider, source) = (bench.provider(""), bench.source());
    std::thread::scope(|scope| {
        let building = scope.spawn(|| provider.obtain(&source, &Stages(Mutex::new(sender)), &cancel));
        // The step is announced when the pid is written.
        assert!(stages.iter().any(|stage| stage == "step"));
        let dirs = fs::read_dir(bench.cache.root().join("path")).unwrap().flatten();
        let pid = dirs.map(|dir| fs::read_to_string(dir.path().join("pid")).unwrap()).next().unwrap();
        cancel.cancel();
        assert!(building.join().unwrap().unwrap_err().is_cancelled());
        // A process that dies lets go of its memory, and of its command line in it, before its output ends.
        let words = fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
        assert!(words.is_empty(), "still alive: {}", String::from_utf8_lossy(&words));
    });
    fs::write(bench.tree().join("Makefile"), MAKEFILE).unwrap();
    bench.obtain(&bench.source()).unwrap();
}

#[test]
fn a_module_is_built_from_a_copy() {
    let bench = Bench::new();
    let kernel = bench.obtain(&bench.source()).unwrap();
    let sources = bench.dir.path().join("kmod");
    fs::create_dir(&sources).unwrap();
    fs::write(sources.join("hello.c"), "int hello;\n").unwrap();
    fs::write(sources.join("stray.o"), "left by hand").unwrap();
    let build = || module::build(&bench.cache, &kernel, &sources, &Silent, &Cancel::new());
    let first = build().unwrap();
    let [module] = &first[..] else { panic!("{first:?}") };
    assert_eq!(module.path.file_name().unwrap(), "hello.ko");
    assert_eq!(build().unwrap(), first);
    assert_eq!(fs::read_dir(&sources).unwrap().count(), 2, "nothing is written into the checkout");

    fs::write(sources.join("hello.c"), "int hello\n").unwrap();
    let said = build().unwrap_err().to_string();
    let place = format!("{}:1", sources.join("hello.c").display());
    assert!(said.contains(&place), "the error names the file that a person can open: {said}");

    fs::write(sources.join("hello.c"), "int hello = 2;\n").unwrap();
    assert_ne!(build().unwrap()[0].sha256, module.sha256);
    let linted = module::clippy(&bench.cache, &kernel, &sources, &Silent, &Cancel::new());
    assert!(matches!(linted, Err(Error::Build { .. })), "CLIPPY=1 arrives");
}

#[test]
#[ignore = "a process for the_newest_release_of_a_series_is_taken"]
fn asks_for_a_series() {
    let cache = Cache::at(Path::new(&std::env::var_os("KERNEL_BUILD_TEST_CACHE").expect("run by the parent"))).unwrap();
    let provider = Provider::new(&cache).with_fragment("");
    let kernel = provider.obtain("7.3".parse::<KernelSource>().unwrap(), &Silent, &Cancel::new()).unwrap();
    println!("got {} from {}", kernel.source.version, kernel.source.origin);
}

/// kernel.org as a directory of the same shape.
#[test]
fn the_newest_release_of_a_series_is_taken() {
    let bench = Bench::new();
    bench.sh("mkdir -p org/v7.x && tar -cJf org/v7.x/linux-7.3.10.tar.xz linux && cd org/v7.x
         sum=$(sha256sum linux-7.3.10.tar.xz | cut -c1-64)
         for v in 7.3.9 7.3.10 7.3 7.4.1; do echo \"$sum  linux-$v.tar.xz\"; done > sha256sums.asc");
    let ask = |org: &Path| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "asks_for_a_series", "--ignored", "--nocapture"])
            .env("KERNEL_BUILD_TEST_CACHE", bench.cache.root())
            .env("LIVEUPDATE_LAB_KERNEL_ORG", format!("file://{}", org.display()))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = ask(&bench.dir.path().join("org"));
    assert!(said.contains("got 7.3.10 from kernel.org"), "{said}");
    // The answer is remembered: nobody is asked again.
    let said = ask(Path::new("/nonexistent"));
    assert!(said.contains("got 7.3.10 from kernel.org"), "{said}");
}
