//! Messages to the service manager (`sd_notify(3)`), where it has set `NOTIFY_SOCKET`: the server is ready, is alive, stops.

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// Whether there is one.
pub fn is_expected() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Tells that requests are answered from now on.
pub fn ready() {
    tell(&NotifyState::Ready);
}

/// Tells that the server finishes what is under way, and ends.
pub fn stopping() {
    tell(&NotifyState::Stopping);
}

/// Tells that the server is alive, twice in each interval of the watchdog, if there is one. This runs on the threads that
/// serve, so that it stops when all of them hang.
pub async fn keep_alive() {
    let Some(limit) = watchdog_enabled().filter(|limit| !limit.is_zero()) else { return };
    let mut ticks = interval(limit / 2);
    // After a pause, one message replaces several.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&NotifyState::Watchdog);
    }
}

fn tell(state: &NotifyState<'_>) {
    if let Err(error) = notify(std::slice::from_ref(state)) {
        warn!("cannot tell the service manager {state}: {error}");
    }
}
