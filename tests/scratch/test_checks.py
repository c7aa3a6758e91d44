"""What a student is told who writes a layer of one's own."""

import numpy as np
import pytest

import microtome.scratch as mts
from microtome.errors import UnknownName, UsageError


class MyLinear(mts.Linear):
    """A layer with an error that can be chosen."""

    wrong = ""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.x = x
        return x @ self.weight.tensor + self.bias.tensor + (self.wrong == "forward")

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.weight.gradient = self.x.T @ dy * (-1 if self.wrong == "dw" else 1)
        self.bias.gradient = dy.mean(0) if self.wrong == "db" else dy.sum(0)
        return dy @ (self.weight.tensor if self.wrong == "dx" else self.weight.tensor.T)


@pytest.mark.parametrize("wrong", ["", "forward", "dx", "dw", "db"])
def test_the_part_that_is_wrong_is_named_with_its_place(wrong) -> None:
    layer = MyLinear("mine", 3, 3)
    layer.wrong = wrong
    found = mts.check_layer(layer)
    assert {part.name for part in found.parts if not part.passed} == ({wrong} if wrong else set())
    assert [part.name for part in found.parts] == ["forward", "dx", "dw", "db"]
    for part in found.parts:
        if part.passed:
            assert part.sentence().startswith(f"{part.name}: right, to ")
        else:
            assert f"{wrong}: WRONG at [{', '.join(map(str, part.where))}], it is " in str(found)
            assert part.got != pytest.approx(part.expected)
    assert layer.weight.tensor.dtype == np.float32  # the layer itself was not changed


def test_a_gradient_of_another_shape_or_none_is_said() -> None:
    class MyLinear2(MyLinear):
        def backward(self, dy: np.ndarray) -> np.ndarray:
            super().backward(dy)
            self.bias.gradient = None
            return dy

    found = {part.name: part for part in mts.check_layer(MyLinear2("mine", 2, 3)).parts}
    assert found["dx"].sentence() == "dx: WRONG, its shape is (2, 3), not (2, 2)"
    assert found["db"].sentence() == "db: WRONG, there is none"


def test_a_layer_that_changes_its_input_or_its_mind_is_found_out() -> None:
    class Doubling(mts.ReLU):
        def forward(self, x: np.ndarray) -> np.ndarray:
            x *= 2
            return super().forward(x)

    class Counting(mts.ReLU):
        calls = 0

        def forward(self, x: np.ndarray) -> np.ndarray:
            self.calls += 1
            return super().forward(x) + self.calls

    x = np.ones((2, 3))
    assert "it changes its input" in str(mts.check_layer(Doubling("d"), x))
    assert "something else the second time" in str(mts.check_layer(Counting("c"), x))
    assert "without a reference" in str(mts.check_layer(type("Odd", (mts.ReLU,), {})("r"), x))


def test_a_reference_may_be_given() -> None:
    assert mts.check_layer(mts.ReLU("r"), np.ones((1, 2)), reference=lambda x: np.maximum(x, 0)).passed
    assert not mts.check_layer(mts.ReLU("r"), -np.ones((1, 2)), reference=abs).passed


def test_kinks_are_left_out_and_counted() -> None:
    found = mts.check_layer(mts.ReLU("r"), np.array([[0.0, 1.0, -1.0, 0.0]]))
    assert found.passed and found.parts[1].kinks == 2 and "(2 entries at a kink left out)" in str(found)


def test_without_a_shape_an_input_is_asked_for() -> None:
    with pytest.raises(UsageError, match=r"Give one: check_layer\(layer, x\)"):
        mts.check_layer(mts.ReLU("r"))
    assert mts.check_layer(mts.Conv2D("c", (2, 4, 4), 2, 3, 3)).passed


def test_what_does_not_fit_is_said_with_its_name_and_shapes() -> None:
    with pytest.raises(UsageError, match=r"Linear 'fc' was given \(2, 4\)\. It takes \(images, 3\)"):
        mts.Linear("fc", 3, 2)(np.zeros((2, 4)))
    with pytest.raises(UsageError, match=r"Conv2D 'c' was given \(1, 3, 4, 4\)\. It takes \(images, 2, any, any\)"):
        mts.Conv2D("c", (2, 4, 4), 2, 3, 3)(np.zeros((1, 3, 4, 4)))
    with pytest.raises(UsageError, match="A window of 5 does not fit into 4 pixels with 0 of padding"):
        mts.Conv2D("c", (2, 4, 4), 2, 5, 3)
    with pytest.raises(UsageError, match="A window of 3 does not fit"):
        mts.MaxPool2D("p", (2, 2, 4), 3)
    with pytest.raises(UsageError, match="Back end 'fft' does not exist"):
        mts.Conv2D("c", (2, 4, 4), 2, 3, 3, backend="fft")
    with pytest.raises(UsageError, match="Several layers are called a"):
        mts.Net([mts.ReLU("a"), mts.ReLU("a")])
    with pytest.raises(UnknownName, match="Layer 'b' does not exist"):
        mts.Net([mts.ReLU("a")]).layer("b")
    with pytest.raises(UsageError, match="Answers have shape"):
        mts.mean_squared_error(np.zeros(2), np.zeros(3))
    with pytest.raises(UsageError, match=r"Filters \(2, 2\) were given for an image \(1, 3, 3\)"):
        mts.unroll(np.ones((2, 2)), (1, 3, 3))
    with pytest.raises(UsageError, match="the same channels"):
        mts.unroll(np.ones((1, 2, 2, 2)), (1, 3, 3))
    with pytest.raises(UsageError, match="A window of 4 does not fit"):
        mts.unroll(np.ones((1, 1, 4, 2)), (1, 3, 3))
    with pytest.raises(UsageError, match="x is of type int"):
        mts.numeric_gradient(lambda x: float(x.sum()), np.array([1, 2, 3]))
    with pytest.raises(UsageError, match="not contiguous"):
        mts.numeric_gradient(lambda x: float(x.sum()), np.zeros((4, 4))[:, :3])


def test_a_layer_that_was_trained_in_a_network_is_as_right_as_before() -> None:
    net = mts.Net([mts.Conv2D("c", (1, 5, 5), 2, 3, 3), mts.Flatten("f"), mts.Linear("l", 18, 3)])
    learner = mts.Learner(net, mts.softmax_cross_entropy, mts.SGD(0.1))
    learner.fit(np.ones((3, 1, 5, 5), np.float32), np.arange(3))
    assert mts.check_layer(net["c"]).passed


def test_answers_in_whole_numbers_have_a_gradient_too() -> None:
    loss, gradient = mts.mean_squared_error(np.array([[1, 2], [3, 4]]), np.zeros((2, 2), int))
    assert loss == 7.5
    np.testing.assert_array_equal(gradient, [[0.5, 1], [1.5, 2]])
    single = np.ones((2, 2), np.float32)
    assert mts.mean_squared_error(single, 0 * single)[1].dtype == np.float32
