"""The table of token forms; each false token is put together at run time, so that no scanner of a
host takes this file for a leak."""

from __future__ import annotations

import random
import string
import time

import pytest

from barehub import suspicion, tokens
from barehub.vault import scanning

LETTERS = string.ascii_letters
BASE62 = LETTERS + string.digits
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = string.digits + "abcdef"

CERTAIN: dict[str, tuple[str | tuple[str, int], ...]] = {
    "GitHub, classic": ("ghp", "_", (BASE62, 36)),
    "GitHub, OAuth": ("gho", "_", (BASE62, 36)),
    "GitHub, user": ("ghu", "_", (BASE62, 36)),
    "GitHub, installation": ("ghs", "_", (BASE62, 36)),
    "GitHub, installation as a JWT": (
        *("ghs", "_12345_eyJ", (BASE62, 60), ".eyJ", (BASE62, 200), ".", (BASE62 + "-_", 80)),
    ),
    "GitHub, refresh": ("ghr", "_", (BASE62, 76)),
    "GitHub, fine-grained": ("github", "_pat_", (BASE62, 22), "_", (BASE62, 59)),
    **{
        f"GitLab, {kind}": ("gl", f"{kind}-", (BASE62 + "_-", 20))
        for kind in ("pat", "dt", "rt", "ptt", "ft", "soat", "imt", "ffct", "oas", "cbt", "agent")
    },
    "GitLab, routable": ("gl", "pat-", (BASE62, 27), ".01.", (LOWER, 9)),
    "GitLab, runner": ("gl", "rt-t1_", (BASE62, 20)),
    "Cloudflare, user": ("cf", "ut_", (BASE62, 40), (HEX, 8)),
    "Cloudflare, account": ("cf", "at_", (BASE62, 40), (HEX, 8)),
    "Cloudflare, global": ("cf", "k_", (BASE62, 40), (HEX, 8)),
    "Cloudflare, origin": ("v1.0", "-", (HEX, 24), "-", (HEX, 146)),
    "Grafana, account": ("gl", "sa_", (BASE62, 32), "_", (HEX, 8)),
    "Grafana, cloud": ("gl", "c_eyJ", (BASE62, 100), "=="),
    "Vault, service": ("hv", "s.", (BASE62 + "_-", 95)),
    "Vault, batch": ("hv", "b.", (BASE62 + "_-", 140)),
    "Vault, recovery": ("hv", "r.", (BASE62, 24)),
    "Terraform Cloud": ((BASE62, 14), ".atlas", "v1.", (BASE62, 67)),
    "New Relic, user": ("NR", "AK-", (UPPER, 27)),
    "New Relic, licence": ((HEX, 36), "NR", "AL"),
    "Docker, person": ("dckr", "_pat_", (BASE62 + "_-", 27)),
    "Docker, organisation": ("dckr", "_oat_", (BASE62 + "_-", 32)),
    "npm": ("npm", "_", (BASE62, 36)),
    "PyPI": ("pypi", "-AgEIcHlwaS5vcmc", (BASE62 + "_-", 120)),
    "AWS": ("AK", "IA", (UPPER, 16)),
    "AWS, temporary": ("AS", "IA", (UPPER, 16)),
    "Google, client": ("GOC", "SPX-", (BASE62 + "_-", 28)),
    "Azure, application": ((BASE62, 3), "8Q", "~", (BASE62 + "_~.-", 34)),
    "Azure, storage": ("Account", "Key=", (BASE62 + "+/", 86), "=="),
    "DigitalOcean": ("dop", "_v1_", (HEX, 64)),
    "Sentry": ("sntry", "s_eyJ", (BASE62, 80), "_", (BASE62, 43)),
    "Stripe": ("sk", "_live_", (BASE62, 24)),
    "Anthropic": ("sk", "-ant-api03-", (BASE62 + "_-", 93), "AA"),
    "OpenAI": ("sk", "-proj-", (BASE62 + "_-", 74)),
    "Hugging Face": ("hf", "_", (LETTERS, 34)),
    "Databricks": ("da", "pi", (HEX, 32)),
    "Slack, bot": ("xox", "b-", (string.digits, 12), "-", (string.digits, 12), "-", (BASE62, 24)),
    "Slack, configuration": ("xoxe", ".xoxp-1-", (UPPER, 160)),
    "Slack, application": ("xapp", "-1-", (UPPER, 11), "-", (HEX, 64)),
    "Slack, workflow": ("xwfp", "-", (string.digits, 12), "-", (BASE62, 24)),
    "Slack, web hook": (
        *(
            "https://hooks.slack",
            ".com/services/T",
            (UPPER, 8),
            "/B",
            (UPPER, 8),
            "/",
            (BASE62, 24),
        ),
    ),
    "Discord, web hook": (
        *("https://discord", ".com/api/webhooks/", (string.digits, 18), "/", (BASE62 + "_-", 68)),
    ),
}
"""What the guard refuses in git; texts, and from how many of which characters to draw."""

