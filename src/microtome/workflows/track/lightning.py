"""A callback for Lightning's trainer, without Lightning: its base class is taken from whichever package is imported.

What its trainer does with callbacks (`lightning` 2.6): every hook is called as `getattr(callback, hook)(trainer,
module, ...)`, so all must be there; one callback given without a list is only known by its class; `state_key` is asked
around every hook, `state_dict` at every checkpoint. The two packages have a `Callback` each; each looks for its own.
"""

import math
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from torch import Tensor, nn

from ...errors import UsageError

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
HOOKS = (
    "setup", "teardown", "on_fit_start", "on_fit_end", "on_sanity_check_start", "on_sanity_check_end",
    "on_train_batch_start", "on_train_batch_end", "on_train_epoch_start", "on_train_epoch_end",
    "on_validation_epoch_start", "on_validation_epoch_end", "on_test_epoch_start", "on_test_epoch_end",
    "on_predict_epoch_start", "on_predict_epoch_end", "on_validation_batch_start", "on_validation_batch_end",
    "on_test_batch_start", "on_test_batch_end", "on_predict_batch_start", "on_predict_batch_end", "on_train_start",
    "on_train_end", "on_validation_start", "on_validation_end", "on_test_start", "on_test_end", "on_predict_start",
    "on_predict_end", "on_exception", "on_save_checkpoint", "on_load_checkpoint", "on_before_backward",
    "on_after_backward", "on_before_optimizer_step", "on_before_zero_grad",
)  # fmt: skip


class Followed(Protocol):
    """What the callback needs of a tracker."""

    def expect(self, steps: int) -> None:
        """The training will have so many steps."""
        ...

    def begin(self, module: nn.Module, *, step: int) -> None:
        """It begins, or goes on after so many."""
        ...

    def step(self, module: nn.Module, *, step: int, **facts: Any) -> bool:
        """One is done."""
        ...

    def finish(self, module: nn.Module) -> object:
        """It is over."""
        ...


def lightning_callback(tracker: Followed, part: str = "") -> Any:
    """A callback that follows the LightningModule, or its submodule `part`, with `tracker`.

    Only the process with rank 0 looks. Where a trainer goes on from a checkpoint, say `resume=True` to the tracker.
    """
    base = _base()
    own: dict[str, Any] = {
        name: value for name, value in vars(_Following).items() if not name.startswith("__") or name == "__init__"
    }
    return type("TrackerCallback", (base,), own)(tracker, part)


class _Following:
    """What the callback does of its own."""

    def __init__(self, tracker: Followed, part: str) -> None:
        self.tracker, self.part = tracker, part

    def on_train_start(self, trainer: Any, pl_module: nn.Module) -> None:
        if trainer.is_global_zero:
            if math.isfinite(trainer.estimated_stepping_batches):
                self.tracker.expect(int(trainer.estimated_stepping_batches))
            self.tracker.begin(self._followed(pl_module), step=trainer.global_step)

    def on_train_batch_end(self, trainer: Any, pl_module: nn.Module, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.is_global_zero:
            facts = {"epoch": trainer.current_epoch, **_loss(outputs)}
            self.tracker.step(self._followed(pl_module), step=trainer.global_step, **facts)

    def on_train_end(self, trainer: Any, pl_module: nn.Module) -> None:
        if trainer.is_global_zero:
            self.tracker.finish(self._followed(pl_module))

    def _followed(self, pl_module: nn.Module) -> nn.Module:
        try:
            return pl_module.get_submodule(self.part)
        except AttributeError as error:
            names = ", ".join(name for name, _ in pl_module.named_children())
            raise UsageError(f"{type(pl_module).__name__} has no submodule {self.part!r}", f"It has: {names or 'none'}",
                             "Name one of them, or none for the whole module") from error  # fmt: skip


def _loss(outputs: Any) -> dict[str, Any]:
    """What a training step returned: a loss, or a dictionary with one."""
    loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
    return {"loss": loss} if isinstance(loss, Tensor) and loss.numel() == 1 else {}


def _base() -> type:
    """The class that a trainer wants its callbacks to be of; without Lightning, one whose hooks do nothing."""
    loaded = [name for name in PACKAGES if name in sys.modules]
    for name in loaded or [name for name in PACKAGES if find_spec(name.partition(".")[0]) is not None]:
        return import_module(name).Callback
    return _Hooks


def _nothing(self: object, *given: Any, **named: Any) -> None:
    """A hook that does nothing."""


class _Stateless:
    """What a trainer asks of a callback besides its hooks. All that is to be kept is in the tracker's folder."""

    @property
    def state_key(self) -> str:
        return type(self).__qualname__

    @property
    def _legacy_state_key(self) -> type:
        return type(self)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing was kept."""


_Hooks = type("_Hooks", (_Stateless,), dict.fromkeys(HOOKS, _nothing))
