"""The serving images, compose and the service units, as far as they can be checked without Docker."""

import configparser
import ipaddress
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from heyjetson.cli import parser
from heyjetson.server.run import GRACE
from heyjetson.server.settings import Settings
from heyjetson.wyoming.server import GRACE as WYOMING_GRACE
from tests.conftest import ROOT
from tests.test_docker import DOCKER, INSTRUCTIONS, copied, ignored, instructions

UNITS = DOCKER / "units"
IMAGES = ("serve", "jetson")


def arguments_are_ours(command: list[str]) -> bool:
    """Whether `heyjetson` takes a command line; argparse exits where it does not."""
    options = parser().parse_args(command)
    return options.command == command[0]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_made_of_what_there_is(name):
    image = instructions(DOCKER / f"{name}.Dockerfile")
    assert {instruction for instruction, _ in image} <= INSTRUCTIONS | {"EXPOSE", "HEALTHCHECK"}
    sources = copied(image)
    assert {"pyproject.toml", "heyjetson", "requirements.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source, name), source
    for private in ("docker/api-keys", "docker/certificates/privkey.pem", ".git/config", "bundles/a/model.onnx"):
        assert ignored(private, name)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_serves_as_a_user_on_pinned_versions(name):
    image = instructions(DOCKER / f"{name}.Dockerfile")
    users = [rest for instruction, rest in image if instruction == "USER"]
    assert users == ["heyjetson"]
    (install,) = [rest for instruction, rest in image if instruction == "RUN" and "[cpu,server,lm,wyoming]" in rest]
    assert "--constraint" in install and "/tmp/constraints.txt" in install
    entry = next(rest for instruction, rest in image if instruction == "ENTRYPOINT")
    command = next(rest for instruction, rest in image if instruction == "CMD" and rest.startswith('["/bundles'))
    words = yaml.safe_load(entry) + yaml.safe_load(command)
    assert words[0] == "heyjetson" and arguments_are_ours(words[1:])


def test_what_the_wheel_needs_to_serve_is_pinned():
    """The images install with requirements.txt as constraints; a name it lacks would float."""
    project = (ROOT / "pyproject.toml").read_text()
    wanted = re.search(r"^server = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL)[1]
    wanted += re.search(r"^wyoming = \[(.*)\]", project, re.MULTILINE)[1]
    names = [re.match(r'\s*"([A-Za-z0-9-]+)', line)[1].lower() for line in wanted.splitlines() if '"' in line]
    pinned = (ROOT / "requirements.txt").read_text()
    assert len(names) > 8
    for name in names:
        assert re.search(rf"^{name}==", pinned, re.MULTILINE), name


def test_compose_keeps_the_server_behind_nginx():
    document = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    serve, nginx = document["services"]["serve"], document["services"]["nginx"]
    for service in (serve, nginx):
        assert int(service["pids_limit"]) <= 512 and service["mem_limit"]
        assert service["logging"]["options"]["max-size"]
    assert int(serve["mem_limit"].removesuffix("g")) * 2**30 >= 3 * Settings(Path()).decode_bytes + 2**30
    proxy = serve["command"][serve["command"].index("--proxy") + 1]
    assert proxy == nginx["networks"]["inner"]["ipv4_address"]
    (inner,) = document["networks"]["inner"]["ipam"]["config"]
    assert ipaddress.ip_address(proxy) in ipaddress.ip_network(inner["subnet"])
    assert "ports" not in serve and nginx["ports"] == ["80:80", "443:443"]
    assert serve["read_only"] and serve["cap_drop"] == ["ALL"]
    assert arguments_are_ours(["serve", *map(str, serve["command"])])
    key = serve["command"][serve["command"].index("--key-file") + 1]
    (secret,) = serve["secrets"]
    assert key == f"/run/secrets/{secret}"
    stages = {rest.split(" AS ")[-1] for name, rest in instructions(DOCKER / "serve.Dockerfile") if name == "FROM"}
    assert {serve["build"]["target"], nginx["build"]["target"]} <= stages
    ignored_by_git = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/docker/api-keys", "/docker/certificates/", "/docker/challenges/"} <= set(ignored_by_git)


def test_compose_offers_the_service_of_home_assistant():
    document = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    serve, wyoming = document["services"]["serve"], document["services"]["wyoming"]
    assert wyoming["profiles"] == ["wyoming"] and wyoming["image"] == serve["image"]
    assert arguments_are_ours([*wyoming["entrypoint"][1:], *wyoming["command"]])
    for name in ("read_only", "cap_drop", "security_opt", "init"):
        assert wyoming[name] == serve[name]
    (port,) = wyoming["ports"]
    assert wyoming["command"][-1].endswith(port.rsplit(":", 1)[1]) and "10300" in wyoming["healthcheck"]["test"][-1]
    assert int(wyoming["stop_grace_period"].removesuffix("s")) > WYOMING_GRACE


def test_nginx_gets_every_variable_of_its_template():
    template = (DOCKER / "nginx" / "site.conf.template").read_text()
    names = set(re.findall(r"\$\{([A-Z_]+)\}", template))
    environment = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["nginx"]["environment"]
    assert names == set(environment) - {"NGINX_ENVSUBST_FILTER"}
    taken = re.search(r"\((.*)\)", environment["NGINX_ENVSUBST_FILTER"])[1].split("|")
    assert set(taken) == names


def test_the_service_gives_running_work_time_to_end():
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # systemd's names are case-sensitive
    unit.read(UNITS / "heyjetson.service")
    command = shlex.split(unit["Service"]["ExecStart"])
    assert command[0] == "/opt/heyjetson/bin/heyjetson" and arguments_are_ours(command[1:])
    patience = Settings(Path()).shutdown_seconds + GRACE
    assert int(unit["Service"]["TimeoutStopSec"]) > patience
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    assert int(compose["services"]["serve"]["stop_grace_period"].removesuffix("s")) > patience
    memory = int(unit["Service"]["MemoryMax"].removesuffix("G")) * 2**30
    assert memory >= 3 * Settings(Path()).decode_bytes + 2**30
    supervisor = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    supervisor.read(UNITS / "heyjetson.supervisor.conf")
    program = supervisor["program:heyjetson"]
    assert arguments_are_ours(shlex.split(program["command"])[1:])
    assert int(program["stopwaitsecs"]) > patience and program["stopsignal"] == "TERM"


def test_the_lines_that_install_make_what_they_fill():
    for name in ("heyjetson.service", "heyjetson-wyoming.service", "heyjetson.supervisor.conf"):
        lines = [line for line in (UNITS / name).read_text().splitlines() if line.startswith(("#   ", ";   "))]
        made = next(number for number, line in enumerate(lines) if "mkdir -p /etc/heyjetson" in line)
        assert all(number >= made for number, line in enumerate(lines) if "/etc/heyjetson" in line)
    for page in ("serve.md", "home-assistant.md"):
        lines = (ROOT / "docs" / page).read_text().splitlines()
        assert all(line.startswith("BUNDLE=") for line in lines if "docker compose -f" in line)


def test_the_service_of_home_assistant():
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read(UNITS / "heyjetson-wyoming.service")
    command = shlex.split(unit["Service"]["ExecStart"])
    assert command[0] == "/opt/heyjetson/bin/heyjetson" and arguments_are_ours(command[1:])
    assert int(unit["Service"]["TimeoutStopSec"]) > WYOMING_GRACE
    assert "multicast" in unit["Service"]["IPAddressAllow"]  # else Home Assistant does not find it


@pytest.mark.parametrize("name", ["heyjetson.service", "heyjetson-wyoming.service"])
def test_systemd_reads_the_unit(tmp_path, name):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    unit = (UNITS / name).read_text().replace("/opt/heyjetson/bin/heyjetson", "/bin/true")
    path = tmp_path / name
    path.write_text(unit)
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert f"{name}:" not in done.stderr, done.stderr
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", path]
    done = subprocess.run(command, capture_output=True, text=True)  # in tenths
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout


def test_the_units_name_their_proxy():
    for name in ("heyjetson.service", "heyjetson.supervisor.conf"):
        assert "--proxy 127.0.0.1" in (UNITS / name).read_text()


def test_the_certificate_names_what_it_was_asked_for(tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    script, out = DOCKER / "certificate.sh", tmp_path / "certificates"

    def run(*names: str) -> subprocess.CompletedProcess:
        environment = {"PATH": "/usr/bin:/bin", "OUT": str(out)}
        return subprocess.run([script, *names], env=environment, capture_output=True, text=True)

    assert "name the device" in run().stderr
    assert "DNS:jetson.local,IP:192.168.1.20" in run("jetson.local", "192.168.1.20").stdout
    assert (out / "privkey.pem").stat().st_mode & 0o077 == 0
    text = subprocess.run(
        ["openssl", "x509", "-in", out / "fullchain.pem", "-noout", "-text"], capture_output=True, text=True, check=True
    ).stdout
    assert "DNS:jetson.local, IP Address:192.168.1.20" in text
    extensions = [line.strip() for line in text.splitlines()]
    assert extensions[extensions.index("X509v3 Basic Constraints: critical") + 1] == "CA:FALSE"
    assert extensions[extensions.index("X509v3 Key Usage: critical") + 1] == "Digital Signature"
    assert extensions[extensions.index("X509v3 Extended Key Usage:") + 1] == "TLS Web Server Authentication"
    key = (out / "privkey.pem").read_bytes()
    assert "is there already" in run("other").stderr and (out / "privkey.pem").read_bytes() == key


def test_a_certificate_that_fails_is_said_and_leaves_nothing(tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    out = tmp_path / "certificates"
    environment = {"PATH": "/usr/bin:/bin", "OUT": str(out)}
    script = DOCKER / "certificate.sh"
    done = subprocess.run([script, "jetson,=local"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "openssl made no certificate for DNS:jetson,=local" in done.stderr
    assert list(out.iterdir()) == []
    assert subprocess.run([script, "jetson.local"], env=environment, capture_output=True).returncode == 0
    assert sorted(path.name for path in out.iterdir()) == ["fullchain.pem", "privkey.pem"]
