"""Keys, rates, other sites' pages; and what surrounds every answer."""

import json
import logging
import time

import httpx
import pytest
from starlette.requests import HTTPConnection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from heyjetson.server.errors import RequestError
from heyjetson.server.http.access import Access, accepted, check
from heyjetson.server.logs import JsonFormatter, is_news
from heyjetson.server.settings import Settings
from tests.heyjetson.server.running import served

KEYS = ("first key", "Schlüssel", "third")
BEARER = {"Authorization": "Bearer first key"}


@pytest.fixture(scope="module")
def closed(speech_folder, tmp_path_factory):
    """A server that wants a key."""
    with served(Settings(speech_folder, keys=KEYS, state=tmp_path_factory.mktemp("state"))) as address:
        yield address


def test_keys_are_compared_as_a_whole():
    assert accepted(KEYS, "first key")
    assert accepted(KEYS, "Schlüssel")
    for wrong in (None, "", "first", "first key ", "FIRST KEY"):
        assert not accepted(KEYS, wrong)
    assert not accepted((), None)
    assert not accepted((), "")


def test_a_key_is_wanted(closed):
    for path in ("/v1/models", "/metrics", "/v1/dataset"):
        answer = httpx.get(closed + path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "none came with the request" in answer.json()["error"]["message"]
        assert httpx.get(closed + path, headers={"X-API-Key": "wrong"}).status_code == 401
        assert httpx.get(closed + path, headers=BEARER).status_code == 200
    assert httpx.get(f"{closed}/v1/models", headers={"X-API-Key": "first key"}).status_code == 200


def test_what_shows_no_data_is_open(closed):
    for path in ("/", "/docs", "/openapi.json", "/health/live", "/health/ready", "/static/js/api.js"):
        assert httpx.get(closed + path).status_code == 200


def test_an_upload_without_a_key_is_not_read(closed):
    answer = httpx.post(f"{closed}/v1/audio/transcriptions", files={"file": bytes(2**20)})
    assert answer.status_code == 401


def test_the_document_says_where_the_key_goes(closed, site):
    document = httpx.get(f"{closed}/openapi.json").json()
    assert document["paths"]["/v1/models"]["get"]["security"] == [{"key": []}]
    assert "security" not in document["paths"]["/health/live"]["get"]
    assert "securitySchemes" not in httpx.get(f"{site}/openapi.json").json()["components"]


def status_of_socket(site: str, **options: object) -> int:
    """101, or what the server answers before the socket is one."""
    try:
        with connect(f"{site.replace('http', 'ws')}/v1/listen?rate=16000", open_timeout=30, **options):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def test_sockets_want_a_key_before_they_are_accepted(closed):
    digits = "Schlüssel".encode().hex()
    assert status_of_socket(closed) == 401
    assert status_of_socket(closed, subprotocols=["heyjetson", "heyjetson.key.00"]) == 401
    assert status_of_socket(closed, subprotocols=["heyjetson", "heyjetson.key.zz"]) == 401
    assert status_of_socket(closed, subprotocols=["heyjetson", f"heyjetson.key.{digits}"]) == 101
    assert status_of_socket(closed, additional_headers=BEARER) == 101


def test_pages_of_other_sites_have_no_business_here(site):
    assert status_of_socket(site, origin="https://evil.example") == 403
    assert status_of_socket(site, origin=site) == 101
    for origin, status in (("https://evil.example", 403), ("null", 403), (site, 404)):
        assert httpx.post(f"{site}/v1/audio/translations", headers={"Origin": origin}).status_code == status
    assert (
        "access-control-allow-origin" not in httpx.get(f"{site}/", headers={"Origin": "https://evil.example"}).headers
    )


def test_other_names_are_refused(speech_folder, tmp_path):
    with served(Settings(speech_folder, hosts=("jetson.local",), state=tmp_path)) as address:
        answer = httpx.get(f"{address}/v1/models")
        assert answer.status_code == 400
        assert "does not answer under that name" in answer.json()["error"]["message"]
        assert httpx.get(f"{address}/v1/models", headers={"Host": "jetson.local:80"}).status_code == 200
        assert httpx.get(f"{address}/health/live").status_code == 200  # a supervisor knows the address alone


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Referer": "http://evil.example/page"}, 403),
        ({"Referer": "{site}/explore"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Referer": "{site}/explore"}, 403),
    ],
)
def test_what_computes_is_for_our_own_pages_whatever_the_method(site, headers, status):
    headers = {name: value.format(site=site) for name, value in headers.items()}
    for path in ("/v1/models", "/v1/dataset", "/metrics"):
        assert httpx.get(site + path, headers=headers).status_code == status
    assert httpx.get(f"{site}/live", headers=headers).status_code == 200  # a link to a page computes nothing


def test_a_foreign_picture_of_an_utterance_does_not_run_the_model(speech_folder, spoken, tmp_path, monkeypatch):
    (tmp_path / "spoken.wav").write_bytes(spoken.read_bytes())
    manifest = tmp_path / "data.jsonl"
    manifest.write_text(json.dumps({"audio_filepath": "spoken.wav", "duration": 3.0, "text": "ab ba"}) + "\n")
    runs = []
    monkeypatch.setattr("heyjetson.server.routes.views.views", lambda *_: runs.append(1) or {})
    with served(Settings(speech_folder, data=(manifest,), state=tmp_path / "state")) as address:
        picture = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
        assert httpx.get(f"{address}/v1/dataset/data/0/views", headers=picture).status_code == 403
    assert runs == []


def test_addresses_are_names_where_the_settings_say_so(tmp_path):
    def status(host: str, addresses: bool) -> int:
        settings = Settings(tmp_path, hosts=("jetson.local",), addresses=addresses)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host.encode())]}
        try:
            check(HTTPConnection(scope), settings)
        except RequestError as error:
            return error.status
        return 200

    for host in ("192.168.1.20:8000", "[2001:db8::1]:8000"):
        assert (status(host, True), status(host, False)) == (200, 400)
    for host in ("evil.example:8000", "192.168.1.20.evil.example", ""):  # a name of another site's that points here
        assert status(host, True) == 400


