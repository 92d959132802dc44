use super::{
    operation::{On, Origin, Through},
    *,
};
use kmod_core::state::Event;

/// A machine that is the model itself, with a defect perhaps.
struct Twin {
    oracle: Oracle,
    defect: fn(&mut Oracle, Op, &mut Result<Seen, Errno>),
}

impl Twin {
    fn new(defect: fn(&mut Oracle, Op, &mut Result<Seen, Errno>)) -> Self {
        Self { oracle: Oracle::new(), defect }
    }
}

impl Face for Twin {
    fn apply(&mut self, op: Op) -> Result<Seen, Errno> {
        let mut result = self.oracle.apply(op).expect("what the oracle left out is not asked");
        (self.defect)(&mut self.oracle, op, &mut result);
        result
    }

    fn observe(&mut self) -> Result<(State, u64), Finding> {
        Ok((self.oracle.state, self.oracle.participants()))
    }

    fn reset(&mut self) -> Result<(), Finding> {
        self.oracle = Oracle::new();
        Ok(())
    }
}

fn defective(defect: fn(&mut Oracle, Op, &mut Result<Seen, Errno>)) -> (String, String) {
    match rounds(&mut Twin::new(defect), 1, 200, true) {
        Err(Finding::Contradicted { expected, came }) => (expected, came),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_machine_as_documented_holds() {
    for device in [true, false] {
        assert_eq!(rounds(&mut Twin::new(|_, _, _| ()), 7, 200, device), Ok(()));
    }
}

/// A FREEZE that forgets to say EINVAL is found and told with nothing that is not needed.
#[test]
fn a_wrong_answer_is_told_with_the_shortest_sequence() {
    let (expected, came) = defective(|_, op, result| {
        if matches!(op, Op::Signal { event: Event::Freeze, .. }) {
            *result = Ok(Seen::Nothing);
        }
    });
    assert!(expected.contains("event freeze") && expected.contains("in normal: EINVAL"), "{expected}");
    assert!(came.starts_with("it works (seed 1, round "), "{came}");
    assert!(came.contains(", 2 operations: opendevice session ") && came.contains("; signal by "), "{came}");
}

/// So is one that only shows long after: a registration that its session's end did not take along.
#[test]
fn what_is_left_behind_is_found() {
    let (expected, came) = defective(|oracle, op, _| {
        if let Op::Unpreserve { .. } = op {
            oracle.state = State::Prepared;
        }
    });
    assert!(expected.starts_with("after `unpreserve"), "{expected}");
    assert!(came.contains("prepared") && came.contains(" 4 operations: "), "{came}");
}

/// Most operations are carried out, and in each state.
#[test]
fn the_sequences_reach_far() {
    let mut reached = std::collections::BTreeMap::<(String, &str, bool), usize>::new();
    for (round, device) in (0..400).flat_map(|round| [(round, true), (round, false)]) {
        let mut oracle = Oracle::new();
        for op in operation::sequence(&mut Dice::new(3, round), LENGTH, device) {
            let state = oracle.state.name();
            if let Some(result) = oracle.apply(op) {
                let name = op.to_string().split(' ').next().unwrap_or_default().to_owned();
                *reached.entry((name, state, result.is_ok())).or_default() += 1;
            }
        }
    }
    let times = |name: &str, state, works| reached.get(&(name.to_owned(), state, works)).copied().unwrap_or(0);
    for state in ["normal", "prepared", "frozen"] {
        for name in
            ["signal", "preserve", "unpreserve", "depend", "mount", "create", "unlink", "rename", "write", "resize"]
        {
            let refused = times(name, state, false);
            let all = refused + times(name, state, true);
            assert!(refused > 5 || (state == "normal" && all > 5), "{name} {state}: {refused} of {all}");
        }
        for name in ["signal", "write", "read", "open", "kill", "close", "umount", "makememory"] {
            assert!(times(name, state, true) > 5, "{name} {state}: {}", times(name, state, true));
        }
    }
    assert!(times("preserve", "normal", true) > 500 && times("depend", "normal", true) > 50, "{reached:?}");
}

#[test]
fn an_operation_is_told_in_few_words() {
    let op = Op::Depend { by: 1, token: Some(2), on: On::Subsystem(0) };
    assert_eq!(op.to_string(), "depend by 1 token some(2) on subsystem(0)");
    let op = Op::Mount { instance: 0, name: 1, origin: Origin::Fresh };
    assert_eq!(op.to_string(), "mount instance 0 name 1 origin fresh");
    let op = Op::Signal { by: Through::Word(2), event: Event::Prepare };
    assert_eq!(op.to_string(), "signal by word(2) event prepare");
}
