"""Of equally good weights the later are kept."""

import lightning.pytorch as pl
import torch

from experiments.callbacks import LatestBest


class Scripted(pl.LightningModule):
    """Logs the word error rates it is given, one a validation."""

    def __init__(self, rates: list[float]):
        super().__init__()
        self.rates = iter(rates)
        self.layer = torch.nn.Linear(1, 1)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(1, 1))

    val_dataloader = train_dataloader

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def training_step(self, batch, index):
        return self.layer(batch).sum()

    def validation_step(self, batch, index):
        self.log("val_wer", torch.tensor(next(self.rates)))


def test_of_equal_validations_the_later_is_kept(tmp_path):
    keeper = LatestBest(dirpath=tmp_path, filename="best-{step}", monitor="val_wer", mode="min", save_top_k=1)
    trainer = pl.Trainer(
        max_epochs=5,
        accelerator="cpu",
        callbacks=[keeper],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Scripted([0.5, 0.25, 0.3, 0.25, 0.4]))
    assert [path.name for path in tmp_path.iterdir()] == ["best-step=4.ckpt"]
    assert float(keeper.best_model_score) == 0.25
