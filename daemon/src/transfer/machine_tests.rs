//! The upload's machine: its rules one by one, and over histories by chance.

use imgrepo_proto::{ImageId, ImageRecord};
use proptest::prelude::*;

use super::*;

fn stored() -> UploadReply {
    let image = ImageRecord::bare(ImageId(1), "a.png", "ana");
    UploadReply { image, duplicate: false }
}

/// The code that it failed with.
fn failure(machine: &Machine) -> Option<ErrorCode> {
    match machine.action() {
        Action::End(outcome) => outcome.err().map(|refusal| refusal.code),
        _ => None,
    }
}

fn refused(code: ErrorCode) -> Input {
    Input::Refused(Refusal::new(code, "no"))
}

fn offered(size: u64, window: u64) -> Machine {
    let mut machine = Machine::new(size);
    assert_eq!(machine.action(), Action::Connect);
    machine.handle(Input::Connected { max_image_bytes: 1000, window }, 0);
    assert_eq!(machine.action(), Action::Offer);
    machine.handle(Input::Offered, 0);
    machine
}

#[test]
fn a_small_content_is_sent_at_once_and_a_large_one_when_the_server_is_ready() {
    let mut small = offered(100, 100);
    assert_eq!(small.action(), Action::Send(0));
    small.handle(Input::Sent(60), 0);
    small.handle(Input::Ready(80), 0);
    assert_eq!(small.action(), Action::Send(80), "what the server holds is not sent");
    let mut large = offered(101, 100);
    assert_eq!(large.action(), Action::Listen);
    large.handle(Input::Ready(7), 0);
    assert_eq!((large.action(), large.acked()), (Action::Send(7), 7));
    large.handle(Input::Sent(101), 0);
    assert_eq!(large.action(), Action::Listen);
    large.handle(Input::Done(stored()), 0);
    assert_eq!(large.action(), Action::End(Box::new(Ok(stored()))));
    assert_eq!(large.acked(), 101);
    let mut duplicate = offered(101, 100);
    duplicate.handle(Input::Done(stored()), 0);
    assert_eq!(duplicate.action(), Action::End(Box::new(Ok(stored()))));
}

#[test]
fn a_cut_is_waited_out_and_the_server_says_where_to_go_on() {
    let mut machine = offered(500, 100);
    machine.handle(Input::Ready(0), 0);
    machine.handle(Input::Sent(100), 0);
    machine.handle(Input::Cut, 0);
    assert_eq!(machine.action(), Action::Connect);
    machine.handle(Input::Acked(100), 0);
    assert_eq!(machine.action(), Action::Connect, "what is late changes nothing");
    machine.handle(Input::Connected { max_image_bytes: 1000, window: 100 }, 0);
    machine.handle(Input::Offered, 0);
    machine.handle(Input::Ready(64), 0);
    assert_eq!(machine.action(), Action::Send(64));
}

#[test]
fn what_was_stored_in_a_cut_is_no_duplicate_of_itself() {
    for (sent, seen_ready, duplicate) in [(500, true, false), (499, true, true), (500, false, true)]
    {
        let mut machine = offered(500, 500);
        if seen_ready {
            machine.handle(Input::Ready(0), 0);
        }
        machine.handle(Input::Sent(sent), 0);
        machine.handle(Input::Cut, 0);
        machine.handle(Input::Connected { max_image_bytes: 1000, window: 500 }, 0);
        machine.handle(Input::Offered, 0);
        machine.handle(Input::Done(UploadReply { duplicate: true, ..stored() }), 0);
        let reply = UploadReply { duplicate, ..stored() };
        assert_eq!(machine.action(), Action::End(Box::new(Ok(reply))), "{sent} {seen_ready}");
    }
}

#[test]
fn a_wrong_hash_is_tried_once_more_if_the_file_is_the_same() {
    let mut machine = offered(10, 100);
    machine.handle(refused(ErrorCode::WrongHash), 0);
    assert_eq!(machine.action(), Action::Check);
    let mut changed = machine.clone();
    let refusal = Refusal::new(ErrorCode::FileError, "changed");
    changed.handle(Input::Checked(Err(refusal.clone())), 0);
    assert_eq!(changed.action(), Action::End(Box::new(Err(refusal))));
    machine.handle(Input::Checked(Ok(())), 0);
    machine.handle(Input::Connected { max_image_bytes: 1000, window: 100 }, 0);
    machine.handle(Input::Offered, 0);
    assert_eq!(machine.action(), Action::Send(0));
    machine.handle(refused(ErrorCode::WrongHash), 0);
    assert_eq!(failure(&machine), Some(ErrorCode::WrongHash));
}

