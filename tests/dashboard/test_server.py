"""The server gives nothing away: no file outside the folder, no weights, no name that is not its own, no way to write."""

import http.client
import json
import os
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from a3c_exp.dashboard.outputs_index import OutputsIndex
from a3c_exp.dashboard.server import DashboardServer
from a3c_exp.system.errors import ConfigError
from tests.dashboard.conftest import EVIL, Serve, Site
from tests.support.synthetic_runs import write_run

VIDEO = f"/files/2026-11-20/{quote(EVIL)}/videos/episode%200.mp4"
REPORT = "/files/2026-11-21/14-10-05_sweep/report/index.html"


@pytest.mark.parametrize(
    "path",
    [
        "/files/../secret.png",
        "/files/..%2fsecret.png",
        "/files/%2e%2e/secret.png",
        "/files/%2E%2E%2Fsecret.png",
        "/files/2026-11-20/%2e%2e/%2e%2e/secret.png",
        "/files/2026-11-20/..%5c..%5csecret.png",
        "/files//etc/hosts.png",
        "/files/%2fetc%2fhosts",
        "/files/2026-11-20/./../../secret.png",
        "/files/secret.png%00.mp4",
        "/files/%252e%252e/secret.png",
        "/static/../outputs_folder.py",
        "/static/..%2foutputs_folder.py",
        "/../secret.png",
        "//etc/hosts",
        "/files/2026-11-20/out.png",  # a link to a file outside
        "/files/2026-11-20/out/secret.png",  # through a link to a folder outside
        "/files/2026-11-20/pipe.png",
        "/files/2026-11-20",
        "/files/",
    ],
)
def test_no_address_leads_out_of_the_folder(path: str, site: Site, outputs: Path) -> None:
    (outputs.parent / "secret.png").write_bytes(b"secret")
    place = outputs / "2026-11-20"
    if not (place / "pipe.png").exists():
        os.mkfifo(place / "pipe.png")
        (place / "out.png").symlink_to(outputs.parent / "secret.png")
        (place / "out").symlink_to(outputs.parent)
    response, body = site.get(path)
    assert response.status == 404 and b"secret" not in body


def test_only_pictures_videos_and_reports_are_served_as_files(site: Site) -> None:
    evil = f"/files/2026-11-20/{quote(EVIL)}"
    assert site.get(VIDEO)[0].status == 200
    others = (f"{evil}/checkpoints/step_1.pt", f"{evil}/run.json", f"{evil}/.hydra/config.yaml", "/files/2026-11-20/index.html")
    for path in (*others, "/files/2026-11-21/14-10-05_sweep/sweep.json", "/api/%2e%2e", "/api/runs/x", "/nothing"):
        assert site.get(path)[0].status in (400, 404), path


def test_nothing_runs_in_a_page_that_others_made(site: Site) -> None:
    response, body = site.get(REPORT)
    policy = response.headers["Content-Security-Policy"]
    assert response.status == 200 and b"<script>" in body
    assert "default-src 'none'" in policy and policy.endswith("sandbox") and "script-src" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_may_load_nothing_from_elsewhere(site: Site) -> None:
    response, body = site.get("/")
    policy = response.headers["Content-Security-Policy"]
    assert (
        "default-src 'none'" in policy
        and "'unsafe" not in policy
        and "frame-ancestors 'none'" in policy
        and "http" not in policy
    )
    assert b"://" not in body and b"<style" not in body and b" style=" not in body
    for name in ("app.css", "app.js", "chart.js"):
        response, body = site.get(f"/static/{name}")
        assert response.status == 200 and b"innerHTML" not in body and b"url(" not in body


@pytest.mark.parametrize("host", ["evil.com", "evil.com:7300", "127.0.0.1.evil.com", "localhost.evil.com", "", "[evil]", "1"])
def test_a_name_that_was_made_to_point_here_is_refused(host: str, site: Site) -> None:
    response, body = site.get("/api/runs", Host=host)
    assert response.status == 403 and b"pendulum" not in body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:7300", "[::1]:7300", "192.168.0.7:80"])
def test_addresses_and_names_of_this_machine_are_answered(host: str, site: Site) -> None:
    assert site.get("/api/root", Host=host)[0].status == 200


