#!/usr/bin/env bash
# lightning 2.4.0 (the newest that NeMo 3.0 takes) with torch 2.13.0: a training that stopped in an epoch and is resumed from its
# checkpoint counts on from the batch where it stopped, while its loader begins anew. The first items of that epoch are
# trained on twice, the last never, and the batch's number no longer says which it is; an ordinary DataLoader is so at every
# stop, shuffled or not, and the end of the epoch comes as early as if nothing had been repeated.
# Expected: the items that were left, as the number of the batch, the loops' state in the checkpoint and "restored all states" say.
#
# Seen (12 items in order, one a batch, stopped after 5 steps, resumed to the end of the epoch):
#   first:    0 1 2 3 4
#   resumed:  0 1 2 3 4 5 6 7
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare lightning==2.4.0 torch==2.13.0 numpy==2.4.6 'setuptools<81'
seen=$(venv/bin/python - 2>/dev/null <<'PYTHON'
import lightning.pytorch as lightning
import torch


class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.items = torch.nn.Linear(1, 1), []

    def training_step(self, batch, index):
        self.items.append(int(batch[0, 0]))
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def trained(checkpoint=None, **settings):
    model, saved = Model(), lightning.callbacks.ModelCheckpoint("saved", every_n_train_steps=5, filename="{step}")
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[saved], **settings
    )
    trainer.fit(model, torch.utils.data.DataLoader(torch.arange(12.0)[:, None]), ckpt_path=checkpoint)
    return model.items


print("first:", *trained(max_steps=5))
print("resumed:", *trained("saved/step=5.ckpt", max_epochs=1))
PYTHON
)
echo "$seen"
expect "items" "$seen" "first: 0 1 2 3 4
resumed: 0 1 2 3 4 5 6 7"
