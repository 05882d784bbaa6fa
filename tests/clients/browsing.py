"""Debian's Chromium, headless and without background requests: it connects only to the server under test."""

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
    """Starts a browser. The path of the driver keeps selenium from downloading one."""
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
