//! What holds where no flag says otherwise, each with its reason. The help repeats these.

/// Where the server listens: only this machine reaches it.
pub const ADDR: &str = "localhost:8080";

/// Instances at a time. A small guest takes some hundred kilobytes while it runs.
pub const MAX_INSTANCES: u32 = 1000;

/// Requests for each instance: with one, no request finds anything of another.
pub const REUSE: u32 = 1;

/// Seconds for the head of a request: a client that needs more has stopped, or means to hold the connection.
pub const HEAD_TIMEOUT: u32 = 30;

/// Seconds that a connection may be idle: longer than a page is read before the next click loads from it, and short
/// beside what most clients keep theirs open for.
pub const IDLE_TIMEOUT: u32 = 30;

/// Seconds until a guest begins to answer: as long as people wait for a page.
pub const TIMEOUT: u32 = 30;

/// Seconds in which a client may take nothing: longer than a mobile connection is interrupted.
pub const STALL_TIMEOUT: u32 = 60;

/// Seconds in which a guest may send nothing: streams of events send something every 15 to 30 seconds, because proxies
/// in between cut silent connections as well.
pub const SILENCE_TIMEOUT: u32 = 60;

/// Seconds that a guest waits for the body of a request in all, apart from the time that its size explains.
pub const BODY_TIMEOUT: u32 = 30;
