//! The summary as a page that needs nothing but itself: no network, no fonts, and no scripts either, with which it is only
//! replaced without flicker.

use super::chart::{Line, draw, largest, scale, scale_of_bytes};
use super::status::{Count, Site, Status};
use crate::app::About;
use guest::html::Text;
use std::fmt::{self, Display, Write as _};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A number that only this answer has. Styles and scripts with it are the page's own, and the browser runs no others, whatever
/// gets into the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nonce(String);

impl Nonce {
    /// Another one.
    pub(super) fn new() -> Self {
        let mut bytes = [0; 16];
        // Without randomness from the kernel, escaping is all that there is.
        let _ = aws_lc_rs::rand::fill(&mut bytes);
        Self(format!("{:032x}", u128::from_ne_bytes(bytes)))
    }

    /// The policy of a page with this number.
    pub(super) fn policy(&self) -> String {
        let Self(nonce) = self;
        format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; base-uri \
             'none'; form-action 'none'; frame-ancestors 'none'"
        )
    }
}

/// Renders the page.
pub(super) fn render(status: &Status, Nonce(nonce): &Nonce) -> String {
    let mut html = String::with_capacity(64 * 1024);
    let state = if status.is_ready { "ready" } else { "stopping" };
    // Writing to a string does not fail.
    let _ = writeln!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>wasi-httpd: {state}</title>\n<noscript><meta http-equiv=\"refresh\" \
         content=\"5\"></noscript>\n<style nonce=\"{nonce}\">\n{STYLE}</style>\n<p id=\"stale\" role=\"status\">The \
         server does not answer. What follows is the last that it has said.</p>\n<main>"
    );
    let _ = writeln!(
        html,
        "<header><h1>wasi-httpd {}</h1><p class=\"state {state}\">{state}</p><p>up {}</p></header>",
        status.version,
        Span(status.uptime)
    );
    tiles(&mut html, status);
    charts(&mut html, status);
    sites(&mut html, &status.sites);
    lists(&mut html, status);
    warnings(&mut html, status);
    let _ = writeln!(
        html,
        "<footer>Also here: <a href=\"/metrics\">/metrics</a> for Prometheus, <a href=\"/status.json\">/status.json</a>, \
         /healthz and /readyz.</footer>\n</main>\n<script nonce=\"{nonce}\">\n{SCRIPT}</script>\n</html>"
    );
    html
}

fn tiles(html: &mut String, status: &Status) {
    html.push_str("<section class=\"grid tiles\" aria-label=\"Now\">\n");
    let mut tile = |name: &str, value: &dyn Display, about: &dyn Display, is_bad: bool| {
        let class = if is_bad { " class=\"bad\"" } else { "" };
        let _ = writeln!(
            html,
            "<div class=\"card tile\">{name}<b{class}>{value}</b><small>{about}</small></div>"
        );
    };
    let Status { connections, instances, .. } = status;
    tile(
        "Requests",
        &format_args!("{}/s", Number(status.requests_per_second)),
        &format_args!("{}/s of content", Bytes(status.bytes_per_second)),
        false,
    );
    tile(
        "Errors",
        &Or(status.errors.map(|errors| format!("{:.*} %", if errors < 0.1 { 2 } else { 0 }, errors * 100.0))),
        &"status 5xx, last minute",
        status.errors.is_some_and(|errors| errors > 0.0),
    );
    tile("Latency p50", &Or(status.p50.map(Span)), &"to the last byte, last minute", false);
    tile("Latency p99", &Or(status.p99.map(Span)), &"to the last byte, last minute", false);
    let open = connections.active + connections.idle;
    tile(
        "Connections",
        &open,
        &format_args!("{} active, of {} at most", connections.active, connections.limit),
        open >= connections.limit,
    );
    tile(
        "Instances",
        &instances.in_use,
        &format_args!("{} idle, {} requests waiting", instances.idle, instances.waiting),
        instances.waiting > 0,
    );
    tile(
        "Memory",
        &Or(status.memory.map(|bytes| Bytes(to_f64(bytes)))),
        &"resident, of the whole process",
        false,
    );
    tile("Processors", &format_args!("{:.2}", status.cpu), &"busy, last ten seconds", false);
    html.push_str("</section>\n");
}

