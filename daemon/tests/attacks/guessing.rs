//! Who guesses credentials and invitations, from one address and from many, gets nowhere and keeps
//! nobody out; nor does the clock tell whether a name is known.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use imgrepo_proto::session::people::AccountRole;
use imgrepod::config::Guests;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::sized;
use crate::support::{Client, Seen, Stage, code};
use crate::visitor::{account, address, auth, invitation, visit};

/// Guessers at once.
const AT_ONCE: usize = 8;

async fn closed() -> Stage {
    Stage::with(|settings| settings.guests = Guests::No).await
}

/// What somebody tries who knows everything but the secret itself: this one changed a little, and
/// secrets that are made up.
fn guess(secret: &str, number: usize) -> String {
    let mut guess = secret.to_owned();
    let at = number / 8 % secret.len();
    let other = |old: &str| if old == "A" { "B" } else { "A" };
    match number % 8 {
        0 => guess.replace_range(at..=at, other(&secret[at..=at])),
        1 => guess.truncate(at),
        2 => guess.push_str(&number.to_string()),
        3 => guess.insert(at, ' '),
        4 => guess = blake3::hash(secret.as_bytes()).to_string(),
        5 => guess = secret.chars().rev().collect(),
        6 => guess = secret.to_ascii_uppercase(),
        _ => {
            let hash = blake3::hash(&number.to_be_bytes());
            guess = data_encoding::BASE64URL_NOPAD.encode(hash.as_bytes());
        }
    }
    match guess == secret {
        true => "x".to_owned(),
        false => guess,
    }
}

/// One guesser: asks again and again, on a new session whenever the last one was ended.
struct Guesser {
    to: SocketAddr,
    from: Ipv4Addr,
    session: Option<Client<TcpStream>>,
}

impl Guesser {
    /// The answer to a try, which must be a refusal.
    async fn tries(&mut self, cmd: &str, args: &Value) {
        loop {
            let mut session = match self.session.take() {
                Some(session) => session,
                None => match visit(self.from, self.to).await {
                    Some(session) => session,
                    // Sent away before it said a word: that is no answer.
                    None => continue,
                },
            };
            session.send(cmd, args.clone()).await;
            // Who has not been let in within its time is sent away: that is no answer either.
            let Seen::Text(reply) = session.next().await else { continue };
            assert_eq!(reply["status"], "ERROR", "{cmd} was answered: {reply}");
            let code = code(&reply);
            let known = ["unauthenticated", "denied", "busy", "bad_request"];
            assert!(known.contains(&code.as_str()), "{cmd}: {reply}");
            if code != "busy" {
                self.session = Some(session);
            }
            return;
        }
    }
}

