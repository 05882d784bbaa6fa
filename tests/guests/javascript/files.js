// Serves a greeting and single files by calling the WASI interfaces directly: descriptors, streams and pollables.

import { getDirectories } from 'wasi:filesystem/preopens@0.2.12';
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from 'wasi:http/types@0.2.12';

const PIECE_BYTES = 65536n;

export const incomingHandler = {
  handle(request, outparam) {
    const [path] = (request.pathWithQuery() ?? '/').split('?');
    const name = path.match(/^\/file\/([^/]+)$/)?.[1];
    if (path === '/') {
      answerText(outparam, 200, 'Hello World');
    } else if (name === undefined) {
      answerText(outparam, 404, 'There is nothing here.\n');
    } else {
      answerFile(outparam, name);
    }
  },
};

function answerFile(outparam, name) {
  let file, size, type;
  try {
    const [directory] = getDirectories()[0];
    file = directory.openAt({ symlinkFollow: true }, decodeURIComponent(name), {}, { read: true });
    ({ size, type } = file.stat());
    // Opening a directory succeeds too.
    if (type !== 'regular-file') {
      throw new Error(type);
    }
  } catch (error) {
    // An error of the file system has a code as its payload; any other error only has a message.
    answerText(outparam, 404, `This file cannot be opened: ${error.payload ?? error.message}\n`);
    return;
  }
  answer(outparam, 200, size, (write) => {
    for (let offset = 0n, atEnd = false; !atEnd && offset < size; ) {
      let piece;
      [piece, atEnd] = file.read(PIECE_BYTES, offset);
      write(piece);
      offset += BigInt(piece.length);
    }
  });
}

function answerText(outparam, status, text) {
  const bytes = new TextEncoder().encode(text);
  answer(outparam, status, bytes.length, (write) => write(bytes));
}

function answer(outparam, status, length, produce) {
  const value = (text) => new TextEncoder().encode(text);
  const response = new OutgoingResponse(
    Fields.fromList([
      ['content-type', value('text/plain; charset=utf-8')],
      ['content-length', value(String(length))],
    ]),
  );
  response.setStatusCode(status);
  const body = response.body();
  ResponseOutparam.set(outparam, { tag: 'ok', val: response });
  const stream = body.write();
  produce((bytes) => writeAll(stream, bytes));
  // A body cannot be finished while its stream exists, and the garbage collector may drop the stream too late.
  stream[Symbol.dispose]();
  OutgoingBody.finish(body, undefined);
}

function writeAll(stream, bytes) {
  const writable = stream.subscribe();
  for (let written = 0; written < bytes.length; ) {
    writable.block();
    const end = Math.min(bytes.length, written + Number(stream.checkWrite()));
    stream.write(bytes.subarray(written, end));
    written = end;
  }
  // A pollable is a child resource of its stream, and must be dropped first.
  writable[Symbol.dispose]();
}