#[test]
fn a_passing_fault_is_tried_again_and_a_full_disk_is_said() {
    for code in [ErrorCode::Busy, ErrorCode::ShuttingDown, ErrorCode::Superseded] {
        let mut machine = offered(10, 100);
        machine.handle(refused(code), 0);
        assert!(matches!(machine.action(), Action::Rest(_)));
        machine.handle(Input::Rested, 0);
        assert_eq!(machine.action(), Action::Connect);
    }
    for code in [ErrorCode::StorageFull, ErrorCode::Deleted] {
        let mut machine = offered(10, 100);
        machine.handle(refused(code), 0);
        assert_eq!(failure(&machine), Some(code));
    }
    let mut machine = Machine::new(1001);
    machine.handle(Input::Connected { max_image_bytes: 1000, window: 100 }, 0);
    assert_eq!(failure(&machine), Some(ErrorCode::TooLarge));
}

/// What a world full of faults does next.
#[derive(Debug, Clone)]
enum Chance {
    /// What the machine waits for happens.
    Go(u64),
    Acked(u64),
    Ready(u64),
    Cut,
    Refused(ErrorCode),
    Changed,
}

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        6 => (1..200u64).prop_map(Chance::Go),
        3 => (0..600u64).prop_map(Chance::Acked),
        2 => (0..600u64).prop_map(Chance::Ready),
        1 => Just(Chance::Cut),
        1 => prop_oneof![
            Just(ErrorCode::WrongHash),
            Just(ErrorCode::Busy),
            Just(ErrorCode::StorageFull)
        ]
        .prop_map(Chance::Refused),
        1 => Just(Chance::Changed),
    ]
}

proptest! {
    /// Whatever happens: bytes go out without a gap from where the server is ready, nothing beyond
    /// the content, success only after the server's, and an end once the faults end.
    #[test]
    fn any_history_keeps_the_rules(
        size in 1..500u64,
        window in 1..300u64,
        chances in prop::collection::vec(chance(), 0..60),
    ) {
        let mut machine = Machine::new(size);
        // This attempt's other end: where it said to begin, and the end of what reached it.
        let mut ready: Option<u64> = None;
        let mut sent = 0;
        let mut said_done = false;
        // After the faults: a fair server for as long as it could possibly take.
        let fair = (0..2000).map(|_| Chance::Go(64));
        for chance in chances.into_iter().chain(fair) {
            let action = machine.action();
            let held = sent.max(ready.unwrap_or(0));
            if let Action::Send(next) = action {
                prop_assert!(next < size);
                prop_assert!(next <= held, "a gap: {next} follows {held}");
                prop_assert!(ready.is_some() || size <= window, "it did not wait");
            }
            if let Action::End(outcome) = &action {
                prop_assert!(outcome.is_err() || said_done);
                return Ok(());
            }
            let under_way = matches!(action, Action::Send(_) | Action::Listen);
            let input = match (chance, action) {
                (Chance::Go(_), Action::Connect) => {
                    Input::Connected { max_image_bytes: 1000, window }
                }
                (Chance::Go(_), Action::Offer) => {
                    (ready, sent) = (None, 0);
                    Input::Offered
                }
                (Chance::Go(step), Action::Send(next)) => {
                    sent = (next + step).min(size);
                    Input::Sent(sent)
                }
                (Chance::Go(_), Action::Listen) if ready.is_some() && held == size => {
                    said_done = true;
                    Input::Done(stored())
                }
                (Chance::Go(_), Action::Listen) => Input::Ready(size / 3),
                (Chance::Go(_), Action::Check) => Input::Checked(Ok(())),
                (Chance::Go(_), Action::Rest(_)) => Input::Rested,
                (Chance::Go(_), Action::End(_)) => unreachable!(),
                (Chance::Acked(offset), _) => Input::Acked(offset),
                (Chance::Ready(offset), _) => Input::Ready(offset),
                (Chance::Cut, _) => Input::Cut,
                (Chance::Refused(code), _) => refused(code),
                (Chance::Changed, _) => {
                    Input::Checked(Err(Refusal::new(ErrorCode::FileError, "changed")))
                }
            };
            if let Input::Ready(offset) = input
                && under_way
                && ready.is_none()
            {
                ready = Some(offset);
            }
            machine.handle(input, 1);
        }
        prop_assert!(false, "it never ended: {machine:?}");
    }
}