@pytest.mark.parametrize(("proxies", "client"), [((), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.9")])
def test_only_a_named_proxy_is_believed(speech_folder, tmp_path, caplog, proxies, client):
    settings = Settings(speech_folder, proxies=proxies, state=tmp_path)
    with caplog.at_level(logging.INFO, "heyjetson.access"), served(settings) as address, httpx.Client() as ours:
        for _ in range(2):  # the line of the first is written by then
            ours.get(f"{address}/health/live", headers={"X-Forwarded-For": "203.0.113.9"})
    assert caplog.records[0].fields["client"] == client


def test_addresses_that_are_none_are_refused(site):
    for path in ("/v1/models", "/none", "/health/live"):
        assert httpx.get(site + path, headers={"Host": "[::1"}).status_code == 400
    for origin in ("http://[", "https://[::1", "//", ""):
        assert httpx.post(f"{site}/v1/sentiment", json={"text": "a"}, headers={"Origin": origin}).status_code == 403


def test_rates(speech_folder, tmp_path):
    settings = Settings(speech_folder, requests_per_minute=3, keys=KEYS, state=tmp_path)
    with served(settings) as address:
        given = [httpx.get(f"{address}/v1/models", headers=BEARER) for _ in range(4)]
        assert [answer.status_code for answer in given] == [200, 200, 200, 429]
        assert 1 <= int(given[-1].headers["retry-after"]) <= 61
        assert "More than 3 requests" in given[-1].json()["error"]["message"]
        assert httpx.get(f"{address}/v1/models", headers={"X-API-Key": "third"}).status_code == 200  # another client
        assert httpx.get(f"{address}/health/live").status_code == 200


def test_clients_that_were_counted_are_forgotten(tmp_path, monkeypatch):
    access = Access(lambda *_: None, Settings(tmp_path, requests_per_minute=1))
    access._count("one")
    with pytest.raises(RequestError):
        access._count("one")
    storage = access._limiter.storage
    storage.timer.join()
    later = time.time() + 61
    monkeypatch.setattr("limits.storage.memory.time.time", lambda: later)
    access._count("other")
    storage.timer.join()
    assert [key.split("/")[1] for key in storage.storage] == ["other"]


def test_a_socket_that_is_refused_is_no_fault():
    def news(text: str) -> bool:
        return is_news(logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, text, None, None))

    assert not news("ASGI callable returned without completing handshake.")
    assert news("Exception in ASGI application\n")


def test_headers_of_every_answer(site):
    for path in ("/", "/v1/models", "/static/js/api.js", "/none"):
        headers = httpx.get(site + path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-eval" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert len(headers["x-request-id"]) == 32
    assert httpx.get(f"{site}/v1/models").headers["cache-control"] == "no-store"
    script = httpx.get(f"{site}/static/js/api.js")
    assert script.headers["cache-control"] == "no-cache"
    known = {"If-None-Match": script.headers["etag"].removesuffix('"').removesuffix("-gzip") + '"'}
    assert httpx.get(f"{site}/static/js/api.js", headers=known | {"Accept-Encoding": "identity"}).status_code == 304


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False), ('"}', False)])
def test_request_ids(site, given, kept):
    answer = httpx.get(f"{site}/health/live", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert (answer == given) == kept


def test_large_answers_are_packed(site):
    assert httpx.get(f"{site}/openapi.json").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in httpx.get(f"{site}/health/live").headers


def test_the_log_says_who_asked_but_not_what(site, spoken, caplog):
    with caplog.at_level(logging.INFO, "heyjetson.access"), httpx.Client() as client:
        with spoken.open("rb") as file:
            client.post(f"{site}/v1/audio/transcriptions?key=secret", files={"file": file})
        for _ in range(100):  # its line is written behind its answer, which a next request may overtake
            client.get(f"{site}/health/live")
            lines = [JsonFormatter().format(record) for record in caplog.records if record.name == "heyjetson.access"]
            if entries := [entry for entry in map(json.loads, lines) if entry["method"] == "POST"]:
                break
    (entry,) = entries
    wanted = {"method": "POST", "path": "/v1/audio/transcriptions", "status": 200, "client": "127.0.0.1"}
    assert entry | wanted == entry
    assert entry["bytes_in"] > 96000
    assert {"time", "id", "ms", "bytes_out", "level"} <= set(entry)
    assert not any(word in line for line in lines for word in ("secret", "ab ba"))


def test_metrics(site, spoken):
    with spoken.open("rb") as file:
        httpx.post(f"{site}/v1/audio/transcriptions", files={"file": file})
    httpx.get(f"{site}/made/up/by/a/client")
    text = httpx.get(f"{site}/metrics").text
    assert 'heyjetson_requests_total{method="POST",route="/v1/audio/transcriptions",status="200"}' in text
    assert 'heyjetson_request_seconds_bucket{le="0.1",route="/v1/audio/transcriptions"}' in text
    for name in ("audio_seconds_total", "real_time_factor_count", "streams", "queue_length", "refused_total"):
        assert f"heyjetson_{name}" in text
    assert "process_resident_memory_bytes" in text
    assert "made/up" not in text
