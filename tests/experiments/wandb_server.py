"""As much of W&B's server as `wandb sync` 0.31 talks to: it keeps the rows of runs as they are sent, by their place."""

import gzip
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ROWS, SUMMARY = "wandb-history.jsonl", "wandb-summary.json"
PROJECT = {"id": "P", "name": "hey-jetson", "entity": {"id": "E", "name": "me"}}


class Server(ThreadingHTTPServer):
    """Listens on a free port of this machine.

    `rows` are those of each run by their place; `summaries` and `configs` what was sent last.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows: dict[str, dict[int, dict[str, Any]]] = {}
        self.summaries: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is none."""

    def bucket(self, run: str) -> dict[str, Any]:
        """A run, as the server describes it."""
        rows = self.rows.get(run, {})
        tail = [json.dumps(rows[max(rows)])] if rows else []
        return {
            "id": f"B{run}", "name": run, "displayName": run, "description": "", "sweepName": None, "tags": [],
            "project": PROJECT, "config": json.dumps(self.configs.get(run, {})), "wandbConfig": '{"t": 1}',
            "summaryMetrics": json.dumps(self.summaries.get(run, {})), "historyLineCount": len(rows),
            "logLineCount": 0, "eventsLineCount": 0, "historyTail": json.dumps(tail), "eventsTail": "[]",
        }  # fmt: skip

    def asked(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """The answer to a query of GraphQL."""
        run = given.get("name") or ""
        if name == "UpsertBucket":
            known = run in self.configs
            self.configs[run] = json.loads(given.get("config") or "{}") or self.configs.get(run, {})
            return {"upsertBucket": {"bucket": self.bucket(run), "inserted": not known}}
        if name == "RunResumeStatus":
            return {"model": PROJECT | {"bucket": self.bucket(run)} if run in self.configs else None}
        if name == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.address}/{file}"} for file in given["files"]]
            return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": files}}
        if name == "CreateArtifact":  # as if it were there already: nothing is uploaded
            sequence = {"id": "S", "name": given["input"]["artifactCollectionName"], "latestArtifact": None}
            return {"createArtifact": {"artifact": {"id": "A", "state": "COMMITTED", "artifactSequence": sequence}}}
        return {}

    def streamed(self, run: str, files: dict[str, Any]) -> None:
        """Lines of a run's files, each chunk with the place of its first."""
        for name, chunk in files.items():
            if name == ROWS:
                lines = enumerate(chunk["content"], start=chunk["offset"])
                self.rows.setdefault(run, {}).update((place, json.loads(line)) for place, line in lines)
            elif name == SUMMARY:
                self.summaries[run] = json.loads(chunk["content"][-1])


class Handler(BaseHTTPRequestHandler):
    """Requests of the client."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        else:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        """A file."""
        self._body()
        self._answer({})

    def do_POST(self) -> None:
        """Rows, or a query."""
        body = json.loads(self._body() or b"{}")
        if self.path.endswith("/file_stream"):
            self.server.streamed(self.path.split("/")[-2], body.get("files") or {})
            return self._answer({"exitcode": None, "limits": {}})
        name = re.search(r"(?:query|mutation)\s+(\w+)", body.get("query", ""))
        return self._answer({"data": self.server.asked(name[1] if name else "", body.get("variables") or {})})
