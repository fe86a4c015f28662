//! The life of an environment as the server tells it, drawn as a small timeline.

use std::fmt;

use anyhow::Context;
use serde_json::Value;

use crate::shell;

/// One environment from its start to its end.
#[derive(Debug)]
pub(super) struct Life {
    title: String,
    pub(super) has_ended: bool,
    moments: Vec<Moment>,
}

#[derive(Debug)]
struct Moment {
    at_ms: f64,
    what: String,
    request_id: Option<String>,
}

impl Life {
    /// From the array that `/_dormouse/environments` answers.
    pub(super) fn all(lives: &Value) -> anyhow::Result<Vec<Self>> {
        lives.as_array().context("lives are an array")?.iter().map(Self::of).collect()
    }

    fn of(life: &Value) -> anyhow::Result<Self> {
        let text = |key: &str| life[key].as_str().unwrap_or("?");
        let function = text("functionArn").rsplit(':').next().unwrap_or("?");
        let moments = life["events"].as_array().context("events of a life")?;
        Ok(Self {
            title: format!(
                "{function} [{}]  environment {}  cold because: {}",
                text("version"),
                text("id"),
                text("coldReason")
            ),
            has_ended: !life["ended"].is_null(),
            moments: moments.iter().map(Moment::of).collect::<anyhow::Result<_>>()?,
        })
    }
}

impl Moment {
    fn of(event: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            at_ms: event["atMicros"].as_f64().context("atMicros of an event")? / 1000.0,
            what: event["what"].as_str().context("what of an event")?.to_owned(),
            request_id: event["requestId"].as_str().map(str::to_owned),
        })
    }

    /// Blue is cold, red is the end, the rest as it comes.
    fn colour(&self) -> &'static str {
        match self.what.as_str() {
            "frozen" => "36",
            "thawed" | "invoke" | "answered" | "reported" => "32",
            "reset" | "shutdown" => "31",
            _ => "33",
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", shell::paint("1", &self.title))?;
        let mut before_ms = 0.0;
        for moment in &self.moments {
            let what = shell::paint(moment.colour(), &format!("{:<12}", moment.what));
            let step_ms = moment.at_ms - before_ms;
            let request = moment.request_id.as_deref().unwrap_or("");
            let line = format!("  {:>9.2} ms  +{step_ms:>8.2}  {what} {request}", moment.at_ms);
            writeln!(f, "{}", line.trim_end())?;
            before_ms = moment.at_ms;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_life_is_drawn_with_the_time_of_each_step() {
        let lives = json!([{
            "id": "e1", "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:hello",
            "version": "$LATEST", "coldReason": "first", "createdMs": 1, "ended": { "atMicros": 9, "cause": "idle" },
            "events": [
                { "atMicros": 0, "what": "created" },
                { "atMicros": 1500, "what": "invoke", "requestId": "r1" },
            ],
        }]);
        let lives = Life::all(&lives).unwrap();
        assert!(lives[0].has_ended);
        let expected = "  hello [$LATEST]  environment e1  cold because: first
       0.00 ms  +    0.00  created
       1.50 ms  +    1.50  invoke       r1
";
        assert_eq!(lives[0].to_string(), expected);
    }

    #[test]
    fn a_shape_we_do_not_know_is_named() {
        assert!(Life::all(&json!({})).is_err());
        assert!(Life::all(&json!([{ "events": [{ "what": "created" }] }])).is_err());
    }
}
