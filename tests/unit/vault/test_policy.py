"""What `.sops.yaml` may say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barehub.errors import UsageError, VaultError
from barehub.vault import policy


def test_what_is_written_is_read(tmp_path: Path) -> None:
    policy.write(tmp_path, policy.new({"age1a": "alice", "age1b": ""}))
    for name in ("secrets/shared.yaml", "instances/demo/terraform.tfstate.sops"):
        assert policy.readers(tmp_path, tmp_path / name) == ("age1a", "age1b")
    assert policy.Policy.read(tmp_path).names == {"age1a": "alice"}
    for name in (".sops.yaml", "instances/demo/main.tf", "x/secrets/shared.yaml"):
        with pytest.raises(VaultError, match=f"no rule for {name}"):
            policy.readers(tmp_path, tmp_path / name)


def test_there_is_no_vault(tmp_path: Path) -> None:
    with pytest.raises(VaultError) as caught:
        policy.readers(tmp_path, tmp_path / "secrets/shared.yaml")
    assert caught.value.hints == ("invoke vault.init",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("creation_rules:\n  - path_regx: x\n    age: age1a\n", "unknown field 'path_regx'"),
        ("creation_rules:\n  - agee: age1a\n", "unknown field 'agee'"),
        ("creation_rules:\n  - age: ''\n", "names no age recipient"),
        ("creation_rules:\n  - age: age1a, age1a\n", "names a recipient twice"),
        ("creation_rules:\n  - path_regex: '('\n    age: age1a\n", "not a regular expression"),
        ("creation_rules:\n  - age: age1a\n    encrypted_regex: x\n", "leaves a part in clear"),
        ("creation_rules:\n  - age: AGE-SECRET-KEY-1ABC\n", "PRIVATE key"),
        ("creation_rules: 3\n", "no list of creation_rules"),
        ("a: b: c\n", "line 1 is not YAML"),
        ("creation_rule:\n  - age: age1a\n", "no list of creation_rules"),
        ("creation_rules:\n  - age: age1a\nstore: {}\n", "unknown field 'store'"),
        ("creation_rules:\n  - age: age1a\n    age: age1b\n", "unknown field 'age (twice)'"),
        ("creation_rules:\n  - age: ecdsa-sha2-nistp256 AAAA\n", "no kind of recipient"),
        ("<<<<<<< ours\na: 1\n", "conflict marker"),
        ("- 1\n", "no list of creation_rules"),
        ("creation_rules: " + "[" * 3000, "nested too deeply"),
        ("creation_rules: &a [*a]\n", "line 1: an alias stands for a whole list"),
        ("creation_rules:\n  - &a {age: age1a, x: *a}\n", "line 2: an alias stands for a whole"),
        ("#" * 300_000, "too large"),
        ("creation_rules:\n  - age:\n      a:\n        ? [b]\n", "line 4: a key is not a text"),
        ("creation_rules:\n  - ? {a: b}\n    : c\n", "line 2: a key is not a text"),
        (
            "keys:\n  - &a0 x\n"
            + "".join(f"  - &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9))
            + "creation_rules:\n  - age: *a9\n",
            "an alias stands for a whole list",
        ),
    ],
)
def test_what_sops_would_take_for_something_else(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / policy.NAME).write_text(text)
    with pytest.raises(VaultError) as caught:
        policy.readers(tmp_path, tmp_path / "secrets/shared.yaml")
    assert said in str(caught.value)
    assert "1ABC" not in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    [
        "^secrets/(([a-z]+)+)+$", "(a)*", "(a|a)" * 30, "a?" * 30, ".*.*.*x", "^.*.*.*.*x",
        "[[:lower:]]", "[a&&b]", "[a--b]", "[]a]", "a*?", "a*+", "a**", "^*", "a{2}{3}", "a{,3}",
        "(?i)a", "(?=a)", "(?P<n>a)", r"(a)\1", r"\s", r"\ba", r"\Aa", r"a\Z", r"\pL", "(" * 3000,
        ")", "a|b)", "[", "\\", "[b-a]", "a{3,2}",
    ],
)  # fmt: skip
def test_patterns_that_go_reads_in_another_way_or_that_never_end(pattern: str) -> None:
    text = f"creation_rules:\n  - path_regex: {json.dumps(pattern)}\n    age: age1a\n"
    with pytest.raises(VaultError, match="barehub reads simpler patterns only"):
        policy.Policy.parse(text).readers("secrets/" + "a" * 200 + "-.yaml")


@pytest.mark.parametrize(
    ("pattern", "fits", "not_these"),
    [
        (r"\.ya?ml$", ["a.yml", "a.yaml", "b/a.yaml"], ["a.yaaml", "a.yaml\n", "a_yml"]),
        ("^secrets/.*", ["secrets/"], ["x/secrets/a"]),
        (r"^[\w.-]+/(?:a|b{2,3})(c|d)?$", ["x.-/a", "x/bbb", "x/ad"], ["é/a", "x/b", "x/acd"]),
        (r"[^a-z/]\d", ["A1"], ["a1", "/1", "A٣"]),
        ("^.*x.*y.*z", ["x" * 85 + "y" * 85 + "z"], ["x" * 85 + "y" * 85]),
    ],
)
def test_patterns_that_all_read_alike(pattern: str, fits: list[str], not_these: list[str]) -> None:
    rules = policy.Policy.parse(f"creation_rules:\n  - path_regex: '{pattern}'\n    age: age1a\n")
    for path in fits:
        assert rules.readers(path) == ("age1a",)
    for path in not_these:
        with pytest.raises(VaultError, match="has no rule for") as caught:
            rules.readers(path)
        assert "\n" not in caught.value.problem
    with pytest.raises(VaultError, match="too long a path"):
        rules.readers("secrets/" * 40)


def test_a_list_of_recipients(tmp_path: Path) -> None:
    (tmp_path / policy.NAME).write_text("creation_rules:\n  - age: [age1a, age1b]\n")
    assert policy.readers(tmp_path, tmp_path / "anything") == ("age1a", "age1b")


SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA"

LISTS = {
    "a block": "    age:\n      - age1a  # alice\n      # the night shift\n      - age1b # bob",
    "a block without an indent": "    age:\n    - age1a  # alice\n    - 'age1b' # bob",
    "one line": "    age: age1a,age1b",
    "one line, noted": "    age: age1a, age1b # of us all",
    "folded": "    age: >-\n      age1a,\n      age1b",
    "flow": "    age: [age1a, age1b]",
    "flow over lines": "    age: [\n      age1a,\n      age1b,\n    ]",
    "an SSH key": f"    age:\n      - age1a\n      - age1b\n      - {SSH} eve@host  # eve",
}
AFTER = [
    "",
    "\n",
    "\n    path_regex: a\n",
    "\n  - path_regex: x\n    age: age1z, age1b\n# end\n",
]


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("form", LISTS)
def test_a_reader_is_added_and_removed_in_every_rule(form: str, after: str) -> None:
    given = LISTS[form]
    first = f"  - {given.lstrip()}" if "path_regex: a" in after else f"  - path_regex: a\n{given}"
    text = f"# the vault\ncreation_rules:\n{first}{after}"
    before = policy.Policy.parse(text)
    added = policy.Policy.parse(before.with_reader("carol", "age1c"))
    assert [r.readers for r in added.rules] == [(*r.readers, "age1c") for r in before.rules]
    assert added.names == {**before.names, "age1c": "carol"}
    removed = policy.Policy.parse(added.without_reader("age1b"))
    for old, new in zip(added.rules, removed.rules, strict=True):
        assert new == policy.Rule(old.pattern, tuple(key for key in old.readers if key != "age1b"))
    assert removed.names == {k: v for k, v in added.names.items() if k != "age1b"}
    for note in ("# the vault", "# the night shift", "# of us all", "# end"):
        assert (note in text) == (note in removed.text), removed.text


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("alice", "age1c", "another key of alice"),
        ("carol", "age1a", "lists that key already, as alice"),
        ("a b", "age1c", "cannot be a name"),
        ("", "age1c", "cannot be a name"),
        ("# x", "age1c", "cannot be a name"),
    ],
)
def test_a_reader_that_cannot_be_added(name: str, key: str, said: str) -> None:
    known = policy.Policy.parse(policy.new({"age1a": "alice"}))
    with pytest.raises(UsageError, match=said):
        known.with_reader(name, key)


def test_the_last_reader_stays() -> None:
    with pytest.raises(VaultError, match="alice is the only reader"):
        policy.Policy.parse(policy.new({"age1a": "alice"})).without_reader("age1a")


def test_keys_behind_yaml_anchors_are_read_and_left_to_a_person() -> None:
    text = "keys:\n  - &a age1a\n  - &b age1b\ncreation_rules:\n  - age: [*a, *b]\n"
    known = policy.Policy.parse(text)
    assert known.everyone() == ("age1a", "age1b")
    with pytest.raises(VaultError, match="does not edit") as caught:
        known.with_reader("carol", "age1c")
    assert "invoke vault.sync" in caught.value.hints[0]
