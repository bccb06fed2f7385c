"""Starts `heyjetson serve`, asks it for its pages and for a transcript, and ends it; says what it answered.

python tests/privacy/serve_once.py BUNDLE SOUND STATE
"""

import re
import signal
import subprocess
import sys

import httpx

PAGES = ("/", "/live", "/performance", "/about", "/docs", "/static/plotly.min.js", "/health/ready", "/metrics")


def main(bundle: str, sound: str, state: str) -> int:
    """0 where all was answered and the server ended as it was told to."""
    command = [sys.executable, "-u", "-m", "heyjetson", "serve", bundle, "--port", "0", "--state", state]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout
    said = []
    for line in server.stdout:
        said.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            break
    else:
        print("The server did not start:", *said, sep="\n")
        return 1
    with httpx.Client(base_url=found[0], timeout=60, transport=httpx.HTTPTransport(retries=20)) as client:
        good = True
        for page in PAGES:
            answer = client.get(page)
            print(page, answer.status_code)
            good &= answer.status_code == 200
        with open(sound, "rb") as file:
            answer = client.post("/v1/audio/transcriptions", files={"file": file})
        print(answer.status_code, answer.text)
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=60)
    print("ended", server.returncode)
    return 0 if good and answer.status_code == 200 and server.returncode in (0, -signal.SIGTERM) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
