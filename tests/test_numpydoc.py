"""Every public docstring is whole, by numpydoc's own checks and five that numpydoc lacks.

Checked of the functions and classes of `dynloop.__all__` and of the rooms that docs/reference.md names, and of their
public methods with a docstring of their own:
layout (GL), a summary of one line (SS), parameters as in the signature, with type and description (PR), results with a
description (RT, YD), and of functions and classes an example (EX). Beyond numpydoc:

- a record documents each of its fields;
- parameters "As in `x`" are documented at `x`, and those that go by place stand in their order;
- a method without a section of parameters names each argument in its text, unless it overrides one of a base;
- the errors of dynloop that a body raises, or a function of its module that it calls, are among those of *Raises*
  (others, such as ValueError, are raised only where the library catches them again).

Left out, since the house's style is another: an extended summary (ES01), *See Also* (SA), a capital at the beginning
of a description (PR08, RT04: many begin with p, k or ρ) and a full stop at its end (PR09, RT05), an infinitive verb
(SS05, which takes any word that ends in s for none), the order of keyword-only parameters (PR03), and a type of
parameters that are documented elsewhere (PR04).
"""

import ast
import builtins
import dataclasses
import enum
import functools
import importlib
import inspect
import re
import sys
import textwrap

import pytest
from numpydoc.docscrape import NumpyDocString, get_doc_object
from numpydoc.validate import validate

import dynloop as dl
from dynloop import errors

CHECKS = {
    *("GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10"),
    *("SS01", "SS02", "SS03", "SS04", "SS06"),
    *("PR01", "PR02", "PR05", "PR06", "PR07", "PR10"),
    *("RT01", "RT02", "RT03", "YD01", "EX01"),
}
METHODS_LACK = {"PR01", "RT01", "YD01", "EX01"}  # one line says it all; see above for arguments
EXCEPTIONS = {
    "Plan": {"PR01": "made by `Plan.grid` and `Plan.listed`, which document what they take"},
}

KNOWN = {name: one for name, one in (vars(builtins) | vars(errors)).items() if inspect.isclass(one)}
PUBLIC = {name: getattr(dl, name) for name in dl.__all__ if not inspect.ismodule(getattr(dl, name))}
ROOMS = [
    "result",
    "adapters.base",
    "testing",
    "maps.zoo",
    "maps.synthetic",
    "testing.statements",
    "nn",
    "testing.strategies",
]
for room in ROOMS:
    here = importlib.import_module(f"dynloop.{room}")
    members = {name: getattr(here, name) for name in here.__all__}
    PUBLIC |= {
        f"{room}.{name}": one
        for name, one in members.items()
        if (inspect.isfunction(one) or inspect.isclass(one)) and all(one is not other for other in PUBLIC.values())
    }


def beside(name, other):
    """Return what a docstring calls `other`: a name of its own room, or of dynloop."""
    room = name.rpartition(".")[0]
    return PUBLIC[f"{room}.{other}"] if f"{room}.{other}" in PUBLIC else PUBLIC[other]


def methods():
    found = {}
    for name, one in PUBLIC.items():
        for member, value in vars(one).items() if inspect.isclass(one) else ():
            plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            plain = plain.fget if isinstance(plain, property) else plain
            if not member.startswith("_") and inspect.isfunction(plain) and plain.__doc__:
                found[f"{name}.{member}"] = (value, plain)
    return found


METHODS = methods()


def complaints(one, left_out=frozenset()):
    said = validate(get_doc_object(one))["errors"]
    return {code: text for code, text in said if code in CHECKS - left_out}


def is_record(one):
    return inspect.isclass(one) and dataclasses.is_dataclass(one)


def sections(one):
    return NumpyDocString(inspect.getdoc(one))


def named(section):
    return [name.strip() for entry in section for name in entry.name.split(",")]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_docstring_passes_numpydoc(name):
    one = PUBLIC[name]
    by_another_check = {"PR01"} if is_record(one) or isinstance(one, enum.EnumMeta) else set()
    found = complaints(one, by_another_check)
    excused = EXCEPTIONS.get(name, {})
    assert {code: text for code, text in found.items() if code not in excused} == {}
    assert set(excused) <= set(found), f"{name} is excused from what it does not need"


@pytest.mark.parametrize("name", METHODS)
def test_the_docstring_of_a_public_method_passes_numpydoc(name):
    assert complaints(METHODS[name][1], METHODS_LACK) == {}


@pytest.mark.parametrize("name", [name for name, one in PUBLIC.items() if is_record(one)])
def test_a_record_documents_its_fields(name):
    doc = sections(PUBLIC[name])
    fields = [field.name for field in dataclasses.fields(PUBLIC[name]) if not field.name.startswith("_")]
    documented = named(doc["Attributes"] or doc["Parameters"])
    assert set(documented) >= set(fields)
    assert len(documented) == len(set(documented))
    assert all(hasattr(PUBLIC[name], extra) for extra in set(documented) - set(fields))


@pytest.mark.parametrize("name", [name for name, one in PUBLIC.items() if inspect.isfunction(one)])
def test_parameters_have_a_type_or_are_documented_elsewhere_and_are_in_order(name):
    entries = sections(PUBLIC[name])["Parameters"]
    signature = inspect.signature(PUBLIC[name]).parameters
    by_place = [one for one in signature if signature[one].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert [one for one in named(entries) if one in by_place] == by_place
    for entry in entries:
        if entry.type or entry.name.startswith("*"):
            continue
        [elsewhere] = re.findall(r"^As in `(\w+)`", " ".join(entry.desc))
        typed = [one for one in sections(beside(name, elsewhere))["Parameters"] if one.type]
        assert set(named([entry])) <= set(named(typed))


def overrides(owner, member):
    return any(getattr(vars(base).get(member), "__doc__", None) for base in PUBLIC[owner].__mro__[1:-1])


@pytest.mark.parametrize("name", METHODS)
def test_a_method_names_its_arguments(name):
    doc, plain = METHODS[name][1].__doc__, METHODS[name][1]
    arguments = [one for one in inspect.signature(plain).parameters if one not in ("self", "cls")]
    if "Parameters\n" in doc:
        assert named(sections(plain)["Parameters"]) == arguments
    elif not overrides(*name.rsplit(".", 1)):
        assert [one for one in arguments if not re.search(rf"\b{one}\b", doc)] == []


@functools.cache
def tree(plain):
    return ast.parse(textwrap.dedent(inspect.getsource(plain)))


def raised(plain, seen=()):
    """The names of errors that a function raises by itself, or a function of its module that it calls."""
    home = vars(sys.modules[plain.__module__])
    found = set()
    for node in ast.walk(tree(plain)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            what = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(what, ast.Name) and what.id in vars(errors):
                found.add(what.id)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = home.get(node.func.id)
            if inspect.isfunction(called) and called.__module__ == plain.__module__ and called not in seen:
                found |= raised(called, (*seen, plain))
    return found


@pytest.mark.parametrize("name", [name for name, one in PUBLIC.items() if inspect.isfunction(one)])
def test_the_errors_that_a_body_raises_are_documented(name):
    plain = inspect.unwrap(PUBLIC[name])
    entries = sections(plain)["Raises"]
    documented = [one.strip() for entry in entries for one in (entry.type or entry.name).split(",")]
    classes = tuple(KNOWN[one] for one in documented)
    for one in raised(plain):
        assert issubclass(KNOWN[one], classes), f"{one} is raised, and not documented"
