//! `wasi-httpd health`: whether a server is ready, by its admin listener. Health checks of containers run it in images that have
//! no other program.

use crate::config::Health;
use crate::config::listen::ListenAddress;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime;
use tokio::time::timeout;

/// What is asked for.
const PATH: &str = "/readyz";

/// The largest head of an answer, in bytes. hyper takes no lower limit.
const MAX_HEAD: usize = 8 * 1024;

/// Asks the server once whether it is ready. An error is the reason why it is not healthy.
pub fn health(config: &Health) -> Result<()> {
    let Health { address, timeout: limit } = config;
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let asked = runtime.block_on(async { timeout(*limit, ask(address)).await });
    // Does not wait for a name that is still looked up.
    runtime.shutdown_background();
    match asked {
        Ok(Ok(StatusCode::OK)) => Ok(()),
        Ok(Ok(status @ StatusCode::SERVICE_UNAVAILABLE)) => {
            bail!("the server at {address} is not ready: {PATH} is a {status}")
        }
        Ok(Ok(status)) => {
            bail!(
                "what answers at {address} is not --admin of a server: {PATH} is a {status}; name the address of --admin"
            )
        }
        Ok(Err(error)) => Err(error),
        Err(_) => bail!("the server at {address} has not answered within {} s", limit.as_secs()),
    }
}

/// The status of the answer.
async fn ask(address: &ListenAddress) -> Result<StatusCode> {
    let cannot_connect =
        || format!("cannot connect to {address}; a server with `--admin {address}` answers there");
    match address {
        ListenAddress::Tcp(tcp) => {
            let stream = TcpStream::connect((tcp.host.as_str(), tcp.port)).await;
            exchange(stream.with_context(cannot_connect)?, address).await
        }
        ListenAddress::Unix(path) => {
            exchange(UnixStream::connect(path).await.with_context(cannot_connect)?, address).await
        }
    }
}

async fn exchange<S>(stream: S, address: &ListenAddress) -> Result<StatusCode>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // A listener on loopback answers for this name.
    let request = Request::get(PATH).header(HOST, "localhost").body(Empty::<Bytes>::new())?;
    let exchanged = async {
        let mut library = http1::Builder::new();
        library.max_buf_size(MAX_HEAD);
        let (mut sender, connection) = library.handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await
    };
    let response = exchanged.await.with_context(|| format!("there is no answer by HTTP from {address}"))?;
    Ok(response.status())
}
