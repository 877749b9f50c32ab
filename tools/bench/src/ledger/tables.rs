//! The figures of ledgers as tables, one for each kind of question, with their goals.

use super::costs::Costs;
use crate::{
    figures::{Figures, count, float, time, times, whole},
    report::Table,
};

const MILLION: u64 = 1_000_000;

/// All of them; a question that was not asked has no row.
pub(super) fn of(all: &[Costs]) -> Vec<Table> {
    vec![replay(all), open(all), parts(all), memory(all), past(all), verify(all), bytes(all)]
}

/// What a row begins with.
fn size(costs: &Costs) -> [String; 2] {
    [whole(costs.shape.events), whole(costs.shape.tasks)]
}

fn called(what: &str, costs: &Costs) -> String {
    let [events, tasks] = size(costs);
    format!("{what}, {events} events, {tasks} tasks")
}

fn replay(all: &[Costs]) -> Table {
    let mut table = Table::new(
        "Replay: open without a snapshot, beside SQLite reading, decoding and folding the same",
        &[
            "events",
            "tasks",
            "seconds",
            "range",
            "events/s",
            "goal",
            "SQLite",
            "range",
            "taskledger is times",
            "goal",
        ],
    );
    for costs in all.iter().filter(|costs| !costs.replay.is_empty()) {
        let [events, tasks] = size(costs);
        let rates = costs.replay.map(|seconds| float(costs.shape.events) / seconds);
        let ratio = costs.plain.over(&costs.replay);
        let (mut goal, mut ahead) = (String::new(), String::new());
        if costs.shape.events >= MILLION {
            let rate = rates.median();
            let what = called("replay", costs);
            goal = table.judge(&*what, count(rate), "500k events/s", rate >= 5e5);
            let what = called("replay with decode and fold overlapped", costs);
            let more = table.judge(&*what, count(rate), "1M events/s", rate >= 1e6);
            goal = format!("{goal}; {more}");
            if !ratio.is_empty() {
                let what = called("replay beside SQLite", costs);
                let figure = format!("{} times", times(ratio.median()));
                ahead = table.judge(what, figure, "ahead", ratio.median() >= 1.0);
            }
        }
        let plain = costs.plain.map(|seconds| float(costs.shape.events) / seconds);
        let shown = |figures: &Figures, show: fn(f64) -> String| {
            if figures.is_empty() {
                ["SKIPPED".to_owned(), String::new()]
            } else {
                [show(figures.median()), figures.span(show)]
            }
        };
        let [seconds, range] = shown(&costs.replay, time);
        let [plain, plain_range] = shown(&plain, count);
        let ratio = ratio.to_string();
        let rate = count(rates.median());
        table.row([events, tasks, seconds, range, rate, goal, plain, plain_range, ratio, ahead]);
    }
    table
}

fn open(all: &[Costs]) -> Table {
    let mut table = Table::new(
        "Open with a snapshot of the head",
        &["events", "tasks", "time", "range", "goal"],
    );
    for costs in all.iter().filter(|costs| !costs.open.is_empty()) {
        let [events, tasks] = size(costs);
        let median = costs.open.median();
        let goal = match (costs.shape.events / MILLION, costs.shape.tasks) {
            (1, 100_000) => Some((1.0, "under 1 s")),
            (10, 100_000) => Some((4.0, "under 4 s")),
            _ => None,
        };
        let goal = goal.map_or_else(String::new, |(most, goal)| {
            table.judge(called("open", costs), time(median), goal, median < most)
        });
        table.row([events, tasks, time(median), costs.open.span(time), goal]);
    }
    table
}

fn parts(all: &[Costs]) -> Table {
    let mut table = Table::new(
        "Open to read, beside a writer or without one, and answer once",
        &["events", "tasks", "what", "time", "range", "goal"],
    );
    for costs in all.iter().filter(|costs| !costs.parts.last.is_empty()) {
        let parts = &costs.parts;
        let rows = [
            ("the last five events", &parts.last, true),
            ("a task", &parts.task, true),
            ("a thread of 100 and its tree", &parts.thread, true),
            ("every thread", &parts.all, false),
        ];
        for (what, figures, is_part) in rows {
            let [events, tasks] = size(costs);
            let median = figures.median();
            let goal = if is_part && costs.shape.tasks >= 100_000 {
                table.judge(called(what, costs), time(median), "under 150 ms", median < 0.150)
            } else {
                String::new()
            };
            table.row([events, tasks, what.to_owned(), time(median), figures.span(time), goal]);
        }
    }
    table
}

