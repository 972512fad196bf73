"""One training in several processes: data-parallel, or sharded (FSDP) if the model does not fit into one device.

`accelerate launch` and `torchrun` start the processes and give each its number in environment variables. Each process
computes its share of every batch, and the gradients are summed: the result is that of one process, within rounding.
With a single process, these functions change nothing.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")
BUCKET = 25_000_000  # bytes of gradients, about, that are summed over the processes in one message


def start(device: str = "auto") -> str:
    """Join the other processes, if this one was launched as one of several.

    Args:
        device: auto, cpu or cuda, as the user said.

    Returns:
        The device of this process: its own GPU if it joined others on GPUs, else `device` as given.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return device
    on_gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo")
    if not on_gpu:
        return device
    own_gpu = f"cuda:{os.environ['LOCAL_RANK']}"
    torch.cuda.set_device(own_gpu)
    return own_gpu


def stop() -> None:
    """Leave the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this process is the one that prints and writes."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process has come to this point."""
    if world() > 1:
        dist.barrier()


def from_main(value: Callable[[], T]) -> T:
    """The main process computes `value()`, and every process gets the result, or the exception.

    For decisions that depend on the clock or the disk: all processes must decide alike.
    """
    if world() == 1:
        return value()
    result_and_error: list[Any] = [None, None]
    if is_main():
        try:
            result_and_error[0] = value()
        except Exception as error:  # the other processes are waiting: they raise it too
            result_and_error[1] = error
    dist.broadcast_object_list(result_and_error)
    if result_and_error[1] is not None:
        raise result_and_error[1]
    return result_and_error[0]


def own(rows: Sequence[T]) -> Sequence[T]:
    """This process's share of `rows`; shares differ by at most one in length."""
    return rows[rank() :: world()]


def gathered(share: Tensor, total: int) -> Tensor:
    """The rows of all processes [total, ...], in the order from which `own` took the shares."""
    if world() == 1:
        return share
    rows = torch.empty(total, *share.shape[1:], dtype=share.dtype)
    for number, part in enumerate(gathered_objects(share.cpu())):
        rows[number :: world()] = part
    return rows.to(share.device)


def gathered_objects(value: T) -> list[T]:
    """The value of each process, in order."""
    if world() == 1:
        return [value]
    parts: list[Any] = [None] * world()
    dist.all_gather_object(parts, value)
    return parts


# -- gradients and sharded weights -------------------------------------------------------------------------------


def is_sharded(network: torch.nn.Module) -> bool:
    """Whether each process holds only its part of the weights."""
    return hasattr(network, "unshard")


@contextlib.contextmanager
def sharded_if_asked(model: Any) -> Iterator[None]:
    """Under `accelerate launch --use_fsdp`, spread `model.network` over the processes layer by layer (FSDP2).

    After the block, every process has the whole network again. Otherwise nothing changes. If the model computes in
    bfloat16, the layers are gathered in bfloat16 and the gradients are summed in float32.

    Raises:
        ValueError: some weights are frozen, as with a LoRA.
    """
    if world() == 1 or os.environ.get("ACCELERATE_USE_FSDP", "false").lower() != "true":
        yield
        return
    kind, config = type(model.network), model.network.config
    # of this kit's own networks, the twin: its `generate` works while the weights are spread
    network = model.network = getattr(model.network, "to_transformers", lambda: model.network)()
    if not all(parameter.requires_grad for parameter in network.parameters()):
        raise ValueError("a LoRA cannot be sharded. Hint: launch it without --use_fsdp; it takes little memory")
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    half = model.in_bfloat16 and model.takes_half_weights  # each process keeps its part of the float32 masters
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if half else MixedPrecisionPolicy()
    mesh = dist.device_mesh.init_device_mesh(network.device.type, (world(),))
    blocks = set(network._no_split_modules or ())
    for module in list(network.modules()):
        if type(module).__name__ in blocks:
            fully_shard(module, mesh=mesh, mp_policy=policy)
    fully_shard(network, mesh=mesh, mp_policy=policy)
    model.in_half = half
    try:
        yield
    finally:
        model.in_half = False
        weights = {name: whole(value) for name, value in network.state_dict().items()}
        model.network = kind(config).to(network.device).eval()
        model.network.load_state_dict(weights)


