//! The goals of SPECIFICATION.md, and what a run says of each: met, missed by how much, or not
//! measured and why.
//!
//! Pure: from the record of a run to verdicts.

use serde_json::{Value, json};

use crate::report::Table;

const RUNTIMES: [&str; 3] = ["rust", "python", "node"];
/// Environments that a burst must have had, as in the goal: one for each of its invocations.
const BURST: f64 = 50.0;

/// What a figure may be.
#[derive(Debug, Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// What a run says of one goal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    goal: String,
    /// The runtime, or the number of functions.
    of: String,
    limit: String,
    measured: f64,
    /// By what share of the limit it was missed; none when it was met.
    missed_by: Option<f64>,
}

/// All goals that the groups of a record say something of.
pub(crate) fn judge(groups: &Value) -> Vec<Verdict> {
    let mut judge = Judge { groups, verdicts: Vec::new() };
    judge.warm();
    judge.throughput();
    judge.cold();
    judge.restores();
    judge.bursts();
    judge.density();
    judge.daemon();
    judge.payloads();
    judge.verdicts
}

/// What is a goal and cannot be measured by this bench, with the reason.
pub(crate) const NOT_MEASURED: [(&str, &str); 1] = [(
    "Restore of an initialised function: Node with an AWS SDK client ≤ 30 ms",
    "Lambda has no SnapStart for Node, so the server refuses it",
)];

struct Judge<'a> {
    groups: &'a Value,
    verdicts: Vec<Verdict>,
}

impl<'a> Judge<'a> {
    fn rows(&self, kind: &'static str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let groups = self.groups.as_object().into_iter().flatten();
        let rows = groups.flat_map(|(_, rows)| rows.as_array().into_iter().flatten());
        rows.filter(move |row| row["row"] == kind)
    }

    /// The rows of the runtimes that goals are about.
    fn of_runtimes(
        &self,
        kind: &'static str,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        self.rows(kind).filter_map(|row| {
            let runtime = row["runtime"].as_str().filter(|it| RUNTIMES.contains(it))?;
            Some((runtime, row))
        })
    }

    /// A figure that is not there is no verdict.
    fn say(&mut self, (goal, of): (&str, &str), limit: Limit, unit: &str, measured: Option<f64>) {
        let Some(measured) = measured else {
            return;
        };
        let (sign, bound, excess) = match limit {
            Limit::AtMost(most) => ('≤', most, measured - most),
            Limit::AtLeast(least) => ('≥', least, least - measured),
        };
        self.verdicts.push(Verdict {
            goal: goal.to_owned(),
            of: of.to_owned(),
            limit: format!("{sign} {bound}{unit}"),
            measured,
            missed_by: (excess > 0.0).then(|| excess / bound.max(f64::EPSILON)),
        });
    }

    fn warm(&mut self) {
        for (runtime, row) in self.of_runtimes("paced") {
            let pause = &row["pauseMs"];
            for (percentile, most) in [("p50", 2.0), ("p99", 3.0)] {
                let goal =
                    format!("Warm, thawed and frozen each time, {pause} ms apart: {percentile}");
                let measured = ratio(&row["dormouse"][percentile], &row["floor"][percentile]);
                self.say((&goal, runtime), Limit::AtMost(most), " × floor", measured);
            }
        }
    }

    fn throughput(&mut self) {
        for (runtime, row) in self.of_runtimes("warm").filter(|(_, row)| row["clients"] != 1) {
            let clients = &row["clients"];
            let goal = format!("Throughput, {clients} clients");
            let measured = ratio(&row["perSecond"], &row["floorPerSecond"]);
            self.say((&goal, runtime), Limit::AtLeast(0.6), " × floor", measured);
            let goal = format!("Errors, {clients} clients");
            self.say((&goal, runtime), Limit::AtMost(0.0), "", row["errors"].as_f64());
        }
    }

    fn cold(&mut self) {
        for (runtime, row) in self.of_runtimes("cold") {
            let ms = |value: &Value| value.as_f64().map(|micros| micros / 1_000.0);
            let (p50, p99) = (ms(&row["dormouse"]["p50"]), ms(&row["dormouse"]["p99"]));
            if row["pool"] == "full" {
                let most = match runtime {
                    "rust" => 2.0,
                    "python" => 3.0,
                    _ => 4.0,
                };
                self.say(("Cold start, pool full: p50", runtime), Limit::AtMost(most), " ms", p50);
                let goal = "Cold start, pool full: p99";
                self.say((goal, runtime), Limit::AtMost(5.0 * most), " ms", p99);
            } else {
                let above = p50.zip(ms(&row["floor"]["p50"])).map(|(ours, floor)| ours - floor);
                let goal = "Cold start, pool empty: p50 above the floor's";
                self.say((goal, runtime), Limit::AtMost(3.0), " ms", above);
            }
        }
    }

    fn restores(&mut self) {
        for (runtime, row) in self.of_runtimes("restore") {
            let p50 = row["dormouse"]["p50"].as_f64().map(|micros| micros / 1_000.0);
            let goal = "Restore, with a boto3 client: p50";
            self.say((goal, runtime), Limit::AtMost(40.0), " ms", p50);
        }
    }

    fn bursts(&mut self) {
        // A smaller burst, as in a quick run, says nothing of the goal.
        for (runtime, row) in self.of_runtimes("burst").filter(|(_, row)| row["invokes"] == BURST) {
            let pool = row["pool"].as_str().unwrap_or_default();
            let most = if pool == "full" { 600.0 } else { 2_000.0 };
            let goal = |what: &str| format!("Burst of 50, pool {pool}: {what}");
            let answered = row["allAnsweredMs"].as_f64();
            self.say((&goal("all answered"), runtime), Limit::AtMost(most), " ms", answered);
            let errors = row["errors"].as_f64();
            self.say((&goal("errors"), runtime), Limit::AtMost(0.0), "", errors);
            if pool == "full" {
                let count = row["environments"].as_f64();
                self.say((&goal("environments"), runtime), Limit::AtLeast(BURST), "", count);
            }
        }
    }

    fn density(&mut self) {
        for (runtime, row) in self.of_runtimes("frozen") {
            let least = match runtime {
                "rust" => 1_000.0,
                "python" => 200.0,
                _ => 90.0,
            };
            let measured = row["perGib"].as_f64();
            self.say(("Frozen environments per GiB", runtime), Limit::AtLeast(least), "", measured);
        }
    }

    fn daemon(&mut self) {
        for row in self.rows("daemon") {
            let functions = format!("{} functions", row["functions"]);
            let rss = row["rssKib"].as_f64().map(|kib| kib / 1_024.0);
            self.say(("Idle memory (RSS)", &functions), Limit::AtMost(40.0), " MiB", rss);
            let sleeps = row["sleepsPerSecond"].as_f64();
            self.say(("Idle wake-ups", &functions), Limit::AtMost(10.0), " a second", sleeps);
            let ready = row["readyMs"].as_f64();
            self.say(("Start to ready", &functions), Limit::AtMost(300.0), " ms", ready);
        }
    }

    fn payloads(&mut self) {
        for (runtime, row) in self.of_runtimes("payload") {
            let goal = format!("{} bytes there and back: p50", row["bytes"]);
            let measured = ratio(&row["dormouse"]["p50"], &row["floor"]["p50"]);
            self.say((&goal, runtime), Limit::AtMost(1.5), " × floor", measured);
        }
    }
}

