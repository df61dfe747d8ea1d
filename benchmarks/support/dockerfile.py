"""Reads a Dockerfile and a .dockerignore, as far as ours need, to calculate without an engine what it would copy."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Instruction:
    """One instruction: its keyword in capitals, and its arguments in one line."""

    word: str
    rest: str

    @property
    def sources(self) -> list[str]:
        """The sources of a COPY."""
        return self._operands[:-1]

    @property
    def target(self) -> str:
        """The target of a COPY."""
        return self._operands[-1]

    @property
    def stage(self) -> str | None:
        """The stage that a COPY copies from; None is the repository."""
        found = re.match(r"--from=(\S+)", self.rest)
        return found and found[1]

    @property
    def listed(self) -> list[str]:
        """The words of an instruction in exec form, such as CMD."""
        words: list[str] = json.loads(self.rest[self.rest.index("[") :])
        return words

    @property
    def _operands(self) -> list[str]:
        return [word for word in self.rest.split() if not word.startswith("--")]


def stages(dockerfile: Path) -> dict[str, list[Instruction]]:
    """The instructions of each stage in order, by the stage's name. That of the last stage is empty."""
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
    """All files below `root`, tracked or not, except those of git and of the environment."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in {".git", ".venv"}]
        found += [str((Path(folder) / name).relative_to(root)) for name in names]
    return found


def context(root: Path, files: list[str]) -> set[str]:
    """The `files`, paths relative to `root`, that its .dockerignore does not exclude."""
    rules = [line for line in (root / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    return {file for file in files if not _is_ignored(file, rules)}


def copied(source: str, files: set[str]) -> set[str]:
    """The `files` that a COPY of `source`, a file or a folder, copies."""
    return {file for file in files if file == source or file.startswith(f"{source}/")}


def _instructions(text: str) -> Iterator[Instruction]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", lines).splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield Instruction(word.upper(), rest.strip())


def _is_ignored(file: str, rules: list[str]) -> bool:
    """Whether the last rule that matches the file or a folder above it excludes it."""
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