SUSPECT: dict[str, tuple[str | tuple[str, int], ...]] = {
    "Vault, before 1.10": ("s.", (BASE62, 23), "7"),
    "Quay robot": ((UPPER, 62), "Z7"),
    "kubeadm": ((LOWER, 6), ".", (LOWER, 15), "3"),
    "Google, key": ("AI", "za", (BASE62 + "_-", 35)),
    "Discord, bot": ("M", (BASE62, 25), ".", (BASE62, 6), ".", (BASE62 + "_-", 38)),
    "JSON Web Token": ("eyJ", (BASE62, 30), ".eyJ", (BASE62, 60), ".", (BASE62 + "_-", 43)),
    "Keystone": ("gAAAAA", (BASE62 + "_-", 180)),
    "URL": ("postgres://bob:", (BASE62, 12), "@db.example.org/x"),
    "PuTTY": ("PuTTY-User-", "Key-File-3: ssh-ed25519"),
    "PEM": ("-----BEGIN ", "OPENSSH PRIVATE ", "KEY-----"),
    "PGP": ("-----BEGIN ", "PGP PRIVATE ", "KEY BLOCK-----"),
}
"""What can also be something else, so that only a value in a recipe or a secrets file is it."""


def made(parts: tuple[str | tuple[str, int], ...], seed: object) -> str:
    draw = random.Random(str(seed))
    return "".join(
        part if isinstance(part, str) else "".join(draw.choices(part[0], k=part[1]))
        for part in parts
    )


@pytest.mark.parametrize("name", [*CERTAIN, *SUSPECT])
def test_every_form_is_suspected_under_any_name(name: str) -> None:
    for seed in range(20):
        token = made((CERTAIN | SUSPECT)[name], seed)
        assert suspicion.formed(f"Bearer {token}") and suspicion.formed(token), token
        assert suspicion.secret("image_name", token)
        assert not suspicion.known("url", token)


@pytest.mark.parametrize("name", CERTAIN)
def test_certain_forms_are_kept_out_of_git(name: str) -> None:
    token = made(CERTAIN[name], 1)
    for text in (token, f'token: "{token}"\n', f"<b>{token}</b>", f"A={token};\n", f"({token})"):
        content = f"one\ntwo {text}\n".encode()
        (flaw, *more) = scanning.flaws("notes.md", content)
        assert flaw.text.startswith("a token (") and flaw.line == 2 and token not in str(flaw), text
        assert not more
        assert list(scanning.flaws("x", b"\xff\xfe" + content.decode().encode("utf-16-le")))


@pytest.mark.parametrize("name", SUSPECT)
def test_other_forms_may_be_in_git(name: str) -> None:
    assert list(scanning.flaws("notes.md", made(SUSPECT[name], 1).encode())) == []


@pytest.mark.parametrize(
    "text",
    [
        "ghp_" + "x" * 36,
        "ghp_" + "0123456789" * 4,
        "AKIA" + "IOSFODNN7EXAMPLE",
        "glpat-<your token>",
        "use hvs.CAESI… here",
        "sha256:" + "0123456789abcdef" * 4,
        "requests==2.32.3 --hash=sha256:" + "9f86d081884c7d65" * 4,
        "sk-ssh-ed25519@openssh.com",
        "task-" + "a1b2c3d4" * 6,
        "hooks.slack.com/services/...",
        "module.binderhub.kubernetes_namespace",
        "config.example.org and values.production1.yaml",
    ],
)
def test_placeholders_hashes_and_names_may_be_in_git(text: str) -> None:
    assert list(scanning.flaws("notes.md", text.encode())) == []


def test_every_form_has_a_source_and_a_sample() -> None:
    samples = [made(parts, 1) for parts in (CERTAIN | SUSPECT).values()]
    unseen = [
        form.issuer
        for form in tokens.FORMS
        if not any(True for text in samples for _ in form.matches(text))
    ]
    assert all(form.source for form in tokens.FORMS)
    rare = {"GitLab", "RubyGems", "Artifactory", "Google", "Azure", "Stripe", "Pulumi", "Atlassian"}
    assert set(unseen) <= rare | {"SendGrid", "Tailscale", "1Password", "Telegram", "age"} | {
        "Microsoft Teams"
    }


RUNS = ["A", "a", "0", "_", "-", ".", "=", "eyJ", "ghp_", "glpat-", "s.", "xoxb-", "sk-", "a.", "M"]
RUNS += [
    "://a:",
    "age-plugin-",
    "age-secret-key-1",
    "-----BEGIN ",
    "AKIA",
    "Q~",
    "a0",
    "Z9",
    "NRAL",
]
RUNS += [
    "hooks.slack.com/services/",
    "v1.0-",
    "sig=",
    "0:AA",
    "gAAAAA",
    "AGE-PLUGIN-A-1",
    "a.-",
    "~",
]


@pytest.mark.parametrize("run", RUNS)
def test_no_text_takes_long(run: str) -> None:
    """1 MiB: the slowest form takes a few hundredths of a second; one that is not linear, hours."""
    text = run * ((1 << 20) // len(run))
    started = time.process_time()
    tokens.like(text + "\n")
    list(scanning.flaws("x", text.encode()))
    assert time.process_time() - started < 10
