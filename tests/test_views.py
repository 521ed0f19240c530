from __future__ import annotations

import pytest
import torch

from medkit.inference.views import NEEDS, VIEWS, allowed_views, check_views, predict_views


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_turns_back(view):
    see, back = VIEWS[view]
    images = torch.rand(2, 3, 5, 7)
    assert torch.equal(back(see(images)), images)
    assert (view == "as is") == torch.equal(see(images), images) == (view not in NEEDS)


def test_views_that_change_labels_are_refused():
    check_views(["as is", "mirrored"], ("horizontal",))
    with pytest.raises(
        ValueError, match=r"view 'upside down' changes the labels .*\['horizontal'\]"
    ):
        check_views(["upside down"], ("horizontal",))
    with pytest.raises(ValueError, match="unknown view 'sideways'"):
        check_views(["sideways"], ())


def test_views_are_averaged_and_facts_mirrored_along():
    def model(images, facts):
        return torch.stack([images[:, 0, 0, 0].float(), facts[:, 0]], 1)

    images = torch.tensor([[[[2.0, 4.0]]]]).expand(1, 3, 1, 2)
    facts, mirrored = torch.tensor([[10.0]]), torch.tensor([[20.0]])
    both = predict_views(model, images, facts, mirrored, ("as is", "mirrored"))
    assert both.tolist() == [[3.0, 15.0]]


def test_all_views_are_those_that_change_no_label():
    assert allowed_views(()) == ["as is"]
    assert allowed_views(("horizontal",)) == ["as is", "mirrored"]
    assert allowed_views(("horizontal", "vertical")) == list(VIEWS)
