"""Imports go down: from the command line at the top to the errors at the bottom (docs/architecture.md)."""

from graphlib import TopologicalSorter

import pytest

from house import NAMES, SOURCES, Import, Source, imports

FLOORS = {
    "errors": 0, "checks": 0, "factories": 0,
    "statistics": 1, "formulas": 1, "scratch": 1,
    "preprocessing": 1, "images": 1, "image_sources": 1, "figures": 1, "store": 1,
    "progress": 1,
    "image_opening": 1, "image_labels": 1, "image_folders": 1, "image_arrays": 1, "image_datasets": 1, "pictures": 1,
    "dataset_items": 1, "dataset_facts": 1, "standard_sets": 1, "picture": 1,
    "network": 2,
    "analysis": 3, "cards": 3,
    "analyses": 4,
    "answers": 5, "replay": 5, "passes": 5, "walk": 5, "jobs": 5, "runner": 5, "run": 5, "plan": 5, "api": 5,
    "activation_sheet": 5, "explanation": 5, "evidence_sheet": 5, "occlusion_sheet": 5, "reconstruction": 5,
    "map_truth": 5, "dissection_sheet": 5, "superstimulus_sheet": 5, "decision_sheet": 5,
    "report": 6, "workflows": 6,
    "cli": 7, "commands": 7, "console": 7, "image_options": 7,
    "__main__": 8, "": 8,
}  # fmt: skip

# The calls upwards: a run writes its own report and its own tables, with the floor above imported when it is used.
UPWARDS = {Import("run", "report.build", "Run.report"), Import("run", "workflows.export", "Run.export")}

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
        "network.from_scratch", "workflows.train_scratch",
    }  # fmt: skip
