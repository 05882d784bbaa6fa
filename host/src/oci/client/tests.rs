//! What a session sends, and to whom, over TLS. What registries of this machine do wrong in the clear is in the suite
//! `registry`.

use super::{Ask, Session};
use crate::config::Roots;
use crate::config::components::Registries;
use crate::oci::reference::Reference;
use crate::outgoing::tests::acceptor::acceptor;
use crate::outgoing::{Client, trust};
use http::uri::Scheme;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server for `localhost` that answers by the path of a request, and keeps the heads of all of them.
struct Secured {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    certificate: PathBuf,
    _place: TempDir,
}

impl Secured {
    /// `answer` is given the head of a request, and gives the status, fields and body.
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let place = tempfile::tempdir().unwrap();
        let (acceptor, certificate) = acceptor(place.path(), &[]);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    head.push(char::from(stream.read_u8().await.unwrap()));
                }
                let text = format!("HTTP/1.1 {}", answer(&head));
                kept.lock().unwrap().push(head);
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        Self { port, heads, certificate, _place: place }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// The values of `Authorization` in what has come, with the paths.
    fn authorizations(&self) -> Vec<(String, Option<String>)> {
        let heads = self.heads.lock().unwrap();
        let of = |head: &String| {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            let value = head.lines().find_map(|line| line.strip_prefix("authorization: "));
            (path, value.map(str::to_owned))
        };
        heads.iter().map(of).collect()
    }
}

const OK: &str = "200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

fn answer(status: &str, field: &str) -> String {
    format!("{status}\r\n{field}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn redirect(to: &str) -> String {
    answer("307 Temporary Redirect", &format!("Location: {to}"))
}

/// The outcome of a GET for `/v2/a/x` at this server, with a file of passwords, and with certificates of these.
async fn get(server: &Secured, trusted: &[&Secured]) -> Result<String, String> {
    let place = tempfile::tempdir().unwrap();
    let auth = place.path().join("auth.json");
    let text = format!(r#"{{"auths": {{"localhost:{}": {{"auth": "YTpi"}}}}}}"#, server.port);
    std::fs::write(&auth, text).unwrap();
    let registries = Registries { auth: Some(auth), in_clear: Vec::new(), time: Duration::from_mins(1) };
    let reference = Reference::parse(&format!("oci://localhost:{}/a", server.port)).unwrap();
    let mut session = Session::new(&registries, &reference, "pull").unwrap();
    let files: Vec<_> = trusted.iter().map(|server| server.certificate.clone()).collect();
    session.client = Client::new(trust::client_config(Some(Roots::Webpki), &files).unwrap());
    // As with a registry on another machine.
    session.scheme = Scheme::HTTPS;
    let uri = session.url("x").unwrap();
    let answer = session.ask(&Ask::get(uri, 100)).await.map_err(|error| format!("{error:#}"))?;
    Ok(format!("{} {}", answer.status.as_u16(), String::from_utf8(answer.body).unwrap()))
}

#[tokio::test]
async fn a_redirect_to_another_host_carries_no_password() {
    let blobs = Secured::start(|_| OK.to_owned()).await;
    let url = blobs.url("/blob?signature=x");
    let registry = Secured::start(move |head| {
        if head.contains("authorization: Basic YTpi") {
            redirect(&url)
        } else {
            answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"")
        }
    })
    .await;
    assert_eq!(get(&registry, &[&registry, &blobs]).await, Ok("200 ok".to_owned()));
    assert_eq!(blobs.authorizations(), [("/blob?signature=x".to_owned(), None)]);
    let own = registry.authorizations();
    assert_eq!(own.iter().map(|(_, value)| value.as_deref()).collect::<Vec<_>>(), [None, Some("Basic YTpi")]);
}

#[tokio::test]
async fn another_host_that_demands_a_password_gets_none() {
    let blobs = Secured::start(|_| answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"")).await;
    let url = blobs.url("/");
    let registry = Secured::start(move |_| redirect(&url)).await;
    assert_eq!(get(&registry, &[&registry, &blobs]).await, Ok("401 ".to_owned()));
    assert_eq!(blobs.authorizations(), [("/".to_owned(), None)]);
}

#[tokio::test]
async fn a_token_comes_from_where_the_registry_says_and_goes_to_the_registry() {
    let tokens = Secured::start(|_| {
        "200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{\"token\":\"t.t\"}".to_owned()
    })
    .await;
    let field = format!("WWW-Authenticate: Bearer realm=\"{}\",service=\"s\"", tokens.url("/token"));
    let registry = Secured::start(move |head| {
        if head.contains("authorization: Bearer t.t") {
            OK.to_owned()
        } else {
            answer("401 Unauthorized", &field)
        }
    })
    .await;
    assert_eq!(get(&registry, &[&registry, &tokens]).await, Ok("200 ok".to_owned()));
    let asked = "/token?service=s&scope=repository%3Aa%3Apull".to_owned();
    assert_eq!(tokens.authorizations(), [(asked, Some("Basic YTpi".to_owned()))]);
}

#[tokio::test]
async fn nothing_leads_from_https_to_clear_http() {
    for to in ["http://localhost:1/", "http://registry.example/", "ftp://registry.example/"] {
        let to_clear = redirect(to);
        let registry = Secured::start(move |_| to_clear.clone()).await;
        let error = get(&registry, &[&registry]).await.unwrap_err();
        assert!(error.ends_with("which does not speak HTTPS"), "{error}");
        let demand = answer("401 Unauthorized", &format!("WWW-Authenticate: Bearer realm=\"{to}\""));
        let registry = Secured::start(move |_| demand.clone()).await;
        let error = get(&registry, &[&registry]).await.unwrap_err();
        assert!(error.ends_with("which does not speak HTTPS"), "{error}");
        assert_eq!(registry.authorizations(), [("/v2/a/x".to_owned(), None)]);
    }
}

#[tokio::test]
async fn a_certificate_has_to_be_trusted() {
    let registry = Secured::start(|_| OK.to_owned()).await;
    let error = get(&registry, &[]).await.unwrap_err();
    assert!(error.contains("does not speak TLS as it should") && error.contains("certificate"), "{error}");
    assert_eq!(registry.authorizations(), []);
}
