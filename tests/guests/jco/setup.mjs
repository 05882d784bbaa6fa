// Lets `jco serve` run the file server. `jco serve` has no flags for directories and the environment, and two faults in
// its implementation of WASI crash the whole server: in @bytecodealliance/jco 1.35.0 (preview2-shim 0.26.1).
//
// FILES_ROOT is the directory to serve, by default the current one. The other FILES_ variables are passed to the guest.

import { _setEnv } from '@bytecodealliance/preview2-shim/cli';
import { _setPreopens } from '@bytecodealliance/preview2-shim/filesystem';
import { types } from '@bytecodealliance/preview2-shim/http';
import { streams } from '@bytecodealliance/preview2-shim/io';
import { resolve } from 'node:path';

const { FILES_ROOT: root = '.', ...environment } = process.env;

_setPreopens({ '/': resolve(root) });
// Without this, the guest would see the environment of the whole process.
_setEnv(Object.fromEntries(Object.entries(environment).filter(([name]) => name.startsWith('FILES_'))));

// If the guest never takes the body of a response, as for HEAD, there is none. `jco serve` reads it nevertheless and
// crashes, so such a response gets an empty body.
const { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } = types;
const { body } = OutgoingResponse.prototype;
const { set } = ResponseOutparam;
const haveBodies = new WeakSet();

OutgoingResponse.prototype.body = function () {
  haveBodies.add(this);
  return body.call(this);
};

ResponseOutparam.set = (outparam, result) => {
  const lacksBody = result.tag === 'ok' && !haveBodies.has(result.val);
  const empty = lacksBody ? withoutLength(() => body.call(result.val)) : undefined;
  set(outparam, result);
  if (lacksBody) {
    OutgoingBody.finish(empty, undefined);
  }
};

// The Content-Length of such a response is that of the body for GET, and would be enforced for the empty one.
function withoutLength(make) {
  const { get } = Fields.prototype;
  Fields.prototype.get = () => [];
  try {
    return make();
  } finally {
    Fields.prototype.get = get;
  }
}

// The shim's splice ignores its length and moves all available bytes. Reading and writing respect the length.
const WRITE_BYTES = 4096n;
streams.OutputStream.prototype.blockingSplice = function (source, length) {
  const bytes = source.blockingRead(length < WRITE_BYTES ? length : WRITE_BYTES);
  if (bytes.length > 0) {
    this.blockingWriteAndFlush(bytes);
  }
  return BigInt(bytes.length);
};
