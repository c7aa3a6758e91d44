"""The rules of a look: who waits for whom, who is skipped and why, memory, and analyses that break the contract."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import microtome as mt
from microtome.analysis import Analysis, Jobs, Pass, Steps, at
from microtome.errors import ModelFailed, NotApplicable, RunFailed, UsageError
from microtome.runs.runner import Look, Outcome
from microtome.statistics import Moments
from sketches import Sketch, SketchResult
from toys import InPlace, Plain, noise, opened, seeded


@pytest.fixture
def specimen() -> mt.Specimen:
    model = opened(seeded(Plain))
    return mt.Specimen(model=model, images=noise(model))


def sketch(called: str, steps: Callable[[mt.Specimen], Steps], requires: tuple[str, ...] = ()) -> Analysis:
    """An analysis with these steps."""

    @dataclass(frozen=True, kw_only=True)
    class Made(Sketch):
        def steps(self, specimen: mt.Specimen) -> Steps:
            return steps(specimen)

    Made.name, Made.requires = called, requires
    return Made()


def at_once(specimen: mt.Specimen) -> Steps:
    return SketchResult(found={"given": tuple(specimen.results)})


def two_passes(specimen: mt.Specimen) -> Steps:
    first = yield Pass(one=at("conv1", Moments()))
    second = yield Pass(two=at("conv2", Moments()))
    return SketchResult(found={"sum": first["one"].mean.sum() + second["two"].mean.sum()})


def refusing(specimen: mt.Specimen) -> Steps:
    raise NotApplicable("There is one image", "Two are needed", "Give another one")


def refusing_later(specimen: mt.Specimen) -> Steps:
    yield Pass(one=at("conv1", Moments()))
    raise NotApplicable("Nothing fires", "Something must", "Train it")


def doubling(specimen: mt.Specimen) -> Steps:
    yield Jobs(key="nothing", function=lambda items: items, items=())
    return SketchResult(found={"doubled": 2 * specimen.results["first"].found["sum"]})


def test_an_analysis_gets_the_finished_results_that_it_requires_and_no_others(specimen) -> None:
    # `first` needs two stages, and is asked for last: `second` must wait for both
    analyses = [sketch("second", doubling, ("first",)), sketch("third", at_once), sketch("first", two_passes)]
    outcome = Look(specimen).run(analyses)
    assert list(outcome.results) == ["second", "third", "first"]
    assert outcome.results["second"].found["doubled"] == 2 * outcome.results["first"].found["sum"]
    assert outcome.results["third"].found["given"] == ()


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (refusing, "There is one image. Two are needed. Give another one."),
        (refusing_later, "Nothing fires. Something must. Train it."),
    ],
)
def test_an_analysis_that_does_not_apply_is_skipped_with_its_reason_and_the_others_go_on(
    specimen, steps, reason
) -> None:
    outcome = Look(specimen).run([sketch("picky", steps), sketch("other", two_passes)])
    assert (outcome.skipped, list(outcome.results)) == ({"picky": reason}, ["other"])


def test_what_requires_a_skipped_result_is_skipped_too(specimen) -> None:
    chain = [sketch("c", at_once, ("b",)), sketch("b", at_once, ("a",)), sketch("a", refusing_later)]
    skipped = Look(specimen).run(chain).skipped
    assert skipped["b"] == f"It needs the result of a, which was skipped: {skipped['a']}"
    assert skipped["c"] == f"It needs the result of b, which was skipped: {skipped['b']}"


def test_without_images_only_what_measures_is_skipped() -> None:
    outcome = Look(mt.Specimen(model=opened(seeded(Plain)))).run([sketch("p", two_passes), sketch("w", at_once)])
    assert (outcome.skipped, list(outcome.results)) == ({"p": "It measures on images, and none were given"}, ["w"])


def refused(specimen: mt.Specimen, *analyses: Analysis) -> UsageError:
    with pytest.raises(UsageError) as caught:
        Look(specimen).run(analyses)
    return caught.value


def test_a_required_analysis_that_is_not_chosen_is_named(specimen) -> None:
    error = refused(specimen, sketch("b", at_once, ("a",)), sketch("x", at_once))
    assert error.given == "Analysis b needs the result of a, which is not part of this look"
    assert (error.allowed, error.next_step) == ("Chosen are: b, x", "Add a to the analyses")


def test_analyses_that_require_each_other_are_refused(specimen) -> None:
    error = refused(specimen, sketch("a", at_once, ("b",)), sketch("b", at_once, ("a",)))
    assert error.given in [f"Analyses need each other's results: {way}" for way in ("a -> b -> a", "b -> a -> b")]
    assert error.allowed == "What an analysis requires must not require it"
    assert error.next_step == "Mend `requires` of one of them"


def test_an_analysis_that_is_there_twice_is_refused(specimen) -> None:
    error = refused(specimen, sketch("a", at_once), sketch("a", two_passes))
    assert (error.given, error.allowed) == ("The analyses are a, a", "Each may be there once")
    assert error.next_step == "Look twice, with one setting each"


def returning_nothing(specimen: mt.Specimen) -> Steps:
    yield Pass(one=at("conv1", Moments()))


def asking_for_a_number(specimen: mt.Specimen) -> Steps:
    yield 3
    return SketchResult(found={})


@pytest.mark.parametrize(("steps", "gave"), [(returning_nothing, "NoneType"), (asking_for_a_number, "int")])
def test_steps_that_break_the_contract_are_named(specimen, steps, gave) -> None:
    error = refused(specimen, sketch("odd", steps))
    assert error.given == f"The steps of analysis odd gave {gave}"
    assert error.allowed == "Every yield is a Pass or Jobs, and the return is a Result"
    assert error.next_step == "Mend the steps of this analysis"


def test_a_loss_without_labels_is_refused(specimen) -> None:
    def steps(specimen: mt.Specimen) -> Steps:
        yield Pass(one=at("conv1", Moments()), loss=lambda outputs, labels: outputs.sum(1))
        return SketchResult(found={})

    images = noise(specimen.model)
    images.labels[:] = -1
    error = refused(mt.Specimen(model=specimen.model, images=images), sketch("greedy", steps))
    assert error.given == "greedy asks for a loss"
    assert (error.allowed, error.next_step) == ("A loss needs labelled images", "Give labelled images")


def jobs(function: Callable[[Sequence[Any]], Sequence[Any]], count: int = 7, batch: int = 4) -> Analysis:
    def steps(specimen: mt.Specimen) -> Steps:
        answers = yield Jobs(key="squares", function=function, items=tuple(range(count)), batch=batch)
        return SketchResult(found={"answers": answers})

    return sketch("jobber", steps)


def squares_of(outcome: Outcome) -> list[int]:
    return outcome.results["jobber"].found["answers"]


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_jobs_out_of_memory_go_on_with_half_as_many_items(specimen, error) -> None:
    sizes = []

    def squares(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        if len(items) > 2:
            raise error
        return [item**2 for item in items]

    assert squares_of(Look(specimen).run([jobs(squares)])) == [0, 1, 4, 9, 16, 25, 36]
    assert sizes == [4, 2, 2, 2, 1]


def test_one_item_that_does_not_fit_fails_the_run(specimen) -> None:
    def greedy(items: Sequence[int]) -> list[int]:
        raise MemoryError

    with pytest.raises(RunFailed) as caught:
        Look(specimen).run([jobs(greedy)])
    assert caught.value.given == "One item of 'squares' alone needs more memory than there is"
    assert caught.value.allowed == "A batch of Jobs holds one item or more"
    assert caught.value.next_step == "Use a machine with more memory"


def test_any_other_error_of_a_job_is_raised_at_once(specimen) -> None:
    calls = []

    def broken(items: Sequence[int]) -> list[int]:
        calls.append(items)
        raise RuntimeError("a bug of mine")

    with pytest.raises(RuntimeError, match="a bug of mine"):
        Look(specimen).run([jobs(broken)])
    assert len(calls) == 1


def test_jobs_that_do_not_answer_every_item_are_refused(specimen) -> None:
    error = refused(specimen, jobs(lambda items: items[1:]))
    assert error.given == "Jobs 'squares' of jobber answered 3 of 4 items"
    assert error.allowed == "A Jobs function returns one answer an item"
    assert error.next_step == "Mend the function of this analysis"


def test_a_look_whose_batches_do_not_fit_halves_them_and_finds_the_same(specimen) -> None:
    expected = Look(specimen).run([sketch("a", two_passes)]).results["a"].found["sum"]
    forward = specimen.model.module.forward

    def hungry(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(x)

    specimen.model.module.forward = hungry
    np.testing.assert_allclose(Look(specimen).run([sketch("a", two_passes)]).results["a"].found["sum"], expected)


@pytest.mark.parametrize("error", [RuntimeError, ValueError])
def test_a_network_that_raises_at_its_first_images_is_said_to_have_failed(specimen, error) -> None:
    def broken(x: torch.Tensor) -> torch.Tensor:
        raise error("not these")

    assert specimen.sites
    specimen.model.module.forward = broken
    with pytest.raises(ModelFailed, match=f"^The network raised {error.__name__} before its first site.*: not these"):
        Look(specimen).run([sketch("a", two_passes)])


@pytest.mark.parametrize("stage", ["first", "later"])
def test_a_look_that_is_broken_off_leaves_the_model_as_it_was(stage) -> None:
    def steps(specimen: mt.Specimen) -> Steps:
        if stage == "later":
            yield Pass(one=at("act_1", Moments()), under=[mt.Edit.silence("act", 0)])
        raise KeyboardInterrupt

    module = seeded(InPlace).train()
    module.conv1.eval()
    model = opened(module)
    specimen = mt.Specimen(model=model, images=noise(model))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        Look(specimen).run([sketch("doomed", steps)])
    assert [part.training for part in module.modules()] == [True, False, True, True, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert torch.is_grad_enabled()
