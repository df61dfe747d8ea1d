"""Shells complete commands and options, as docs/command-line.md says."""

import pytest
from click.testing import CliRunner

from visage.cli import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_a_script(shell: str) -> None:
    result = CliRunner().invoke(main, prog_name="visage", env={"_VISAGE_COMPLETE": f"{shell}_source"})

    assert "_VISAGE_COMPLETE" in result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("words", "completion"),
    [
        ("visage an", "plain,anonymize"),
        ("visage predict --cs", "plain,--csv"),
        ("visage predict --detail f", "plain,fast"),
    ],
)
def test_commands_options_and_choices_are_completed(words: str, completion: str) -> None:
    environment = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_VISAGE_COMPLETE": "bash_complete"}

    result = CliRunner().invoke(main, prog_name="visage", env=environment)

    assert completion in result.stdout.splitlines()
