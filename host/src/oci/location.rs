//! Where a registry sends its clients: the field `Location` (RFC 9110 §10.2.2).

use http::Uri;

/// The absolute URL that a reference in an answer names: it is absolute itself, or a path.
pub fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    // What stands behind a `#` is not sent.
    let reference = reference.split('#').next().unwrap_or_default();
    let uri: Uri = if reference.starts_with('/') && !reference.starts_with("//") {
        format!("{}://{}{reference}", base.scheme()?, base.authority()?).parse().ok()?
    } else {
        reference.parse().ok()?
    };
    // A user name in it would be sent nowhere, and looks like a host.
    let authority = uri.authority()?;
    (uri.scheme().is_some() && !authority.as_str().contains('@')).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::resolve;
    use http::Uri;
    use proptest::prelude::*;

    #[test]
    fn a_location_is_absolute_or_a_path() {
        let base: Uri = "https://registry.example:5000/v2/a/blobs/b?c".parse().unwrap();
        let resolved = |reference: &str| resolve(&base, reference).map(|uri| uri.to_string());
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(resolved("https://b.example/x?y"), is("https://b.example/x?y"));
        assert_eq!(resolved("/x?y#z"), is("https://registry.example:5000/x?y"));
        for reference in ["x", "//b.example/x", "", "https://", "https://registry.example@b.example/", "?x"] {
            assert_eq!(resolved(reference), None, "{reference}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_tried(reference in "(https?://|/|//)?[a-z/:?#@%. \u{e9}]{0,30}") {
            let base: Uri = "https://a/".parse().unwrap();
            if let Some(uri) = resolve(&base, &reference) {
                prop_assert!(uri.scheme().is_some() && uri.authority().is_some());
            }
        }
    }
}
