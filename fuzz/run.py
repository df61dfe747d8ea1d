"""`make fuzz`: every target for its share of the time; what fails is left in runs/fuzz, one file a finding.

A finding becomes a test by being copied into tests/fuzz/crashes, into the folder of its target. What breaks the
contract is printed, with the command that does it again.
"""

import importlib
import os
import shutil
import subprocess
import sys
import time
from typing import Any

from tests.support.paths import ROOT

FOLDER = ROOT / "runs" / "fuzz"

# Parts of the time.
SHARES = {"pictures": 0.5, "wire": 0.2}

# A sound picture of the largest size that the target allows takes 150, with all of Python.
MOST_MEGABYTES = 400

MOST_SECONDS_AN_INPUT = 10

MOST_BYTES = 100_000


def main() -> None:
    seconds = int(sys.argv[1])
    end = time.monotonic() + seconds
    passed = [_search(name, max(1, round(share * seconds))) for name, share in SHARES.items()]
    passed.append(_hold_to_the_contract(end - time.monotonic()))
    while all(passed) and (left := end - time.monotonic()) > 0:
        passed.append(_hold_to_the_contract(left))
    if not all(passed):
        sys.exit(f"There are findings in {FOLDER.relative_to(ROOT)}.")


def _search(name: str, seconds: int) -> bool:
    """Run libFuzzer, in a process of its own: OpenCV may end it."""
    target: Any = importlib.import_module(f"fuzz.{name}")
    corpus, findings, log = (FOLDER / name / part for part in ("corpus", "findings", "log"))
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    findings.mkdir(exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    command = [sys.executable, "-m", "fuzz.target", name, str(corpus), f"-artifact_prefix={findings}/"]
    command += [f"-max_total_time={seconds}", f"-rss_limit_mb={MOST_MEGABYTES}"]
    command += [f"-timeout={MOST_SECONDS_AN_INPUT}", f"-max_len={MOST_BYTES}"]
    before = set(findings.iterdir())
    silent = os.environ | {"OPENCV_LOG_LEVEL": "SILENT"}
    with log.open("w") as output:
        status = subprocess.run(
            command, cwd=ROOT, env=silent, stdout=output, stderr=subprocess.STDOUT, check=False
        ).returncode
    lines = log.read_text(errors="replace").splitlines()
    found = sorted(str(path.relative_to(ROOT)) for path in set(findings.iterdir()) - before)
    if status == 0 and not found:
        print(f"{name}: {lines[-1]}", flush=True)
        return True
    print(f"{name}: exit status {status}", *found, *lines[-40:], sep="\n", flush=True)
    return False


def _hold_to_the_contract(seconds: float) -> bool:
    """Run the test of the contract with other cases than `make test`, about as many as there is time for."""
    cases = min(1000, max(20, round((seconds - 5) * 30)))
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration/test_contract.py"],
        cwd=ROOT,
        env=os.environ | {"VISAGE_CONTRACT_CASES": str(cases)},
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode:
        (FOLDER / "contract").write_text(ended.stdout)
    print(f"contract: {ended.stdout if ended.returncode else ended.stdout.splitlines()[-1]}", flush=True)
    return ended.returncode == 0


if __name__ == "__main__":
    main()
