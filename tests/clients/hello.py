#!/usr/bin/env python3
"""Tests the two hello servers of README.md in Chromium and with curl.

Needs Debian's chromium, chromium-driver and curl, and `pip install selenium`. Takes the path of the program, and writes
screenshots to the current directory: tests/clients/hello.py target/debug/wasi-httpd
"""

import pathlib
import re
import subprocess
import sys

from selenium.webdriver.common.by import By

from browsing import chromium, options

PREBUILT = pathlib.Path(__file__).resolve().parents[2] / "guest" / "prebuilt"

SERVERS = {
    "hello-socket": ["run", "--allow-tcp-listen", "127.0.0.1:0", PREBUILT / "hello-socket.wasm", "127.0.0.1:0"],
    "hello": ["--addr", "127.0.0.1:0", PREBUILT / "hello.wasm"],
}


def start(arguments):
    """Starts a server, and returns it with its origin."""
    server = subprocess.Popen([sys.argv[1], *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in server.stdout:
        if found := re.match(r"Listening on (http://\S+)/", line):
            return server, found[1]
    raise AssertionError(f"the server exited: {arguments}")


def main():
    for name, arguments in SERVERS.items():
        server, origin = start(arguments)
        driver = chromium(options(600, 200))
        try:
            for _ in range(3):
                driver.get(f"{origin}/")
                shown = driver.find_element(By.TAG_NAME, "body").text
                assert shown == "Hello World", shown
            driver.save_screenshot(f"{name}.png")
            answer = subprocess.run(["curl", "-sS", "-i", f"{origin}/"], capture_output=True, text=True, check=True).stdout
            assert answer.startswith("HTTP/1.1 200 OK\n") and answer.endswith("\n\nHello World"), answer
        finally:
            driver.quit()
            server.kill()
            server.wait()
    print(f"{' and '.join(SERVERS)} say hello in Chromium and to curl")


main()
