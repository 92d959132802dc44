//! How kernels are named.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use lab::kernel::{KernelSource, Series, Version};
use proptest::prelude::*;

fn parse(text: &str) -> KernelSource {
    text.parse().unwrap()
}

fn refusal(text: &str) -> String {
    text.parse::<KernelSource>().unwrap_err().to_string()
}

#[test]
fn every_form_is_taken() {
    let series = Series { major: 7, minor: 3 };
    assert_eq!(parse("7.3"), KernelSource::Series(series));
    assert_eq!(parse(" 7.3.4\n"), KernelSource::Exact(Version { series, patch: 4 }));
    assert_eq!(parse("7.3.0"), KernelSource::Exact(Version { series, patch: 0 }));
    assert_eq!(parse("path:~/linux"), KernelSource::Path("~/linux".into()));
    assert_eq!(parse("debian:linux-image-amd64"), KernelSource::Package("linux-image-amd64".to_owned()));
    let git = |repository: &str, reference: &str| KernelSource::Git {
        repository: repository.to_owned(),
        reference: reference.to_owned(),
    };
    assert_eq!(parse("git:https://example.org/linux.git#v7.3"), git("https://example.org/linux.git", "v7.3"));
    assert_eq!(parse("git:/srv/linux#topic/luo"), git("/srv/linux", "topic/luo"));
    let hash = "A1".repeat(32);
    let KernelSource::Tarball { url, sha256 } = parse(&format!("https://example.org/l.tar.xz#sha256={hash}")) else {
        panic!("not a tarball")
    };
    assert_eq!(url, "https://example.org/l.tar.xz");
    assert_eq!(sha256.unwrap(), hash.to_lowercase());
    for text in ["https://example.org/l.tar.gz", "https://example.org/l.tar.zst", "file:///srv/l.tgz"] {
        assert!(matches!(parse(text), KernelSource::Tarball { sha256: None, .. }));
    }
}

#[test]
fn a_refusal_says_why_and_what_would_do() {
    for (text, why) in [
        ("", "empty"),
        ("seven", "no version number"),
        ("7", "no version number"),
        ("7.3.4.5", "no version number"),
        ("7.-3", "no version number"),
        ("7.4-rc2", "release candidates"),
        ("~/linux", "`path:`"),
        ("/srv/linux", "`path:`"),
        ("path:", "empty"),
        ("debian:linux-source-7.3", "linux-image-"),
        ("debian:linux-image-$(x)", "linux-image-"),
        ("git:https://example.org/linux.git", "after `#`"),
        ("git:#v7.3", "empty"),
        ("git:--upload-pack=evil#x", "dash"),
        ("git:/srv/linux#--exec", "dash"),
        ("git:/srv/linux#a b", "no name"),
        ("http://example.org/l.tar.xz", "plain http"),
        ("ftp://example.org/l.tar.xz", "neither https nor file"),
        ("https://example.org/linux.git", "does not end like a tarball"),
        ("https://example.org/l.tar.xz#md5=1", "`sha256=`"),
        ("https://example.org/l.tar.xz#sha256=12", "64"),
    ] {
        let said = refusal(text);
        assert!(said.contains(why), "{text}: {said}");
        assert!(said.contains("`git:URL#REF`") && said.contains("`7.3.4`"), "{text}: {said}");
    }
}

#[test]
fn it_travels_as_text() {
    let source = parse("7.3.4");
    let json = serde_json::to_string(&source).unwrap();
    assert_eq!(json, "\"7.3.4\"");
    assert_eq!(serde_json::from_str::<KernelSource>(&json).unwrap(), source);
    assert!(serde_json::from_str::<KernelSource>("\"nonsense\"").unwrap_err().to_string().contains("names no kernel"));
}

#[test]
fn versions_are_ordered_as_numbers() {
    let version = |text: &str| text.parse::<Version>().unwrap();
    assert!(version("7.3.10") > version("7.3.9"));
    assert!(version("7.10") > version("7.9.20"));
    let makefile = "# SPDX\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n";
    assert_eq!(Series::of_makefile(makefile), Some(Series { major: 7, minor: 3 }));
    assert_eq!(Series::of_makefile("all:\n"), None);
}

proptest! {
    #[test]
    fn no_text_upsets_it(text in "\\PC*") {
        let _ = text.parse::<KernelSource>();
    }

    #[test]
    fn likely_texts_come_back_as_they_went(
        text in "(git:|path:|https://|file://|)([a-z0-9./~#=-]{0,24})(\\.tar\\.xz|#[a-z0-9]{1,6}|\\.[0-9]{1,3}|)"
    ) {
        if let Ok(source) = text.parse::<KernelSource>() {
            prop_assert_eq!(source.to_string().parse::<KernelSource>().unwrap(), source);
        }
    }
}
