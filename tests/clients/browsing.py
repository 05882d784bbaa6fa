"""Headless Chromium as Debian packages it, which asks nobody but the server under test."""

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def options(width, height):
    """Options for a window of this size."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in [*ARGUMENTS, f"--window-size={width},{height}"]:
        options.add_argument(argument)
    return options


def chromium(options):
    """A browser. With the driver named, none is looked for elsewhere."""
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
