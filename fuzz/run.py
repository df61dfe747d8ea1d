"""`make fuzz`: runs every target for its share of the time, and stores each finding as a file in runs/fuzz.

Copy a finding into the folder of its target in tests/fuzz/crashes to make it a test. A violation of the API contract is
printed with the command that repeats it.
"""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, TextIO

from tests.support.paths import ROOT

FOLDER = ROOT / "runs" / "fuzz"

# Fractions of the time. The test of the API contract takes the rest.
SHARES = {"pictures": 0.35, "wire": 0.4}

# A valid image of MAX_PIXELS takes 150 MB, including Python.
MAX_MEGABYTES = 400

MAX_SECONDS_PER_INPUT = 10

MAX_INPUT_BYTES = 100_000

# Seconds to start and to run the last input. libFuzzer waits for a lock for ever if it reports a corrupt heap.
GRACE_SECONDS = 60


def main() -> None:
    seconds = int(sys.argv[1])
    end = time.monotonic() + seconds
    passed = [_run_target(name, max(1, round(share * seconds))) for name, share in SHARES.items()]
    passed.append(_test_contract(end - time.monotonic()))
    while all(passed) and (left := end - time.monotonic()) > 0:
        passed.append(_test_contract(left))
    if not all(passed):
        sys.exit(f"Findings are in {FOLDER.relative_to(ROOT)}.")


def _run_target(name: str, seconds: int) -> bool:
    """Run libFuzzer in a process of its own, because OpenCV can crash it. Returns whether there were no findings."""
    target: Any = importlib.import_module(f"fuzz.{name}")
    corpus, findings, log = (FOLDER / name / part for part in ("corpus", "findings", "log"))
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    findings.mkdir(exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    command = [sys.executable, "-m", "fuzz.target", name, str(corpus), f"-artifact_prefix={findings}/"]
    command += [f"-max_total_time={seconds}", f"-rss_limit_mb={MAX_MEGABYTES}"]
    command += [f"-timeout={MAX_SECONDS_PER_INPUT}", f"-max_len={MAX_INPUT_BYTES}"]
    before = set(findings.iterdir())
    environment = os.environ | {"OPENCV_LOG_LEVEL": "SILENT"}
    with log.open("w") as output:
        status = exit_status(command, seconds + GRACE_SECONDS, output, environment)
    lines = log.read_text(errors="replace").splitlines()
    found = sorted(str(path.relative_to(ROOT)) for path in set(findings.iterdir()) - before)
    if status == 0 and not found:
        print(f"{name}: {lines[-1]}", flush=True)
        return True
    print(f"{name}: exit status {status}", *found, *lines[-40:], sep="\n", flush=True)
    return False


def exit_status(command: list[str], seconds: float, output: TextIO, environment: dict[str, str]) -> int:
    """Run a command, and return its exit status: that of a killed process if it takes more than `seconds`."""
    try:
        return subprocess.run(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False, timeout=seconds
        ).returncode
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL


def _test_contract(seconds: float) -> bool:
    """Run the test of the API contract with new cases, about as many as fit into `seconds`."""
    cases = min(1000, max(20, round((seconds - 5) * 3)))
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration/test_contract.py"],
        cwd=ROOT,
        env=os.environ | {"VISAGE_CONTRACT_CASES": str(cases)},
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if finished.returncode:
        (FOLDER / "contract").write_text(finished.stdout)
    print(f"contract: {finished.stdout if finished.returncode else finished.stdout.splitlines()[-1]}", flush=True)
    return finished.returncode == 0


if __name__ == "__main__":
    main()
