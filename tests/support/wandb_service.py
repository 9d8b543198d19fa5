"""What stands in for W&B's server on loopback: it reads a GraphQL query and sends an answer."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class GraphqlHandler(BaseHTTPRequestHandler):
    """One request, which ``reply`` of the derived class answers."""

    def do_POST(self) -> None:
        self.reply()

    def reply(self) -> None:
        raise NotImplementedError

    def read_query(self) -> dict[str, Any]:
        body = self.rfile.read(int(self.headers["content-length"]))
        query: dict[str, Any] = json.loads(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
        return query

    def send_data(self, data: dict[str, Any]) -> None:
        answer = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(handler: type[GraphqlHandler]) -> Iterator[str]:
    """The address of a server that handles requests so."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
