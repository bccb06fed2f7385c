"""A training whose loss, weights or measures are no numbers any more is stopped before it keeps any of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from experiments.training.distributed import largest
from experiments.training.diverged import DivergedError
from manifests import read_manifest

METRICS = "metrics.json"
NAMED = 8  # utterances of a batch in a message


@dataclass(frozen=True)
class Step:
    """A step as it was taken.

    Args:
        number: steps until then.
        loss: of the batch, on its device.
        rate: it was taken at.
        norm: of the gradient before clipping, on its device; None where no step followed the batch.
        before: the norm of the step before.
        batch: as the loader gave it.
    """

    number: int
    loss: Tensor
    rate: float | None
    norm: Tensor | None
    before: Tensor | None
    batch: Any


class Divergence(Callback):
    """Raise `DivergedError` at the first loss, gradient, weight or measure of a validation that is no finite number.

    On an accelerator a loss is looked at one step later, when it is there anyhow. Checkpoints are looked at before they
    are written. With a scaler of gradients (16-mixed), infinite gradients are its everyday business: it skips the step.

    Args:
        folder: of the run.
        tolerate: such losses or gradients in a row that are passed over, without a step.
        manifest: of the training utterances, to name those of the batch.
    """

    def __init__(self, folder: Path, tolerate: int = 0, manifest: Path | None = None):
        self.folder, self.tolerate, self.manifest = folder, tolerate, manifest
        self.error: DivergedError | None = None
        self.norm: Tensor | None = None
        self.before: Tensor | None = None
        self.rate: float | None = None
        self.waiting: Step | None = None
        self.last: Step | None = None
        self.in_a_row = 0

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        """A run that goes on from before it diverged is none that did."""
        path = self.folder / METRICS
        if trainer.is_global_zero and path.is_file() and "diverged" in json.loads(path.read_text()):
            path.unlink()

    def on_before_optimizer_step(self, trainer: pl.Trainer, model: Any, optimizer: Any) -> None:
        """Note the rate and the gradient; leave a step out that would spoil the weights, where that is tolerated."""
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        self.before, self.norm = self.norm, torch.nn.utils.get_total_norm(gradients)
        self.rate = float(optimizer.param_groups[0]["lr"])
        if self.tolerate and not _scaled(trainer) and not math.isfinite(float(self.norm)):
            for parameter in model.parameters():
                parameter.grad = None

    def on_train_batch_end(self, trainer: pl.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Judge the step, or on an accelerator the one before."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is None:
            return
        taken = Step(trainer.global_step, loss.detach(), self.rate, self.norm, self.before, batch)
        self.last = taken
        if loss.device.type == "cpu":
            self._judge(trainer, model, taken)
        else:
            earlier, self.waiting = self.waiting, taken
            self._judge(trainer, model, earlier)

    def _judge(self, trainer: pl.Trainer, model: Any, taken: Step | None) -> None:
        if taken is None:
            return
        loss = float(taken.loss)
        norm = None if taken.norm is None else float(taken.norm)
        spoilt = not math.isfinite(loss) or not (norm is None or math.isfinite(norm) or _scaled(trainer))
        self.in_a_row = self.in_a_row + 1 if largest(int(spoilt)) else 0
        if self.in_a_row <= self.tolerate:
            return
        own = not math.isfinite(loss)
        reason = f"the loss is {loss}" if own else f"the norm of the gradient is {norm}" if spoilt else ""
        names = self._utterances(model, taken.batch) if own or trainer.world_size == 1 else []
        if trainer.world_size > 1:  # the batch that did it may be another process's
            parts: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, (own, reason, names))
            _, reason, names = max(parts)
        self._end(taken.number, reason, taken.rate, norm, taken.before, names)

    def on_validation_end(self, trainer: pl.Trainer, model: Any) -> None:
        """Judge the validation before its weights are compared with the best."""
        if trainer.sanity_checking:
            return
        self._settle(trainer, model)
        measures = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val_")}
        for name, value in measures.items():
            if not math.isfinite(value):
                self._end(trainer.global_step, f"{name} is {value}", self.rate, self.norm, self.before)

    def on_save_checkpoint(self, trainer: pl.Trainer, model: Any, checkpoint: dict[str, Any]) -> None:
        """Judge the weights before they are written."""
        self._settle(trainer, model)

    def _settle(self, trainer: pl.Trainer, model: Any) -> None:
        """Judge all that is known by now."""
        taken, self.waiting = self.waiting, None
        self._judge(trainer, model, taken)
        if name := spoilt_weight(dict(model.named_parameters())):
            names = self._utterances(model, self.last.batch) if self.last else []
            reason = f"the weights of {name} are no finite numbers"
            self._end(trainer.global_step, reason, self.rate, self.norm, self.before, names)

    def _end(
        self,
        step: int,
        reason: str,
        rate: float | None,
        norm: Tensor | float | None = None,
        before: Tensor | None = None,
        names: list[str] | None = None,
    ) -> None:
        norm = None if norm is None else float(norm)
        said = f"Training diverged at step {step}: {reason}."
        facts = [f"learning rate {rate:.3g}"] if rate is not None else []
        if norm is not None:
            facts.append(f"norm of the gradient {norm:.3g}")
        if before is not None and math.isfinite(float(before)):
            facts.append(f"norm of the gradient one step before {float(before):.3g}")
        said += f" It was at {', '.join(facts)}." if facts else ""
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            said += f" In its batch: {', '.join(names[:NAMED])}{more}."
        record = {"step": step, "reason": reason, "learning_rate": rate, "utterances": names or []}
        record["gradient_norm"] = norm if norm is not None and math.isfinite(norm) else None
        self.error = DivergedError(said, step, record)
        raise self.error

    def _utterances(self, model: Any, batch: Any) -> list[str]:
        """Those of a batch of NeMo's, by file where the manifest has one of this text and length."""
        try:
            _, length, labels, label_length = batch
            texts = [
                model.decoding.decode_ids_to_str(ids[:count].tolist())
                for ids, count in zip(labels.cpu(), label_length.cpu(), strict=True)
            ]
            seconds = [int(samples) / model.preprocessor._sample_rate for samples in length.cpu()]
        except (TypeError, ValueError, AttributeError):  # a batch of another kind
            return []
        lines = read_manifest(self.manifest) if self.manifest else []
        return [_named(text, spoken, lines) for text, spoken in zip(texts, seconds, strict=True)]


def _named(text: str, seconds: float, lines: list[Any]) -> str:
    for line in lines:
        if line.text == text and abs(line.duration - seconds) < 0.02:
            return f"{line.audio} (line {line.line})"
    return f"{text!r} of {seconds:.2f} s"


def _scaled(trainer: pl.Trainer) -> bool:
    """Whether gradients are scaled, so that infinite ones are found and passed over."""
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def spoilt_weight(tensors: dict[str, Tensor]) -> str:
    """The first of some tensors that holds what is no finite number; empty where all are well."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return ""
