"""A web server on this machine that misbehaves as told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

PAGE = b"<!DOCTYPE html><html><title>Quota exceeded</title></html>"


@dataclass
class Site:
    """What the server gives, and what it was asked for.

    `cuts`: after how many bytes of the body each coming answer ends, the connection closed; then answers are whole.
    `ranges`: whether requests for a part are understood. `asked`: the Range header of every request.
    """

    content: bytes = bytes(range(256)) * 5000
    status: int = 200
    content_type: str = "application/octet-stream"
    etag: str | None = '"one"'
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    content_range: str | None = None
    asked: list[str | None] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    """A server with one file, whatever the path."""
    said = Site()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            asked = self.headers["Range"]
            said.asked.append(asked)
            if said.failures:
                self.send_error(said.failures.pop(0))
                return
            if said.status != 200:
                self.send_error(said.status)
                return
            start = 0
            if asked and said.ranges and self.headers["If-Range"] == said.etag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(said.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                last, total = len(said.content) - 1, len(said.content)
                self.send_header("Content-Range", said.content_range or f"bytes {start}-{last}/{total}")
            else:
                self.send_response(200)
            self.send_header("Content-Type", said.content_type)
            self.send_header("Content-Length", str(len(said.content) - start))
            if said.etag:
                self.send_header("ETag", said.etag)
            self.end_headers()
            body = said.content[start:]
            self.wfile.write(body[: said.cuts.pop(0)] if said.cuts else body)
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    said.address = f"http://127.0.0.1:{server.server_port}/file.pt"
    yield said
    server.shutdown()
    server.server_close()
    thread.join()
