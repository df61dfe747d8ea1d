"""The resources of a service that no request may leak."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.processes import workers
from tests.support.service import Service


@dataclass(frozen=True)
class Resources:
    """Everything that must be the same before and after: the workers, their open files, the files in the checkout."""

    open_files: dict[int, set[str]]
    checkout: set[str]

    @classmethod
    def of(cls, service: Service) -> "Resources":
        return cls(
            {pid: _open_files(pid) for pid in workers(service)},
            # Hidden files belong to test tools, not to the service.
            {path.name for path in ROOT.iterdir() if not path.name.startswith(".")},
        )


def _open_files(pid: int) -> set[str]:
    """Return the regular files that a process has open, except those with its metrics."""
    files = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:  # closed in the meantime
            continue
        if target.startswith("/") and not target.startswith("/dev/null") and not target.endswith(".db"):
            files.add(target)
    return files
