"""Arrays of other toolkits to batches of images and back."""

import pytest
import torch

from daep_prior.array_layout import ImageLayout


@pytest.mark.parametrize(
    ("shape", "axis", "batch"),
    [((4, 5), 0, (1, 1, 4, 5)), ((3, 4, 5), 0, (1, 3, 4, 5)), ((4, 5, 3), -1, (1, 3, 4, 5)), ((4, 1, 5), 1, None)],
)
def test_there_and_back_is_the_same_array(shape, axis, batch):
    layout = ImageLayout(shape, axis)
    x = torch.rand(shape)
    images = layout.to_batch(x)
    assert tuple(images.shape) == (batch or (1, 1, 4, 5))
    assert torch.equal(layout.from_batch(images), x)
    assert torch.equal(layout.to_batch(x.flatten()), images)
    assert images.data_ptr() == x.data_ptr()


def test_channels_are_the_channels():
    x = torch.rand(4, 5, 3)
    assert torch.equal(ImageLayout((4, 5, 3), -1).to_batch(x)[0, 1], x[..., 1])


@pytest.mark.parametrize("shape", [(), (5,), (1, 3, 4, 5), (0, 5), (2, 4, 5)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        ImageLayout(shape)


def test_a_channel_axis_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="channel_axis"):
        ImageLayout((3, 4, 5), 3)


@pytest.mark.parametrize("x", [torch.rand(5, 4, 3), torch.rand(61), torch.ones(3, 4, 5, dtype=torch.cfloat)])
def test_another_array_is_refused(x):
    with pytest.raises(ValueError, match="x: got"):
        ImageLayout((3, 4, 5)).to_batch(x)
