// Has `jco serve` run the file server: it has no flags for directories and the environment, and two faults in its
// implementation of WASI end the whole server. Both are of @bytecodealliance/jco 1.35.0 (preview2-shim 0.26.1).
//
// FILES_ROOT is the directory to serve, by default the current one; the other FILES_ variables are the file server's.

import { _setEnv } from '@bytecodealliance/preview2-shim/cli';
import { _setPreopens } from '@bytecodealliance/preview2-shim/filesystem';
import { types } from '@bytecodealliance/preview2-shim/http';
import { streams } from '@bytecodealliance/preview2-shim/io';
import { resolve } from 'node:path';

const { FILES_ROOT: root = '.', ...environment } = process.env;

_setPreopens({ '/': resolve(root) });
// Without this, the guest would have the environment of the whole process.
_setEnv(Object.fromEntries(Object.entries(environment).filter(([name]) => name.startsWith('FILES_'))));

// A response whose body was never asked for has none, as the answer to HEAD. The server looks at that body all the same:
// it is given one, which ends at once.
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

// The Content-Length of such a response is that of another one's body, and would be demanded of this.
function withoutLength(make) {
  const { get } = Fields.prototype;
  Fields.prototype.get = () => [];
  try {
    return make();
  } finally {
    Fields.prototype.get = get;
  }
}

// A splice moves as much as it finds, whatever length it is given; reading and writing keep to it.
const WRITE_BYTES = 4096n;
streams.OutputStream.prototype.blockingSplice = function (source, length) {
  const bytes = source.blockingRead(length < WRITE_BYTES ? length : WRITE_BYTES);
  if (bytes.length > 0) {
    this.blockingWriteAndFlush(bytes);
  }
  return BigInt(bytes.length);
};
