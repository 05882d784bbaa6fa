"""A server on a free loopback port, for scripts that test it with third-party clients."""

import contextlib
import os
import re
import subprocess
import sys


@contextlib.contextmanager
def serving(directory, *options):
    """Serves a directory with the program named on the command line, and yields its origin."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} PATH_OF_WASI_HTTPD")
    command = [sys.argv[1], "--addr", "127.0.0.1:0", "--dir", os.fspath(directory), "--quiet", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if found := re.match(r"Listening on (http://\S+)/$", line):
                yield found.group(1)
                return
        sys.exit("the server did not start")
    finally:
        process.terminate()
        process.wait()
