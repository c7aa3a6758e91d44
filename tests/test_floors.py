"""Imports go down: from the command line at the top to the errors at the bottom (docs/architecture.md)."""

from graphlib import TopologicalSorter

import pytest

from house import NAMES, SOURCES, Import, Source, imports

FLOORS = {
    "errors": 0, "checks": 0, "factories": 0,
    "statistics": 1, "formulas": 1, "scratch": 1, "images": 1, "figures": 1, "store": 1, "progress": 1,
    "network": 2,
    "analysis": 3, "cards": 3,
    "analyses": 4,
    "runs": 5, "sheets": 5, "api": 5,
    "report": 6, "workflows": 6,
    "cli": 7, "commands": 7,
    "__main__": 8, "": 8,
}  # fmt: skip

# The calls upwards: a run writes its own report and its own tables, with the floor above imported when it is used.
UPWARDS = {Import("runs.run", "report.build", "Run.report"), Import("runs.run", "workflows.export", "Run.export")}

EVERY = [(source, found) for source in SOURCES for found in imports(source)]


def part(name: str) -> str:
    return name.partition(".")[0]


def test_every_module_has_a_floor_and_every_floor_a_module() -> None:
    assert {source.part for source in SOURCES} == set(FLOORS)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name or "microtome")
def test_a_module_imports_nothing_from_a_floor_above(source: Source) -> None:
    upwards = {found for found in imports(source) if FLOORS[part(found.of)] > FLOORS[source.part]}
    assert upwards == {found for found in UPWARDS if found.by == source.name}


def test_what_is_imported_exists() -> None:
    assert {found.of for _, found in EVERY} <= NAMES


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph: dict[str, set[str]] = {}
    for source, found in EVERY:
        # a package's own __init__ gathers its modules, which may import beside it
        if found not in UPWARDS and source.name:
            graph.setdefault(source.name, set()).add(found.of)
    TopologicalSorter(graph).prepare()


def test_rooms_do_not_import_each_other_in_circles() -> None:
    """A room is a module or a package below the package, or below its network, where the floors are rooms too."""

    def room(name: str) -> str:
        return ".".join(name.split(".")[: 2 if part(name) == "network" else 1])

    graph: dict[str, set[str]] = {}
    for source, found in EVERY:
        if found not in UPWARDS and source.name not in ("", "network") and room(found.of) != room(source.name):
            graph.setdefault(room(source.name), set()).add(room(found.of))
    TopologicalSorter(graph).prepare()


def test_no_analysis_knows_another() -> None:
    modules = {source.name for source in SOURCES if source.part == "analyses" and source.name != "analyses"}
    assert not [found for _, found in EVERY if found.by in modules and found.of in modules | {"analyses"}]


def test_formulas_and_statistics_know_no_models() -> None:
    for home, allowed in (("formulas", {"formulas", "errors", "checks"}), ("statistics", {"statistics", "errors"})):
        assert {part(found.of) for source, found in EVERY if source.part == home} <= allowed


def test_the_contract_of_an_analysis_is_unknown_below_it() -> None:
    below = [source.name for source in SOURCES if FLOORS[source.part] < FLOORS["analysis"]]
    assert not [found for _, found in EVERY if found.by in below and part(found.of) in ("analysis", "cards")]


def test_no_public_name_is_hidden_by_a_module_of_the_same_name() -> None:
    import microtome

    assert not set(microtome.__all__) & NAMES


def test_the_network_from_scratch_stands_beside_the_floors() -> None:
    """It is the oracle for the torch code, so it shares nothing with it but how errors are worded."""
    used = {part(found.of) for source, found in EVERY if part(source.name) == "scratch"}
    assert used == {"scratch", "errors"}
    users = {source.name for source, found in EVERY if part(found.of) == "scratch" and part(source.name) != "scratch"}
    assert {name for name in users if not name.startswith("workflows.reproduce")} == {
        "network.sources.from_scratch", "workflows.train_scratch",
    }  # fmt: skip
