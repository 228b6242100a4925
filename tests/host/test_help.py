"""`--help` teaches, and every call that help or a page shows is one that the command understands."""

import itertools
import re
import shlex
from pathlib import Path

import click
import pytest

from ota_tools.cli import GROUPS, cli

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


def commands(group: click.Group = cli, path: tuple[str, ...] = ("ota",)):
    """(words, command) of every command that is no group."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def calls(text: str):
    """Every call of `ota` in a text of shell lines, as words."""
    text = re.sub(r"\s*\\\n\s*", " ", text)
    for found in re.finditer(r"(?m)^ *(ota (?:[^\n'\"]|'[^']*'|\"[^\"]*\")*)", text):
        words = shlex.shlex(found[1], posix=True, punctuation_chars=True)
        words.whitespace_split = True
        # what follows a | or > is another command of the shell, or its redirection
        yield list(itertools.takewhile(lambda word: not set(word) <= set("|&;<>()"), words))


COMMANDS = {" ".join(words): command for words, command in commands()}


def examples(command: click.Command):
    """The calls that its help shows; what three blanks part from a call is a comment."""
    shown = (command.help or "").replace("\b", "").partition("Example:")[2]
    return list(calls(re.sub(r"(?m)(?<=\S) {3}.*$", "", shown)))


def blocks(page: str):
    """The shell blocks of a page."""
    return re.findall(r"(?ms)^ *```sh\n(.*?)^ *```", (ROOT / page).read_text())


def understand(words: list[str]) -> None:
    """Raises click's own error where options or arguments are none of the command's."""
    command: click.Command = cli
    rest = words[1:]
    while isinstance(command, click.Group):
        assert rest and rest[0] in command.commands, f"no such command: {' '.join(words)}"
        command = command.commands[rest.pop(0)]
    if "--help" not in rest:
        command.make_context(words[-1], rest)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_shows_an_example_of_itself_that_it_understands(words):
    shown = examples(COMMANDS[words])
    assert any(" ".join(call).startswith(words) for call in shown), f"{words} --help: no example"
    for call in shown:
        understand(call)


@pytest.mark.parametrize("page", PAGES)
def test_every_call_on_a_page_is_understood(page):
    for block in blocks(page):
        for call in calls(block):
            understand(call)


def test_every_command_is_on_a_page():
    told = "\n".join((ROOT / page).read_text() for page in PAGES)
    assert [words for words in COMMANDS if words not in told] == []


def test_every_command_is_in_a_group_of_the_help():
    shown = [name for group in GROUPS for name in group["commands"]]
    assert sorted(shown) == sorted(cli.commands)


def test_every_option_says_what_it_is_for():
    silent = [
        f"{words} {option.opts[0]}"
        for words, command in COMMANDS.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []
