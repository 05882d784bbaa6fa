#!/usr/bin/env python3
"""Downloads a file of 1 GiB with aria2 over sixteen connections, and with curl after an interruption; compares digests.

Needs aria2 and curl. Takes the path of the program: tests/clients/downloads.py target/debug/wasi-httpd
"""

import hashlib
import os
import pathlib
import subprocess
import tempfile

from serving import serving

LENGTH = 1 << 30
PIECE = 1 << 20


def digest(path):
    """The SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main():
    with tempfile.TemporaryDirectory() as site, tempfile.TemporaryDirectory() as saves:
        root, downloads = pathlib.Path(site), pathlib.Path(saves)
        with open(root / "large.bin", "wb") as file:
            for _ in range(LENGTH // PIECE):
                file.write(os.urandom(PIECE))
        expected = digest(root / "large.bin")
        with serving(root) as origin:
            url = f"{origin}/large.bin"
            aria2 = ["aria2c", "--quiet", "-x16", "-s16", "-k1M", "-d", saves, "-o", "aria2.bin", url]
            subprocess.run(aria2, check=True)
            curl = ["curl", "--silent", "-C", "-", "-o", downloads / "curl.bin", url]
            # Interrupt a download after a third of the file, which curl then resumes.
            with open(downloads / "curl.bin", "wb") as start, subprocess.Popen(
                ["curl", "--silent", url], stdout=subprocess.PIPE
            ) as cut:
                for _ in range(LENGTH // PIECE // 3):
                    start.write(cut.stdout.read(PIECE))
                cut.terminate()
            subprocess.run(curl, check=True)
        for name in ["aria2.bin", "curl.bin"]:
            assert digest(downloads / name) == expected, f"{name} differs from the file"
    print("aria2 over sixteen connections and curl after an interruption got the right bytes")


main()