fn charts(html: &mut String, status: &Status) {
    html.push_str("<section class=\"grid charts\" aria-label=\"The last five minutes\">\n");
    let history = &status.history;
    let floats = |values: &[f64]| values.iter().copied().map(Some).collect::<Vec<_>>();
    let line = |class, values| Line { class, is_filled: false, values };
    let area = |class, values| Line { class, is_filled: true, values };
    let (requests, errors) = (floats(&history.requests), floats(&history.errors));
    let lines = [("all", area("one", &requests)), ("5xx", area("red", &errors))];
    chart(html, "Requests a second", &lines, Unit::Number);
    let lines = [("p50", line("one", &history.p50)), ("p99", line("two", &history.p99))];
    chart(html, "Latency", &lines, Unit::Time);
    let (connections, instances) = (floats(&history.connections), floats(&history.instances));
    let lines = [("open", line("one", &connections)), ("in use", line("two", &instances))];
    chart(html, "Connections and instances", &lines, Unit::Number);
    let (bytes, cpu) = (floats(&history.bytes), floats(&history.cpu));
    chart(html, "Content a second", &[("", area("one", &bytes))], Unit::Bytes);
    chart(html, "Processors busy", &[("", area("one", &cpu))], Unit::Number);
    let memory: Vec<_> = history.memory.iter().map(|&bytes| Some(to_f64(bytes))).collect();
    chart(html, "Memory", &[("", line("two", &memory))], Unit::Bytes);
    html.push_str("</section>\n");
}

/// What the values of a chart are.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Number,
    Bytes,
    Time,
}

/// Adds a chart with lines and their names.
fn chart(html: &mut String, title: &str, lines: &[(&str, Line<'_>)], unit: Unit) {
    let _ = write!(html, "<div class=\"card chart\"><h2>{title}<span class=\"keys\">");
    for (name, Line { class, .. }) in lines.iter().filter(|(name, _)| !name.is_empty()) {
        let _ = write!(html, "<span class=\"key {class}\">{name}</span>");
    }
    let lines: Vec<_> = lines.iter().map(|(_, line)| *line).collect();
    let most = largest(&lines);
    let (top, shown) = match unit {
        Unit::Number => (scale(most), Number(scale(most)).to_string()),
        Unit::Bytes => (scale_of_bytes(most), Bytes(scale_of_bytes(most)).to_string()),
        Unit::Time => (scale(most), Span(scale(most)).to_string()),
    };
    let _ = write!(html, "</span></h2><div class=\"plot\"><span class=\"top\">{shown}</span>");
    draw(html, title, &lines, top);
    html.push_str("</div><div class=\"axis soft\"><span>5 min ago</span><span>now</span></div></div>\n");
}

fn sites(html: &mut String, sites: &[Site]) {
    html.push_str(
        "<section class=\"card\"><h2>Sites</h2>\n<table><thead><tr><th scope=\"col\">Site<th scope=\"col\" \
         class=\"text\">Components<th scope=\"col\">Requests<th scope=\"col\">5xx<th scope=\"col\">In flight<th \
         scope=\"col\">p50<th scope=\"col\">p99<th scope=\"col\">In use<th scope=\"col\">Idle<th \
         scope=\"col\">Waiting</tr></thead>\n<tbody>\n",
    );
    for site in sites {
        let _ =
            write!(html, "<tr><td>{}<td class=\"text\" data-name=\"Components\"><span>", Text(&site.name));
        let components = site.middlewares.iter().chain([&site.guest]);
        for (at, About { component, executor, grants }) in components.enumerate() {
            let line = if at > 0 { "<br>" } else { "" };
            let mut how = executor.clone();
            if !grants.is_empty() {
                let _ = write!(how, "; given {}", grants.join(", "));
            }
            let _ = write!(html, "{line}{} <span class=\"soft\">{}</span>", Text(component), Text(&how));
        }
        html.push_str("</span>");
        let mut cell = |name: &str, value: &dyn Display, is_bad: bool| {
            let class = if is_bad { " class=\"bad\"" } else { "" };
            let _ = write!(html, "<td data-name=\"{name}\"{class}>{value}");
        };
        cell("Requests", &Grouped(site.requests), false);
        cell("Errors (5xx)", &Grouped(site.errors), site.errors > 0);
        cell("In flight", &Grouped(site.in_flight), false);
        cell("Latency p50", &Or(site.p50.map(Span)), false);
        cell("Latency p99", &Or(site.p99.map(Span)), false);
        cell("Instances in use", &site.instances.in_use, false);
        cell("Instances idle", &site.instances.idle, false);
        cell("Requests waiting", &site.instances.waiting, site.instances.waiting > 0);
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></section>\n");
}

fn lists(html: &mut String, status: &Status) {
    html.push_str("<section class=\"grid lists\">\n");
    let mut list = |title: &str, counts: &[Count], none: &str| {
        let _ = write!(html, "<div class=\"card\"><h2>{title}</h2>");
        if counts.is_empty() {
            let _ = write!(html, "<p class=\"soft\">{none}</p>");
        } else {
            html.push_str("<ul>");
            for Count { what, count } in counts {
                let _ = write!(html, "<li><span>{}</span><b>{}</b></li>", Text(what), Grouped(*count));
            }
            html.push_str("</ul>");
        }
        html.push_str("</div>\n");
    };
    list("Limits reached", &status.limits, "None yet.");
    list("Failures of components", &status.failures, "None yet.");
    let reload = status.last_reload.as_ref();
    let reload = reload.map_or_else(
        || "Nothing was read again yet.".to_owned(),
        |reload| {
            let outcome = if reload.has_succeeded { "read again" } else { "could not be read again" };
            format!("{} {outcome} {} ago.", capital(reload.what), Span(reload.age))
        },
    );
    let dropped = match status.dropped_lines {
        0 => String::new(),
        lines => format!("<p class=\"bad\">{} lines of logs were dropped.</p>", Grouped(lines)),
    };
    let _ = writeln!(
        html,
        "<div class=\"card\"><h2>Last reload</h2><p class=\"soft\">{reload}</p>{dropped}</div>\n</section>"
    );
}

fn warnings(html: &mut String, status: &Status) {
    html.push_str("<section class=\"card\"><h2>Last warnings</h2>");
    if status.warnings.is_empty() {
        html.push_str("<p class=\"soft\">None since the start.</p>");
    } else {
        html.push_str("<ul class=\"lines\">");
        for warning in &status.warnings {
            let class = if warning.is_error { " class=\"bad\"" } else { "" };
            let _ = write!(
                html,
                "<li><time>{} ago</time><span{class}>{}</span></li>",
                Span(warning.age),
                Text(&warning.text)
            );
        }
        html.push_str("</ul>");
    }
    html.push_str("</section>\n");
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[allow(clippy::cast_precision_loss)]
fn to_f64(number: u64) -> f64 {
    number as f64
}

/// A value, or a dash where there is none.
struct Or<T>(Option<T>);

impl<T: Display> Display for Or<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("\u{2013}"),
        }
    }
}

/// A number of three digits.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number) = *self;
        match number {
            _ if number >= 1e6 => write!(f, "{:.2} M", number / 1e6),
            _ if number >= 1e4 => write!(f, "{:.1} k", number / 1e3),
            _ if number >= 100.0 || number.fract() == 0.0 => write!(f, "{number:.0}"),
            _ if number >= 10.0 => write!(f, "{number:.1}"),
            _ => write!(f, "{number:.2}"),
        }
    }
}

