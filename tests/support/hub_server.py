"""A stand-in on loopback for the Hugging Face hub: repositories in memory, as far as huggingface_hub asks for them."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_of_the_tests"
LARGE = (".pt", ".mp4")  # what git LFS keeps

Files = dict[str, bytes]


@dataclass
class Hub:
    """What the hub holds, and how it fails."""

    address: str = ""
    repositories: dict[str, list[tuple[str, Files]]] = field(default_factory=dict)  # commits, the newest last
    objects: dict[str, bytes] = field(default_factory=dict)  # of git LFS, by SHA-256
    messages: list[str] = field(default_factory=list)  # of commits
    private: list[str] = field(default_factory=list)  # repositories that were made so
    failing: str = ""  # a part of the paths that are answered with an error
    losing: str = ""  # a file whose content a commit loses

    def commit(self, repo_id: str, changes: dict[str, bytes | None]) -> str:
        commits = self.repositories.setdefault(repo_id, [])
        files = {**(commits[-1][1] if commits else {}), **{name: text for name, text in changes.items() if text is not None}}
        files = {name: text for name, text in files.items() if changes.get(name, text) is not None}
        sha = hashlib.sha1(f"{repo_id} {len(commits)}".encode()).hexdigest()
        commits.append((sha, files))
        return sha

    def at(self, repo_id: str, revision: str) -> tuple[str, Files] | None:
        commits = self.repositories[repo_id]
        return next((commit for commit in reversed(commits) if revision in ("main", commit[0])), None)


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub, at its ``address``."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def signed_in(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty hub, for somebody who is logged in there and keeps all in ``folder``. HF_ENDPOINT and its like are read when the
    library is imported, which it may be already."""
    from huggingface_hub import constants

    with serving() as hub:
        patch.setattr(constants, "ENDPOINT", hub.address)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its servers are others
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
        patch.setenv("HF_TOKEN", TOKEN)
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))  # own configurations
        yield hub


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - http.server's names

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.hub.failing and self.hub.failing in path:
            self._send({"error": "out of order"}, 400)
            return
        writes = self.command in ("POST", "PUT") and not path.startswith("/lfs/")
        if writes and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send({"error": "Invalid user token."}, 401)
            return
        match path.strip("/").split("/"):
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case ["api", "validate-yaml"]:
                self._send({"errors": [], "warnings": []})
            case ["api", "models", user, name, *rest]:
                self._of_repository(f"{user}/{name}", rest, body)
            case [_, _, "info", "lfs", "objects", "batch"]:
                objects = json.loads(body)["objects"]
                places = [{"upload": {"href": f"{self.hub.address}/lfs/{one['oid']}"}} for one in objects]
                self._send({"objects": [{**one, "actions": place} for one, place in zip(objects, places, strict=True)]})
            case ["lfs", oid]:
                self.hub.objects[oid] = body
                self._send({})
            case [user, name, "resolve", revision, *parts]:
                self._file(f"{user}/{name}", revision, "/".join(parts))
            case _:
                self._send({"error": f"no {path}"}, 404)

    def _create(self, asked: dict[str, Any]) -> None:
        repo_id = f"{asked['organization']}/{asked['name']}"
        if repo_id in self.hub.repositories:
            self._send({"error": "You already created this model repo"}, 409)
            return
        self.hub.commit(repo_id, {".gitattributes": b"*.pt filter=lfs"})
        self.hub.private += [repo_id] if asked.get("private") or asked.get("visibility") == "private" else []
        self._send({"url": f"{self.hub.address}/{repo_id}"})

    def _of_repository(self, repo_id: str, rest: list[str], body: bytes) -> None:
        if repo_id not in self.hub.repositories:
            self._send({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return
        what, revision = (*rest, "main", "main")[:2] if rest else ("revision", "main")
        if (commit := self.hub.at(repo_id, revision)) is None:
            self._send({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
            return
        sha, files = commit
        if what == "revision":
            self._send({"id": repo_id, "sha": sha, "private": False, "siblings": [_entry(*file) for file in files.items()]})
        elif what == "preupload":
            names = [entry["path"] for entry in json.loads(body)["files"]]
            modes = [(name, "lfs" if name.endswith(LARGE) else "regular") for name in names]
            self._send({"files": [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes]})
        elif what == "commit":
            self._commit(repo_id, sha, [json.loads(line) for line in body.splitlines()])

    def _commit(self, repo_id: str, head: str, lines: list[dict[str, Any]]) -> None:
        changes: dict[str, bytes | None] = {}
        for line in lines:
            value = line["value"]
            match line["key"]:
                case "header" if value.get("parentCommit", head) != head:
                    self._send({"error": "A commit has happened since"}, 412)
                    return
                case "header":
                    self.hub.messages.append(value["summary"])
                case "file":
                    changes[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    changes[value["path"]] = self.hub.objects[value["oid"]]
                case "deletedFile":
                    changes[value["path"]] = None
        if self.hub.losing in changes:
            changes[self.hub.losing] = b"something else"
        sha = self.hub.commit(repo_id, changes)
        self._send({"commitUrl": f"{self.hub.address}/{repo_id}/commit/{sha}", "commitOid": sha, "success": True})

    def _file(self, repo_id: str, revision: str, name: str) -> None:
        commit = self.hub.at(repo_id, revision) if repo_id in self.hub.repositories else None
        if commit is None or name not in commit[1]:
            self._send({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        entry, content = _entry(name, commit[1][name]), commit[1][name]
        headers = {"ETag": f'"{entry["blobId"]}"', "X-Repo-Commit": commit[0]}
        if "lfs" in entry:
            headers |= {"X-Linked-Etag": f'"{entry["lfs"]["sha256"]}"', "X-Linked-Size": str(len(content))}
        self._send(content, 200, headers)

    def _send(self, content: Any, code: int = 200, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        if code >= 400 and isinstance(content, dict):
            self.send_header("X-Error-Message", content["error"])
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _entry(name: str, content: bytes) -> dict[str, Any]:
    """A file as the hub lists it."""
    oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": oid}
    if name.endswith(LARGE):
        entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry
