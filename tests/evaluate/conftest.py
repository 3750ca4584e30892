"""Reads pages as HTML, looks at their width in a browser; Shapley values by all subsets."""

from __future__ import annotations

import html
import itertools
import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

# In the page: what goes wrong. Errors of loading do not bubble, hence the capture.
LISTEN = """
    window.wrong = [];
    const note = text => window.wrong.push(String(text));
    addEventListener('error', e => note(e.message || `cannot load ${e.target.outerHTML}`), true);
    addEventListener('unhandledrejection', e => note(e.reason));
    addEventListener('securitypolicyviolation', e => note(`refused ${e.blockedURI}`));
    console.error = console.warn = (...words) => note(words.join(' '));
"""
# Around it: what is found, as the text of the document.
TELL = """
    onload = () => {
        document.body.textContent = JSON.stringify(
            [...document.querySelectorAll('iframe')].map(f => {
                const e = f.contentDocument.documentElement;
                return {widths: [e.clientWidth, e.scrollWidth], errors: f.contentWindow.wrong};
            })
        );
    };
"""
VOID = {"meta", "link", "br", "wbr", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks that tags nest, and collects ids, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


@pytest.fixture
def read_page() -> type[Page]:
    """From the text of a page to what is in it; fails unless its tags nest."""
    return Page


@pytest.fixture
def widths_of(tmp_path: Path) -> Callable[[str], list[tuple[int, int]]]:
    """From the text of a page to the widths it has and needs, on a phone and on a desktop; fails
    where a script raises or complains, or something cannot be loaded."""
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium")

    def measure(page: str) -> list[tuple[int, int]]:
        assert "<head>" in page
        text = html.escape(page.replace("<head>", f"<head><script>{LISTEN}</script>", 1))
        frames = "".join(
            f'<iframe style="width:{width}px;height:3000px" srcdoc="{text}"></iframe>'
            for width in (390, 1280)
        )
        probe = tmp_path / "probe.html"
        probe.write_text(f"<body>{frames}<script>{TELL}</script></body>", encoding="utf-8")
        command = (
            "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
            "--disable-background-networking --disable-component-update --disable-sync "
            f"--user-data-dir={tmp_path / 'profile'} --window-size=1400,900 --dump-dom"
        )
        found = subprocess.run(
            [*command.split(), probe.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        told = re.search("<body>(.*)</body>", found.stdout, re.DOTALL)
        assert told, found.stdout[:500]
        pages = json.loads(html.unescape(told.group(1)))
        assert [page["errors"] for page in pages] == [[], []]
        return [tuple(page["widths"]) for page in pages]

    return measure


@pytest.fixture
def brute_force() -> Callable[[Callable[..., np.ndarray], np.ndarray, np.ndarray], np.ndarray]:
    """From a function of d columns, rows [n, d] and a background [b, d] to Shapley values."""

    def values(
        function: Callable[..., np.ndarray], rows: np.ndarray, background: np.ndarray
    ) -> np.ndarray:
        n, d = rows.shape

        def value(subset: tuple[int, ...]) -> np.ndarray:
            mixed = np.repeat(background[None], n, axis=0)
            for place in subset:
                mixed[:, :, place] = rows[:, None, place]
            return function(*np.moveaxis(mixed, 2, 0)).mean(axis=1)

        found = np.zeros((n, d))
        for place in range(d):
            others = [other for other in range(d) if other != place]
            for size in range(d):
                weight = math.factorial(size) * math.factorial(d - size - 1) / math.factorial(d)
                for subset in itertools.combinations(others, size):
                    found[:, place] += weight * (value((*subset, place)) - value(subset))
        return found

    return values
