//! A recorder of metrics that adds everything up.

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

type Labels = Vec<(String, String)>;

/// What was counted under each name and label.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums(Arc<Mutex<BTreeMap<(String, Labels), f64>>>, Arc<Mutex<Helps>>);

/// The kind and the text of each name that was described.
pub(crate) type Helps = BTreeMap<String, (&'static str, String)>;

pub(crate) fn install() -> Sums {
    let sums = Sums::default();
    metrics::set_global_recorder(sums.clone()).unwrap();
    sums
}

impl Sums {
    pub(crate) fn keys(&self) -> Vec<(String, Labels)> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    /// Over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let sums = self.0.lock().unwrap();
        sums.iter().filter(|((found, _), _)| found == name).map(|(_, sum)| sum).sum()
    }

    /// What the library says of its metrics.
    pub(crate) fn helps(&self) -> Helps {
        self.1.lock().unwrap().clone()
    }

    fn describe(&self, kind: &'static str, name: &KeyName, help: &SharedString) {
        self.1.lock().unwrap().insert(name.as_str().to_owned(), (kind, help.to_string()));
    }

    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels = key.labels().map(|l| (l.key().to_owned(), l.value().to_owned())).collect();
        Arc::new(Cell { sums: self.clone(), key: (key.name().to_owned(), labels) })
    }
}

struct Cell {
    sums: Sums,
    key: (String, Labels),
}

impl Cell {
    fn add(&self, value: f64) {
        *self.sums.0.lock().unwrap().entry(self.key.clone()).or_default() += value;
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.add(f64::from(u32::try_from(value).unwrap()));
    }
    fn absolute(&self, _value: u64) {
        panic!("counters only grow");
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.add(value);
    }
    fn decrement(&self, value: f64) {
        self.add(-value);
    }
    fn set(&self, _value: f64) {
        panic!("a gauge that is set cannot be shared");
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.add(value);
    }
}

impl Recorder for Sums {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe("counter", &name, &help);
    }
    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe("gauge", &name, &help);
    }
    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe("histogram", &name, &help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}
