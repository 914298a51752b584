"""A real browser without a network, for tests that open a page.

with browser.started() as chromium, browser.opened(chromium, path) as visit:
    visit.page.click("button")
"""

import shutil
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WHY = "no Chromium here (apt-get install chromium): the page was not opened"


class Visit(NamedTuple):
    """An open page, what it asked of the network, its complaints, its dialogs."""

    page: Page
    requests: list
    problems: list
    dialogs: list


@contextmanager
def started():
    """Chromium without a window; skips the test, with the reason, where absent."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(WHY)
    with sync_playwright() as playwright:
        # root in a container, where tests run, has no sandbox
        options = {"executable_path": found, "args": ["--no-sandbox"]}
        chromium = playwright.chromium.launch(**options)
        yield chromium
        chromium.close()


@contextmanager
def opened(chromium, path, width=1100, height=900, ready=True, **options):
    """The page at `path` in a fresh context that is offline; waits for its charts."""
    size = {"width": width, "height": height}
    context = chromium.new_context(viewport=size, offline=True, **options)
    context.set_default_timeout(20_000)
    page = context.new_page()
    visit = Visit(page, [], [], [])
    page.on("request", lambda request: visit.requests.append(request.url))
    page.on("requestfailed", lambda request: visit.problems.append(request.url))
    page.on("console", lambda message: visit.problems.append(message.text))
    page.on("pageerror", lambda error: visit.problems.append(str(error)))

    def dismiss(dialog):
        visit.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.goto(path.as_uri())
    if ready:
        page.wait_for_selector("html[data-ready=yes]")
    yield visit
    context.close()
