use std::cell::Cell;
use std::rc::Rc;

use super::super::pace::{ALONE, CALM};
use super::*;

/// Somebody with a name, who may go.
#[derive(Debug, Clone)]
struct Somebody(u32, Rc<Cell<bool>>);

impl Waiter for Somebody {
    fn is_gone(&self) -> bool {
        self.1.get()
    }
}

fn somebody(name: u32) -> Somebody {
    Somebody(name, Rc::default())
}

fn hash(of: u32) -> BlobHash {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&of.to_be_bytes());
    BlobHash(hash)
}

fn task(of: u32, part: Part) -> Task {
    Task { hash: hash(of), part }
}

/// One whose search found nothing.
fn agenda() -> Agenda<Somebody> {
    let mut agenda = Agenda::new();
    assert_eq!(agenda.next(Instant::now()), Next::Search(None));
    agenda.found(Vec::new(), None);
    agenda
}

fn make(agenda: &mut Agenda<Somebody>, now: Instant) -> Job {
    match agenda.next(now) {
        Next::Make(job) => job,
        other => panic!("{other:?}"),
    }
}

fn names(waiters: &[Somebody]) -> Vec<u32> {
    waiters.iter().map(|waiter| waiter.0).collect()
}

#[test]
fn what_is_waited_for_goes_first_and_large_ones_last() {
    let now = Instant::now();
    let mut agenda = Agenda::new();
    agenda.large(hash(1));
    agenda.fresh(hash(2), now - CALM);
    agenda.fresh(hash(3), now - CALM);
    agenda.want(task(4, Part::Large), somebody(1)).unwrap();
    agenda.want(task(5, Part::Small), somebody(2)).unwrap();
    let order: Vec<Task> = (0..4).map(|_| make(&mut agenda, now).task).collect();
    let small = |of| task(of, Part::Small);
    assert_eq!(order, [task(4, Part::Large), small(5), small(3), small(2)]);
    assert_eq!(agenda.next(now), Next::Search(None));
    assert_eq!(
        agenda.next(now),
        Next::Make(Job {
            task: task(1, Part::Large),
            is_background: true,
            is_fresh: false,
            tries: 0,
            since: now,
        })
    );
    agenda.found(vec![hash(6), hash(7)], Some(ImageId(9)));
    assert_eq!(make(&mut agenda, now).task, small(6));
    assert_eq!(make(&mut agenda, now).task, small(7));
    assert_eq!(agenda.next(now), Next::Search(Some(ImageId(9))));
    agenda.found(Vec::new(), None);
    assert_eq!(agenda.next(now), Next::Wait(None));
}

#[test]
fn of_one_content_one_thing_is_made_at_a_time_and_all_hear_of_it() {
    let now = Instant::now();
    let mut agenda = agenda();
    for name in 0..200 {
        agenda.want(task(1, Part::Small), somebody(name)).unwrap();
    }
    agenda.want(task(1, Part::Large), somebody(200)).unwrap();
    agenda.fresh(hash(1), now - CALM);
    let small = make(&mut agenda, now);
    assert!(!small.is_background);
    assert_eq!(agenda.next(now), Next::Wait(None), "the content is at work");
    agenda.want(task(1, Part::Small), somebody(201)).unwrap();
    let heard = agenda.done(small, now);
    assert_eq!(heard.len(), 201);
    let large = make(&mut agenda, now);
    assert_eq!(large.task, task(1, Part::Large));
    assert_eq!(names(&agenda.done(large, now)), [200]);
    let again = make(&mut agenda, now);
    assert!(again.is_background && again.is_fresh);
    agenda.want(task(1, Part::Small), somebody(202)).unwrap();
    agenda.skipped(again);
    let wanted = make(&mut agenda, now);
    assert_eq!(names(&agenda.done(wanted, now)), [202]);
    assert_eq!((agenda.next(now), agenda.waiting()), (Next::Wait(None), (0, false)));
}

