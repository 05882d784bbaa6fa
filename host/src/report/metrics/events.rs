//! What is rare and belongs to the whole process: limits that were reached, guests that failed, handshakes, reloads and lines
//! that were dropped. It is counted whether or not there is `--admin`, because none of it happens with a plain request.

use super::counter::Counter;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Makes an enumeration whose variants have a name for a label and a place in a table of counters.
macro_rules! kinds {
    ($(#[$about:meta])* $kind:ident: $($(#[$meaning:meta])* $variant:ident = $name:literal,)+) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $kind {
            $($(#[$meaning])* $variant,)+
        }

        impl $kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value of the label.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// A limit that something has reached. Where a flag sets it, it is called as the flag.
    Limit:
    /// No more connections are accepted until one ends.
    Connections = "max-connections",
    /// A connection was closed, because its address had as many as it may.
    PerAddress = "max-connections-per-address",
    /// A head was too large, or had too many fields.
    Head = "max-head",
    /// A URL was too long.
    Target = "url",
    /// A head, or a handshake of TLS, was not complete in time.
    HeadTime = "head-timeout",
    /// A body was too large.
    Body = "max-body",
    /// A body was not complete in time.
    BodyTime = "body-timeout",
    /// A request was refused, because too many waited for an instance.
    Queue = "queue",
    /// A request has waited too long for an instance.
    QueueTime = "queue-timeout",
    /// A request was refused, because as many archives as possible were sent.
    Archives = "archives",
    /// The memory of an instance could not grow any more.
    Memory = "max-memory",
    /// A table of an instance could not grow any more.
    Table = "max-table",
    /// A password was not looked at, because its address has sent too many wrong ones.
    Logins = "logins",
    /// A client has taken nothing for too long.
    Stall = "stall-timeout",
    /// A stream was refused, because all connections together had too many.
    Streams = "http2-streams",
    /// A client has sent too many frames that get it nothing.
    Frames = "http2-frames",
}

kinds! {
    /// In which way a guest has failed.
    Failure:
    /// It trapped, or could not be instantiated.
    Trap = "trap",
    /// It trapped, or could not be instantiated, after it was denied memory or elements of a table.
    Memory = "memory",
    /// It took too long.
    Time = "timeout",
    /// It returned without a response.
    NoResponse = "no-response",
    /// It reported an error in the place of a response.
    Reported = "reported",
    /// Its response ended early.
    Incomplete = "incomplete",
}

kinds! {
    /// How a handshake of TLS has ended.
    Handshake:
    /// With TLS 1.2.
    Tls12 = "TLSv1.2",
    /// With TLS 1.3.
    Tls13 = "TLSv1.3",
    /// It has failed, or the client has left.
    Failed = "failed",
    /// It took too long.
    Late = "timeout",
    /// The client has sent something else.
    Clear = "clear",
}

kinds! {
    /// What is read again while the server runs.
    Reload:
    /// The files of certificates.
    Certificates = "certificates",
    /// The files of rules.
    Rules = "rules",
    /// The configuration, and with it all of these and components.
    Configuration = "configuration",
}

kinds! {
    /// Lines that can be dropped.
    Log:
    /// Of the access log.
    Access = "access",
    /// On standard error.
    Error = "error",
    /// That guests print.
    Guest = "guest",
}

static LIMITS: [Counter; Limit::ALL.len()] = [const { Counter::new() }; Limit::ALL.len()];
static HANDSHAKES: [Counter; Handshake::ALL.len()] = [const { Counter::new() }; Handshake::ALL.len()];
static DROPPED: [Counter; Log::ALL.len()] = [const { Counter::new() }; Log::ALL.len()];

/// Reloads that have succeeded and failed.
static RELOADS: [[Counter; 2]; Reload::ALL.len()] =
    [const { [const { Counter::new() }; 2] }; Reload::ALL.len()];

/// What the last reload was about, when it was, and whether it has succeeded.
static LAST_RELOAD: Mutex<Option<(Reload, SystemTime, bool)>> = Mutex::new(None);

/// By the label of the site.
static FAILURES: Mutex<BTreeMap<String, [u64; Failure::ALL.len()]>> = Mutex::new(BTreeMap::new());

impl Limit {
    /// It was reached once more.
    pub fn hit(self) {
        LIMITS[self as usize].increment();
    }

    /// How often it was reached.
    pub fn hits(self) -> u64 {
        LIMITS[self as usize].get()
    }
}

impl Handshake {
    /// One more has ended so.
    pub fn count(self) {
        HANDSHAKES[self as usize].increment();
    }

    /// How many have ended so.
    pub fn counted(self) -> u64 {
        HANDSHAKES[self as usize].get()
    }
}

impl Log {
    /// So many more lines were dropped.
    pub fn drop_lines(self, lines: u64) {
        DROPPED[self as usize].add(lines);
    }

    /// How many lines were dropped.
    pub fn dropped(self) -> u64 {
        DROPPED[self as usize].get()
    }
}

impl Reload {
    /// There was one more, which has succeeded or not.
    pub fn count(self, has_succeeded: bool) {
        RELOADS[self as usize][usize::from(!has_succeeded)].increment();
        let last = Some((self, SystemTime::now(), has_succeeded));
        *LAST_RELOAD.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// How many have succeeded, and how many have failed.
    pub fn counted(self) -> [u64; 2] {
        RELOADS[self as usize].each_ref().map(Counter::get)
    }

    /// What the last one was about, when it was, and whether it has succeeded.
    pub fn last() -> Option<(Self, SystemTime, bool)> {
        *LAST_RELOAD.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    /// A guest of the site with this label has failed in this way.
    pub fn count(self, site: &str) {
        let mut failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get_mut(site) {
            Some(counts) => counts[self as usize] += 1,
            None => failures.entry(site.to_owned()).or_default()[self as usize] += 1,
        }
    }

    /// How often guests of a site have failed, in each way.
    pub fn counted(site: &str) -> [u64; Self::ALL.len()] {
        let failures = FAILURES.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(site).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Limit, Log, Reload};

    #[test]
    fn each_kind_has_a_count_of_its_own() {
        let before = Limit::Stall.hits();
        let others = Limit::Body.hits();
        Limit::Stall.hit();
        assert_eq!((Limit::Stall.hits(), Limit::Body.hits()), (before + 1, others));
        Failure::Trap.count("one");
        Failure::Trap.count("one");
        Failure::Time.count("other");
        assert_eq!(Failure::counted("one"), [2, 0, 0, 0, 0, 0]);
        assert_eq!(Failure::counted("other"), [0, 0, 1, 0, 0, 0]);
        assert_eq!(Failure::counted("none"), [0; 6]);
        Log::Guest.drop_lines(3);
        assert_eq!(Log::Guest.dropped(), 3);
    }

    #[test]
    fn the_last_reload_is_kept() {
        Reload::Configuration.count(false);
        let (what, _, has_succeeded) = Reload::last().unwrap();
        assert_eq!((what, has_succeeded), (Reload::Configuration, false));
        assert_eq!(Reload::Configuration.counted(), [0, 1]);
    }

    #[test]
    fn names_are_values_of_labels() {
        for (at, limit) in Limit::ALL.iter().enumerate() {
            assert_eq!(*limit as usize, at);
            assert!(limit.name().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        }
    }
}
