"""The training image and the Kubernetes job, as far as they can be checked without Docker: paths, names, promises."""

import fnmatch
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

DOCKER = ROOT / "docker"
INSTRUCTIONS = {"FROM", "ARG", "RUN", "LABEL", "COPY", "ENV", "WORKDIR", "USER", "ENTRYPOINT", "CMD"}


def instructions(path: Path) -> list[tuple[str, str]]:
    """Of a Dockerfile: each with its arguments in one line."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(name, rest.strip()) for name, _, rest in (line.strip().partition(" ") for line in lines if line.strip())]


@pytest.fixture(scope="module")
def image() -> list[tuple[str, str]]:
    return instructions(DOCKER / "train.Dockerfile")


def copied(image: list[tuple[str, str]]) -> list[str]:
    """What comes from the tree into the image."""
    found = []
    for name, rest in image:
        if name == "COPY" and "--from=" not in rest:
            *sources, _target = [word for word in rest.split() if not word.startswith("--")]
            found += sources
    return found


def ignored(path: str, image: str = "train") -> bool:
    """Whether an image's .dockerignore keeps a path out; its last line that matches decides."""
    kept_out = False
    for line in (DOCKER / f"{image}.Dockerfile.dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parts = path.split("/")
        starts = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        if pattern.startswith("**/"):
            matches = any(fnmatch.fnmatch(part, pattern[3:]) for part in parts)
        else:
            matches = any(fnmatch.fnmatch(start, pattern) for start in starts)
        if matches:
            kept_out = not line.startswith("!")
    return kept_out


def test_the_image_is_made_of_what_there_is(image):
    assert {name for name, _ in image} <= INSTRUCTIONS
    sources = copied(image)
    assert {"requirements.txt", "conf", "custom_modules", "experiments", "manifests", "train.py"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source


@pytest.mark.parametrize(
    "path",
    ["conf/local/default.yaml", ".git/config", "runs/a/model.nemo", "docker/wandb-key", ".venv/bin/python", "data/x"],
)
def test_nothing_private_or_large_gets_into_the_build(path):
    assert ignored(path)


def test_every_module_that_training_imports_is_in_the_image(image):
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert rooms <= set(copied(image))


def test_the_image_runs_as_a_user_with_the_locked_requirements(image):
    last = max(index for index, (name, _) in enumerate(image) if name == "FROM")
    users = [rest for name, rest in image[last:] if name == "USER"]
    assert users and users[-1] not in ("root", "0")
    (install,) = [rest for name, rest in image if name == "RUN" and "uv pip install" in rest]
    assert "--requirements /tmp/requirements.txt" in install
    version = re.search(r"UV_VERSION := (\S+)", (ROOT / "Makefile").read_text())[1]
    assert f"uv=={version}" in install
    assert ("ENTRYPOINT", '["entrypoint"]') in image
    assert not any("KEY" in rest for name, rest in image if name in ("ENV", "ARG"))


def test_the_entrypoint_reads_the_key_from_its_file(tmp_path):
    key = tmp_path / "key"
    key.write_text("secret\n")

    def run(**environment: str) -> str:
        command = [DOCKER / "entrypoint.sh", "sh", "-c", 'echo "${WANDB_API_KEY:-none} $1"', "sh", "one"]
        done = subprocess.run(command, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run(WANDB_API_KEY_FILE=str(key)) == "secret one"
    assert run(WANDB_API_KEY_FILE=str(tmp_path / "missing")) == "none one"
    key.write_text("")
    assert run(WANDB_API_KEY_FILE=str(key)) == "none one"
    assert run(WANDB_API_KEY="other") == "other one"


def test_compose_gives_shared_memory_time_to_save_and_the_key_as_a_file():
    document = yaml.safe_load((DOCKER / "train.compose.yaml").read_text())
    train = document["services"]["train"]
    assert (DOCKER / train["build"]["context"] / train["build"]["dockerfile"]).exists()
    assert train["shm_size"] and train["stop_grace_period"] == "2m"
    (secret,) = train["secrets"]
    assert train["environment"]["WANDB_API_KEY_FILE"] == f"/run/secrets/{secret}"
    key = DOCKER / document["secrets"][secret]["file"]
    assert f"/{key.relative_to(ROOT)}" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_agents_of_a_sweep_on_kubernetes():
    claim, job = yaml.safe_load_all((DOCKER / "k8s" / "agents.yaml").read_text())
    assert (claim["kind"], claim["spec"]["accessModes"]) == ("PersistentVolumeClaim", ["ReadWriteMany"])
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert job["spec"]["parallelism"] > 1 and "completions" not in job["spec"]
    # A failure policy is allowed with this restart policy only.
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    (agent,) = pod["containers"]
    assert agent["args"][:3] == ["wandb", "agent", "--forward-signals"]
    grace = int(agent["args"][agent["args"].index("--term-timeout") + 1])
    assert grace < pod["terminationGracePeriodSeconds"]
    assert agent["env"] == [{"name": "WANDB_API_KEY", "valueFrom": {"secretKeyRef": {"name": "wandb", "key": "key"}}}]
    assert agent["resources"]["limits"]["nvidia.com/gpu"] == 1
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in agent["volumeMounts"]} == set(volumes)
    assert volumes["hey-jetson"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    workdir = next(rest for name, rest in instructions(DOCKER / "train.Dockerfile") if name == "WORKDIR")
    assert {mount["mountPath"] for mount in agent["volumeMounts"]} == {f"{workdir}/data", f"{workdir}/runs", "/dev/shm"}
    user = re.search(r"USER_ID=(\d+)", (DOCKER / "train.Dockerfile").read_text())[1]
    assert pod["securityContext"] == {"runAsNonRoot": True, "runAsUser": int(user), "fsGroup": int(user)}