def test_of_names_only_those_of_a_server_that_others_reach_are_answered(tmp_path: Path) -> None:
    write_run(tmp_path / "a", episodes=2)
    with DashboardServer(OutputsIndex(tmp_path), "0.0.0.0", 0) as server:
        assert not server.is_local and server.accepts_host(f"{socket.gethostname()}:80")
        assert not server.accepts_host(f"{socket.gethostname()}.evil.com")
        assert server.url == f"http://127.0.0.1:{server.server_port}"
    with DashboardServer(OutputsIndex(tmp_path), port=0) as server:
        assert server.is_local and server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MKCOL"])
def test_it_only_reads(method: str, site: Site) -> None:
    assert site.get("/api/runs", method)[0].status in (405, 501)


def test_a_request_with_a_body_does_not_hide_another_request_in_it(site: Site) -> None:
    hidden = b"GET /api/root HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    with socket.create_connection(("127.0.0.1", site.server.server_port), timeout=20) as connection:
        connection.sendall(head + hidden)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.count(b"HTTP/1.1 200") == 1


def test_a_video_is_sent_in_the_parts_that_a_player_asks_for(site: Site) -> None:
    whole = site.get(VIDEO)[1]
    assert len(whole) == 2048
    for asked, expected in (("bytes=0-9", whole[:10]), ("bytes=2000-", whole[2000:]), ("bytes=-5", whole[-5:])):
        response, body = site.get(VIDEO, Range=asked)
        assert (response.status, body) == (206, expected)
    assert site.get(VIDEO, Range="bytes=0-9")[0].headers["Content-Range"] == "bytes 0-9/2048"
    assert site.get(VIDEO, Range="bytes=9000-")[0].status == 416
    assert site.get(VIDEO, Range="nonsense")[1] == whole
    response, body = site.get(VIDEO, "HEAD")
    assert (response.headers["Content-Length"], response.headers["Content-Type"], body) == ("2048", "video/mp4", b"")


def test_what_has_not_changed_is_not_sent_again(site: Site) -> None:
    response, _ = site.get("/api/reports")
    again, body = site.get("/api/reports", If_None_Match=response.headers["ETag"])
    assert (again.status, body) == (304, b"")


def test_texts_of_runs_are_data_that_nothing_mistakes_for_a_page(site: Site) -> None:
    response, body = site.get("/api/runs")
    assert response.headers["Content-Type"] == "application/json"
    names = [row["name"] for row in json.loads(body)["rows"]]
    assert EVIL in names
    run = site.ask("run", id=f"2026-11-20/{quote(EVIL)}")
    assert run["reason"] == EVIL and f"[{EVIL}]" in [text for _, text, _ in run["config"]]


def test_a_run_whose_files_lead_out_of_the_folder_is_left_out(tmp_path: Path, serve: Serve) -> None:
    """Such a link would show any JSON, YAML or folder that this user may read."""
    elsewhere = write_run(tmp_path / "elsewhere", episodes=2)
    for place in ("summary.json", ".hydra", "metrics.jsonl"):
        run = write_run(tmp_path / "outputs" / place.strip("."), episodes=2)
        (run / place).rename(run / "before")
        (run / place).symlink_to(elsewhere / place)
    seeds = tmp_path / "outputs" / "seeds"
    seeds.mkdir()
    (seeds / "run.json").write_text('{"seeds": ["seed=0"]}')
    (seeds / "seed=0").symlink_to(elsewhere)
    write_run(tmp_path / "outputs" / "fine", episodes=2)
    answer = serve(tmp_path / "outputs").ask("runs")
    assert (answer["ids"], answer["left_out"]) == (["fine"], 4)


def test_an_address_that_cannot_be_taken_is_refused_in_a_line(site: Site, tmp_path: Path) -> None:
    index = OutputsIndex(tmp_path)
    for host, port, said in [
        ("127.0.0.1", site.server.server_port, "is taken by another program. Choose"),
        ("no.such.name.invalid", None, "Give an address of this machine"),
        ("192.0.2.1", None, "is no address of this machine. Give one"),
    ]:
        with pytest.raises(ConfigError, match=said) as caught:
            DashboardServer(index, host, port)
        assert "\n" not in str(caught.value)
    with DashboardServer(index) as first, DashboardServer(index) as second:
        assert first.server_port != second.server_port >= 7300, "a free port is looked for"


def test_a_mistake_of_a_question_is_said_in_its_answer(site: Site) -> None:
    for path in ("/api/run?id=no", "/api/curves", "/api/runs?q=wrokers=4", "/api/curves?id=2026-11-22/live&axis=x", "/api/x"):
        response, body = site.get(path)
        assert response.status == 400 and len(json.loads(body)["error"].splitlines()) == 1
    assert isinstance(response, http.client.HTTPResponse)
