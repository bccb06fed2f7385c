#!/usr/bin/env bash
# hydra-core 1.3.8 with omegaconf 2.3.1: where one section is another's by reference (validation: ${train}), one changed value of it
# means four things. From a file of a group it changes that value of a copy, which from then on no longer follows the section it
# was taken from. On the command line it is refused, with the advice to add a plus, and then another; with both all other keys of
# the section are gone, and ~ deletes the key from the section referred to. In Python an assignment changes both sections.
# Expected: the same outcome for the same key, from a file and from the command line.
#
# Seen (train is {rate: 16000, batch: 32}):
#   group=small             validation {'rate': 16000, 'batch': 8}    train {'rate': 16000, 'batch': 32}
#   train.rate=8 group=small validation {'rate': 16000, 'batch': 8}   train {'rate': 8, 'batch': 32}
#   validation.batch=8      refused: To append to your config use +validation.batch=8
#   +validation.batch=8     refused: Or add a second + to add or override 'validation.batch': '++validation.batch=8'
#   ++validation.batch=8    validation {'batch': 8}                   train {'rate': 16000, 'batch': 32}
#   ~validation.batch       validation {'rate': 16000}                train {'rate': 16000}
#   assignment              validation {'rate': 16000, 'batch': 8}    train {'rate': 16000, 'batch': 8}
set -euo pipefail
source "$(dirname "$0")/common.sh"
prepare hydra-core==1.3.8 omegaconf==2.3.1
mkdir -p conf/group
cat > conf/main.yaml <<'YAML'
defaults: [_self_, {optional group: null}]
train: {rate: 16000, batch: 32}
validation: ${train}
YAML
printf '# @package _global_\nvalidation: {batch: 8}\n' > conf/group/small.yaml
seen=$(venv/bin/python - <<'PYTHON'
import os
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf


def show(name, made):
    plain = OmegaConf.to_container(made, resolve=True)
    print(f"{name}: validation {plain['validation']} train {plain['train']}")


with initialize_config_dir(os.path.abspath("conf"), version_base="1.3"):
    for given in ("group=small", "train.rate=8 group=small", "validation.batch=8", "+validation.batch=8", "++validation.batch=8", "~validation.batch"):
        try:
            show(given, compose("main", given.split()))
        except Exception as error:
            print(f"{given}: refused:", str(error).splitlines()[-1])
    config = compose("main")
    config.validation.batch = 8
    show("assignment", config)
PYTHON
)
echo "$seen"
expect "sections" "$seen" "group=small: validation {'rate': 16000, 'batch': 8} train {'rate': 16000, 'batch': 32}
train.rate=8 group=small: validation {'rate': 16000, 'batch': 8} train {'rate': 8, 'batch': 32}
validation.batch=8: refused: To append to your config use +validation.batch=8
+validation.batch=8: refused: Or add a second + to add or override 'validation.batch': '++validation.batch=8'
++validation.batch=8: validation {'batch': 8} train {'rate': 16000, 'batch': 32}
~validation.batch: validation {'rate': 16000} train {'rate': 16000}
assignment: validation {'rate': 16000, 'batch': 8} train {'rate': 16000, 'batch': 8}"
