"""docs/: pages whose code runs, links that lead somewhere, and a drawing that is true."""

from __future__ import annotations

import re
import warnings
from textwrap import dedent

import pytest
from running_pages import DOCS, blocks, names_that_are_not, run_page, working_folder
from small_runs import draw_few
from test_package import SOURCES, imported, package

PAGES = (
    "explanation/house.md",
    "how-to/another_machine.md",
    "how-to/audit.md",
    "how-to/handing_in.md",
    "how-to/report.md",
)  # others have tests of their own


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs(page, tmp_path, capsys, monkeypatch):
    draw_few(monkeypatch)
    with working_folder(tmp_path), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # so few photos, not all of each fold
        run_page(page, tmp_path)


def test_the_drawing_of_the_house_is_true():
    text = (DOCS / "explanation/house.md").read_text(encoding="utf-8")
    drawing = re.search(r"```text\n(.*?)```", text, re.S)[1]
    floors = [line[:38].split() for line in drawing.splitlines()]
    floors[-1] = drawing.splitlines()[-1].split()
    rooms = [room for floor in floors for room in floor]
    assert sorted(rooms) == sorted({package(path) for path in SOURCES} - {"__init__"})
    for path in SOURCES:
        for height, floor in enumerate(floors):
            if package(path) in floor:
                above = {room for other in floors[:height] for room in other}
                assert not set(imported(path)) & above, path


ROOT = DOCS.parent
TEXTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("notebooks/*.ipynb")])


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_names_only_what_there_is(path):
    """Old names warn, and a warning is an error here."""
    if path.name != "CHANGELOG.md" and path.parent.name != "reference":
        assert not names_that_are_not(path)
        for block in blocks(path):
            compile(re.sub(r"^ *%.*", "", dedent(block), flags=re.M), path.name, "exec")


def anchors(path):
    """Where a link into a page can lead, as GitHub names its headings."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    titles = [re.sub(r"\[(.+?)\]\(.*?\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if not link.startswith(("http", "mailto:")):
            place, _, anchor = link.partition("#")
            target = (path.parent / place).resolve() if place else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("name", ["README", "docs/how-to/platform"])
def test_a_page_and_its_korean_twin_hold_the_same(name):
    """Links, rows of tables with their cells, headings, and code but for what it says."""

    def held(text):
        blocks = re.findall(r"```\w*\n.*?```", text, re.S)
        prose = re.sub(r"```.*?```", "", text, flags=re.S)
        links = re.findall(r"\]\(([^)\s]+)\)", prose.replace(".ko.md", ".md"))
        rows = [line.count("|") for line in prose.splitlines() if line.startswith("|")]
        levels = re.findall(r"^(#+) ", prose, re.M)
        return links, rows, levels, [re.sub(r"\s*#.*|\"[^\"]*\"", "", block) for block in blocks]

    assert held(_text(f"{name}.md")) == held(_text(f"{name}.ko.md"))


def test_the_glossary_is_short_and_everything_leads_to_it():
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \| (.+?) \|$", _text("docs/glossary.md"), re.M)
    asked = "task case unit head kind group fold run shape key state"
    assert set(asked.split()) <= {word for word, _, _ in rows}
    for word, told, example in rows:
        assert 1 <= len(re.findall(r"\.(?= |$)", told)) <= 2 and example, word
    for path in ("README.md", "README.ko.md", "CONTRIBUTING.md", "docs/README.md"):
        assert "glossary.md" in _text(path)


def _text(path):
    return (ROOT / path).read_text(encoding="utf-8")
