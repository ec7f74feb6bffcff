"""Headless Chromium for tests and pictures: Debian's packages chromium and chromium-driver, and selenium."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ['BROWSER', 'DRIVER', 'console_errors', 'open_browser', 'page_address', 'requests']

BROWSER, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
FLAGS = (
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run', '--hide-scrollbars',
)  # fmt: skip


@contextmanager
def open_browser(width: int = 1280, height: int = 1000) -> Iterator[Any]:
    """A browser with a profile of its own that notes its console and every request."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f'--user-data-dir={profile}', f'--window-size={width},{height}'):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            driver.get('about:blank')
            driver.get_log('browser'), driver.get_log('performance')  # those of the page that a browser begins with
            yield driver
        finally:
            driver.quit()


def console_errors(driver: Any) -> list[str]:
    """What the console has shown since the last call, but for plain messages."""
    return [entry['message'] for entry in driver.get_log('browser') if entry['level'] in ('SEVERE', 'WARNING')]


def requests(driver: Any) -> list[str]:
    """Addresses that were asked for since the last call, but for data inside the page and the browser's own parts."""
    messages = [json.loads(entry['message'])['message'] for entry in driver.get_log('performance')]
    sent = [item['params']['request']['url'] for item in messages if item['method'] == 'Network.requestWillBeSent']
    return [url for url in sent if not url.startswith(('data:', 'chrome:', 'chrome-untrusted:'))]


def page_address(path: Path) -> str:
    """The address of a file."""
    return path.resolve().as_uri()
