//! The defaults of the flags, each with its reason. The help text is made from them.

/// The address of a server that inherits no listener. Only this machine reaches it.
pub const ADDR: &str = "localhost:8080";

/// The address of a server that speaks TLS.
pub const TLS_ADDR: &str = "localhost:8443";

/// Connections at the same time, where the process may have as many files. Each takes up to 48 KiB while its client is
/// hostile, and 8 KiB while it is idle.
pub const MAX_CONNECTIONS: u32 = 12_000;

/// Connections of one address at the same time. A browser opens 6, so that 40 people behind one address have theirs, while
/// it takes some 50 addresses to use up all connections.
pub const MAX_CONNECTIONS_PER_ADDRESS: u32 = 256;

/// Instances at the same time. A small guest takes some hundred kilobytes while it runs.
pub const MAX_INSTANCES: u32 = 1000;

/// Requests for each instance. With one, no state can leak from one request to the next.
pub const REUSE: u32 = 1;

/// Requests that an instance answers at a time.
pub const REUSE_CONCURRENT: u32 = 1;

/// Requests that an instance answers in all where it answers several at a time: what one leaves behind is bounded.
pub const REUSE_OF_CONCURRENT: u32 = 1_000;

/// Seconds for the head of a request. A client that needs longer is stuck or holds the connection on purpose.
pub const HEAD_TIMEOUT: u32 = 30;

/// Seconds that a connection may be idle: longer than a page is read before the next click loads from it, and short
/// beside what most clients keep theirs open for.
pub const IDLE_TIMEOUT: u32 = 30;

/// Seconds until a guest begins to answer: as long as people wait for a page.
pub const TIMEOUT: u32 = 30;

/// Seconds in which a client may take nothing: longer than a mobile connection is interrupted.
pub const STALL_TIMEOUT: u32 = 60;

/// Seconds in which a guest may send nothing. Streams of events send something every 15 to 30 seconds, because proxies
/// in between cut silent connections as well.
pub const SILENCE_TIMEOUT: u32 = 60;

/// Seconds for the body of a request, in addition to the time that `MIN_BODY_RATE` allows for its bytes.
pub const BODY_TIMEOUT: u32 = 30;

/// Bytes of a body that earn its client another second: a slow mobile connection sends ten times as many.
pub const MIN_BODY_RATE: u32 = 500;

/// MiB of the body of a request: more than forms and calls of an API have. Who takes uploads of more knows it.
pub const MAX_BODY: u32 = 100;

/// KiB of the head of a request. Browsers stay below 16 KiB even with many cookies.
pub const MAX_HEAD: u32 = 32;

/// Fields of a request. Browsers send some 20, and chains of proxies add as many.
pub const MAX_FIELDS: u32 = 100;

/// Seconds that a request waits for an instance. A browser shows a blank page meanwhile, and a proxy may ask another
/// server.
pub const QUEUE_TIMEOUT: u32 = 5;

/// Handles of an instance: files, streams, sets of fields. A request for a file needs about ten.
pub const MAX_HANDLES: u32 = 1_000;

/// KiB that a guest may print for one request, to each of its two streams: a long backtrace.
pub const MAX_OUTPUT: u32 = 64;

/// MiB of a store of keys and values: sessions and counters of some hundred thousand clients.
pub const KEYVALUE_SIZE: u32 = 64;

/// MiB that compressed forms of files may take: those of a large site in three codings.
pub const COMPRESSED_SIZE: u32 = 64;

/// Seconds for which a browser uses https: only, where `--hsts` names no other time: a year, which browsers ask for in
/// sites that they preload.
pub const HSTS_MAX_AGE: u32 = 31_536_000;

/// The share of traces that is sent, of those that begin here: who has more than a collector can take knows it.
pub const OTLP_SAMPLE: &str = "1";

/// Seconds in which a server that will stop goes on as before. What takes it out of a load balancer can ask for some.
pub const GRACE: u32 = 0;

/// Seconds for answers under way when the server stops. Service managers kill what has not ended after 30 to 90.
pub const DRAIN_TIMEOUT: u32 = 10;

/// Seconds for an answer to `health`: more than a server needs that is compiling on a busy machine, and less than the health checks
/// of containers wait (30 s).
pub const HEALTH_TIMEOUT: u32 = 5;

/// Seconds that a component may take to come from a registry: 256 MiB at 1 MiB/s, and some for signatures and waiting.
pub const REGISTRY_TIMEOUT: u32 = 300;

/// MiB of components from registries that are kept: four of the largest, or some fifty with an interpreter.
pub const REGISTRY_CACHE: u32 = 1024;