fn memory(all: &[Costs]) -> Table {
    let mut table = Table::new(
        "Memory after opening with a snapshot, of a process of its own",
        &[
            "events",
            "tasks",
            "all of it",
            "the state",
            "state, a task",
            "all of it, a task",
            "goal",
        ],
    );
    for costs in all {
        let Some(memory) = costs.memory else { continue };
        let [events, tasks] = size(costs);
        let mib = |bytes: u64| format!("{:.1} MiB", float(bytes) / float(1 << 20));
        let of = |bytes: u64| float(bytes) / float(costs.shape.tasks);
        let shown = |bytes: u64| format!("{:.0} bytes", of(bytes));
        let goal = if costs.shape.tasks >= 100_000 {
            let met = of(memory.state) <= 1_536.0;
            let what = called("memory of the state a task", costs);
            table.judge(what, shown(memory.state), "at most 1.5 KB", met)
        } else {
            String::new()
        };
        table.row([
            events,
            tasks,
            mib(memory.all),
            mib(memory.state),
            shown(memory.state),
            shown(memory.all),
            goal,
        ]);
    }
    table
}

fn past(all: &[Costs]) -> Table {
    let mut table = Table::new(
        "One thread, and the whole map, as of random positions; a thread and its tree at the head",
        &["events", "tasks", "what", "p50", "p99", "range", "goal"],
    );
    for costs in all.iter().filter(|costs| !costs.looks.tree.is_empty()) {
        let looks = &costs.looks;
        let full = costs.shape.events >= 10 * MILLION;
        let under = |most: f64, goal: &'static str| full.then_some((most, goal));
        let rows = [
            ("a thread of 100 as of", &looks.as_of_100, under(0.010, "p99 under 10 ms")),
            ("a thread of 1,000 as of", &looks.as_of_1000, under(0.060, "p99 under 60 ms")),
            ("the whole map as of", &costs.map, under(1.0, "under 1 s")),
            ("history of a thread of 100", &looks.history, None),
            ("tree of a thread of 1,000", &looks.tree, None),
            ("first task of a thread", &looks.get, None),
        ];
        for (what, figures, goal) in rows {
            let [events, tasks] = size(costs);
            let (p50, p99) = (figures.median(), figures.share(99));
            let goal = goal.map_or_else(String::new, |(most, goal)| {
                table.judge(called(what, costs), time(p99), goal, p99 < most)
            });
            let range = figures.span(time);
            table.row([events, tasks, what.to_owned(), time(p50), time(p99), range, goal]);
        }
    }
    table
}

fn verify(all: &[Costs]) -> Table {
    let mut table = Table::new(
        "Verify everything, from bytes",
        &["events", "tasks", "time", "range", "events/s", "goal"],
    );
    for costs in all.iter().filter(|costs| !costs.verify.is_empty()) {
        let [events, tasks] = size(costs);
        let median = costs.verify.median();
        let rate = float(costs.shape.events) / median;
        let goal = if costs.shape.events >= MILLION {
            table.judge(called("verify", costs), count(rate), "500k events/s", rate >= 5e5)
        } else {
            String::new()
        };
        table.row([events, tasks, time(median), costs.verify.span(time), count(rate), goal]);
    }
    table
}

fn bytes(all: &[Costs]) -> Table {
    let mut table = Table::new(
        "Bytes on disk",
        &["events", "tasks", "encoded, an event", "sled", "archive", "all files", "goal"],
    );
    for costs in all {
        let Some(bytes) = costs.bytes else { continue };
        let [events, tasks] = size(costs);
        let of = |part: u64| float(part) / float(bytes.encoded.max(1));
        let (sled, files) = (of(bytes.sled), of(bytes.all));
        // A journal is made ahead, of a size that a small ledger does not fill.
        let goal = if costs.shape.events >= MILLION {
            let small = table.judge(
                called("sled's files", costs),
                times(sled),
                "0.9 of the encoded bytes",
                sled <= 0.9,
            );
            let what = called("all files", costs);
            let all = table.judge(what, times(files), "1.3 of the encoded bytes", files <= 1.3);
            format!("{small}; {all}")
        } else {
            String::new()
        };
        table.row([
            events,
            tasks,
            (bytes.encoded / costs.shape.events).to_string(),
            times(sled),
            times(of(bytes.archive)),
            times(files),
            goal,
        ]);
    }
    table
}