fn ratio(value: &Value, of: &Value) -> Option<f64> {
    value.as_f64().zip(of.as_f64()).filter(|(_, of)| *of > 0.0).map(|(value, of)| value / of)
}

impl Verdict {
    fn words(&self) -> String {
        match self.missed_by {
            None => "met".to_owned(),
            Some(share) if share < 10.0 => format!("missed by {:.0} %", (share * 100.0).max(1.0)),
            Some(_) => "missed".to_owned(),
        }
    }

    fn measured(&self) -> String {
        if self.measured >= 100.0 || self.measured.fract() == 0.0 {
            format!("{:.0}", self.measured)
        } else {
            format!("{:.2}", self.measured)
        }
    }

    /// As a record keeps it.
    pub(crate) fn record(&self) -> Value {
        json!({
            "goal": self.goal, "of": self.of, "limit": self.limit, "measured": self.measured,
            "met": self.missed_by.is_none(),
        })
    }
}

/// The table of all verdicts.
pub(crate) fn table(verdicts: &[Verdict]) -> Table {
    let met = verdicts.iter().filter(|verdict| verdict.missed_by.is_none()).count();
    let title = format!("Goals: {met} of {} met", verdicts.len());
    let mut table = Table::new(title, &["goal", "of", "limit", "measured", "verdict"]);
    for verdict in verdicts {
        table.row(vec![
            verdict.goal.clone(),
            verdict.of.clone(),
            verdict.limit.clone(),
            verdict.measured(),
            verdict.words(),
        ]);
    }
    for (goal, reason) in NOT_MEASURED {
        let cells = [goal, "", "", "–"].map(str::to_owned);
        table.row([cells.as_slice(), &[format!("not measured: {reason}")]].concat());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row in, one line a verdict out.
    fn check(row: &Value, expected: &[&str]) {
        let verdicts = judge(&json!({ "group": [row] }));
        let lines = verdicts.iter().map(|verdict| {
            let Verdict { goal, of, limit, .. } = verdict;
            format!("{goal}, {of} {limit}: {} {}", verdict.measured(), verdict.words())
        });
        assert_eq!(lines.collect::<Vec<_>>(), expected, "{row}");
    }

    #[test]
    fn warm_invokes_are_judged_by_their_ratio_to_the_floor() {
        check(
            &json!({ "row": "paced", "runtime": "python", "pauseMs": 2,
                "floor": { "p50": 100.0, "p99": 200.0 }, "dormouse": { "p50": 150.0, "p99": 660.0 } }),
            &[
                "Warm, thawed and frozen each time, 2 ms apart: p50, python ≤ 2 × floor: 1.50 met",
                "Warm, thawed and frozen each time, 2 ms apart: p99, python ≤ 3 × floor: 3.30 missed by 10 %",
            ],
        );
    }

    #[test]
    fn throughput_must_be_high_and_without_errors() {
        check(
            &json!({ "row": "warm", "runtime": "rust", "clients": 8, "perSecond": 300.0,
                "floorPerSecond": 1000.0, "errors": 2 }),
            &[
                "Throughput, 8 clients, rust ≥ 0.6 × floor: 0.30 missed by 50 %",
                "Errors, 8 clients, rust ≤ 0: 2 missed",
            ],
        );
        // With one client it is the latency that has a goal.
        let one = json!({ "row": "warm", "runtime": "rust", "clients": 1, "perSecond": 1.0,
            "floorPerSecond": 1000.0, "errors": 0 });
        check(&one, &[]);
    }

    #[test]
    fn cold_starts_have_other_goals_without_a_pool() {
        let row = |pool: &str| {
            json!({ "row": "cold", "runtime": "node", "pool": pool,
                "floor": { "p50": 30_000.0 }, "dormouse": { "p50": 33_500.0, "p99": 20_000.0 } })
        };
        check(
            &row("empty"),
            &["Cold start, pool empty: p50 above the floor's, node ≤ 3 ms: 3.50 missed by 17 %"],
        );
        check(
            &row("full"),
            &[
                "Cold start, pool full: p50, node ≤ 4 ms: 33.50 missed by 738 %",
                "Cold start, pool full: p99, node ≤ 20 ms: 20 met",
            ],
        );
    }

    #[test]
    fn only_a_burst_of_fifty_is_judged() {
        let row = |invokes: u32, pool: &str| {
            json!({ "row": "burst", "runtime": "rust", "pool": pool, "invokes": invokes,
                "allAnsweredMs": 700.0, "errors": 0, "environments": 48 })
        };
        check(
            &row(50, "full"),
            &[
                "Burst of 50, pool full: all answered, rust ≤ 600 ms: 700 missed by 17 %",
                "Burst of 50, pool full: errors, rust ≤ 0: 0 met",
                "Burst of 50, pool full: environments, rust ≥ 50: 48 missed by 4 %",
            ],
        );
        check(
            &row(50, "empty"),
            &[
                "Burst of 50, pool empty: all answered, rust ≤ 2000 ms: 700 met",
                "Burst of 50, pool empty: errors, rust ≤ 0: 0 met",
            ],
        );
        check(&row(20, "full"), &[]);
    }

    #[test]
    fn memory_the_daemon_and_payloads_are_judged() {
        check(
            &json!({ "row": "frozen", "runtime": "python", "perGib": 266 }),
            &["Frozen environments per GiB, python ≥ 200: 266 met"],
        );
        check(
            &json!({ "row": "daemon", "functions": 1000, "rssKib": 9216, "sleepsPerSecond": 11.0,
                "readyMs": 20.5 }),
            &[
                "Idle memory (RSS), 1000 functions ≤ 40 MiB: 9 met",
                "Idle wake-ups, 1000 functions ≤ 10 a second: 11 missed by 10 %",
                "Start to ready, 1000 functions ≤ 300 ms: 20.50 met",
            ],
        );
        check(
            &json!({ "row": "payload", "runtime": "rust", "bytes": 1_000_000,
                "floor": { "p50": 2.0 }, "dormouse": { "p50": 3.0 } }),
            &["1000000 bytes there and back: p50, rust ≤ 1.5 × floor: 1.50 met"],
        );
    }

    #[test]
    fn what_is_no_goal_or_has_no_figure_is_not_judged() {
        check(&json!({ "row": "frozen", "runtime": "rust-lambda_runtime", "perGib": 1 }), &[]);
        check(&json!({ "row": "steps", "runtime": "rust" }), &[]);
        let floorless = json!({ "row": "payload", "runtime": "rust", "bytes": 1,
            "floor": { "p50": null }, "dormouse": { "p50": 3.0 } });
        check(&floorless, &[]);
    }
}
