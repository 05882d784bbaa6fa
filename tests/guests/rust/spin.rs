//! A guest on the SDK of Spin, for WASI 0.3: it passes the body of a request on as a stream.

use spin_sdk::http::body::stream;
use spin_sdk::http::{IntoResponse, Request, Response, StatusCode, Result};
use spin_sdk::http_service;
use futures_util::SinkExt as _;

#[http_service]
async fn answer(request: Request) -> Result<impl IntoResponse> {
    Ok(match request.uri().path() {
        "/" => "Hello from Spin\n".into_response()?,
        "/echo" => Response::new(request.into_body()).into_response()?,
        "/request" => describe(&request).into_response()?,
        "/stream" => {
            let (mut sender, body) = stream::<String>();
            spin_sdk::wasip3::spawn(async move {
                for number in 0..1000 {
                    if sender.send(format!("line {number}\n")).await.is_err() {
                        break;
                    }
                }
            });
            Response::new(body).into_response()?
        }
        _ => StatusCode::NOT_FOUND.into_response()?,
    })
}

/// What the guest sees of a request. `wasmtime serve` 48 tells guests of WASI 0.3 neither scheme nor authority.
fn describe(request: &Request) -> String {
    format!("{} {:?}\n{:#?}\n", request.method(), request.uri().path_and_query(), request.headers())
}
