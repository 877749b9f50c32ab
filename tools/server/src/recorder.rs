//! Keeps what the library counts through the `metrics` facade, for `/metrics`.
//!
//! Bounded memory: a histogram is some counters, never a list of what was observed, and no more than
//! 256 series are kept.

use metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Metadata, SharedString,
    Unit,
};
use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Series of all kinds. The library has some 30.
const SERIES_MAX: usize = 256;

/// Upper bounds of the buckets of a histogram, in seconds: from a request that is answered from memory
/// to one that has waited for everything.
const BOUNDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Observations, counted in buckets.
#[derive(Debug, Default)]
pub(crate) struct Buckets(Mutex<Observed>);

#[derive(Debug, Default, Clone, Copy)]
struct Observed {
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        let mut observed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = BOUNDS.iter().zip(&mut observed.counts).find(|(bound, _)| value <= **bound);
        if let Some((_, count)) = bucket {
            *count += 1;
        }
        observed.count += 1;
        observed.sum += value;
    }
}

/// A page of metrics in the text format of Prometheus.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

impl Page {
    /// Begins a family. All its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// A sample: a name, labels in braces or nothing, a value.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.line(format_args!("{name}{} {value}", braced(labels)));
    }

    /// A family of one sample without labels.
    pub(crate) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// The samples of a histogram.
    pub(crate) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], buckets: &Buckets) {
        let observed = *buckets.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut upto = 0;
        for (bound, count) in BOUNDS.iter().zip(observed.counts) {
            upto += count;
            let bound = bound.to_string();
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.line(format_args!("{name}_bucket{} {upto}", braced(&labels)));
        }
        let all = [labels, &[("le", "+Inf")]].concat();
        self.line(format_args!("{name}_bucket{} {}", braced(&all), observed.count));
        self.line(format_args!("{name}_sum{} {}", braced(labels), observed.sum));
        self.line(format_args!("{name}_count{} {}", braced(labels), observed.count));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    /// The text.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

fn braced(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |text: &str| text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

/// Keeps the counters, gauges and histograms of the library. Cheap to clone; clones are the same one.
///
/// A program whose metrics are those of `/metrics` [installs](Self::install) one and names it in
/// [`ServerOptions::recorder`](crate::options::ServerOptions::recorder). A program that has a recorder
/// already keeps it: the library counts there, and `/metrics` has the numbers of the server alone.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    counters: BTreeMap<Key, Arc<AtomicU64>>,
    gauges: BTreeMap<Key, Arc<Level>>,
    histograms: BTreeMap<Key, Arc<Buckets>>,
    /// What each name means, as it was last said.
    helps: BTreeMap<String, SharedString>,
}

/// A gauge: the bits of a number.
#[derive(Debug, Default)]
struct Level(AtomicU64);

impl GaugeFn for Level {
    fn increment(&self, value: f64) {
        GaugeFn::increment(&self.0, value);
    }

    fn decrement(&self, value: f64) {
        GaugeFn::decrement(&self.0, value);
    }

    fn set(&self, value: f64) {
        GaugeFn::set(&self.0, value);
    }
}

impl Recorder {
    /// Makes a recorder that of this process. `None` if the process has one: it stays.
    #[must_use]
    pub fn install() -> Option<Self> {
        let recorder = Self::default();
        metrics::set_global_recorder(recorder.clone()).ok().map(|()| recorder)
    }

    /// Writes all that was counted.
    pub(crate) fn write(&self, page: &mut Page) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        each(page, ("counter", &kept.helps), &kept.counters, |page, name, labels, counter| {
            page.sample(name, labels, counter.load(Ordering::Relaxed));
        });
        each(page, ("gauge", &kept.helps), &kept.gauges, |page, name, labels, level| {
            page.sample(name, labels, f64::from_bits(level.0.load(Ordering::Relaxed)));
        });
        each(page, ("histogram", &kept.helps), &kept.histograms, Page::histogram);
    }

    /// Keeps what a name means, if it is ours and there is room.
    fn describe(&self, name: &KeyName, help: SharedString) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name.as_str();
        let full = kept.helps.len() >= SERIES_MAX && !kept.helps.contains_key(name);
        if is_ours(name) && !full {
            kept.helps.insert(name.to_owned(), help);
        }
    }

    /// The series of a key, made if there is room.
    fn series<T: Default>(
        &self,
        key: &Key,
        of: impl FnOnce(&mut Kept) -> &mut BTreeMap<Key, Arc<T>>,
    ) -> Option<Arc<T>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = kept.counters.len() + kept.gauges.len() + kept.histograms.len() >= SERIES_MAX;
        let series = of(&mut kept);
        if let Some(known) = series.get(key) {
            return Some(Arc::clone(known));
        }
        let ours = is_ours(key.name()) && !full;
        ours.then(|| Arc::clone(series.entry(key.clone()).or_default()))
    }
}

