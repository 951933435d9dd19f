"""The forms of tokens that issuers have documented: one table, which all scanners read.

As of 2026-11. A form is as generous as its prefix allows: lengths change, prefixes rarely do. Each
has the page where its issuer describes it, else the list of a scanner that has it:
GITHUB https://docs.github.com/code-security/reference/secret-security/supported-secret-scanning-patterns
and GITLEAKS https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml.

Without a form, and only found by their names or their randomness (``suspicion``): tokens of
JupyterHub, Hetzner, Linode, Fastly, Zenodo and Dataverse, secrets of OpenStack's application
credentials, secret keys of AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

GITHUB = "the list of GitHub"
GITLEAKS = "the list of gitleaks"

VARIETY, TAIL = 11, 32
"""Different characters that the end of a token has at least; fewer has a placeholder: xxxx, 0123…
In 32 random hexadecimal digits fewer are as rare as one in three hundred."""


@dataclass(frozen=True)
class Form:
    """How tokens of ``issuer`` look: ``pattern`` matches one anywhere in a text.

    No text without one of ``marks`` is searched. ``certain`` forms are secrets wherever they stand;
    others can also be a public key, a name, an example of a format.
    """

    issuer: str
    marks: tuple[str, ...]
    pattern: str
    source: str
    certain: bool = True

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.A)

    def matches(self, text: str) -> Iterator[re.Match[str]]:
        """Find each of them in ``text``, in time linear in its length."""
        if any(mark in text for mark in self.marks):
            yield from self.regex.finditer(text)


FORMS = (
    Form(
        "GitHub",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        r"\bgh[pousr]_[\w.-]{30,}",  # ghs_ may have a JSON Web Token behind it
        "https://github.blog/changelog/2026-05-15-github-app-installation-tokens-per-request-override-header/",
    ),
    Form("GitHub", ("github_pat_",), r"\bgithub_pat_\w{20,}", GITHUB),
    Form(
        "GitLab",
        ("gl",),
        r"\bgl(?:pat|oas|dt|rtr?|cbt|ptt|ft|imt|agent|wt|soat|ffct)-[\w.-]{20,}",
        "https://docs.gitlab.com/security/tokens/#token-prefixes",
    ),
    Form("GitLab", ("GR1348941",), r"\bGR1348941[\w-]{20,}", GITLEAKS),
    Form(
        "Cloudflare",
        ("cfut_", "cfat_", "cfk_"),
        r"\bcf(?:ut|at|k)_[\w-]{40,}",
        "https://developers.cloudflare.com/fundamentals/api/get-started/token-formats/",
    ),
    Form("Cloudflare", ("v1.0-",), r"\bv1\.0-[0-9a-f]{24}-[0-9a-f]{100,}", GITLEAKS),
    Form("Grafana", ("glsa_", "glc_"), r"\b(?:glsa_\w{32,}|glc_[\w+/=-]{32,})", GITLEAKS),
    Form(
        "HashiCorp Vault",
        ("hvs.", "hvb.", "hvr."),
        r"\bhv[sbr]\.[\w-]{20,}",
        "https://developer.hashicorp.com/vault/docs/concepts/tokens#token-prefixes",
    ),
    Form(  # before Vault 1.10
        "HashiCorp Vault",
        ("s.", "b.", "r."),
        r"(?<![\w.])[sbr]\.(?=[a-z]{0,24}[A-Z\d])(?=[A-Za-z]{0,24}\d)[A-Za-z0-9]{24}(?![\w.])",
        "https://developer.hashicorp.com/vault/docs/concepts/tokens#token-prefixes",
        certain=False,
    ),
    Form("Terraform Cloud", (".atlasv1.",), r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40,}", GITLEAKS),
    Form(
        "New Relic",
        ("NRAK-", "NRII-", "NRJS-", "NRRA-", "NRSP-", "NRIQ-"),
        r"\bNR(?:AK|II|JS|RA|SP|IQ)-[\w-]{19,}",
        "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/",
    ),
    Form("New Relic", ("NRAL",), r"\b[0-9a-fA-F]{30,36}NRAL\b", GITHUB),
    Form(
        "Docker",
        ("dckr_pat_", "dckr_oat_"),
        r"\bdckr_[po]at_[\w-]{20,}",
        "https://docs.docker.com/security/access-tokens/",
    ),
    Form(  # the password of a robot account, 64 characters; a digest in capitals has no G to Z
        "Quay",
        tuple("GHIJKLMNOPQRSTUVWXYZ"),
        r"(?<![\w/+=-])(?=[A-Z]{0,64}\d)(?=[0-9A-F]{0,64}[G-Z])[A-Z0-9]{64}(?![\w/+=-])",
        "https://docs.quay.io/glossary/robot-accounts.html",
        certain=False,
    ),
    Form("npm", ("npm_",), r"\bnpm_[A-Za-z0-9]{30,}", GITHUB),
    Form("PyPI", ("pypi-",), r"\bpypi-[\w-]{50,}", "https://pypi.org/help/#apitoken"),
    Form("RubyGems", ("rubygems_",), r"\brubygems_[0-9a-f]{40,}", GITHUB),
    Form("Artifactory", ("AKCp",), r"\bAKCp[A-Za-z0-9]{60,}", GITLEAKS),
    Form(
        "AWS",
        ("AKIA", "ASIA", "ABIA", "ACCA"),
        r"\bA(?:KI|SI|BI|CC)A[0-9A-Z]{16}\b",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html",
    ),
    Form("Google", ("AIza",), r"\bAIza[\w-]{35}", GITHUB, certain=False),  # may be public, of a map
    Form("Google", ("GOCSPX-",), r"\bGOCSPX-[\w-]{20,}", GITHUB),
    Form("Google", ("ya29.",), r"\bya29\.[\w-]{30,}", GITHUB),
    Form("Azure", ("Q~",), r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])", GITLEAKS),
    Form(
        "Azure",
        ("AccountKey=", "SharedAccessKey=", "SharedSecretValue="),
        r"\b(?:AccountKey|SharedAccessKey|SharedSecretValue)=[\w+/]{40,}={0,2}",
        "https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string",
    ),
    Form("Azure", ("sig=",), r"[?&]sig=[\w%+/-]{40,}", GITHUB),
    Form(
        "DigitalOcean",
        ("dop_v1_", "doo_v1_", "dor_v1_"),
        r"\bdo[por]_v1_[0-9a-f]{40,}",
        "https://docs.digitalocean.com/reference/api/create-personal-access-token/",
    ),
    Form("Sentry", ("sntrys_", "sntryu_"), r"\bsntry[su]_[\w+/=.-]{30,}", GITHUB),
    Form(
        "Stripe",
        ("sk_live_", "rk_live_", "sk_test_", "rk_test_"),
        r"\b[sr]k_(?:live|test)_\w{16,}",
        "https://docs.stripe.com/keys",
    ),
    Form("Stripe", ("whsec_",), r"\bwhsec_[\w+/=]{24,}", GITHUB),
    Form(
        "OpenAI or Anthropic",
        ("sk-",),
        r"(?<![\w-])sk-(?:(?:ant|proj|svcacct|admin|or)-[\w-]{20,}|[A-Za-z0-9]{40,})",
        GITLEAKS,
    ),
    Form(
        "Hugging Face",
        ("hf_", "api_org_"),
        r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}",
        "https://huggingface.co/docs/hub/security-tokens",
    ),
    Form("Databricks", ("dapi",), r"\bdapi[0-9a-f]{32}", GITLEAKS),
    Form("Pulumi", ("pul-",), r"\bpul-[0-9a-f]{40}", GITLEAKS),
    Form("Atlassian", ("ATATT3x", "ATCTT3x"), r"\bAT[AC]TT3x[\w=-]{40,}", GITHUB),
    Form("SendGrid", ("SG.",), r"\bSG\.[\w-]{20,}\.[\w-]{30,}", GITLEAKS),
    Form("Tailscale", ("tskey-",), r"\btskey-[\w-]{20,}", GITHUB),
    Form("1Password", ("ops_eyJ",), r"\bops_eyJ[\w+/=-]{60,}", GITLEAKS),
    Form("Telegram", (":AA",), r"(?<!\d)\d{8,10}:AA[\w-]{32,}", GITHUB),
    Form(
        "Slack",
        ("xox", "xapp-", "xwfp-"),
        r"\b(?:xox[abeoprs](?:\.xox[abp])?|xapp|xwfp)-[\w-]{10,}",
        "https://docs.slack.dev/authentication/tokens",
    ),
    Form(
        "Slack",
        ("hooks.slack.com/",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w+/]{20,}",
        "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    ),
    Form(
        "Discord",
        ("/webhooks/",),
        r"\bdiscord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/[\w-]{20,}",
        "https://docs.discord.com/developers/resources/webhook",
    ),
    Form(  # a bot's: its number in base64, a time, a hash
        "Discord",
        (".",),
        r"(?<![\w.-])[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}(?![\w.-])",
        "https://docs.discord.com/developers/reference#authentication",
        certain=False,
    ),
    Form(
        "Microsoft Teams",
        ("webhook.office.com/",),
        r"webhook\.office\.com/webhookb2/[\w@/-]{20,}",
        GITHUB,
    ),
    Form(
        "kubeadm",
        (".",),
        r"(?<![\w.-])[a-z0-9]{6}\.(?=[a-z]{0,16}\d)[a-z0-9]{16}(?![\w.-])",
        "https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-format",
        certain=False,
    ),
    Form(
        "Keystone",
        ("gAAAAA",),
        r"\bgAAAAA[\w-]{60,}",
        "https://docs.openstack.org/keystone/latest/admin/fernet-token-faq.html",
        certain=False,
    ),
    Form(  # bounded and possessive, for texts that repeat its beginning
        "JSON Web Token",
        ("eyJ",),
        r"\beyJ[\w-]{8,1000}+\.[\w-]{8,8000}+\.[\w-]{8}",
        "https://www.rfc-editor.org/rfc/rfc7519",
        certain=False,
    ),
    Form(
        "a password in a URL",
        ("://",),
        r"""://[^/\s:@<>"']+:(?!<|\$\{)[^/\s@"']+@""",
        "https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1",
        certain=False,
    ),
    # Private keys: a value is suspect where one begins; in git, scanning asks for the whole of it.
    Form(
        "age",
        ("-",),
        r"\b(?i:age-(?:secret-key|plugin)-)[\w+.-]{20,}",
        "https://github.com/C2SP/C2SP/blob/main/age.md",
        certain=False,
    ),
    Form(
        "a private key",
        ("PRIVATE KEY",),
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
        "https://www.rfc-editor.org/rfc/rfc7468",
        certain=False,
    ),
    Form(
        "PuTTY",
        ("PuTTY-User-Key-File-",),
        r"PuTTY-User-Key-File-\d",
        "https://the.earth.li/~sgtatham/putty/latest/htmldoc/AppendixC.html",
        certain=False,
    ),
)


def like(text: str) -> bool:
    """Whether a token of any form is somewhere in ``text``."""
    return any(True for form in FORMS for _ in form.matches(text))


def certain(text: str) -> Iterator[tuple[str, int]]:
    """Find what is a secret wherever it stands: the issuer, and where it begins in ``text``.

    Placeholders are left out: what repeats few characters or says that it is an example.
    """
    for form in FORMS:
        if form.certain:
            for found in form.matches(text):
                varied = len(set(found[0][-TAIL:])) >= VARIETY
                if varied and "EXAMPLE" not in found[0].upper():
                    yield form.issuer, found.start()
