//! The metrics as Prometheus reads them.

use super::state::State;
use crate::report::metrics::events::{Failure, Handshake, Limit, Log, Reload};
use crate::report::metrics::site::{CLASSES, METHODS};
use crate::report::metrics::text::{Kind, Text, Unit};
use std::time::UNIX_EPOCH;

/// Renders all of them.
pub(super) fn render(state: &State) -> String {
    let mut text = Text::default();
    requests(&mut text, state);
    connections(&mut text, state);
    instances(&mut text, state);
    events(&mut text, state);
    process(&mut text, state);
    text.finish()
}

fn requests(text: &mut Text, state: &State) {
    let sites = state.metrics.sites();
    let mut family = text.family(
        "wasi_httpd_requests_total",
        "Requests that were answered, or whose client has left.",
        Kind::Counter,
    );
    for site in &sites {
        for (method, counts) in METHODS.iter().zip(site.ended()) {
            for (class, count) in CLASSES.iter().zip(counts) {
                // Those that every server has are there from the beginning, so that their first rise shows. A site with none
                // of the others need not say so forty times.
                if count > 0 || (*method == "GET" && *class != "1xx") {
                    family.sample(&[("site", site.label()), ("method", method), ("status", class)], count);
                }
            }
        }
    }
    let mut family =
        text.family("wasi_httpd_requests_in_flight", "Requests whose answer is not complete.", Kind::Gauge);
    for site in &sites {
        family.sample(&[("site", site.label())], site.in_flight());
    }
    let mut family = text.family(
        "wasi_httpd_request_duration_seconds",
        "Time from the head of a request to the last byte of its answer.",
        Kind::Histogram,
    );
    for site in &sites {
        family.histogram(&[("site", site.label())], &site.total(), Unit::Seconds);
    }
    let mut family = text.family(
        "wasi_httpd_request_head_seconds",
        "Time from the head of a request to the head of its answer.",
        Kind::Histogram,
    );
    for site in &sites {
        family.histogram(&[("site", site.label())], &site.head(), Unit::Seconds);
    }
    let mut family =
        text.family("wasi_httpd_response_size_bytes", "Bytes of the bodies of answers.", Kind::Histogram);
    for site in &sites {
        family.histogram(&[("site", site.label())], &site.size(), Unit::Bytes);
    }
}

fn connections(text: &mut Text, state: &State) {
    let open = state.connections.open();
    text.family(
        "wasi_httpd_connections",
        "Open connections; an idle one has had no request for a second.",
        Kind::Gauge,
    )
    .sample(&[("state", "active")], open.active)
    .sample(&[("state", "idle")], open.idle);
    text.family("wasi_httpd_connections_limit", "How many connections may be open at a time.", Kind::Gauge)
        .sample(&[], state.connections.most());
    text.family("wasi_httpd_connections_accepted_total", "Connections that were accepted.", Kind::Counter)
        .sample(&[], state.connections.accepted());
    let mut family = text.family(
        "wasi_httpd_tls_handshakes_total",
        "TLS handshakes, by the version that was agreed on or by why there was none.",
        Kind::Counter,
    );
    for outcome in Handshake::ALL {
        let (outcome_name, version) = match outcome {
            Handshake::Tls12 | Handshake::Tls13 => ("completed", outcome.name()),
            Handshake::Failed | Handshake::Late | Handshake::Clear => (outcome.name(), "none"),
        };
        family.sample(&[("outcome", outcome_name), ("version", version)], outcome.counted());
    }
}

fn instances(text: &mut Text, state: &State) {
    let sites: Vec<_> = state.sites().iter().map(|site| (site.label().clone(), site.load())).collect();
    let mut family = text.family(
        "wasi_httpd_instances",
        "Instances of components that work for a request, or wait for one.",
        Kind::Gauge,
    );
    for (label, load) in &sites {
        family.sample(&[("site", label.as_str()), ("state", "in_use")], load.in_use);
        family.sample(&[("site", label.as_str()), ("state", "idle")], load.idle);
    }
    let mut family =
        text.family("wasi_httpd_instances_limit", "How many instances may work at a time.", Kind::Gauge);
    for (label, load) in &sites {
        family.sample(&[("site", label.as_str())], load.most);
    }
    let mut family =
        text.family("wasi_httpd_requests_waiting", "Requests that wait for an instance.", Kind::Gauge);
    for (label, load) in &sites {
        family.sample(&[("site", label.as_str())], load.waiting);
    }
    let all = state.metrics.sites();
    let mut family =
        text.family("wasi_httpd_instances_created_total", "Instances that were made.", Kind::Counter);
    for site in &all {
        family.sample(&[("site", site.label())], site.instances.created.get());
    }
    let mut family = text.family(
        "wasi_httpd_instances_restored_total",
        "Instances that were put back into their initial state after a request.",
        Kind::Counter,
    );
    for site in &all {
        family.sample(&[("site", site.label())], site.instances.restored.get());
    }
    let mut family = text.family(
        "wasi_httpd_guest_failures_total",
        "Requests for which a component has failed, by the way in which it did.",
        Kind::Counter,
    );
    for site in &all {
        for (kind, count) in Failure::ALL.iter().zip(Failure::counted(site.label())) {
            family.sample(&[("site", site.label()), ("kind", kind.name())], count);
        }
    }
}

fn events(text: &mut Text, _: &State) {
    let mut family = text.family(
        "wasi_httpd_limit_hits_total",
        "How often a limit was reached, by the flag that sets it.",
        Kind::Counter,
    );
    for limit in Limit::ALL {
        family.sample(&[("limit", limit.name())], limit.hits());
    }
    let mut family = text.family(
        "wasi_httpd_reloads_total",
        "How often something was read again while the server ran.",
        Kind::Counter,
    );
    for reload in Reload::ALL {
        for (outcome, count) in ["succeeded", "failed"].into_iter().zip(reload.counted()) {
            family.sample(&[("what", reload.name()), ("outcome", outcome)], count);
        }
    }
    let mut family = text.family(
        "wasi_httpd_log_lines_dropped_total",
        "Lines that were not written, because they came too fast.",
        Kind::Counter,
    );
    for log in Log::ALL {
        family.sample(&[("log", log.name())], log.dropped());
    }
}

fn process(text: &mut Text, state: &State) {
    text.family("wasi_httpd_build_info", "The version of the server.", Kind::Gauge)
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let process = &state.process;
    if let Some(bytes) = process.memory() {
        text.family("process_resident_memory_bytes", "Resident memory.", Kind::Gauge).sample(&[], bytes);
    }
    if let Some(seconds) = process.cpu() {
        text.family("process_cpu_seconds_total", "Time on processors, of user and system.", Kind::Counter)
            .sample(&[], seconds);
    }
    if let Some(files) = process.files() {
        text.family("process_open_fds", "Open file descriptors.", Kind::Gauge).sample(&[], files);
    }
    let started = process.started().duration_since(UNIX_EPOCH).unwrap_or_default();
    text.family("process_start_time_seconds", "When the process has started, in Unix time.", Kind::Gauge)
        .sample(&[], started.as_secs_f64());
}
