#!/usr/bin/env python3
"""Checks every kind of answer with REDbot (https://redbot.org) and prints its notes. Exits with 1 if a note is "bad".

Needs `pip install redbot`. Takes the path of the program: tests/clients/redbot.py target/debug/wasi-httpd
"""

import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from serving import serving

PAGES = {"a text file": "a.txt", "a file with a sidecar": "b.txt", "a listing": "", "an error": "missing"}
LONG_AGO = 1_700_000_000


def notes(url):
    """REDbot's notes on a URL, as (level, sentence)."""
    output = subprocess.run(["redbot", "-o", "har", url], capture_output=True, text=True, check=True).stdout
    entry = json.loads(output)["log"]["entries"][0]
    return [(note["level"], note["summary"]) for note in entry["_red_messages"]]


def main():
    text = "".join(f"{number}\n" for number in range(3000)).encode()
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for name, content in [("a.txt", text), ("b.txt", text), ("b.txt.gz", gzip.compress(text))]:
            (root / name).write_bytes(content)
            os.utime(root / name, (LONG_AGO, LONG_AGO))
        bad = 0
        with serving(root) as origin:
            for what, path in PAGES.items():
                print(f"{what}:")
                for level, sentence in notes(f"{origin}/{path}"):
                    bad += level == "BAD"
                    print(f"  {level:4} {sentence}")
    sys.exit(bad > 0)


main()
