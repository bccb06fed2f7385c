#!/usr/bin/env bash
# optuna 5.0.0: a study that is taken up again from its storage, with the sampler seeded as before, draws what it has drawn: a
# random search of five trials, taken up twice, has trained five models three times each. TPE repeats its random ones, and
# so do workers that share a study and a seed. Only QMC goes on, since it counts in the storage.
# Expected: it goes on where it stopped, as its name, its trials and load_if_exists say.
#
# Seen (15 trials in three runs of one study; different values among them):
#   RandomSampler 5    TPESampler 10    QMCSampler 15    RandomSampler without a seed 15
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare optuna==5.0.0 numpy==2.4.6 scipy==1.17.1
seen=$(venv/bin/python - 2>/dev/null <<'PYTHON'
import optuna
from optuna.samplers import QMCSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

optuna.logging.set_verbosity(optuna.logging.CRITICAL)


def different(kind, seed):
    name = f"{kind.__name__}-{seed}"
    for _ in range(3):
        storage = JournalStorage(JournalFileBackend(name))
        study = optuna.create_study(storage=storage, study_name=name, sampler=kind(seed=seed), load_if_exists=True)
        study.optimize(lambda trial: (trial.suggest_float("rate", 1e-5, 1, log=True) - 0.1) ** 2, n_trials=5)
    return len({trial.params["rate"] for trial in study.trials})


for kind in (RandomSampler, TPESampler, QMCSampler):
    print(f"{kind.__name__}:", different(kind, 7))
print("RandomSampler without a seed:", different(RandomSampler, None))
PYTHON
)
echo "$seen"
expect "values" "$seen" "RandomSampler: 5
TPESampler: 10
QMCSampler: 15
RandomSampler without a seed: 15"