#[test]
fn while_images_come_in_only_what_is_waited_for_is_made() {
    let start = Instant::now();
    let mut agenda = agenda();
    assert!(agenda.fresh(hash(1), start), "nobody looks after it yet");
    let mut now = start;
    while now < start + ALONE {
        assert_eq!(agenda.next(now), Next::Wait(Some((now + CALM).min(start + ALONE))));
        now += CALM / 2;
        assert!(!agenda.fresh(hash(2), now), "all were told when to ask again");
    }
    let job = make(&mut agenda, now);
    now += CALM;
    agenda.fresh(hash(3), now);
    agenda.done(job, now);
    agenda.want(task(4, Part::Small), somebody(1)).unwrap();
    assert!(!make(&mut agenda, now).is_background, "what is waited for is made at once");
    assert_eq!(agenda.next(now), Next::Wait(Some(now + CALM)));
    assert!(make(&mut agenda, now + CALM).is_fresh);
}

#[test]
fn what_nobody_waits_for_any_more_is_not_made() {
    let now = Instant::now();
    let mut agenda = agenda();
    let (one, other) = (somebody(1), somebody(2));
    agenda.want(task(1, Part::Small), one.clone()).unwrap();
    agenda.want(task(2, Part::Small), other.clone()).unwrap();
    one.1.set(true);
    assert_eq!(make(&mut agenda, now).task.hash, hash(2));
    other.1.set(true);
    assert_eq!(agenda.next(now), Next::Wait(None));
}

#[test]
fn what_fails_is_tried_again_a_few_times() {
    let mut now = Instant::now();
    let mut agenda = agenda();
    agenda.fresh(hash(1), now - CALM);
    let mut job = make(&mut agenda, now);
    for pause in PAUSES {
        assert!(agenda.failed(job, now).is_empty());
        assert_eq!(agenda.next(now), Next::Wait(Some(now + pause)));
        now += pause;
        job = make(&mut agenda, now);
    }
    agenda.failed(job, now);
    assert_eq!(agenda.next(now), Next::Wait(None));
    agenda.want(task(1, Part::Small), somebody(1)).unwrap();
    let asked = make(&mut agenda, now);
    assert_eq!(names(&agenda.failed(asked, now)), [1], "who waits is told at once");
    assert_eq!(agenda.next(now), Next::Wait(None));
}

#[test]
fn every_list_has_a_bound() {
    let now = Instant::now();
    let mut agenda = agenda();
    let count = u32::try_from(FRESH).unwrap();
    for of in 0..count + 5 {
        agenda.fresh(hash(of), now - CALM);
    }
    assert_eq!(agenda.waiting(), (FRESH, true), "the rest is in the catalog");
    let gone = somebody(0);
    for of in 0..u32::try_from(WANTED).unwrap() {
        agenda.want(task(of, Part::Large), gone.clone()).unwrap();
    }
    assert!(agenda.want(task(9999, Part::Large), somebody(1)).is_err());
    gone.1.set(true);
    agenda.want(task(9999, Part::Large), somebody(1)).unwrap();
    for _ in 1..WAITERS {
        agenda.want(task(9999, Part::Large), somebody(1)).unwrap();
    }
    assert!(agenda.want(task(9999, Part::Large), somebody(1)).is_err());
    assert_eq!(make(&mut agenda, now).task.hash, hash(9999));
    while let Next::Make(job) = agenda.next(now) {
        agenda.done(job, now);
    }
    for of in 0..1000 {
        agenda.large(hash(of));
    }
    assert!(agenda.large.len() <= LARGE);
}

#[test]
fn at_the_end_nothing_is_begun_and_all_who_wait_are_told() {
    let now = Instant::now();
    let mut agenda = agenda();
    agenda.fresh(hash(1), now - CALM);
    agenda.want(task(2, Part::Small), somebody(1)).unwrap();
    agenda.want(task(3, Part::Small), somebody(2)).unwrap();
    let job = make(&mut agenda, now);
    let mut told = names(&agenda.close());
    told.sort_unstable();
    assert_eq!(told, [1, 2]);
    assert_eq!(agenda.next(now), Next::Stop);
    assert!(agenda.want(task(2, Part::Small), somebody(1)).is_err());
    assert!(agenda.done(job, now).is_empty());
}
