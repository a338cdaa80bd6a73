"""Files come after what they import, whatever circles there are."""

from hypothesis import given
from hypothesis import strategies as st

from quipu.data.corpus.imports import import_order, imports_of


def test_names_of_import_statements_at_the_margin():
    text = (
        '"""Doc.\n\nfrom the start import nothing, really.\n"""\n'
        "import os, a.b as c\nfrom . import x\nfrom ..y import (\n    z,  # why\n    w as v,\n)\n"
        "from k import *\nif True:\n    import hidden\n"
    )
    assert imports_of(text) == sorted([".", ".x", "..y", "..y.z", "..y.w", "a.b", "k", "k.*", "os"])


def test_what_is_imported_comes_first():
    files = {
        "pkg/__init__.py": imports_of("from .a import f\n"),
        "pkg/a.py": imports_of("from pkg.z import g\nimport os\n"),
        "pkg/b.py": [],
        "pkg/z.py": [],
    }
    assert import_order(files) == ["pkg/b.py", "pkg/z.py", "pkg/a.py", "pkg/__init__.py"]


def test_a_package_may_lie_below_any_folder():
    files = {"src/pkg/a.py": imports_of("from pkg import z\n"), "src/pkg/z.py": []}
    assert import_order(files) == ["src/pkg/z.py", "src/pkg/a.py"]


def test_a_circle_is_broken_where_least_is_waited_for():
    files = {
        "p/a.py": ["p.b", "p.c"],
        "p/b.py": ["p.a"],
        "p/c.py": ["p.a"],
        "p/d.py": ["p.d", "p.a"],
    }
    assert import_order(files) == ["p/b.py", "p/a.py", "p/c.py", "p/d.py"]


@given(
    st.dictionaries(
        st.sampled_from([f"p/m{i}.py" for i in range(8)]),
        st.lists(st.sampled_from([f"p.m{i}" for i in range(9)]), max_size=4),
    ),
    st.randoms(),
)
def test_every_file_once_whatever_order_they_come_in(files, random):
    order = import_order(files)
    assert sorted(order) == sorted(files)
    shuffled = list(files.items())
    random.shuffle(shuffled)
    assert import_order(dict(shuffled)) == order


@given(st.permutations([f"p/m{i}.py" for i in range(7)]), st.data())
def test_without_circles_all_imports_come_first(ranked, data):
    files = {
        path: data.draw(
            st.lists(st.sampled_from([p[:-3].replace("/", ".") for p in ranked[:i]]), max_size=3)
        )
        if i
        else []
        for i, path in enumerate(ranked)
    }
    order = import_order(files)
    for path, names in files.items():
        for name in names:
            assert order.index(name.replace(".", "/") + ".py") < order.index(path)


@given(st.text())
def test_any_text_has_imports_or_none(text):
    imports_of(text)
    imports_of("import " + text)
