"""The page in a real browser, without a network."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from bench.leaderboard.read import read_records
from bench.reports import formats
from bench.reports.page.collect import Folder, all_tables

TABLE = "digits-resnet9_slim-quick"
Open = Callable[..., Page]


def methods(page: Page) -> list[str]:
    """The ranked methods in the order in which they are shown."""
    rows = page.locator(f"#{TABLE} tbody[data-group=methods] > tr[data-row] > th:visible")
    return [text.strip() for text in rows.all_inner_texts() if text]


def wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def serious(page: Page) -> list[str]:
    found: dict[str, Any] = Axe().run(page).response
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:200]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_a_table_with_opened_rows_nor_in_a_comparison(
    open_page: Open, scheme: str
) -> None:
    page = open_page(f"#{TABLE}?open={TABLE}-simclr&open={TABLE}-dino", color_scheme=scheme)
    assert page.locator(".opened:visible").count() == 2
    page.locator(f"#{TABLE} .menu > summary", has_text="Columns").click()
    assert serious(page) == []
    page.goto(page.url.partition("#")[0] + "#compared-with-other")
    assert page.locator("#compared-with-other").is_visible()
    assert serious(page) == []


def test_axe_finds_nothing_serious_on_a_narrow_screen(open_page: Open) -> None:
    assert serious(open_page(f"#{TABLE}?open={TABLE}-simclr", width=390)) == []


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_itself_never_scrolls_sideways(open_page: Open, width: int) -> None:
    page = open_page(f"#{TABLE}?open={TABLE}-simclr&open={TABLE}-dino", width=width)
    for box in page.locator(f"#{TABLE} input[name=column]").all():
        box.evaluate("box => { if (!box.checked) box.click(); }")
    assert page.get_by_role("button", name="peak MB").count() == 1
    for menu in page.locator(f"#{TABLE} .menu > summary").all():
        menu.click()
        assert not wide(page)
        page.keyboard.press("Escape")
    for link in page.locator("nav a").all():
        link.evaluate("link => link.click()")
        assert not wide(page)


def test_the_first_column_stays_in_sight_on_a_narrow_screen(open_page: Open) -> None:
    page = open_page(f"#{TABLE}", width=390)
    page.locator(f"#{TABLE} > .scroll").evaluate("box => { box.scrollLeft = 200; }")
    box = page.locator(f"#{TABLE} tr[data-row] > th").first.bounding_box()
    assert box is not None and box["x"] >= 0


def test_a_column_is_sorted_with_the_keyboard_and_rows_stay_in_their_group(open_page: Open) -> None:
    page = open_page(f"#{TABLE}")
    button = page.locator(f"#{TABLE} thead th[data-key=linear] button")
    button.focus()
    page.keyboard.press("Enter")
    heading = page.locator(f"#{TABLE} thead th[data-key=linear]")
    assert heading.get_attribute("aria-sort") == "descending"
    best_first = methods(page)
    assert best_first[-2:] == ["byol", "dino (failed)"]
    page.keyboard.press("Space")
    assert heading.get_attribute("aria-sort") == "ascending"
    # A row without a score stays last.
    assert methods(page) == [*best_first[-2::-1], best_first[-1]]
    groups = page.locator(f"#{TABLE} .board > tbody").evaluate_all("bodies => bodies.map(b => b.dataset.group)")
    assert groups == ["methods", "changed settings", "elsewhere", "floor and ceiling"]


def test_rows_are_found_filtered_and_opened_with_the_keyboard(open_page: Open) -> None:
    page = open_page(f"#{TABLE}")
    page.locator(f"#{TABLE} input[name=find]").focus()
    page.keyboard.type("contrastive simclr")
    assert methods(page) == ["simclr"]
    shown = page.locator(f"#{TABLE} output").inner_text()
    assert shown.startswith("2 of ")
    page.locator(f"#{TABLE} tr[data-row] button:visible").first.focus()
    page.keyboard.press("Enter")
    full = page.locator(f"#{TABLE} .opened article")
    assert "Deviations:" in full.inner_text() and "seed 1" in full.inner_text()
    assert full.locator("a[href='https://arxiv.org/abs/2002.05709']").count() == 1
    assert "fingerprint" in full.inner_text() and full.locator("a.shared").count() == 0
    assert "sslbench run simclr --dataset digits --backbone resnet9_slim --budget quick" in full.inner_text()
    page.keyboard.press("Space")
    assert page.locator(f"#{TABLE} .opened").count() == 0


def test_groups_and_columns_can_be_left_out(open_page: Open) -> None:
    page = open_page(f"#{TABLE}")
    for value in ("floor and ceiling", "linear"):
        page.locator(f"#{TABLE} input[value='{value}']").evaluate("box => box.click()")
    assert page.locator(f"#{TABLE} tbody[data-group='floor and ceiling']").is_hidden()
    assert page.locator(f"#{TABLE} thead th[data-key=linear]").is_hidden()
    headings = page.locator(f"#{TABLE} .board > thead th:visible").count()
    cells = page.locator(f"#{TABLE} tbody[data-group=methods] > tr[data-row] > :visible").count()
    assert cells == headings * len(methods(page)) == headings * 4


def test_the_address_restores_what_was_seen(open_page: Open) -> None:
    page = open_page(f"#{TABLE}")
    page.locator(f"#{TABLE} thead th[data-key=knn] button").click()
    page.locator(f"#{TABLE} input[name=find]").fill("c")
    page.locator(f"#{TABLE} input[value=linear]").evaluate("box => box.click()")
    page.locator(f"#{TABLE} select[name=under]").select_option("ci")
    page.locator(f"#{TABLE} tr[data-row] button:visible").first.click()
    fragment = page.evaluate("location.hash")
    again = open_page(fragment)
    assert methods(again) == methods(page) != []
    assert again.locator(f"#{TABLE}").inner_text() == page.locator(f"#{TABLE}").inner_text()
    assert again.locator(".opened").count() == 1
    assert again.locator(f"#{TABLE} thead th[data-key=knn]").get_attribute("aria-sort") == "descending"
    again.locator(f"#{TABLE} button[name=initial]").click()
    assert again.evaluate("location.hash") == f"#{TABLE}"
    assert again.locator(".opened").count() == 0 and len(methods(again)) == 4


@pytest.mark.parametrize(
    "fragment", ["#nowhere", "#%", "#?open=x&sort=9+up+z", f"#{TABLE}?sort=0+ascending+nothing&column-=x"]
)
def test_an_address_that_means_nothing_shows_the_first_table(open_page: Open, fragment: str) -> None:
    page = open_page(fragment)
    assert page.locator(".view:visible").count() == 1 and len(methods(page)) == 4


def test_names_from_records_stay_text(open_page: Open) -> None:
    page = open_page(f"#{TABLE}")
    for button in page.locator("tr[data-row] button").all():
        button.evaluate("button => button.click()")
    shown = page.locator("body").evaluate("body => body.innerText")
    assert "<script>window.harmed = 1</script>" in shown and "${x} \\x1b[31m\\u202e" in shown
    assert "\x1b" not in page.content() and "\u202e" not in page.content()
    assert page.evaluate("window.harmed") is None
    assert page.locator("main img, main script:not(.texts)").count() == 0


@pytest.mark.parametrize("width", [390, 1440])
def test_without_javascript_every_table_and_every_row_can_be_read(open_page: Open, width: int) -> None:
    page = open_page(width=width, java_script_enabled=False)
    tables = page.locator(".board")
    assert tables.count() >= 3 and all(table.is_visible() for table in tables.all())
    assert page.locator(f"#{TABLE} tr[data-row]").first.is_visible()
    assert page.locator(".tools:visible, button:visible").count() == page.locator("thead button").count() == 0
    page.locator(f"#{TABLE} .in-full > summary").click()
    row = page.locator(f"#{TABLE}-simclr")
    assert row.is_visible()
    # What several rows share is behind links.
    assert row.locator("a.shared").evaluate_all("links => links.map(link => link.hash)") == [
        "#method:simclr",
        f"#{TABLE}:shared",
    ]
    assert "Deviations:" in page.locator("[id='method:simclr']").inner_text()
    assert "fingerprint" in page.locator(f"[id='{TABLE}:shared']").inner_text()


def test_dark_mode_has_a_dark_page_and_print_is_black_on_white(open_page: Open) -> None:
    page = open_page(f"#{TABLE}?open={TABLE}-simclr", color_scheme="dark")
    colour = "getComputedStyle(document.body)"
    assert page.evaluate(f"{colour}.backgroundColor") == "rgb(18, 22, 27)"
    page.emulate_media(media="print")
    assert page.evaluate(f"[{colour}.color, {colour}.backgroundColor]") == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert page.locator(".tools:visible, nav:visible").count() == 0
    assert page.locator(f"#{TABLE} .board").is_visible() and page.locator(".opened article").is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_the_downloads_are_the_tables_of_the_command_line(open_page: Open, results: Path) -> None:
    page = open_page(f"#{TABLE}")
    whole = all_tables(Folder(results, read_records(results)[0]))
    for name, suffix in {"csv": "csv", "json": "json", "latex": "tex", "markdown": "md"}.items():
        page.locator(f"#{TABLE} .menu > summary", has_text="Download").click()
        with page.expect_download() as download:
            page.locator(f"#{TABLE} [data-format={name}]").click()
        assert download.value.suggested_filename == f"{TABLE}.{suffix}"
        text = download.value.path().read_text(encoding="utf-8")
        if name == "json":
            (table,) = json.loads(text)["tables"]
            assert table in json.loads(formats.to_json(whole))["tables"]
        else:
            assert set(text.splitlines()) <= set(formats.FORMATS[name](whole).splitlines())
        page.keyboard.press("Escape")


def test_every_picture_is_drawn_with_its_caption_and_table(open_page: Open) -> None:
    page = open_page(f"#{TABLE}", width=390)
    figures = page.locator("figure:visible")
    assert figures.count() >= 1
    for figure in figures.all():
        figure.scroll_into_view_if_needed()
        figure.locator(".chart svg").wait_for()
        assert figure.locator("figcaption").inner_text()
        figure.locator("summary").click()
        assert figure.locator("tbody tr:visible").count() > 0
    assert not wide(page)


def test_a_mark_of_a_picture_shows_its_values_below_the_pointer(open_page: Open) -> None:
    page = open_page(f"#{TABLE}")
    page.locator("figure:visible .chart").first.scroll_into_view_if_needed()
    mark = page.locator("figure:visible .chart svg .mark-symbol path").first
    mark.hover(force=True)
    shown = page.locator(".hint:visible").inner_text()
    assert "row" in shown and any(name in shown for name in methods(page))
    page.mouse.move(0, 0)
    assert page.locator(".hint").is_hidden()


def test_a_comparison_shows_what_is_shared_and_what_only_one_folder_has(open_page: Open) -> None:
    page = open_page("#compared-with-other")
    text = page.locator("#compared-with-other").inner_text()
    assert "simclr" in text and "Reproduced within noise" in text
    page.locator("#compared-with-other summary", has_text="Only in").click()
    assert "vicreg" in page.locator("#compared-with-other ul").last.inner_text()
