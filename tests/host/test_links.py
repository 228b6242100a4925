"""Every link of the pages leads somewhere, here and on the site; the site needs nothing from elsewhere."""

import importlib.util
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".ci" / "mkdocs.yml"
SPEC = importlib.util.spec_from_file_location("pages", ROOT / ".ci" / "pages.py")
pages = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pages)

PAGES = sorted(
    str(path.relative_to(ROOT))
    for place in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(place)
)

HOSTS = {
    "192.168.1.10": "a machine on the desk",
    "BUCKET.s3.REGION.amazonaws.com": "the shape of an address; capitals are to be replaced",
    "[2001:db8::1]": "reserved for documentation (RFC 3849)",
    "github.com": "the shape of a release's address, OWNER/REPO",
    "host": "any host",
    "localhost": "this machine",
    "new.example": "reserved for documentation (RFC 2606)",
    "updates.example": "reserved for documentation (RFC 2606)",
    "updates.example.com": "reserved for documentation (RFC 2606)",
    "…": "any host",
}
"""Host that a page may name in a URL -> why."""


def read(page):
    return (ROOT / page).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_of_it(page):
    broken = []
    for goal in pages.goals(read(page)):
        if "://" in goal:
            continue
        there, fragment = pages.resolve(page, goal)
        if not (ROOT / there).exists():
            broken.append(f"{goal}: no such file")
        elif fragment and fragment not in pages.anchors(read(there)):
            broken.append(f"{goal}: no such heading")
    assert broken == []


def test_what_is_no_link_and_what_is_broken_is_told_apart():
    text = "`[a](b.md)` [c](d.md#e) ![f](g.svg)\n\n```sh\n[h](i.md)\n```\n[`j`](../k.md)"
    assert pages.goals(text) == ["d.md#e", "g.svg", "../k.md"]
    assert pages.resolve("docs/x.md", "../k.md#l") == ("k.md", "l")
    assert pages.resolve("docs/x.md", "#l") == ("docs/x.md", "l")
    text = '# A `b()`, c\n\n## Of [d](e.md)\n\n## Of d\n\n```sh\n# no\n```\n<a id="f"></a>'
    assert pages.anchors(text) == {"a-b-c", "of-d", "of-d-1", "f"}


def test_the_hosts_that_pages_name_are_known():
    named = {
        host
        for page in PAGES
        for host in re.findall(r"https?://(\[[^\]]*\]|[^/:\s`\"')>|?]+)", read(page))
    }
    assert named == set(HOSTS)


# The site


class Page(HTMLParser):
    """What an HTML file loads, where it leads, and what can be led to."""

    LOADS = ("src", "srcset", "data", "poster")

    def __init__(self, path):
        super().__init__()
        self.loads, self.leads, self.ids, self.paragraphs = [], [], set(), []
        self.inside = False
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in self.LOADS or (name == "href" and tag in ("link", "use", "image")):
                self.loads.append(value)
            elif name == "href":
                self.leads.append(value)
            elif name == "id":
                self.ids.add(value)
        if tag == "p":
            self.paragraphs.append("")
        self.inside = tag == "p" or self.inside

    def handle_data(self, data):
        if self.inside:
            self.paragraphs[-1] += data

    def handle_endtag(self, tag):
        self.inside = tag != "p" and self.inside


def build(config, folder):
    """`mkdocs build` in strict mode."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", folder]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder that the site was built into."""
    folder = tmp_path_factory.mktemp("site")
    done = build(CONFIG, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def built(site):
    """Path -> what stands in it."""
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_broken_links_and_an_orphan_stop_the_site(tmp_path):
    for path in ROOT.iterdir():
        if path.name not in (".ci", "docs"):
            (tmp_path / path.name).symlink_to(path)
    for name in (".ci", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    broken = ["gone.md", "../gone.py", "api.md#gone", "#gone", "/gone.md"]
    with (tmp_path / "docs" / "index.md").open("a") as page:
        page.writelines(f"\n[a]({goal})\n" for goal in broken)
    (tmp_path / "docs" / "orphan.md").write_text("# Orphan\n")
    done = build(tmp_path / CONFIG.relative_to(ROOT), tmp_path / "out")
    assert done.returncode == 1
    for wrong in [*broken, "orphan.md"]:
        assert re.search(rf"(?s)WARNING.*{re.escape(wrong)}", done.stderr), wrong
    assert done.stderr.count("WARNING") == len(broken) + 1, done.stderr


def test_the_site_has_every_page_and_its_menu_names_it(site, built):
    there = {str(path.relative_to(site)) for path in built} - {"search.html"}
    of_docs = {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")}
    wanted = of_docs | set(pages.FROM_ROOT.values())
    assert there == {page.replace(".md", ".html") for page in wanted}
    assert there <= {lead.partition("#")[0] for lead in built[site / "index.html"].leads}


def test_the_site_loads_nothing_from_elsewhere(site, built):
    outside = r"^(?:[a-z]+:)?//"
    loads = [load for page in built.values() for load in page.loads]
    assert loads
    assert [load for load in loads if re.match(outside, load)] == []
    for path in site.rglob("*.css"):
        for load in re.findall(
            r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)", path.read_text()
        ):
            assert not re.match(outside, load[0] or load[1]), path


def test_every_link_of_the_site_leads_to_a_file_and_an_id_of_it(built):
    broken = []
    for path, page in built.items():
        for lead in page.leads + page.loads:
            if re.match("[a-z]+:", lead):
                continue
            name, _, fragment = unquote(lead).partition("#")
            there = (path.parent / name.partition("?")[0]).resolve() if name else path
            if not there.exists():
                broken.append(f"{path.name}: {lead}")
            elif fragment and there in built and fragment not in built[there].ids:
                broken.append(f"{path.name}: {lead}: no such id")
    assert broken == []


def test_no_list_of_the_site_became_a_line_of_text(built):
    texts = [text for page in built.values() for text in page.paragraphs]
    assert texts
    lost = [text for text in texts if re.search(r"\n(- |\d\. )", text)]
    assert lost == [], "a list after a paragraph needs a blank line before it"
