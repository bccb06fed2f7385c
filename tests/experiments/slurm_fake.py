"""A Slurm of one machine: sbatch, srun, scontrol and sacct as far as submitit calls them. Its state lies in a folder.

python slurm_fake.py FOLDER COMMAND ARGUMENTS…
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ID = 1000
COMMANDS = ("sbatch", "srun", "scontrol", "sacct")


def install(folder: Path) -> str:
    """Put the commands into a folder; returns the PATH that finds them."""
    folder.mkdir()
    for name in COMMANDS:
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {folder} {name} "$@"\n')
        script.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def flags(script: str) -> dict[str, str]:
    """What a script asks of sbatch."""
    return dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", script, re.MULTILINE))


def sbatch(folder: Path, path: str) -> int:
    """Keep the script and run its jobs in the background, each again as long as it is put back into the queue."""
    text = Path(path).read_text()
    (folder / "job.sh").write_text(text)
    if os.environ.get("FAKE_SLURM") == "refuse":
        print("sbatch: error: Batch job submission failed", file=sys.stderr)
        return 1
    asked = flags(text)
    last = re.search(r"0-(\d+)", asked.get("array", ""))
    for index in range(int(last[1]) + 1 if last else 1):
        job = f"{ID}_{index}" if last else str(ID)
        nodes, tasks = int(asked["nodes"]), int(asked["ntasks-per-node"])
        environment = {
            "SLURM_JOB_ID": str(ID + index), "SLURM_JOB_NAME": asked["job-name"], "SLURM_NODELIST": "127.0.0.1",
            "SLURM_NNODES": str(nodes), "SLURM_JOB_NUM_NODES": str(nodes), "SLURM_NTASKS": str(nodes * tasks),
            "SLURM_NTASKS_PER_NODE": str(tasks), "FAKE_JOB": job,
        }  # fmt: skip
        if last:
            environment |= {"SLURM_ARRAY_JOB_ID": str(ID), "SLURM_ARRAY_TASK_ID": str(index)}
        again, run = shlex.quote(f"{folder}/requeued-{job}"), f"bash {shlex.quote(f'{folder}/job.sh')}"
        loop = f"{run}; while [ -e {again} ]; do rm {again}; {run}; done; touch {shlex.quote(f'{folder}/ended-{job}')}"
        with (folder / f"log-{job}").open("w") as log:
            subprocess.Popen(
                ["bash", "-c", loop], env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
            )
    print(f"Submitted batch job {ID}")
    return 0


def srun(folder: Path, *arguments: str) -> int:
    """Start the tasks of a job, each with its number, and wait for them."""
    given, outputs, tasks = list(arguments), {}, []
    while given[0].startswith("--"):
        name = given.pop(0)
        if name in ("--output", "--error"):
            outputs[name] = given.pop(0)
    job = os.environ["FAKE_JOB"]
    for task in range(int(os.environ["SLURM_NTASKS"])):
        files = []
        for name in ("--output", "--error"):
            file = Path(outputs[name].replace("%A_%a", job).replace("%j", job).replace("%t", str(task)))
            file.parent.mkdir(parents=True, exist_ok=True)
            files.append(file.open("a"))
        environment = {"SLURM_PROCID": str(task), "SLURM_LOCALID": str(task), "SLURM_NODEID": "0"}
        process = subprocess.Popen(given, env={**os.environ, **environment}, stdout=files[0], stderr=files[1])
        (folder / f"pid-{job}_{task}").write_text(str(process.pid))
        tasks.append(process)
    return max(process.wait() for process in tasks)


def scontrol(folder: Path, verb: str, job: str) -> int:
    """Put a job back into the queue."""
    assert verb == "requeue"
    (folder / f"requeued-{job}").touch()
    with (folder / "requeues").open("a") as file:
        file.write(f"{job}\n")
    return 0


def sacct(folder: Path, *_: str) -> int:
    """The state of each job that has run."""
    print("JobID|State|NodeList")
    for log in folder.glob("log-*"):
        job = log.name.removeprefix("log-")
        print(f"{job}|{'COMPLETED' if (folder / f'ended-{job}').exists() else 'RUNNING'}|localhost")
    return 0


if __name__ == "__main__":
    command = {"sbatch": sbatch, "srun": srun, "scontrol": scontrol, "sacct": sacct}[sys.argv[2]]
    sys.exit(command(Path(sys.argv[1]), *sys.argv[3:]))
