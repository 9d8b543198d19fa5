"""The page in a real browser: it grows with a run that trains, holds 1,000 runs, fits phone and desk, light and dark."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dashboard.conftest import EVIL, Serve, Site
from tests.support.browser import BROWSER, MISSING, Browser
from tests.support.command import QUICK, lines, start
from tests.support.synthetic_runs import write_run

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not BROWSER, reason=MISSING)]

PAGES = (
    "#/runs", "#/run/2026-11-22/live", "#/compare/2026-11-22/live&2026-11-22/seeds/seed=0", "#/sweeps",
    "#/sweep/2026-11-21/14-10-05_sweep", "#/studies", "#/study/studies/s", "#/reports", "#/results/2026-11-22",
)  # fmt: skip
ROWS = "document.querySelectorAll('tbody .c-name').length"
READY = "document.querySelector('main table tbody tr, main svg, .facts') !== null"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("browser") / "profile")
    yield started
    started.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[[Site, str], Browser]]:
    """Open a page; in the end nothing may have been complained of."""

    def open_page(site: Site, page: str) -> Browser:
        browser.open("about:blank")
        browser.open(f"{site.server.url}/{page}")
        return browser

    browser.complaints.clear()
    browser.screen(1280)
    yield open_page
    assert browser.complaints == []


@pytest.mark.parametrize("page", PAGES)
def test_every_page_fits_a_phone_and_a_desk_and_loads_nothing_from_elsewhere(
    page: str, site: Site, look: Callable[[Site, str], Browser]
) -> None:
    browser = look(site, page)
    for width in (1280, 390):
        browser.screen(width)
        browser.wait_for(READY)
        assert browser.ask("document.documentElement.scrollWidth <= innerWidth"), f"{page} is wider than {width} pixels"
    loaded = browser.ask("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded and all(name.startswith(site.server.url) for name in loaded)


def test_texts_of_files_are_shown_as_texts(site: Site, look: Callable[[Site, str], Browser]) -> None:
    browser = look(site, "#/runs?q=status%3Dfailed")
    assert browser.wait_for("document.querySelector('.c-name a')?.textContent") == EVIL
    browser.ask("document.querySelector('.c-name a').click()")
    assert EVIL in browser.wait_for("document.querySelector('main .lead')?.textContent")
    assert browser.ask("document.querySelectorAll('main script').length") == 0
    assert browser.wait_for("document.querySelector('video')?.getAttribute('src')").endswith("/videos/episode%200.mp4")


def test_a_condition_that_is_none_is_explained_and_a_right_one_filters(
    site: Site, look: Callable[[Site, str], Browser]
) -> None:
    browser = look(site, "#/runs")
    type_in = "document.querySelector('.filter input').value = {!r}; document.querySelector('.filter').requestSubmit()"
    browser.wait_for(READY)
    browser.ask(type_in.format("wrokers=4"))
    assert "Did you mean workers" in browser.wait_for("document.querySelector('.problem:not([hidden])')?.textContent")
    browser.ask(type_in.format("workers=12"))
    browser.wait_for("document.querySelectorAll('tbody .c-name').length === 1 && document.querySelector('.problem').hidden")
    assert browser.ask("location.hash") == "#/runs?q=workers%3D12"


def test_runs_are_selected_and_compared_in_one_figure(site: Site, look: Callable[[Site, str], Browser]) -> None:
    browser = look(site, "#/runs?q=14-10-05_sweep")
    browser.wait_for(READY)
    browser.ask("document.querySelectorAll('tbody input').forEach(box => box.click())")
    browser.ask("document.querySelector('.compare-bar .button').click()")
    assert browser.wait_for("document.querySelectorAll('.legend li').length") == 3
    strokes = "[...document.querySelectorAll('.chart')][0].querySelectorAll('path.line')"
    assert len(set(browser.ask(f"[...{strokes}].map(line => getComputedStyle(line).stroke)"))) == 3
    assert "workers" in browser.wait_for("[...document.querySelectorAll('section')].at(-1)?.textContent")


def test_light_and_dark_follow_the_system_until_the_button_says_otherwise(
    site: Site, look: Callable[[Site, str], Browser]
) -> None:
    browser = look(site, "#/run/2026-11-22/live")
    browser.wait_for("document.querySelector('path.line') !== null")

    def paper() -> int:
        shown = browser.ask("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in shown.removeprefix("rgb(").removesuffix(")").split(","))

    assert paper() > 700
    browser.screen(1280, dark=True)
    assert paper() < 120
    assert browser.ask("getComputedStyle(document.querySelector('path.line')).stroke") == "rgb(61, 151, 255)"
    browser.ask("document.getElementById('theme').click()")
    assert paper() > 700
    look(site, "#/runs").wait_for(READY)
    assert paper() > 700, "it is remembered"
    browser.ask("localStorage.clear()")


def test_a_run_that_trains_is_seen_to_grow(tmp_path: Path, serve: Serve, look: Callable[[Site, str], Browser]) -> None:
    """And is what it would have been with nobody looking: the dashboard must never touch it."""
    words = ("env=pendulum", "parallelism=deterministic", *QUICK, "metrics.every_env_steps=500")
    training = start(*words, "max_env_steps=40000", "hydra.run.dir=outputs/seen", cwd=tmp_path)
    log = tmp_path / "outputs" / "seen" / "metrics.jsonl"
    try:
        while not (log.exists() and log.stat().st_size):
            assert training.poll() is None, training.communicate()
            os.sched_yield()
        browser = look(serve(tmp_path / "outputs"), "#/run/seen")
        browser.wait_for("document.querySelector('path.line') !== null")
        browser.ask("window.first = document.querySelector('.facts').textContent")
        browser.wait_for("document.querySelector('.facts').textContent !== window.first", 60)
    finally:
        assert training.wait(120) == 0
    browser.wait_for("document.querySelector('.status')?.textContent === 'finished'", 60)
    assert len(lines(log)) > 10
    shown = browser.wait_for("document.querySelector('.facts').textContent")
    assert "40,000 env steps" in shown


def test_a_thousand_runs_are_listed(tmp_path: Path, serve: Serve, look: Callable[[Site, str], Browser]) -> None:
    first = write_run(tmp_path / "sweep" / "seed=0", episodes=20)
    for seed in range(1, 1000):
        shutil.copytree(first, tmp_path / "sweep" / f"seed={seed}", copy_function=os.link)
    site = serve(tmp_path)
    site.ask("runs")  # as the command does before it names the address
    browser = look(site, "#/runs")
    look_again = f"const look = () => {ROWS} >= 100 ? done(performance.now() / 1000) : setTimeout(look, 5)"
    seconds = browser.ask(f"new Promise(done => {{ {look_again}; look(); }})")
    painted = browser.ask("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
    print(f"first paint after {painted:.2f} s, a hundred rows after {seconds:.2f} s")  # make browser ARGS=-s
    assert browser.ask("document.querySelector('.lead b').textContent") == "1,000 runs"
    browser.wait_for(f"scrollTo(0, document.body.scrollHeight), {ROWS} === 1000")
    browser.screen(1280, height=30_000)  # no row is ever out of sight, so no scrolling asks for the next ones
    look(site, "#/runs").wait_for(f"{ROWS} >= 700")
