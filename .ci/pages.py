"""Makes a site of docs/, README.md and CHANGELOG.md, whose links are those of the repository.

Rule: a link leads where it leads on GitHub, if that is on the site; else its text stays and the file is
named. Anchors are GitHub's. mkdocs calls what begins with `on_`; tests/host/test_links.py the rest.
"""

import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

FROM_ROOT = {"README.md": "start.md", "CHANGELOG.md": "changes.md"}
"""File of the repository -> page of the site."""

_TOKEN = re.compile(
    r"(?ms)^ *```.*?^ *```[^\n]*$|`[^`\n]*`"  # code, in which nothing is a link
    r"|(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<goal>[^()\s]+)\)"
)


def goals(text: str) -> "list[str]":
    """Where the links and images of a page lead, as they are written."""
    return [found["goal"] for found in _TOKEN.finditer(text) if found["goal"]]


def anchors(text: str) -> "set[str]":
    """What a link into a page can name, by GitHub's rules: its headings, and what has an id."""
    found = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in re.findall(r"(?m)^#+ +(.+?) *$", re.sub(r"(?ms)^ *```.*?^ *```", "", text)):
        name = plain = anchor(re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading))
        number = 0
        while name in found:
            number += 1
            name = f"{plain}-{number}"
        found.add(name)
    return found


def anchor(heading: str, separator: str = "-") -> str:
    """What GitHub makes of a heading's text, which has no Markdown in it any more."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def resolve(page: str, goal: str) -> "tuple[str, str]":
    """File of the repository, and anchor or "", that a link of a page leads to."""
    path, _, fragment = goal.partition("#")
    there = posixpath.join(posixpath.dirname(page), path) if path else page
    return posixpath.normpath(there), fragment


def on_config(config: MkDocsConfig) -> None:
    """Headings get GitHub's anchors."""
    config.mdx_configs["toc"] = {"slugify": anchor}


def on_files(files: Files, config: MkDocsConfig) -> None:
    """README.md and CHANGELOG.md become pages, too."""
    for name, page in FROM_ROOT.items():
        path = posixpath.join(_root(config), name)
        files.append(File.generated(config, page, abs_src_path=path))


def _root(config: MkDocsConfig) -> str:
    return posixpath.dirname(config.docs_dir)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with its links as they are on the site."""
    origins = {there: name for name, there in FROM_ROOT.items()}
    here = origins.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def link(found: "re.Match[str]") -> str:
        goal = found["goal"]
        if not goal or goal.startswith("#") or "://" in goal:
            return found[0]
        there, fragment = resolve(here, goal)
        target = FROM_ROOT.get(there, there.removeprefix("docs/"))
        if files.get_file_from_path(target):
            way = posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")
            return f"{found['image']}[{found['text']}]({way}{fragment and '#'}{fragment})"
        if not posixpath.exists(posixpath.join(_root(config), there)):
            return found[0]  # mkdocs says so
        return found["text"] if there in found["text"] else f"{found['text']} (`{there}`)"

    return _TOKEN.sub(link, markdown)
