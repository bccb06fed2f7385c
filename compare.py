"""Which of these runs is best, by how much, and is the difference more than chance?

python compare.py runs/digits                             # all runs below a folder: a table and a verdict
python compare.py runs/digits/* bundles/int8 --html report.html
python compare.py runs --baseline 2026-11-24_16-43-09     # differences to one run instead of the best
python compare.py --project me/hey-jetson                 # runs of a W&B project (WANDB_API_KEY)
python compare.py --help
"""

import sys

from experiments.compare.command import main
from manifests.show import reader_may_leave

if __name__ == "__main__":
    with reader_may_leave():
        main(sys.argv[1:])
