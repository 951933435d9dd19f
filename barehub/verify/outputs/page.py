"""Reports as one self-contained page, for a phone, for paper, by day and by night; no script."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any

from barehub import __version__
from barehub.verify.certificate import DAY, Chain
from barehub.verify.finding import Finding
from barehub.verify.outputs.table import by_expiry
from barehub.verify.report import Report

VERDICTS = {
    "pass": "A working BinderHub",
    "fail": "Not right",
    "not-ready": "Not ready",
}
_SHORT = {"pass": "up", "fail": "not right", "not-ready": "not ready"}
_WHERE = {"edge": "As a visitor sees it", "origin": "Straight at the machine"}
_ORDER = {"bad": 0, "warn": 1, "good": 2, "info": 3, "skip": 4}
_MARKS = {"bad": "✗", "warn": "!", "good": "✓", "info": "i", "skip": "-"}
_WORDS = {
    "bad": "failed",
    "warn": "warning",
    "good": "passed",
    "info": "to know",
    "skip": "skipped",
}

STYLE = """
:root { color-scheme: light dark; --page: #fbfaf8; --card: #fff; --ink: #1d1d1f; --soft: #5c5c63;
  --line: #dcdad5; --good: #14713d; --warn: #8a5300; --bad: #b3261e; --info: #3b5b8c;
  --bar: #d3e6da; }
@media screen and (prefers-color-scheme: dark) { :root { --page: #141416; --card: #1d1d20;
  --ink: #ececee; --soft: #a3a3ab; --line: #37373c; --good: #6fcf97; --warn: #f0b35a;
  --bad: #ff8a80; --info: #9db9ea; --bar: #254334; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: 0; } h2, h3 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
.verdict h2 { margin: 0; }
h1, td, li, p { overflow-wrap: anywhere; }
.soft { color: var(--soft); font-size: .875rem; }
.verdict { border-left: .4rem solid; padding: .2rem 0 .2rem 1rem; margin: 0 0 1.2rem; }
.verdict p { margin: .1rem 0; } .verdict strong { font-size: 1.15rem; }
.bad { color: var(--bad); } .warn { color: var(--warn); } .good { color: var(--good); }
.info { color: var(--info); } .skip { color: var(--soft); }
section.hub { border-top: 1px solid var(--line); padding-top: 1.6rem; margin-top: 2rem; }
section.hub:first-of-type { border: 0; margin: 0; padding: 0; }
ol.chain { list-style: none; margin: 0; padding: 0; }
ol.chain li { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .6rem .9rem; position: relative; }
ol.chain li + li { margin-top: 1.6rem; }
ol.chain li + li::before { content: "signed by ↓"; position: absolute; top: -1.55rem; left: 1rem;
  font-size: .8rem; color: var(--soft); }
ol.chain li.root { border-style: dashed; }
ol.chain li.loose::before { content: "not signed by the next ↓"; color: var(--bad); }
.scale { margin: 2rem 0 .4rem; position: relative; height: 1rem; border-radius: .5rem;
  background: var(--line); }
.scale .life { position: absolute; inset: 0 auto 0 0; border-radius: .5rem; background: var(--good);
  opacity: .55; } .scale .over { background: var(--bad); }
.scale i { position: absolute; top: -.35rem; bottom: -.35rem; width: 2px; background: var(--ink); }
.scale i.due { background: var(--warn); }
.scale b { position: absolute; font-size: .8rem; font-weight: 600; white-space: nowrap;
  transform: translateX(-50%); }
.scale b.today { bottom: 1.45rem; } .scale b.due { top: 1.4rem; color: var(--warn); }
.scale b.first { transform: none; } .scale b.last { transform: translateX(-100%); }
.ends { display: flex; justify-content: space-between; margin-top: 1.9rem; }
ul.findings { list-style: none; margin: 0; padding: 0; }
ul.findings li { display: grid; grid-template-columns: 1.4rem 11rem 1fr; gap: 0 .4rem;
  padding: .4rem 0; border-bottom: 1px solid var(--line); }
ul.findings code { font-size: .85rem; padding-top: .1rem; }
ul.findings .fix { grid-column: 3; color: var(--soft); font-size: .9rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td + td { white-space: nowrap; font-variant-numeric: tabular-nums; }
a { color: inherit; }
@media (max-width: 36rem) { ul.findings li { grid-template-columns: 1.4rem 1fr; }
  ul.findings .said, ul.findings .fix { grid-column: 2; } h1 { font-size: 1.25rem; }
  table { font-size: .85rem; } }
@media print { body { background: #fff; font-size: 11pt; } main { max-width: none; padding: 0; }
  section.hub { break-before: page; } section.hub:first-of-type { break-before: auto; }
  li { break-inside: avoid; } .scale, .scale * { print-color-adjust: exact; } }
"""


def html(reports: Sequence[Report], now: datetime) -> str:
    """The page; with more than one report it begins with a table, soonest expiry first."""
    passed = sum(report.verdict == "pass" for report in reports)
    many = len(reports) > 1
    title = f"{passed} of {len(reports)} hubs are up" if many else reports[0].target.url
    inside = [_table(reports, title)] if many else []
    ordered = by_expiry(reports)
    inside += [_section(report, f"hub-{i}", now, many) for i, report in enumerate(ordered)]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}: barehub verify</title>
<style>{STYLE}</style>
</head>
<body><main>
{"".join(inside)}
<p class="soft">Verified by barehub {escape(__version__)}, {now:%Y-%m-%d %H:%M} UTC.</p>
</main></body>
</html>
"""


def _table(reports: Sequence[Report], title: str) -> str:
    rows = []
    for at, report in enumerate(by_expiry(reports)):
        tone = _tone_of(report)
        expires = (report.certificate or {}).get("not_after", "unknown")[:10]
        rows.append(
            f'<tr><td><a href="#hub-{at}">{escape(report.target.url)}</a></td>'
            f'<td class="{tone}">{_SHORT[report.verdict]}</td><td>{escape(expires)}</td></tr>'
        )
    return (
        f"<h1>{escape(title)}</h1><table><thead><tr><th scope='col'>Endpoint</th>"
        "<th scope='col'>Verdict</th><th scope='col'>Expires</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _tone_of(report: Report) -> str:
    return {"pass": "good", "fail": "bad"}.get(report.verdict, "warn")


def _section(report: Report, id: str, now: datetime, many: bool) -> str:
    level, below = ("h2", "h3") if many else ("h1", "h2")
    parts = []
    if certificate := report.certificate:
        parts.append(f"<{below}>Certificates</{below}>{_chain(report, certificate)}")
        parts.append(f"<{below}>Validity</{below}>{_validity(certificate, now)}")
    for vantage in report.target.vantages:
        parts.append(f"<{below}>{_WHERE[vantage]}</{below}>{_findings(report, vantage)}")
    return f"""<section class="hub" id="{id}">
<div class="verdict {_tone_of(report)}">
<{level}>{escape(report.target.url)}</{level}>
<p><strong>{VERDICTS[report.verdict]}</strong></p>
<p class="soft">{_counts(report)}; looked at {report.started:%Y-%m-%d %H:%M} UTC,
in {report.duration_ms} ms</p>
</div>
{"".join(parts)}
</section>
"""


def _counts(report: Report) -> str:
    tones = [_tone(report, finding) for finding in report.findings]
    told = [(tones.count(tone), word) for tone, word in _WORDS.items() if tone != "info"]
    return ", ".join(f"{number} {word}" for number, word in told if number)


def _chain(report: Report, certificate: dict[str, Any]) -> str:
    """The certificates that were sent, and the root that was not, if they are trusted."""
    sent = [certificate, *certificate["chain"]]
    names = ", ".join(certificate["sans"][:6]) or "no host"
    trusted = _trusted(report)
    items = [_link(sent[0], f"for {names}", linked=True)]
    for link, before in zip(sent[1:], sent, strict=False):
        what = "root" if link["subject"] == link["issuer"] else "intermediate"
        items.append(_link(link, what, linked=before["issuer"] == link["subject"]))
    last = sent[-1]
    if last["subject"] != last["issuer"]:
        where = "trusted here, not sent, as it should be" if trusted else "not trusted here"
        tone = "good" if trusted else "bad"
        items.append(
            f'<li class="root"><strong>{escape(last["issuer_name"])}</strong>'
            f'<div class="{tone}">{where}</div></li>'
        )
    return f'<ol class="chain">{"".join(items)}</ol>'


def _trusted(report: Report) -> bool:
    """Whether the chain that is drawn is trusted: the one that came from the other vantage may be
    another one."""
    drawn = next((v for v in report.target.vantages if Chain.read(report.chains.get(v, ()))), "")
    return any(
        f.id == "tls.untrusted" and f.status == "pass" and f.vantage == drawn
        for f in report.findings
    )


def _link(link: dict[str, Any], what: str, *, linked: bool) -> str:
    begin = "<li>" if linked else '<li class="loose">'
    return (
        f"{begin}<strong>{escape(link['name'])}</strong><div>{escape(what)}</div>"
        f'<div class="soft">until {escape(link["not_after"][:10])}, '
        f"serial {escape(link['serial'])}</div></li>"
    )


def _validity(certificate: dict[str, Any], now: datetime) -> str:
    """A bar from the first day to the last, with today and the day on which renewal is due."""
    begins, ends, due = (
        datetime.fromisoformat(certificate[key])
        for key in ("not_before", "not_after", "renewal_due")
    )
    life = (ends - begins).total_seconds() or 1.0

    def at(moment: datetime) -> float:
        return min(100.0, max(0.0, (moment - begins).total_seconds() / life * 100))

    days = (ends - now) // DAY if now <= ends else (now - ends) // DAY
    counted = "1 day" if days == 1 else f"{days} days"
    left = f"{counted} left" if now <= ends else f"expired {counted} ago"
    return (
        f'<div class="scale" role="img" aria-label="{left}; renewal due {due:%Y-%m-%d}">'
        f'<div class="life{" over" * (now > ends)}" style="width:{at(now):.1f}%"></div>'
        f'<i style="left:{at(now):.1f}%"></i>{_label("today", at(now), f"today, {left}")}'
        f'<i class="due" style="left:{at(due):.1f}%"></i>'
        f"{_label('due', at(due), f'renewal due {due:%Y-%m-%d}')}</div>"
        f'<div class="ends soft"><span>{begins:%Y-%m-%d}</span><span>{ends:%Y-%m-%d}</span></div>'
    )


def _label(kind: str, at: float, text: str) -> str:
    edge = " first" if at < 20 else " last" if at > 60 else ""
    return f'<b class="{kind}{edge}" style="left:{at:.1f}%">{text}</b>'


def _findings(report: Report, vantage: str) -> str:
    found = [finding for finding in report.findings if finding.vantage == vantage]
    toned = sorted(((_tone(report, f), f) for f in found), key=lambda pair: _ORDER[pair[0]])
    return f'<ul class="findings">{"".join(_item(tone, f) for tone, f in toned)}</ul>'


def _item(tone: str, finding: Finding) -> str:
    fix = f'<div class="fix">Fix: {escape(finding.fix)}</div>' if finding.fix else ""
    return (
        f'<li><span class="{tone}" role="img" aria-label="{_WORDS[tone]}" title="{_WORDS[tone]}">'
        f"{_MARKS[tone]}</span>"
        f'<code>{escape(finding.id)}</code><span class="said {tone if tone == "skip" else ""}">'
        f"{escape(finding.message)}</span>{fix}</li>"
    )


def _tone(report: Report, finding: Finding) -> str:
    if finding.status == "skip":
        return "skip"
    if finding.status == "fail":
        return "bad" if finding.broken or report.strict else "warn"
    return "info" if finding.severity == "info" else "good"