/// A whole number, its thousands apart.
struct Grouped(u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.char_indices() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char('\u{202f}')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// Bytes.
struct Bytes(f64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = self.0;
        for unit in ["B", "KiB", "MiB"] {
            if number < 1024.0 {
                let digits = usize::from(unit != "B" && number < 100.0 && number.fract() != 0.0);
                return write!(f, "{number:.digits$} {unit}");
            }
            number /= 1024.0;
        }
        write!(f, "{number:.1} GiB")
    }
}

/// A time in seconds.
struct Span(f64);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(seconds) = *self;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = seconds.max(0.0) as u64;
        match seconds {
            _ if seconds < 0.001 => write!(f, "{:.0} \u{b5}s", seconds.max(0.0) * 1e6),
            _ if seconds < 0.01 => write!(f, "{:.1} ms", seconds * 1e3),
            _ if seconds < 1.0 => write!(f, "{:.0} ms", seconds * 1e3),
            _ if seconds < 10.0 && seconds.fract() != 0.0 => write!(f, "{seconds:.1} s"),
            _ if whole < 120 => write!(f, "{whole} s"),
            _ if whole < 7_200 => write!(f, "{} min", whole / 60),
            _ if whole < 172_800 => write!(f, "{} h", whole / 3_600),
            _ => write!(f, "{} days", whole / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Grouped, Nonce, Number, Or, Span, Text};

    #[test]
    fn figures_are_short() {
        for (seconds, text) in [
            (0.0, "0 \u{b5}s"),
            (0.000_25, "250 \u{b5}s"),
            (0.0015, "1.5 ms"),
            (0.25, "250 ms"),
            (2.5, "2.5 s"),
            (2.0, "2 s"),
            (90.0, "90 s"),
            (600.0, "10 min"),
            (10_000.0, "2 h"),
            (1e6, "11 days"),
        ] {
            assert_eq!(Span(seconds).to_string(), text);
        }
        for (number, text) in
            [(0.0, "0"), (0.25, "0.25"), (12.34, "12.3"), (1234.5, "1234"), (54_321.0, "54.3 k")]
        {
            assert_eq!(Number(number).to_string(), text);
        }
        for (bytes, text) in
            [(0.0, "0 B"), (1536.0, "1.5 KiB"), (200.5 * 1024.0, "200 KiB"), (3e9, "2.8 GiB")]
        {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        let grouped = [0, 999, 1_000, 1_234_567].map(|number| Grouped(number).to_string());
        assert_eq!(grouped, ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        assert_eq!(Or(None::<u8>).to_string(), "\u{2013}");
    }

    #[test]
    fn text_from_strangers_is_text() {
        let text = "<script>alert('&\"')</script>";
        assert_eq!(Text(text).to_string(), "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;");
    }

    #[test]
    fn each_page_has_a_number_of_its_own() {
        let [one, other] = [(); 2].map(|()| Nonce::new());
        assert_ne!(one, other);
        assert!(one.policy().contains(&format!("script-src 'nonce-{}';", one.0)));
        assert_eq!(one.0.len(), 32);
    }
}
