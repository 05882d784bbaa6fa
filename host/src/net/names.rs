//! Names of machines, in a program that contains the C library.

/// Has the C library look names up by `/etc/hosts` and DNS, which are parts of it, and not by the services that
/// `/etc/nsswitch.conf` names. These are libraries of the system, and loading one ends a static program with a fault of arithmetic
/// if it was made for another version of the C library. To be called before the first thread starts.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
pub fn use_services_within() {
    use std::ffi::{c_char, c_int};

    #[allow(unsafe_code)]
    unsafe extern "C" {
        /// Of glibc's `nss.h`: the services of a database, in the syntax of `/etc/nsswitch.conf`.
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }
    // SAFETY: both are strings that end with NUL and live as long as the program. No other thread looks a name up meanwhile.
    // dist/build tries it on a file system that has such a service.
    #[allow(unsafe_code)]
    unsafe {
        __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr());
    }
}

/// A program that loads the C library can load its services too.
#[cfg(not(all(target_env = "gnu", target_feature = "crt-static")))]
pub fn use_services_within() {}
