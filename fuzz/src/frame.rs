//! What a hostile guest says to the host: any bytes, or messages in frames that are sound; and what the host computes
//! from them.

use lab::measure::clock::{Clock, Reading};
use lab::measure::fidelity::{Frames, judge};
use lab::measure::timeline::Timeline;
use lab::result::Fidelity;
use lab::scenario::plan::Object;
use protocol::VERSION;
use protocol::check::Verdict;
use protocol::frame::{Decoder, Frame, FrameError, MAX_FRAME, encode};
use protocol::message::{ObjectId, ObjectSpec, Reply, Request, Span, Tsc};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use std::time::Duration;

/// The target. The first byte says whether frames are made of what follows, the second into what pieces the stream is
/// cut.
pub fn run(input: &[u8]) {
    let [how, piece, said @ ..] = input else { return };
    let stream = if how % 2 == 0 { said.to_vec() } else { framed(said) };
    let piece = usize::from(*piece).max(1);
    let replies = hear::<Reply>(&stream, piece);
    hear::<Request>(&stream, piece);
    let replies: Vec<&Reply> = replies.iter().flatten().map(|frame| &frame.message).collect();
    replies.iter().for_each(|reply| judged(reply));
    timed(&replies);
}

/// Messages, each behind its length, in frames with right checksums.
fn framed(mut said: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some(([low, high], rest)) = said.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes([*low, *high & 0x0f])).min(rest.len());
        let (message, rest) = rest.split_at(length);
        said = rest;
        let mut plain = vec![VERSION, high >> 4, 0, 0, 0, *low, 0, 0, 0];
        plain.extend(message);
        plain.extend(crc32fast::hash(&plain).to_le_bytes());
        stream.extend(cobs::encode_vec(&plain));
        stream.push(0);
    }
    stream
}

type Heard<M> = Vec<Result<Frame<M>, FrameError>>;

fn hear<M: Serialize + DeserializeOwned + PartialEq + Debug>(stream: &[u8], piece: usize) -> Heard<M> {
    let listen = |piece: usize| {
        let (mut decoder, mut found) = (Decoder::default(), Heard::<M>::new());
        stream.chunks(piece).for_each(|piece| decoder.feed(piece, |frame| found.push(frame)));
        found
    };
    let found = listen(stream.len().max(1));
    assert_eq!(found, listen(piece), "whatever the pieces");
    assert!(found.len() <= stream.len());
    for frame in found.iter().flatten() {
        let bytes = encode(frame).expect("what came in a frame fits in one");
        assert!(bytes.len() <= MAX_FRAME);
        let mut again = Heard::<M>::new();
        Decoder::default().feed(&bytes, |frame| again.push(frame));
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].as_ref(), Ok(frame));
    }
    found
}

/// An object of three pages, the last in part.
fn object() -> Object {
    Object { name: "ledger".to_owned(), spec: ObjectSpec { id: ObjectId(1), bytes: 2 * 4096 + 5, seed: 5 } }
}

fn judged(reply: &Reply) {
    match reply {
        Reply::Verified(told) => {
            let mut total = Fidelity::default();
            let verdict = judge(&object(), told, &mut total);
            assert!(total.identical <= total.pages);
            // Green needs every page and the right digest.
            assert!(verdict.is_err() || (total.identical == 3 && told.bytes == object().spec.bytes));
        }
        Reply::Located { runs } => {
            let (mut frames, mut twice) = (Frames::default(), Frames::default());
            frames.extend(runs.clone());
            twice.extend(runs.iter().rev().copied().collect());
            // The host compares only what has as many pages as the object; with more they could not be counted.
            if frames.pages() <= 1 << 32 {
                let there = runs.iter().filter(|run| run.first.is_some()).map(|run| run.pages).sum::<u64>();
                assert_eq!(frames.in_common(&frames), there);
                assert!(frames.in_common(&twice) <= frames.pages());
            }
        }
        Reply::Checked { verdict: Verdict::Left { notes, .. }, .. } => {
            let _ = (notes.bounded(), notes.read::<(u64, String, Vec<u8>)>());
        }
        _ => {}
    }
}

/// Readings of a counter that may say anything.
fn timed(replies: &[&Reply]) {
    let tsc = |reply: &&Reply| if let Reply::Tsc(tsc) = reply { Some(*tsc) } else { None };
    let reading = |(at, tsc): (u32, Tsc)| Reading {
        tsc,
        asked: Duration::from_millis(1) * at,
        answered: Duration::from_millis(1) * at + Duration::from_micros(3),
    };
    let readings: Vec<Reading> = (0..).zip(replies.iter().filter_map(tsc)).map(reading).collect();
    let (early, late) = readings.split_at(readings.len() / 2);
    let Some(clock) = Clock::between(early, late) else { return };
    let span = |reply: &&Reply| if let Reply::Done { span } = reply { Some(*span) } else { None };
    let spans: Vec<Span> = replies.iter().filter_map(span).collect();
    let mut timeline =
        Timeline { preserve: spans.first().copied(), retrieve: spans.last().copied(), ..Timeline::default() };
    for reply in replies {
        if let Reply::Resumed(resumed) = reply {
            timeline.last_tick = Some(resumed.last_tick);
            timeline.tick_period = resumed.period;
            timeline.first_tick = Some(resumed.first_tick);
            timeline.resume_asked = Some(resumed.retrieve.from);
        }
    }
    let _ = timeline.durations(&clock);
}
