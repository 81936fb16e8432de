//! The report as a person reads it.

use bytesize::ByteSize;

use super::{Report, Spread};
use crate::cli::output::columns;

const NOT_KNOWN: &str = "not known";

impl Report {
    /// Two columns under a line that says what was done.
    pub(in crate::cli::bench) fn table(&self) -> String {
        let mut rows = vec![self.accepted_row()];
        if self.load.endpoints > 0 {
            rows.push(self.delivered_row());
        }
        rows.push(row("POST", self.post_ms.text()));
        if self.load.endpoints > 0 {
            rows.push(spread("accept to receive", self.accept_to_receive_ms));
            rows.push(spread("due to receive", self.due_to_receive_ms));
        }
        rows.push(row("CPU, server + Postgres", self.cpu_text()));
        rows.push(row("CPU, beside it", self.beside_text()));
        rows.push(row("server memory", self.memory_text()));
        let bytes =
            |bytes: Option<f64>| known(bytes, |bytes| format!("{bytes:.0} bytes per event"));
        rows.push(row("database", bytes(self.database_bytes_per_event)));
        rows.push(row("write-ahead log", bytes(self.wal_bytes_per_event)));
        format!("{}\n\n{}", self.head(), columns(&rows))
    }

    fn head(&self) -> String {
        let load = &self.load;
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let requests = match load.batch {
            1 => String::new(),
            batch => format!(", {batch} in a request"),
        };
        let pace = match load.rate {
            Some(rate) => format!("{rate} a second (open loop)"),
            None => "as fast as they are answered (closed loop)".to_owned(),
        };
        format!(
            "{} events of {}{requests} to {} endpoint{}, {} producer{}, {pace}; {}; Tidings {}",
            load.events,
            size(u64::try_from(load.payload_bytes).unwrap_or(u64::MAX)),
            load.endpoints,
            s(load.endpoints),
            load.producers,
            s(load.producers.into()),
            match self.platform.as_str() {
                "private" => "private platform",
                url => url,
            },
            self.version,
        )
    }

    fn accepted_row(&self) -> [String; 2] {
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        row("accepted", format!("{:.0} /s{failed}", self.accepted_per_s))
    }

    fn delivered_row(&self) -> [String; 2] {
        let Self {
            delivered_per_s,
            lost,
            duplicates,
            signatures_checked: checked,
            signatures_wrong: wrong,
            ..
        } = self;
        row(
            "delivered",
            format!(
                "{delivered_per_s:.0} /s, {lost} lost, {duplicates} duplicates; signatures: {checked} checked, {wrong} wrong"
            ),
        )
    }

    fn cpu_text(&self) -> String {
        let cpu = &self.cpu;
        let parts = format!(
            "server {}, Postgres {}",
            known(cpu.server_ms_per_event, ms),
            known(cpu.postgres_ms_per_event, ms)
        );
        let Some(per_event) = cpu.ms_per_event else {
            return format!("{parts} per event");
        };
        let per_delivery = cpu
            .ms_per_delivery
            .map(|time| format!(", {} per delivery", ms(time)));
        format!(
            "{} per event{} ({parts})",
            ms(per_event),
            per_delivery.unwrap_or_default()
        )
    }

    fn beside_text(&self) -> String {
        let Self { cpu, .. } = self;
        format!(
            "the bench itself {} per event; the rest of the machine {}",
            known(cpu.bench_ms_per_event, ms),
            known(cpu.others_s, |time| format!("{time:.2} s")),
        )
    }

    fn memory_text(&self) -> String {
        known(self.server_peak_bytes, |bytes| {
            format!("{} at most", size(bytes))
        })
    }
}

impl Spread {
    fn text(&self) -> String {
        let Self { p50, p90, p99, max } = self;
        format!("p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  max {max:.2} ms")
    }
}

fn spread(name: &str, spread: Option<Spread>) -> [String; 2] {
    row(name, known(spread, |spread| spread.text()))
}

fn row(name: &str, text: String) -> [String; 2] {
    [name.to_owned(), text]
}

fn known<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NOT_KNOWN.to_owned(), text)
}

fn ms(time: f64) -> String {
    format!("{time:.3} ms")
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}