/// So many tries, by several at once; `from` says from where each comes. Meanwhile `member` is let in
/// again and again, by the address that the guessers have too.
async fn siege(
    stage: &Stage,
    cmd: &'static str,
    tries: impl Fn(usize) -> Value + Copy,
    from: impl Fn(usize) -> Ipv4Addr + Copy,
    member: &Value,
) {
    let total = sized("IMGREPO_TRIES", 600);
    let (to, is_over) = (stage.server.address(), AtomicBool::new(false));
    let attack = async {
        let guessers = (0..AT_ONCE).map(|first| async move {
            let mut guesser = Guesser { to, from: from(first), session: None };
            for number in (first..total).step_by(AT_ONCE) {
                if guesser.from != from(number) {
                    guesser = Guesser { to, from: from(number), session: None };
                }
                guesser.tries(cmd, &tries(number)).await;
            }
        });
        futures_util::future::join_all(guessers).await;
        is_over.store(true, Ordering::Relaxed);
    };
    let lives = async {
        let mut logins = 0;
        while !is_over.load(Ordering::Relaxed) || logins == 0 {
            let mut session = visit(from(0), to).await.expect("a place for the member");
            session.ok("AUTH", member.clone()).await;
            session.ok("LIST", json!({})).await;
            logins += 1;
        }
        logins
    };
    let ((), logins) = tokio::join!(attack, lives);
    println!("{total} guesses at {cmd} let in nobody; the member came in {logins} times meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_not_guessed() {
    let stage = closed().await;
    let ana = account(&stage.repository, "ana", AccountRole::Member).await;
    let bruno = account(&stage.repository, "bruno", AccountRole::Admin).await;
    let member = auth("ana", &ana);
    let tries = |number: usize| match number % 10 {
        0 => auth("ana", &bruno),
        1 => auth(&format!("nobody{number}"), &ana),
        2 => auth("owner", &guess(&ana, number)),
        3 => json!({"credential": guess(&ana, number)}),
        _ => auth("ana", &guess(&ana, number)),
    };
    let one = |_| Ipv4Addr::LOCALHOST;
    siege(&stage, "AUTH", tries, one, &member).await;
    siege(&stage, "AUTH", tries, address, &member).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_are_not_guessed() {
    let stage = closed().await;
    let ana = account(&stage.repository, "ana", AccountRole::Member).await;
    let secret = invitation(&stage.repository, AccountRole::Admin).await;
    let member = auth("ana", &ana);
    let tries = |number: usize| {
        let secret = match number % 10 {
            // A device's credential is no invitation.
            0 => ana.clone(),
            _ => guess(secret.expose(), number),
        };
        json!({"secret": secret, "user": format!("eve{number}"), "device": "x"})
    };
    let one = |_| Ipv4Addr::LOCALHOST;
    siege(&stage, "JOIN", &tries, one, &member).await;
    siege(&stage, "JOIN", &tries, address, &member).await;
    let people = stage.owner().await.ok("PEOPLE", json!({})).await;
    assert_eq!(people["people"].as_array().unwrap().len(), 2, "{people}");
    // The real one was none of them, and still lets in, but is no credential. Who asks comes from where
    // nobody failed yet: there the answer is the reason, not that there were too many tries.
    let mut eve = visit(Ipv4Addr::new(127, 78, 0, 1), stage.server.address()).await.unwrap();
    assert_eq!(eve.refused("AUTH", auth("ana", secret.expose())).await, "unauthenticated");
    let mut carla = stage.stranger().await;
    carla.ok("JOIN", json!({"secret": secret, "user": "carla", "device": "x"})).await;
}

/// The median time of refused AUTHs as somebody known and as somebody unknown, taken by turns.
async fn medians(stage: &Stage, samples: usize) -> [Duration; 2] {
    let mut taken = [Vec::new(), Vec::new()];
    for number in 0..samples {
        // First the one, then the other: what the computer does meanwhile is shared alike.
        for which in [number % 2, 1 - number % 2] {
            let name = ["ana", "eva"][which];
            let credential = guess("0123456789012345678901234567890123456789012", 8 * number + 7);
            let mut session = visit(address(number), stage.server.address()).await.unwrap();
            let args = auth(name, &credential);
            let began = Instant::now();
            let id = session.send("AUTH", args).await;
            session.reply(id).await;
            taken[which].push(began.elapsed());
        }
    }
    taken.map(|mut taken| {
        taken.sort_unstable();
        taken[taken.len() / 2]
    })
}

#[tokio::test]
async fn the_clock_does_not_tell_who_is_known() {
    let stage = closed().await;
    account(&stage.repository, "ana", AccountRole::Member).await;
    let samples = sized("IMGREPO_SAMPLES", 300);
    // Few samples are coarse: then only a lookup that is left out would show.
    let most = if samples < 2000 { 0.25 } else { 0.05 };
    medians(&stage, 50).await;
    let mut ratios = Vec::new();
    // What the computer does besides comes and goes, what tells who is known would stay.
    for _ in 0..5 {
        let [known, unknown] = medians(&stage, samples).await;
        let ratio = known.as_secs_f64() / unknown.as_secs_f64();
        println!("refused as somebody known: {known:?}, as somebody unknown: {unknown:?}");
        if (ratio - 1.0).abs() <= most {
            return;
        }
        ratios.push(ratio);
    }
    panic!("known names take another time than unknown ones: {ratios:?}");
}
