"""The page of reports: what it says, that it is whole and closed, and that it can be read."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from barehub.verify.outputs import page
from barehub.verify.report import Report
from tests.unit.verify.reported import DAY, HOSTILE, certificate, report

VOID = {"meta"}
OWN = certificate("hub.example.org", "R11")
MIDDLE = certificate("R11", "Root X1", ends=600 * DAY)
ROOT = certificate("Root X1", "Root X1", ends=900 * DAY)


class Reader(HTMLParser):
    """Text by tag; every element must be closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag: str) -> list[str]:
        return [text for at, text in self.texts if at == tag]


def html(*reports: Report) -> str:
    return page.html(reports, datetime.now(UTC))


def chain(text: str) -> str:
    return text[text.index('<ol class="chain">') : text.index("</ol>")]


def test_one_report() -> None:
    read = Reader(html(report("https://hub.example.org", OWN, MIDDLE, machine="198.51.100.7")))
    assert read.tags[0] == ("html", {"lang": "en"})
    assert read.all("h1") == ["https://hub.example.org/"]
    assert read.all("h2") == [
        "Certificates", "Validity", "As a visitor sees it", "Straight at the machine",
    ]  # fmt: skip
    assert read.all("strong") == ["A working BinderHub", "hub.example.org", "R11", "Root X1"]


def test_failures_come_first_and_bring_their_fix() -> None:
    read = Reader(html(report(failed="wrong name", warned="no header")))
    assert read.all("code") == [
        "tls.hostname", "http.hsts", "net.connect", "binder.legacy", "binder.unhealthy",
    ]  # fmt: skip
    assert "Fix: wrong name" in read.all("div")
    labels = [attrs.get("aria-label") for tag, attrs in read.tags if tag == "span"]
    assert [label for label in labels if label][:3] == ["failed", "warning", "passed"]


def test_what_strict_calls_a_failure_is_shown_as_one() -> None:
    assert "1 warning" in html(report(warned="late"))
    assert "1 failed" in html(report(warned="late", strict=True))


def test_many_begin_with_a_table_soonest_expiry_first() -> None:
    soon = certificate("soon", "R11", ends=5 * DAY)
    dead = report("https://dead.example.org", failed="nothing listens")
    read = Reader(html(dead, report("https://a.example.org", OWN),
                       report("https://b.example.org", soon)))  # fmt: skip
    assert read.all("h1") == ["2 of 3 hubs are up"]
    hubs = [f"https://{host}.example.org/" for host in ("b", "a", "dead")]
    assert read.all("a") == hubs and read.all("h2") == hubs
    links = [attrs["href"] for tag, attrs in read.tags if tag == "a"]
    assert links == [f"#{attrs['id']}" for tag, attrs in read.tags if tag == "section"]


@pytest.mark.parametrize(
    ("sent", "loose", "said"),
    [
        ((OWN, MIDDLE), 0, "trusted here, not sent"),
        ((OWN, MIDDLE, ROOT), 0, "<div>root</div>"),
        ((OWN, ROOT, MIDDLE), 2, "trusted here, not sent"),
    ],
)
def test_the_chain_is_drawn_as_it_hangs_together(
    sent: tuple[bytes, ...], loose: int, said: str
) -> None:
    drawn = chain(html(report("https://hub.example.org", *sent)))
    assert drawn.count('class="loose"') == loose
    assert said in drawn


def test_the_drawn_chain_is_not_called_trusted_for_another_one() -> None:
    whole = report("https://hub.example.org", OWN, MIDDLE, machine="198.51.100.7")
    edge_fails = [f for f in whole.findings if (f.vantage, f.id) != ("edge", "tls.untrusted")]
    mixed = Report(whole.target, edge_fails, whole.chains)
    assert "not trusted here" in chain(html(mixed))


@pytest.mark.parametrize(
    ("begins", "ends", "left", "today"),
    [
        (-30, 60.5, "60 days left", 33.1),
        (-30, 1.5, "1 day left", 95.2),
        (-90, -3.5, "expired 3 days ago", 100.0),
        (2, 92, "91 days left", 0.0),
    ],
)
def test_the_bar_has_today_and_the_renewal(
    begins: float, ends: float, left: str, today: float
) -> None:
    own = certificate("hub", "R11", begins=begins * DAY, ends=ends * DAY)
    text = html(report("https://hub.example.org", own))
    assert f"today, {left}</b>" in text
    assert f'<i style="left:{today:.1f}%">' in text
    assert '<i class="due" style="left:66.7%">' in text
    assert ('class="life over"' in text) is (ends < 0)


def test_hostile_text_is_text_and_nothing_is_fetched() -> None:
    name = HOSTILE[:60]
    evil = report(
        "https://hub.example.org", certificate(name, name), failed=HOSTILE, warned=HOSTILE
    )
    for text in (html(evil), html(evil, evil)):
        read = Reader(text)
        used = {tag for tag, _ in read.tags}
        assert not used & {"script", "img", "link", "iframe", "svg", "base", "form", "object"}
        assert not {key for _, attrs in read.tags for key in attrs if key.startswith("on")}
        assert "url(" not in text and "@import" not in text and "src=" not in text
        assert "default-src 'none'; style-src 'unsafe-inline'" in text
        assert "\x1b" not in text and "\u202e" not in text
        assert evil.failures[0].message in read.all("span")


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(scheme: int) -> None:
    """At least 4.5 to 1 (https://www.w3.org/TR/WCAG22/#contrast-minimum)."""
    block = re.findall(r":root \{(.*?)\}", page.STYLE, re.DOTALL)[scheme]
    colors = dict(re.findall(r"--(\w+): #([0-9a-f]+)", block))
    for back in ("page", "card"):
        for fore in ("ink", "soft", "good", "warn", "bad", "info"):
            high, low = sorted((light(colors[fore]), light(colors[back])), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (fore, back)


def light(color: str) -> float:
    """Relative luminance (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    whole = color if len(color) == 6 else "".join(c * 2 for c in color)
    parts = [int(whole[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
