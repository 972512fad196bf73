"""Random numbers of torch that belong to one block of one thread; the global generators are left alone.

`torch.random.fork_rng` seeds the global generator and puts it back later: another thread that draws meanwhile gets
numbers of that seed, and afterwards the same numbers twice. Libraries (layers that are initialised, dropout, sampling)
take no generator, so the draws are caught where they reach torch's dispatcher, which knows the thread that draws.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
WITH_GENERATOR = {  # the same operation, as it is called with a generator
    aten.rand.default: aten.rand.generator,
    aten.randn.default: aten.randn.generator,
    aten.randint.default: aten.randint.generator,
    aten.randint.low: aten.randint.low_generator,
    aten.randperm.default: aten.randperm.generator,
}
FILLED = {aten.rand_like.default: aten.uniform_.default, aten.randn_like.default: aten.normal_.default}


class OwnRandomness(TorchDispatchMode):
    """Inside the block, this thread's random numbers are those of `torch.manual_seed(seed)`; nobody else's change.

    On a CPU the global generator is not touched. On a GPU, fused kernels (dropout, attention with dropout) accept no
    generator: for each of their calls the GPU's global generator is lent a state, and put back. Every operation in the
    block costs some microseconds more.

    Attributes:
        seed: of all devices.
        drew: whether anything was drawn.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed, self.drew = seed, False
        self._generators: dict[torch.device, torch.Generator] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would import its compiler, in two seconds, to keep it out of a function that it never compiles."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **given)
        known = {argument.name: argument.default_value for argument in func._schema.arguments}  # not passed on by torch
        known |= dict(zip(known, args, strict=False)) | given
        if known.get("generator") is not None or known.get("dropout_p", known.get("train")) in (0.0, False):
            return func(*args, **given)
        if not any(isinstance(value.type, torch.TensorType) for value in func._schema.returns):
            return func(*args, **given)  # a question, such as which kernel is the fastest
        self.drew = True
        tensors = [value for value in args if isinstance(value, torch.Tensor)]
        own = self._generator(given.get("device") or (tensors[0].device if tensors else torch.get_default_device()))
        if func in FILLED:
            return FILLED[func](torch.empty_like(*args, **given), generator=own)
        if "generator" in known:
            return func(*args, **given | {"generator": own})
        if func in WITH_GENERATOR:
            return WITH_GENERATOR[func](*args, **given, generator=own)
        with _lent(own):
            return func(*args, **given)

    def _generator(self, device: torch.device | str) -> torch.Generator:
        device = torch.device(device)
        if device not in self._generators:
            kind = torch.device("cpu") if device.type == "meta" else device
            self._generators[device] = torch.Generator(kind).manual_seed(self.seed)
        return self._generators[device]

    def states(self) -> dict[torch.device, torch.Tensor]:
        """Where the generators stand."""
        return {device: generator.get_state() for device, generator in self._generators.items()}

    def go_to(self, states: Mapping[torch.device, torch.Tensor]) -> None:
        """Let the generators stand where they stood; those that `states` lacks, at their beginning."""
        for device, generator in self._generators.items():
            if device in states:
                generator.set_state(states[device])
            else:
                generator.manual_seed(self.seed)


@contextlib.contextmanager
def _lent(own: torch.Generator) -> Iterator[None]:
    """Inside the block, the global generator of the device goes on where `own` stands."""
    everyones = torch if own.device.type == "cpu" else torch.get_device_module(own.device)
    before = everyones.get_rng_state()
    everyones.set_rng_state(own.get_state())
    try:
        yield
        own.set_state(everyones.get_rng_state())
    finally:
        everyones.set_rng_state(before)


def replayed() -> tuple[contextlib.AbstractContextManager, contextlib.AbstractContextManager]:
    """For `torch.utils.checkpoint(context_fn=...)`: what was drawn on the way forward is drawn again on the way back.

    Instead of its `preserve_rng_state`, which moves the global generators.
    """
    modes = [mode for mode in torch.utils._python_dispatch._get_current_dispatch_mode_stack()]
    own = next((mode for mode in reversed(modes) if isinstance(mode, OwnRandomness)), None)
    if own is None:
        return contextlib.nullcontext(), contextlib.nullcontext()
    return contextlib.nullcontext(), _at(own, own.states())


@contextlib.contextmanager
def _at(own: OwnRandomness, states: Mapping[torch.device, torch.Tensor]) -> Iterator[None]:
    now = own.states()
    own.go_to(states)
    try:
        yield
    finally:
        own.go_to(now)
