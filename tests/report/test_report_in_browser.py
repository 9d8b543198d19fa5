"""The page in a real browser: it fits a phone and a desk, follows the dark, asks for nothing, and prints."""

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from a3c_exp.report.builder import make_report
from tests.support.browser import BROWSER, MISSING, QUIETLY
from tests.support.synthetic_ablations import Way, write_arm
from tests.support.synthetic_runs import DEAD_PID, write_run

pytestmark = pytest.mark.skipif(not BROWSER, reason=MISSING)

# Asked inside the page: how wide it is, what it loaded, its colors, and texts of figures that are cut off or too small.
PROBE = """<script>
addEventListener('load', () => {
  const style = getComputedStyle(document.body), box = element => element.getBoundingClientRect();
  const figures = [...document.querySelectorAll('figure svg')];
  const within = kind => figures.flatMap(svg => [...svg.querySelectorAll(kind)].map(element => [svg, element]));
  const isCut = (of, at) =>
    at.left < of.left - 4 || at.right > of.right + 4 || at.top < of.top - 4 || at.bottom > of.bottom + 4;
  parent.postMessage({
    wide: innerWidth,
    needed: document.documentElement.scrollWidth,
    paper: style.backgroundColor,
    ink: style.color,
    figures: figures.map(svg => [box(svg).width, box(svg).height]),
    cut: within('text').filter(([svg, text]) => isCut(box(svg), box(text))).map(([_, text]) => text.textContent),
    scrolled: [...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth + 1)
      .map(one => one.getAttribute('aria-label')),
    small: within('text').filter(([_, text]) => box(text).height < 9).length,
    lines: [...new Set(within('path').map(([_, path]) => getComputedStyle(path).stroke))],
    loaded: performance.getEntriesByType('resource').map(entry => entry.name),
  }, '*');
});
</script>"""
HARNESS = """<!DOCTYPE html>
<iframe src="probe.html" width="390" height="800" style="border: 0"></iframe>
<iframe src="probe.html" width="1280" height="900" style="border: 0"></iframe>
<script>
const screens = [];
addEventListener('message', event => {
  screens.push(event.data);
  if (screens.length < 2) return;
  const out = document.createElement('pre');
  out.id = 'screens';
  out.textContent = JSON.stringify(screens);
  document.body.append(out);
});
</script>"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser") / "sweep"
    for workers in (4, 12):
        for seed in range(3):
            write_run(root / f"workers={workers},seed={seed}", workers=workers, seed=seed, episodes=20)
    write_run(
        root / "workers=12,seed=3", seed=3, workers=12, status="failed", reason="no room left on the device: " + "x" * 300
    )
    write_run(root / "workers=12,seed=4", seed=4, workers=12, status="running", pid=DEAD_PID, half_written=True)
    for arm, way in (("workers_12", Way()), ("workers_6", Way(end=-2.0, speed=0.5))):
        write_arm(root / "ablation", "worker_count", "published", arm, way, seeds=5, episodes=30)
    for control in ("bootstrapped", "equal_steps", "equal_updates", "fair", "own_limit", "same_lag", "hogwild"):
        write_arm(root / "ablation", "worker_count", control, "workers_12", Way(), seeds=1, episodes=30)
    return make_report([root], root.parent / "report", compared_sides=("workers=4", "workers=12"), png=False).index


def browse(place: Path, *arguments: str) -> str:
    """What the browser prints when it is started without a window, a network or a profile of anybody's."""
    command = [BROWSER, *QUIETLY, f"--user-data-dir={place / 'profile'}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=place)
    return done.stdout


@pytest.fixture(scope="module")
def screens(report: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the page says of itself on a dark screen as wide as a phone, and on one as wide as a desk."""
    place = tmp_path_factory.mktemp("probe")
    (place / "probe.html").write_text(report.read_text().replace("</body>", f"{PROBE}</body>"))
    (place / "harness.html").write_text(HARNESS)
    address = (place / "harness.html").as_uri()
    dom = browse(place, "--blink-settings=preferredColorScheme=0", "--virtual-time-budget=20000", "--dump-dom", address)
    match = re.search(r'<pre id="screens">(.*?)</pre>', dom, re.DOTALL)
    assert match, "the page did not answer"
    measured: list[dict[str, Any]] = json.loads(html.unescape(match[1]))
    return sorted(measured, key=lambda page: page["wide"])


def test_the_page_is_never_wider_than_the_screen(screens: list[dict[str, Any]]) -> None:
    assert [screen["wide"] for screen in screens] == [390, 1280]
    assert all(screen["needed"] <= screen["wide"] for screen in screens)


def test_no_column_of_verdicts_is_cut_off_on_a_desk(screens: list[dict[str, Any]]) -> None:
    assert not [name for name in screens[1]["scrolled"] if name.startswith("Verdicts")]


def test_every_figure_is_drawn_whole_and_readable(screens: list[dict[str, Any]]) -> None:
    phone, desk = screens
    assert len(phone["figures"]) == len(desk["figures"]) >= 18
    assert all(width >= 280 and height >= 130 for screen in screens for width, height in screen["figures"])
    assert phone["cut"] == desk["cut"] == []
    assert phone["small"] == desk["small"] == 0  # texts lower than 9 pixels


def test_nothing_is_loaded_from_anywhere(screens: list[dict[str, Any]]) -> None:
    assert [screen["loaded"] for screen in screens] == [[], []]


def test_a_dark_screen_gets_light_lines_on_dark_paper(screens: list[dict[str, Any]]) -> None:
    for screen in screens:
        assert sum(map(int, re.findall(r"\d+", screen["paper"]))) < 120 < 600 < sum(map(int, re.findall(r"\d+", screen["ink"])))
        assert "rgb(61, 151, 255)" in screen["lines"]  # the first color as a dark screen shows it
        assert "rgb(11, 92, 196)" not in screen["lines"]


def test_the_page_prints(report: Path, tmp_path: Path) -> None:
    browse(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'page.pdf'}", report.as_uri())
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 24
