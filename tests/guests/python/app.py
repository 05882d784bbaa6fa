"""Serves a greeting and single files, which it reads with Python's standard library."""

from pathlib import Path
from urllib.parse import unquote

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.preopens import get_directories
from wit_world.imports.wasi_http_types import Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam

# The most bytes that one blocking-write-and-flush takes.
PIECE_BYTES = 4096


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        status, content = answer((request.path_with_query() or "/").partition("?")[0])
        response = OutgoingResponse(
            Fields.from_list(
                [
                    ("content-type", b"text/plain; charset=utf-8"),
                    ("content-length", str(len(content)).encode()),
                ]
            )
        )
        response.set_status_code(status)
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        # A body cannot be finished while its stream exists.
        with body.write() as stream:
            for start in range(0, len(content), PIECE_BYTES):
                stream.blocking_write_and_flush(content[start : start + PIECE_BYTES])
        OutgoingBody.finish(body, None)


def answer(path: str) -> tuple[int, bytes]:
    """The status and the content for a path."""
    if path == "/":
        return 200, b"Hello World"
    prefix, _, name = path.rpartition("/")
    if prefix != "/file" or not name:
        return 404, b"There is nothing here.\n"
    try:
        _, directory = get_directories()[0]
        return 200, Path(directory, unquote(name)).read_bytes()
    except (OSError, ValueError, IndexError) as error:
        return 404, f"This file cannot be opened: {error}\n".encode()
