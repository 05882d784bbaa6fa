#!/usr/bin/env python3
"""Tests a listing of hostile file names in Chromium: clicks, downloads, sorting by keyboard, and the console.

Needs Debian's chromium and chromium-driver, and `pip install selenium`. Takes the path of the program, and writes
screenshots to the current directory: tests/clients/browser.py target/debug/wasi-httpd
"""

import os
import pathlib
import tempfile
import time

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browsing import chromium, options
from serving import serving

NAMES = [
    "<img src=x onerror=alert(1)>.bin",
    "<script>alert(1)<\u2215script>.bin",
    'a"b.bin',
    "it's.bin",
    "a&amp;b.bin",
    "javascript;alert(1).bin",
    "q?x#y.bin",
    "new\nline.bin",
    "tab\tname.bin",
    "100%25.bin",
    "\u202egnp.bin",
    "日本語 🦀.bin",
    "x" * 200 + ".bin",
]

TIMEOUT_SECONDS = 20


def wait_for(what, check):
    """Waits until a check returns a true value, and returns that value."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.05)
    raise AssertionError(f"timed out: {what}")


def browser(downloads, dark=False, width=1100):
    """Starts a headless browser that saves files which it cannot display."""
    wanted = options(width, 900)
    wanted.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    wanted.add_experimental_option("prefs", {"download.default_directory": os.fspath(downloads)})
    driver = chromium(wanted)
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    if width < 600:
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": True}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return driver


def click_through(driver, origin, root, downloads):
    """Clicks every file, and checks the content of its download."""
    driver.get(f"{origin}/")
    rows = len(driver.find_elements(By.CSS_SELECTOR, "tbody tr"))
    assert rows == len(NAMES) + 2, rows
    for at in range(len(NAMES)):
        links = driver.find_elements(By.CSS_SELECTOR, "tbody tr a")
        link = next(link for link in links if at_of(link) == at + 1)
        link.click()
        content = wait_for(f"the download of {NAMES[at]!r}", lambda: saved(downloads))
        assert content == (root / NAMES[at]).read_bytes(), (NAMES[at], content)


def at_of(link):
    """The size of the file that a link leads to, which identifies the file; None for directories."""
    size = link.find_element(By.XPATH, "ancestor::tr").find_elements(By.CSS_SELECTOR, "data")
    return int(size[0].get_attribute("value")) if size else None


def saved(downloads):
    """The content of a complete download, which is then removed; None if there is none."""
    for file in downloads.iterdir():
        # The name shows that a download is incomplete.
        if not file.name.startswith(".") and file.suffix != ".crdownload" and file.stat().st_size > 0:
            content = file.read_bytes()
            file.unlink()
            return content
    return None


def sort_by_keyboard(driver, origin):
    """Sorts the listing by size, with the keyboard only."""
    driver.get(f"{origin}/")
    body = driver.find_element(By.TAG_NAME, "body")
    # Past the filter, its button and the heading of names.
    body.send_keys(Keys.TAB, Keys.TAB, Keys.TAB, Keys.TAB)
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    wait_for("the listing by size", lambda: "sort=size" in driver.current_url)
    sizes = [int(size.get_attribute("value")) for size in driver.find_elements(By.CSS_SELECTOR, "data")]
    assert sizes == sorted(sizes), sizes


def main():
    with tempfile.TemporaryDirectory() as site, tempfile.TemporaryDirectory() as saves:
        root, downloads = pathlib.Path(site), pathlib.Path(saves)
        for size, name in enumerate(NAMES, start=1):
            (root / name).write_bytes(os.urandom(size))
        (root / "sub").mkdir()
        (root / "sub" / "404.html").write_text("<p>gone</p>")
        (root / "README.md").write_text("# A site\n\n<script>alert(1)</script>\n" + "Some text. " * 40)
        os.utime(root / "README.md", (1_700_000_000, 1_700_000_000))
        with serving(root) as origin:
            for name, dark, width in [("light", False, 1100), ("dark", True, 1100), ("phone", False, 390)]:
                driver = browser(downloads, dark, width)
                try:
                    driver.get(f"{origin}/")
                    driver.save_screenshot(f"listing-{name}.png")
                    driver.get(f"{origin}/missing")
                    driver.save_screenshot(f"error-{name}.png")
                    if name == "light":
                        click_through(driver, origin, root, downloads)
                        sort_by_keyboard(driver, origin)
                    # Chromium logs the 404 of the error page, as it should.
                    console = [line for line in driver.get_log("browser") if "/missing" not in line["message"]]
                    assert console == [], console
                finally:
                    driver.quit()
    print(f"{len(NAMES)} hostile names clicked, no script run, nothing on the console")


main()
