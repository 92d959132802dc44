//! What the host does for every frame, page, line and scenario, and what host and guest both do.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lab::cache::Cache;
use lab::host::{Cancel, Silent};
use lab::image::{Artefact, pack};
use lab::machine::alarm;
use lab::measure::fidelity::Frames;
use lab::scenario::Document;
use protocol::frame::{Decoder, Frame, encode};
use protocol::message::{FrameRun, Interface, MAX_LOCATE, Reply, Tsc};
use protocol::pattern::{Digest, PAGE, WORDS, expected_digest, fill};

/// A small reply, and the largest that a good run sees: the kernel log.
fn frames(criterion: &mut Criterion) {
    let messages = [
        ("small", Reply::Tsc(Tsc(1 << 60))),
        ("256 KiB", Reply::KernelLog { text: "A line of the log.\n".repeat(13_797) }),
    ];
    let mut group = criterion.benchmark_group("protocol frame");
    for (size, message) in messages {
        let frame = Frame { epoch: 1, sequence: 7, message };
        let Ok(bytes) = encode(&frame) else { continue };
        // Frames a second for the small one; it is bytes that cost in the large one.
        group.throughput(if bytes.len() < 1024 {
            Throughput::Elements(1)
        } else {
            Throughput::Bytes(bytes.len() as u64)
        });
        group.bench_function(format!("encode, {size}"), |bencher| bencher.iter(|| encode(black_box(&frame))));
        group.bench_function(format!("decode, {size}"), |bencher| {
            let mut decoder = Decoder::default();
            bencher.iter(|| decoder.feed::<Reply>(black_box(&bytes), |frame| drop(black_box(frame))));
        });
    }
    group.finish();
}

/// The guest fills and digests each page, the host computes what the digest must be.
fn pattern(criterion: &mut Criterion) {
    const BYTES: u64 = 1 << 20;
    let mut group = criterion.benchmark_group("page content");
    let mut page = [0; WORDS];
    group.throughput(Throughput::Bytes(PAGE as u64));
    group.bench_function("fill a page", |bencher| {
        let mut index = 0;
        bencher.iter(|| {
            index += 1;
            fill(black_box(&mut page), 5, index);
        });
    });
    group.bench_function("digest a page", |bencher| {
        let mut digest = Digest::default();
        bencher.iter(|| digest.page(black_box(&page)));
        black_box(digest.value());
    });
    group.throughput(Throughput::Bytes(BYTES));
    group.bench_function("expected digest of 1 MiB", |bencher| bencher.iter(|| expected_digest(black_box(5), BYTES)));
    group.finish();
}

const SCENARIO: &str = include_str!("../../scenarios/two-hops.yaml");

fn scenario(criterion: &mut Criterion) {
    criterion.benchmark_group("scenario").bench_function("from YAML to plan", |bencher| {
        bencher.iter(|| {
            Document::parse("two-hops", "two-hops.yaml", black_box(SCENARIO)).map(|it| it.plan(Interface::Luo))
        });
    });
}

/// An agent and a module of the usual size; each time another agent, since equal ones are in the cache.
fn initramfs(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for the cache");
    let cache = Cache::at(folder.path()).expect("a cache");
    let artefact = |name: &str, bytes: usize| {
        let path = folder.path().join(name);
        std::fs::write(&path, vec![0x90; bytes]).expect("a file");
        Artefact { path, sha256: name.to_owned() }
    };
    let (agent, module) = (artefact("agent", 620 << 10), artefact("module", 60 << 10));
    let (progress, cancel) = (Silent, Cancel::new());
    let pack = |agent: &Artefact| {
        pack(agent, std::slice::from_ref(&module), &cache, &progress, &cancel).expect("an initramfs")
    };

    let mut group = criterion.benchmark_group("initramfs");
    group.throughput(Throughput::Bytes(680 << 10)).sample_size(20);
    let mut count = 0;
    group.bench_function("packed and kept", |bencher| {
        let another = || {
            count += 1;
            Artefact { sha256: count.to_string(), ..agent.clone() }
        };
        bencher.iter_batched(another, |agent| pack(&agent), BatchSize::PerIteration);
    });
    group.bench_function("found again", |bencher| bencher.iter(|| pack(black_box(&agent))));
    group.finish();
}

/// A fully scattered object of 128 MiB, one page in 16 elsewhere afterwards.
fn in_place(criterion: &mut Criterion) {
    let scattered = |moved: u64| {
        let mut frames = Frames::default();
        let page = |index| FrameRun { first: Some(2 * index + if index % 16 == 0 { moved } else { 0 }), pages: 1 };
        frames.extend((0..MAX_LOCATE).map(page).collect());
        frames
    };
    let (before, after) = (scattered(0), scattered(1));
    let mut group = criterion.benchmark_group("page frames");
    group.throughput(Throughput::Elements(MAX_LOCATE));
    group.bench_function("count those in place", |bencher| {
        bencher.iter(|| black_box(&after).in_common(black_box(&before)));
    });
    group.finish();
}

/// The console of a boot, in lines as kernels print them.
fn console(criterion: &mut Criterion) {
    let lines = [
        "[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x000000003ffdffff]  System RAM",
        "[    0.428000] pci 0000:00:01.3: quirk: [io  0x0700-0x070f] claimed by PIIX4 SMB",
        "[    0.392000][    T1] luo: Retrieved live update data, liveupdate number: 1",
        "INIT: Starting Stage 1",
    ];
    let mut group = criterion.benchmark_group("console");
    group.throughput(Throughput::Bytes(lines.iter().map(|line| line.len() as u64).sum()));
    group.bench_function("scan lines for alarms", |bencher| {
        bencher.iter(|| lines.iter().filter(|line| alarm::scan(black_box(line)).is_some()).count());
    });
    group.finish();
}

criterion_group! {
    name = hot_paths;
    // None of them needs criterion's usual eight seconds to be told apart from its neighbour.
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = frames, pattern, scenario, initramfs, in_place, console
}
criterion_main!(hot_paths);
