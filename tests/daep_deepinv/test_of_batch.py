"""The physics of a batch for some of its images."""

import deepinv as dinv
import pytest
import torch

from daep_deepinv import degradation
from daep_deepinv.operators.of_batch import physics_of_images

SIZE = (3, 12, 16)


def test_physics_for_any_number_of_images_is_left_as_it_is(images):
    for physics in (degradation(torch.rand(3, 5)), degradation(factor=2, img_size=SIZE), dinv.physics.Denoising()):
        assert physics_of_images(physics, images(3, *SIZE), [1]) is physics
        assert physics_of_images(physics, images(3, *SIZE), [0, 1, 2]) is physics


@pytest.mark.parametrize(
    "make",
    [
        lambda: dinv.physics.Blur(torch.rand(3, 1, 5, 5), padding="valid"),
        lambda: dinv.physics.Blur(torch.rand(3, 3, 5, 5), padding="reflect"),
        lambda: dinv.physics.BlurFFT(SIZE, torch.rand(3, 1, 5, 5)),
        lambda: dinv.physics.Inpainting(SIZE, mask=(torch.rand(3, *SIZE) > 0.5).float()),
    ],
    ids=["kernels", "kernels of the channels", "spectra", "masks"],
)
def test_an_image_gets_what_the_batch_holds_for_it(make, images):
    physics, x = make(), images(3, *SIZE)
    together = physics.A(x)
    for chosen in ([0], [1], [2], [2, 0]):
        some = physics_of_images(physics, x, chosen)
        assert torch.allclose(some.A(x[chosen]), together[chosen], atol=1e-5)
        back = physics.A_adjoint(together)[chosen]
        assert torch.allclose(some.A_adjoint(together[chosen]), back, atol=1e-4)
    assert torch.equal(physics.A(x), together)


def test_what_cannot_be_taken_apart_is_refused(images):
    class Secret(dinv.physics.LinearPhysics):
        """Treats each image differently, without a buffer that shows it."""

        def A(self, x, **kwargs):
            return x * torch.arange(1.0, 1.0 + len(x)).view(-1, 1, 1, 1)

    x = images(3, *SIZE)
    with pytest.raises(ValueError, match="restore one image at a time"):
        physics_of_images(Secret(), x, [1])
