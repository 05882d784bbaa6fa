//! A guest on wasmCloud's library, for WASI 0.2: it splices the body of a request into its response.

use wasmcloud_component::http::{self, ErrorCode, HeaderValue, IncomingRequest, Response, StatusCode};
use wasmcloud_component::wasi::http::types::OutgoingBody;
use wasmcloud_component::wasi::io::streams::OutputStream;

struct Guest;

wasmcloud_component::http::export!(Guest);

/// The bodies of responses.
enum Body {
    Echo(http::IncomingBody),
    Text(String),
}

impl http::OutgoingBody for Body {
    fn write(self, body: OutgoingBody, stream: OutputStream) -> std::io::Result<()> {
        match self {
            Self::Echo(received) => received.write(body, stream),
            Self::Text(text) => text.write(body, stream),
        }
    }
}

impl http::Server for Guest {
    fn handle(request: IncomingRequest) -> Result<Response<impl http::OutgoingBody>, ErrorCode> {
        let (head, received) = request.into_parts();
        let mut response = Response::new(match head.uri.path() {
            "/" => Body::Text("Hello from wasmCloud\n".to_owned()),
            "/echo" => Body::Echo(received),
            "/request" => Body::Text(format!("{} {}\n{:#?}\n", head.method, head.uri, head.headers)),
            "/error" => return Err(ErrorCode::ConnectionLimitReached),
            _ => {
                let mut response = Response::new(Body::Text(String::new()));
                *response.status_mut() = StatusCode::NOT_FOUND;
                return Ok(response);
            }
        });
        response.headers_mut().insert("x-guest", HeaderValue::from_static("wasmcloud"));
        Ok(response)
    }
}
