//! The simulated network: what receivers answer, and what they see.
//!
//! Invariant: a POST is held against the laws when it begins; what it comes to follows from its receiver's manner
//! and the dice.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tidings::dispatch::Network;
use tidings::domain::attempt::{Attempt, Outcome, Unreachable};
use tidings::domain::id::DeliveryId;
use tidings::egress::{Post, To};

use super::dice::Dice;
use super::laws::{Begun, TIMEOUT};
use super::sea::{Manner, Sea, State};

/// One server's way to its receivers.
pub(super) struct Wire {
    pub(super) sea: Sea,
    pub(super) life: usize,
}

fn header<'a>(post: &'a Post<'_>, name: &str) -> &'a str {
    post.headers[name].to_str().unwrap()
}

impl Network for Wire {
    fn post<'a>(&'a self, post: Post<'a>) -> BoxFuture<'a, Attempt> {
        async move {
            let delivery: DeliveryId = header(&post, "tidings-delivery-id").parse().unwrap();
            let number: u32 = header(&post, "tidings-attempt").parse().unwrap();
            let url = match post.to {
                To::Url(url) => url.to_owned(),
                To::Target(_) => unreachable!("deliveries go to URLs"),
            };
            self.sea
                .tell(&format!("{} posts {delivery} {number}", self.life));
            let (outcome, takes) = {
                let mut state = self.sea.state();
                let State {
                    laws,
                    rows,
                    dice,
                    manners,
                    database_skew,
                    ..
                } = &mut *state;
                let post = Begun {
                    life: self.life,
                    at: self.sea.elapsed(),
                    database_now: self.sea.time() + *database_skew,
                    delivery,
                    number,
                    url: &url,
                };
                laws.begun(rows, &post);
                answer(manners[&laws.key_of(delivery)], dice)
            };
            tokio::time::sleep(takes).await;
            let at = self.sea.elapsed();
            self.sea
                .tell(&format!("{} is answered {outcome}", self.life));
            let is_over = {
                let mut state = self.sea.state();
                state
                    .laws
                    .ended(self.life, at, delivery, outcome.is_accepted());
                state.laws.lives[self.life].is_over
            };
            if is_over {
                std::future::pending::<()>().await;
            }
            Attempt {
                outcome,
                duration: takes,
                answer: None,
            }
        }
        .boxed()
    }
}

/// What a receiver of this manner answers, and after how long.
fn answer(manner: Manner, dice: &mut Dice) -> (Outcome, Duration) {
    let soon = dice.between(Duration::from_millis(2), Duration::from_millis(200));
    let accepted = Outcome::Accepted { status: 200 };
    let refused = Outcome::Refused {
        status: 500,
        retry_after: None,
    };
    match manner {
        Manner::Well => (accepted, soon),
        Manner::Refusing {
            status,
            retry_after,
        } => (
            Outcome::Refused {
                status,
                retry_after,
            },
            soon,
        ),
        Manner::Hanging => (Outcome::TimedOut { after: TIMEOUT }, TIMEOUT),
        Manner::Slow => (accepted, dice.between(Duration::from_secs(1), TIMEOUT)),
        Manner::Flaky(part) if dice.chance(part) => (refused, soon),
        Manner::Flaky(_) => (accepted, soon),
        Manner::Unreachable(after) => (
            Outcome::Unreachable {
                reason: Unreachable::Connect,
            },
            after,
        ),
    }
}
