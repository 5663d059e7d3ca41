"""Maps that are not what they say: each breaks one promise of the library, an adapter or the theory."""

import torch

import dynloop as dl
from dynloop.nn import Attention


class Hidden(dl.TorchMap):
    """A loop that ends with something that no layer knows of: the adapter was left out of `layers`."""

    def loop(self, states):
        return self.hidden(super().loop(states))

    def __call__(self, states):
        return self.loop(self.native(states))


def hidden(layers, shape, what, **options):
    m = Hidden(layers, shape, dtype=torch.float64, **options)
    m.hidden = what
    return m


class Forgetful(dl.TorchMap):
    """A map whose cyclic permutations leave out the last layer."""

    def rotate(self, l):
        if self.check_layer(l) == 0:
            return self
        return dl.TorchMap(super().rotate(l).layers[:-1], self.state_shape, dtype=self.dtype)


class Hasty(dl.TorchMap):
    """A map whose cyclic permutations go round twice."""

    def rotate(self, l):
        turned = super().rotate(l)
        return turned if self.check_layer(l) == 0 else turned.power(2)


class OtherTwin(dl.TorchMap):
    """A float32 map whose float64 twin has other weights."""

    def twin(self, dtype="float64"):  # noqa: ARG002 - one twin for all
        return dl.TorchMap([lambda x: 0.5 * x + 1.1], self.state_shape, dtype=torch.float64)


class Sharp(Attention):
    """An attention whose scores are 10⁴ times what its weights say."""

    def _split(self, x):
        return 100 * super()._split(x)


class Counting:
    """A layer that depends on how often it was called."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return 0.5 * x + 0.01 * self.calls