class GradientSum:
    """Sums the gradients of all processes, in flat buckets, from the last layer to the first.

    A sharded network sums them in its own backward pass, and a single process has nothing to sum: then all this does
    nothing.

    Args:
        network: its parameters that are trained.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self.buckets: list[list[torch.nn.Parameter]] = []
        self.sent: list[tuple[Any, Tensor]] = []
        self._waiting: set[torch.nn.Parameter] = set()
        if world() == 1 or is_sharded(network):
            return
        size = BUCKET
        for parameter in reversed([p for p in network.parameters() if p.requires_grad]):
            if size >= BUCKET:
                self.buckets.append([])
                size = 0
            self.buckets[-1].append(parameter)
            size += 4 * parameter.numel()

    @contextlib.contextmanager
    def overlapping(self) -> Iterator[None]:
        """In the block, a backward pass sends each bucket as soon as it is whole; no other pass may follow.

        All processes send the buckets in the same order, whether they send them in such a block or in `finish`.
        """
        everyone = [parameter for bucket in self.buckets for parameter in bucket]
        self._waiting = set(everyone)
        handles = [parameter.register_post_accumulate_grad_hook(self._arrived) for parameter in everyone]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _arrived(self, parameter: Tensor) -> None:
        self._waiting.discard(parameter)
        while len(self.sent) < len(self.buckets) and self._waiting.isdisjoint(self.buckets[len(self.sent)]):
            self._send()

    def _send(self) -> None:
        """Begin to sum the next bucket."""
        bucket = self.buckets[len(self.sent)]
        flat = torch.cat([
            p.new_zeros(p.numel(), dtype=_kind_of_gradient(p)) if p.grad is None else p.grad.flatten() for p in bucket
        ])  # fmt: skip
        for parameter in bucket:
            parameter.grad = None  # two copies of all gradients would take the memory that the pass needs
        self.sent.append((dist.all_reduce(flat, async_op=True), flat))

    def finish(self) -> None:
        """Send the other buckets, wait for all, and put the sums where the gradients were."""
        while len(self.sent) < len(self.buckets):
            self._send()
        for bucket, (work, flat) in zip(self.buckets, self.sent, strict=True):
            work.wait()
            for parameter, part in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
                parameter.grad = part.view_as(parameter).to(_kind_of_gradient(parameter))
        self.sent = []


def _kind_of_gradient(parameter: Tensor) -> torch.dtype:
    return getattr(parameter, "grad_dtype", None) or parameter.dtype  # torch before 2.10 has no `grad_dtype`


def whole(value: Tensor) -> Tensor:
    """The whole tensor, gathered if it is spread over the processes."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def whole_state(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Name -> whole tensor on the CPU, for the trained weights and the optimizer's state."""
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    state = {f"weight/{name}": parameter.detach() for name, parameter in trained.items()}
    for name, parameter in trained.items():
        state.update({f"state/{name}/{field}": value for field, value in optimizer.state[parameter].items()})
    return {name: whole(value).cpu().contiguous() for name, value in state.items()}


@torch.no_grad()
def load_whole_state(network: torch.nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back the tensors that `whole_state` returned; raises KeyError if a weight is missing."""
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        parameter.copy_(_like(tensors[f"weight/{name}"], parameter))
        parameter_state = optimizer.state[parameter]
        for key in [key for key in tensors if key.startswith(f"state/{name}/")]:
            field = key.rpartition("/")[2]
            if field == "step":  # a counter; only fused AdamW keeps it on the device
                fused = optimizer.defaults.get("fused")
                # a copy, since a tensor of a mapped file keeps all of the file in memory
                parameter_state[field] = tensors[key].to(parameter.device if fused else "cpu", copy=True)
            else:
                parameter_state[field] = _like(tensors[key], parameter)


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """`value` on the parameter's device, spread over the processes as the parameter is."""
    value = value.to(parameter.device, copy=True)
    if not hasattr(parameter, "placements"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value, parameter.device_mesh, parameter.placements)
