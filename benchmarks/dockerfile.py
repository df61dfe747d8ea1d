"""Reads a Dockerfile and a .dockerignore as far as ours go, so that what an engine would do can be done without."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word in capitals, and the rest of it in one line."""

    word: str
    rest: str

    @property
    def sources(self) -> list[str]:
        """Of a COPY, what is copied."""
        return self._operands[:-1]

    @property
    def target(self) -> str:
        """Of a COPY, where to."""
        return self._operands[-1]

    @property
    def stage(self) -> str | None:
        """Of a COPY, the stage that it copies from; None is the repo."""
        found = re.match(r"--from=(\S+)", self.rest)
        return found and found[1]

    @property
    def listed(self) -> list[str]:
        """Of CMD and the like in exec form, its words."""
        words: list[str] = json.loads(self.rest[self.rest.index("[") :])
        return words

    @property
    def _operands(self) -> list[str]:
        return [word for word in self.rest.split() if not word.startswith("--")]


def stages(dockerfile: Path) -> dict[str, list[Instruction]]:
    """The instructions of each stage by its name, which of the last one is empty; in order."""
    found: dict[str, list[Instruction]] = {}
    for instruction in _instructions(dockerfile.read_text()):
        if instruction.word == "FROM":
            _, _, name = instruction.rest.partition(" AS ")
            current = found.setdefault(name, [])
        current.append(instruction)
    return found


def values(instructions: list[Instruction], word: str) -> dict[str, str]:
    """The names and values that ENV or LABEL set."""
    text = " ".join(instruction.rest for instruction in instructions if instruction.word == word)
    return {name: value.strip('"') for name, value in re.findall(r'([\w.]+)=("[^"]*"|\S+)', text)}


def checkout(root: Path) -> list[str]:
    """All files that lie below `root`, tracked or not, but for git's own and the environment's."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in {".git", ".venv"}]
        found += [str((Path(folder) / name).relative_to(root)) for name in names]
    return found


def context(root: Path, files: list[str]) -> set[str]:
    """Those of `files`, paths below `root`, that its .dockerignore lets through."""
    rules = [line for line in (root / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    return {file for file in files if not _is_ignored(file, rules)}


def copied(source: str, files: set[str]) -> set[str]:
    """Those of `files` that a COPY of `source`, a file or a folder, takes."""
    return {file for file in files if file == source or file.startswith(f"{source}/")}


def _instructions(text: str) -> Iterator[Instruction]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", lines).splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield Instruction(word.upper(), rest.strip())


def _is_ignored(file: str, rules: list[str]) -> bool:
    """The last rule that names the file or a folder above it decides."""
    ignored = False
    paths = [file, *(str(parent) for parent in PurePosixPath(file).parents)]
    for rule in rules:
        pattern = _pattern(rule.removeprefix("!"))
        if any(pattern.fullmatch(path) for path in paths):
            ignored = not rule.startswith("!")
    return ignored


def _pattern(rule: str) -> re.Pattern[str]:
    parts = {"**/": "(.*/)?", "*": "[^/]*"}
    return re.compile("".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*)", rule)))
