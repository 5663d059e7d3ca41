"""Models that other libraries hold or changed give the map of the module inside; docs/howto/interop.md."""

import functools
import weakref

import pytest
import torch

import dynloop as dl
from dynloop.errors import InvalidArgumentError

IDS = [1, 2, 3, 4]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def gpt2():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"n_layer": 4, "n_head": 2, "n_embd": 16, "vocab_size": 50, "n_positions": 32}
    config = transformers.GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)
    return transformers.GPT2LMHeadModel(config).eval()


def opened(model, block="transformer.h.1:3", dtype="float64", **options):
    return dl.open_checkpoint(model, IDS, block=block, dtype=dtype, **options)


def after_five(m):
    x = m.start()
    for _ in range(5):
        x = m(x)
    return x


class Wrapped:
    """Holds a module without being one, as nnsight does."""

    def __init__(self, module):
        self._module = module
        for one in module.modules():
            one.forward = Controller(one)


class Controller:
    """Stands in the place of a module's forward, knows the module weakly, and shows the signature of the class."""

    def __init__(self, module):
        functools.update_wrapper(self, type(module).forward)
        self.module_ref, self.calls = weakref.ref(module), 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        module = self.module_ref()
        return type(module).forward(module, *args, **kwargs)


def test_a_module_that_is_held_and_watched_gives_its_own_map():
    wrapped = Wrapped(gpt2())
    m = opened(wrapped)
    calls = wrapped._module.forward.calls
    assert torch.equal(after_five(m), after_five(opened(gpt2())))
    assert wrapped._module.forward.calls == calls  # the map runs a stand-in


def test_a_watched_module_may_change_afterwards():
    wrapped = Wrapped(gpt2())
    m = opened(wrapped)
    expected = after_five(m)
    wrapped._module.transformer.h[1].mlp = None
    assert torch.equal(after_five(m), expected)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # torch._inductor
def test_compiled_models_and_modules_give_the_map_of_the_code_that_was_compiled():
    expected = after_five(opened(gpt2()))
    assert torch.equal(after_five(opened(torch.compile(gpt2()))), expected)
    model = gpt2()
    model.transformer.h[2] = torch.compile(model.transformer.h[2])
    assert torch.equal(after_five(opened(model)), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept_and_its_twin_has_the_same_weights(dtype):
    m = opened(gpt2().to(dtype), dtype=None)
    assert m.dtype == dtype
    twin = opened(gpt2().to(dtype))
    assert torch.allclose(after_five(m).double(), after_five(twin), rtol=0, atol=20 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("options", [{"block": "transformer.h.1:3"}, {}])
def test_weights_that_are_elsewhere_are_refused_by_name(options):
    model = gpt2()
    model.transformer.h[1].to("meta")
    with pytest.raises(
        InvalidArgumentError, match=r"no values for transformer\.h\.1\.\S+ and \d+ more: .* meta device"
    ):
        dl.open_checkpoint(model, IDS, **options)


@needs_cuda
def test_a_model_on_a_gpu_gives_a_map_there():
    m = opened(gpt2().cuda())
    assert m.device.type == "cuda"
    assert torch.allclose(after_five(m).cpu(), after_five(opened(gpt2())), rtol=1e-10, atol=1e-12)
    assert m.start().device.type == "cuda"
    assert opened(gpt2(), device="cuda").device.type == "cuda"


# `make nightly` installs the libraries of the tests below.


def test_nnsight_itself():
    nnsight = pytest.importorskip("nnsight")
    wrapped = nnsight.NNsight(gpt2())
    assert torch.equal(after_five(opened(wrapped)), after_five(opened(gpt2())))
    with wrapped.trace(torch.tensor([IDS])):
        seen = wrapped.transformer.h[1].output.save()
    assert seen.shape[-2:] == (4, 16)


def test_a_bridge_of_transformer_lens():
    bridges = pytest.importorskip("transformer_lens.model_bridge")
    configs = pytest.importorskip("transformer_lens.config")
    sizes = {"n_layers": 4, "d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 64, "n_ctx": 32, "d_vocab": 50}
    config = configs.TransformerBridgeConfig(**sizes, act_fn="gelu", normalization_type="LN")
    bridge = bridges.TransformerBridge.boot_native(config).eval()
    m = opened(bridge, "blocks.1:3")
    seen = {}
    bridge.blocks[2].register_forward_hook(lambda block, inputs, output: seen.update(x=output[0]))
    with torch.no_grad():
        logits = bridge(torch.tensor([IDS]))
    assert torch.allclose(m(m.start()), seen["x"].double(), atol=1e-5)
    assert torch.allclose(m.decode(m(m.start())), logits.double(), atol=1e-5)


def test_hooks_of_accelerate():
    accelerate = pytest.importorskip("accelerate")
    model = accelerate.dispatch_model(gpt2(), {"": "cpu"}, main_device="cpu", force_hooks=True)
    assert torch.equal(after_five(opened(model)), after_five(opened(gpt2())))
    away = accelerate.cpu_offload(gpt2(), execution_device=torch.device("cpu"))
    with pytest.raises(InvalidArgumentError, match="meta device"):
        opened(away)