/// True for a name of the library. Of others in the process nothing is known: neither their names nor
/// their labels.
fn is_ours(name: &str) -> bool {
    name.starts_with("taskledger_")
}

/// Writes the series of one kind, family by family: keys are in the order of their names.
fn each<T>(
    page: &mut Page,
    (kind, helps): (&str, &BTreeMap<String, SharedString>),
    series: &BTreeMap<Key, Arc<T>>,
    mut write: impl FnMut(&mut Page, &str, &[(&str, &str)], &T),
) {
    let mut family = "";
    for (key, value) in series {
        if key.name() != family {
            family = key.name();
            match helps.get(family) {
                Some(help) => page.family(family, kind, help),
                // The host opened its ledger before it made this the recorder of the process.
                None => page.line(format_args!("# TYPE {family} {kind}")),
            }
        }
        let labels: Vec<_> =
            key.labels().map(|label: &Label| (label.key(), label.value())).collect();
        write(page, family, &labels, value);
    }
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let counter = self.series(key, |kept| &mut kept.counters);
        counter.map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.series(key, |kept| &mut kept.gauges).map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let buckets = self.series(key, |kept| &mut kept.histograms);
        buckets.map_or_else(Histogram::noop, Histogram::from_arc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(recorder: &Recorder) -> String {
        let mut page = Page::default();
        recorder.write(&mut page);
        page.finish()
    }

    #[test]
    fn what_is_counted_is_written_family_by_family() {
        let recorder = Recorder::default();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("taskledger_b_total", "reason" => "busy").increment(2);
            metrics::counter!("taskledger_b_total", "reason" => "a\"\\\n").increment(1);
            metrics::counter!("taskledger_a_total").increment(7);
            metrics::gauge!("taskledger_live").increment(3.0);
            metrics::gauge!("taskledger_live").decrement(1.0);
            for value in [0.0004, 0.0005, 0.02, 99.0] {
                metrics::histogram!("taskledger_c_seconds").record(value);
            }
            metrics::counter!("of_others_total").increment(1);
            metrics::describe_counter!("taskledger_a_total", "First \\ and\nlast.");
            metrics::describe_counter!("of_others_total", "others");
        });
        let text = written(&recorder);
        let expected = "# HELP taskledger_a_total First \\\\ and\\nlast.\n\
             # TYPE taskledger_a_total counter\ntaskledger_a_total 7\n\
             # TYPE taskledger_b_total counter\n\
             taskledger_b_total{reason=\"a\\\"\\\\\\n\"} 1\ntaskledger_b_total{reason=\"busy\"} 2\n\
             # TYPE taskledger_live gauge\ntaskledger_live 2\n\
             # TYPE taskledger_c_seconds histogram\ntaskledger_c_seconds_bucket{le=\"0.0005\"} 2\n";
        assert!(text.starts_with(expected), "{text}");
        for line in [
            "taskledger_c_seconds_bucket{le=\"0.025\"} 3",
            "taskledger_c_seconds_bucket{le=\"30\"} 3",
            "taskledger_c_seconds_bucket{le=\"+Inf\"} 4",
            "taskledger_c_seconds_count 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(!text.contains("others"), "{text}");
    }

    /// A ledger says what its numbers mean when it is opened.
    #[test]
    fn what_the_library_counts_has_a_text_for_operators() {
        let recorder = Recorder::default();
        metrics::with_local_recorder(&recorder, || {
            taskledger::Ledger::in_memory(taskledger::Options::default()).unwrap();
            metrics::counter!("taskledger_append_refused_total", "reason" => "busy").increment(1);
            metrics::gauge!("taskledger_live_tasks").increment(1.0);
            metrics::histogram!("taskledger_commit_seconds").record(0.01);
        });
        let text = written(&recorder);
        let families: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
            .collect();
        assert!(families.len() >= 3, "{text}");
        for family in families {
            let help = format!("# HELP {family} ");
            assert!(text.lines().any(|line| line.starts_with(&help)), "{family}: {text}");
        }
    }

    #[test]
    fn the_texts_that_are_kept_are_bounded() {
        let recorder = Recorder::default();
        metrics::with_local_recorder(&recorder, || {
            for number in 0..2 * SERIES_MAX {
                metrics::describe_counter!(format!("taskledger_{number}_total"), "x");
            }
        });
        assert_eq!(recorder.0.lock().unwrap().helps.len(), SERIES_MAX);
    }

    #[test]
    fn the_series_that_are_kept_are_bounded() {
        let recorder = Recorder::default();
        metrics::with_local_recorder(&recorder, || {
            for number in 0..2 * SERIES_MAX {
                metrics::counter!("taskledger_x_total", "n" => number.to_string()).increment(1);
            }
        });
        assert_eq!(written(&recorder).lines().count(), SERIES_MAX + 1);
    }
}
