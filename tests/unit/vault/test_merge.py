"""Three versions of a tree made one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barehub.vault.merge import MISSING, edits, same, three_way

CHANGED = "was changed on both sides"


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 2}),
        ({"a": 1}, {"a": 1, "b": 1}, {"a": 1, "c": 1}, {"a": 1, "b": 1, "c": 1}),
        ({"a": 1, "b": 1}, {"b": 1}, {"a": 1}, {}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"x": 2, "y": 1}}, {"a": {"x": 1}}, {"a": {"x": 2}}),
        ({"a": {"x": 1}}, {}, {"a": {}}, {}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {}}, {"a": {}}),
        ({"a": 1}, {"a": {"x": 1}}, {"a": 1}, {"a": {"x": 1}}),
        ({"a": [1]}, {"a": [1]}, {"a": [1, 2]}, {"a": [1, 2]}),
        ({"a": None}, {"a": None}, {"a": {}}, {"a": {}}),
        ({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}),
        (MISSING, {"a": 1, "m": {"x": 1}}, {"b": 1, "m": {"y": 1}}, None),
    ],
)
def test_clean(base: Any, ours: Any, theirs: Any, merged: Any) -> None:
    wanted = merged or {} if base is not MISSING else {"a": 1, "b": 1, "m": {"x": 1, "y": 1}}
    for one, other in ((ours, theirs), (theirs, ours)):
        result = three_way(base, one, other)
        assert (result.tree, result.conflicts) == (wanted, ())


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "said", "merged"),
    [
        ({"a": 1}, {"a": 2}, {"a": 3}, f"a {CHANGED}", {"a": 2}),
        ({"a": 1}, {"a": 1.0}, {"a": True}, f"a {CHANGED}", {"a": 1.0}),
        ({"a": [1]}, {"a": [2, 1]}, {"a": [1, 3]}, f"a {CHANGED}", {"a": [2, 1]}),
        ({}, {"a": 1}, {"a": 2}, "a was added on both sides", {"a": 1}),
        ({"a": 1}, {}, {"a": 2}, "a was removed on our side and changed on theirs", {}),
        ({"a": 1}, {"a": 2}, {}, "a was changed on our side and removed on theirs", {"a": 2}),
        (
            {"m": {"x": 1, "y": 1}},
            {},
            {"m": {"x": 1, "y": 2}},
            "m.y was removed on our side and changed on theirs",
            {},
        ),
        ({"a": 1}, {"a": {"x": 1}}, {"a": 2}, f"a {CHANGED}", {"a": {"x": 1}}),
        ("text", "ours", "theirs", f"its content {CHANGED}", "ours"),
    ],
)
def test_conflicts_stay_ours(base: Any, ours: Any, theirs: Any, said: str, merged: Any) -> None:
    result = three_way(base, ours, theirs)
    assert [str(conflict) for conflict in result.conflicts] == [said]
    assert same(result.tree, merged)
    assert three_way(base, ours, theirs, lambda ours: "neither").tree != merged


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from("xyz"))
TREES = st.recursive(
    st.dictionaries(st.sampled_from("abc"), SCALARS | st.lists(SCALARS, max_size=2), max_size=3),
    lambda tree: st.dictionaries(st.sampled_from("abc"), SCALARS | tree, max_size=3),
    max_leaves=8,
)


@given(TREES, TREES)
def test_who_changes_alone_is_right(base: Any, changed: Any) -> None:
    for result in (three_way(base, changed, base), three_way(base, base, changed)):
        assert same(result.tree, changed) and result.conflicts == ()


@given(TREES, TREES, TREES)
def test_the_sides_can_be_swapped_where_nothing_conflicts(base: Any, one: Any, two: Any) -> None:
    here, there = three_way(base, one, two), three_way(base, two, one)
    assert {c.path for c in here.conflicts} == {c.path for c in there.conflicts}
    if not here.conflicts:
        assert same(here.tree, there.tree)


@given(TREES, TREES)
def test_edits_lead_from_one_tree_to_the_other(before: Any, after: Any) -> None:
    tree = before
    for path, value in edits(before, after):
        tree = _with(tree, path, value)
    assert same(tree, after)


def _with(tree: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    made = _with(tree.get(path[0]), path[1:], value)
    rest = {key: old for key, old in tree.items() if key != path[0]}
    return rest if made is MISSING else {**rest, path[0]: made}
