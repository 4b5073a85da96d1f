"""A results folder with records of every kind, its page, and a browser."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from support.campaign import simulate

from bench.records.record import Record
from bench.records.store import Store
from bench.reports.page.write import write_report

NAME = "</script><script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'> & \"q\" 'q' ${x}"
HOSTILE = f"{NAME} \x1b[31m\u202e"
"""A text that no name of a record can be, because it has control characters."""
COLUMNS = ("knn", "linear", "lowshot-1")
TABLE = "digits-resnet9_slim-quick"

Open = Callable[..., Page]


def records() -> list[Record]:
    """Records of five methods with two seeds, of changed settings, of an encoder from elsewhere, of a failed run, and hostile ones."""
    abilities = {"random_init": -0.8, "simclr": 0.6, "byol": 0.3, "vicreg": 0.9, "supervised": 2.0}
    found = simulate(abilities, seeds=(0, 1), columns=COLUMNS, images=60, identity={"budget": "quick"})
    found += simulate(
        {"simclr": 0.5}, columns=COLUMNS, images=60, settings={"temperature": 0.2}, identity={"budget": "quick"}
    )
    elsewhere = {"budget": "none", "batch": 0}
    found += simulate({"timm-resnet18-0123abcd": 0.4}, columns=COLUMNS, images=60, identity=elsewhere)
    found += simulate({"dino": 0.1}, columns=(), status="failed", cause=HOSTILE, identity={"budget": "quick"})
    hostile = replace(
        found[2],
        notes=[HOSTILE],
        recipe={NAME: HOSTILE},
        environment=found[2].environment | {"device": HOSTILE, NAME: HOSTILE},
        identity=replace(found[2].identity, method=NAME, settings={NAME: NAME}),
    )
    return [*found, hostile, replace(hostile, identity=replace(hostile.identity, dataset=NAME))]


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder; one run has a log."""
    folder = tmp_path_factory.mktemp("page") / "results"
    store = Store(folder)
    for record in records():
        store.write(record)
        if record.status == "failed":
            log = store.log_path(record.identity)
            log.parent.mkdir(parents=True)
            log.write_text("first line\n" * 500 + f"Traceback\n{HOSTILE}\n")
    return folder


@pytest.fixture(scope="session")
def page_file(results: Path) -> Path:
    """The page of the results folder, compared with a copy that lacks a method."""
    other = results.parent / "other"
    shutil.copytree(results, other)
    for path in other.rglob("vicreg"):
        shutil.rmtree(path)
    return write_report([results, other]).path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium: Debian's, or else the one that `playwright install chromium` brings."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Browser, page_file: Path) -> Iterator[Open]:
    """Open the page without a network; at the end there must be no request, no message on the console and no error."""
    contexts, seen = [], []

    def open_(fragment: str = "", width: int = 1440, file: Path = page_file, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]
        context.set_offline(True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: seen.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("request", lambda request: seen.append(request.url) if not _own(request.url, file) else None)
        page.goto(file.as_uri() + fragment)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not seen


def _own(url: str, file: Path) -> bool:
    return url.partition("#")[0] == file.as_uri() or url.startswith(("data:", "blob:"))
