//! The lives of environments as the server tells them, and the time between two of their moments.

use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use crate::http::Client;
use crate::time::{Samples, until};

const REST_WITHIN: Duration = Duration::from_secs(10);

/// One environment.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Life {
    function_arn: String,
    /// How it ended, if it did.
    ended: Option<Value>,
    events: Vec<Moment>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Moment {
    at_micros: u64,
    what: String,
}

impl Life {
    /// Whether it is frozen.
    pub(crate) fn rests(&self) -> bool {
        self.events.last().is_some_and(|last| last.what == "frozen")
    }

    /// From each `from` to the next `to` of the same invocation: a freeze that was skipped is not the
    /// one after the next.
    fn steps(&self, from: &str, to: &str, samples: &mut Samples) {
        let mut begun = None;
        for moment in &self.events {
            if moment.what == from {
                begun = Some(moment.at_micros);
            } else if moment.what == to
                && let Some(begun) = begun.take()
            {
                #[expect(clippy::cast_precision_loss, reason = "a bench takes no 285 years")]
                samples.push_micros((moment.at_micros - begun) as f64);
            } else if moment.what == "invoke" {
                begun = None;
            }
        }
    }
}

/// All environments that a function has had, as far as the server remembers.
pub(crate) fn of(client: &mut Client, function: &str) -> anyhow::Result<Vec<Life>> {
    let lives = client.call("GET", "/_dormouse/environments?events=true", &Value::Null)?;
    let lives: Vec<Life> = serde_json::from_value(lives).context("lives of environments")?;
    let end = format!(":{function}");
    Ok(lives.into_iter().filter(|life| life.function_arn.ends_with(&end)).collect())
}

/// Waits until every environment of a function that has not ended is frozen; tells how many.
pub(crate) fn at_rest(client: &mut Client, function: &str) -> anyhow::Result<usize> {
    until(REST_WITHIN, "all environments to be frozen", || {
        let mut lives = of(client, function)?;
        lives.retain(|life| life.ended.is_none());
        Ok(lives.iter().all(Life::rests).then_some(lives.len()))
    })
}

/// How many environments of a function have not ended.
pub(crate) fn living(client: &mut Client, function: &str) -> anyhow::Result<usize> {
    Ok(of(client, function)?.iter().filter(|life| life.ended.is_none()).count())
}

/// The time between two moments, over all these lives.
pub(crate) fn steps(lives: &[Life], from: &str, to: &str) -> Samples {
    let mut samples = Samples::default();
    lives.iter().for_each(|life| life.steps(from, to, &mut samples));
    samples
}

/// How often a moment is there, over all these lives.
pub(crate) fn count(lives: &[Life], what: &str) -> f64 {
    let moments = lives.iter().flat_map(|life| &life.events);
    let matching = moments.filter(|moment| moment.what == what);
    #[expect(clippy::cast_precision_loss, reason = "the server keeps a few thousand at most")]
    let count = matching.count() as f64;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(moments: &[(&str, u64)]) -> Life {
        let moments = moments.iter();
        Life {
            function_arn: String::new(),
            ended: None,
            events: moments
                .map(|(what, at_micros)| Moment { at_micros: *at_micros, what: (*what).to_owned() })
                .collect(),
        }
    }

    #[test]
    fn a_freeze_that_was_skipped_is_not_the_next_ones() {
        let life = life(&[("reported", 1), ("invoke", 5), ("reported", 8), ("frozen", 10)]);
        let mut samples = steps(&[life], "reported", "frozen");
        assert_eq!((samples.len(), samples.max()), (1, Some(2.0)));
    }

    #[test]
    fn a_step_is_from_one_moment_to_the_next_of_the_other_kind() {
        let life = life(&[
            ("thawed", 10),
            ("invoke", 15),
            ("invoke", 99),
            ("thawed", 100),
            ("invoke", 107),
        ]);
        let mut samples = steps(&[life], "thawed", "invoke");
        assert_eq!((samples.len(), samples.max()), (2, Some(7.0)));
    }
}
