"""A network opened by name brings what it expects of images."""

import pytest

from microtome.errors import BadModel
from microtome.network.open import open_model


@pytest.mark.parametrize("own", [{"size": 64}, {"mean": (0.5,)}, {"std": (0.5,)}, {"class_names": ("a",)}])
def test_expectations_of_your_own_are_refused_for_a_named_network(own):
    with pytest.raises(BadModel, match=r"'zoo:resnet20' was given .* of your own\. .* brings its own\. Leave them"):
        open_model("zoo:resnet20", **own)
