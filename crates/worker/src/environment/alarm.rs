//! One timer for moments that move.
//!
//! Most moments of an environment are deadlines that never come: every invocation has a later one. A
//! timer that is set anew for each would cost more than one that rings early now and then, finds that
//! nothing is due and is set again.

use std::pin::Pin;
use std::time::Duration;

use dormouse_model::clock::Clock;
use dormouse_model::environment::Micros;
use tokio::time::{Instant, Sleep, sleep};

/// The timer of one owner.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
    /// When it rings; at or before the present when it has rung.
    rings: Micros,
}

impl Alarm {
    /// Waits until a moment has come. When the future is dropped, the timer stays as it is set.
    pub(super) async fn reaches(&mut self, moment: Micros, clock: &Clock) {
        loop {
            let now = clock.now();
            if now >= moment {
                return;
            }
            if serves(self.rings, now, moment)
                && let Some(timer) = &mut self.timer
            {
                timer.as_mut().await;
                self.rings = 0;
            } else {
                self.set(moment, now);
            }
        }
    }

    fn set(&mut self, moment: Micros, now: Micros) {
        let left = Duration::from_micros(moment - now);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(Instant::now() + left),
            None => self.timer = Some(Box::pin(sleep(left))),
        }
        self.rings = moment;
    }
}

/// Whether a timer that rings then does for a moment: not later, and not in the past.
fn serves(rings: Micros, now: Micros, moment: Micros) -> bool {
    now < rings && rings <= moment
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that goes with the paused one of the test.
    fn clock() -> Clock {
        let start = Instant::now();
        let now = move || u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Clock::new(now, || 0)
    }

    async fn rings_within(alarm: &mut Alarm, moment: Micros, clock: &Clock, ms: u64) -> bool {
        let limit = Duration::from_millis(ms);
        tokio::time::timeout(limit, alarm.reaches(moment, clock)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_waited_for_whether_it_moves_back_or_forth() {
        let (clock, mut alarm) = (clock(), Alarm::default());
        assert!(!rings_within(&mut alarm, 50_000, &clock, 10).await);
        // Later: the timer rings at 50 ms, and nothing is due.
        assert!(!rings_within(&mut alarm, 90_000, &clock, 70).await);
        assert!(clock.now() < 90_000);
        alarm.reaches(90_000, &clock).await;
        assert!((90_000..95_000).contains(&clock.now()));
        // Sooner than it is set for.
        assert!(!rings_within(&mut alarm, 500_000, &clock, 10).await);
        alarm.reaches(150_000, &clock).await;
        assert!((150_000..155_000).contains(&clock.now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_that_has_come_is_not_waited_for() {
        let (clock, mut alarm) = (clock(), Alarm::default());
        alarm.reaches(0, &clock).await;
        assert_eq!(clock.now(), 0);
    }

    #[test]
    fn a_timer_serves_when_it_rings_between_now_and_the_moment() {
        assert!(serves(7, 5, 9) && serves(9, 5, 9));
        assert!(!serves(10, 5, 9) && !serves(5, 5, 9) && !serves(0, 5, 9));
    }
}
