//! Links `wasi:http/handler` as an import: a component passes a request on to the one behind it.

use super::interface;
use super::responses::lend;
use crate::instance::next::NoResponse;
use crate::instance::{Next, State};
use http::header::{HOST, HeaderValue};
use http::uri::Authority;
use http::{Request as HttpRequest, Uri};
use std::future::ready;
use wasmtime::AsContextMut as _;
use wasmtime::component::{Accessor, Linker, Resource};
use wasmtime::error::Context as _;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};

/// In the place of an authority that a request lacks, while the runtime takes it apart.
const NO_AUTHORITY: Authority = Authority::from_static("localhost");

type Answer = Result<Resource<Response>, ErrorCode>;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    interface(linker, "wasi:http/handler")?.func_wrap_concurrent(
        "handle",
        |store: &Accessor<State>, (request,): (Resource<Request>,)| {
            Box::pin(async move { Ok((handle(store, request).await?,)) })
        },
    )
}

/// `handle`
async fn handle(store: &Accessor<State>, request: Resource<Request>) -> wasmtime::Result<Answer> {
    let (next, request) = store.with(|mut store| {
        let next = store.get().next().context("nothing stands behind this component")?;
        let request = store.get().table().delete(request)?;
        let request = passed_on(store.as_context_mut(), request)?;
        wasmtime::error::Ok((next, request))
    })?;
    let request = match request {
        Ok(request) => request,
        Err(code) => return Ok(Err(code)),
    };
    let response = Next::respond(next, request).await;
    store.with(|mut store| {
        let response = match response {
            Ok(response) => response,
            Err(error) => return Ok(Err(code(error))),
        };
        Ok(Ok(lend(store.get(), response)?))
    })
}

/// What a component is told of a response that it does not get.
fn code(why: NoResponse) -> ErrorCode {
    match why {
        NoResponse::Busy => ErrorCode::ConnectionLimitReached,
        NoResponse::BodyTimeout => ErrorCode::ConnectionReadTimeout,
        NoResponse::BodyTooLarge => ErrorCode::HttpRequestBodySize(None),
        NoResponse::ClientLeft => ErrorCode::ConnectionTerminated,
        NoResponse::Failed | NoResponse::Often(_) => ErrorCode::InternalError(Some(why.to_string())),
    }
}

/// A request as the component behind gets it: in the form in which a client sends it.
fn passed_on(
    store: wasmtime::StoreContextMut<'_, State>,
    mut request: Request,
) -> wasmtime::Result<Result<HttpRequest<crate::body::RequestBody>, ErrorCode>> {
    let authority = request.authority.replace(NO_AUTHORITY);
    let request = match request.into_http(store, ready(Ok(()))) {
        Ok((request, _)) => request,
        Err(error) => return Ok(Err(error.downcast()?)),
    };
    let (mut head, body) = request.into_parts();
    head.uri =
        head.uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()));
    match authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        Some(authority) => drop(head.headers.insert(HOST, authority)),
        None => drop(head.headers.remove(HOST)),
    }
    Ok(Ok(HttpRequest::from_parts(head, body)))
}
