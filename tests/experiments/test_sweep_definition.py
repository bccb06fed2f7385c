"""A sweep.yaml is read as W&B reads it, drawn within its bounds, and refused in a sentence."""

import math
from pathlib import Path

import optuna
import pytest
import yaml
from hydra import compose
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, distribution_to_json, json_to_distribution

from experiments.cli.overrides import check_overrides, composing
from experiments.errors import ConfigError
from experiments.sweep.claims import distributions, values_of
from experiments.sweep.commands import check_definition, corners, expand, overrides, prepare
from experiments.sweep.definition import load_definition
from experiments.sweep.parameters import MAKERS, parse_parameters
from experiments.sweep.session import trials_in_all
from tests.conftest import ROOT

PLAIN = {
    "program": "train.py",
    "method": "random",
    "metric": {"name": "val_wer"},
    "parameters": {"optim.lr": {"values": [0.1]}},
    "command": ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"],
}


def written(folder: Path, **changes) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in (PLAIN | changes).items() if v is not None}, sort_keys=False))
    return path


def wandb_sweeps():
    """W&B's own reading of sweeps, which takes seconds to import."""
    from wandb.sdk.launch.sweeps import utils

    return utils


@pytest.fixture
def in_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_each_corpus_is_made_before_the_first_trial(tmp_path, in_root, monkeypatch):
    made = []
    monkeypatch.setattr("experiments.data.preparation.prepare_data", lambda config: made.append(config.data.name))
    parameters = {"data": {"values": ["synthetic", "digits"]}, "data.batch_size": {"values": [2, 4, 8, 16]}}
    prepare(load_definition(written(tmp_path, parameters=parameters)))
    assert made == ["synthetic", "digits"]


def as_the_agent_does(tree: dict, values: dict) -> list[str]:
    """The loop of wandb_agent.py, over W&B's own expansion."""
    filled = wandb_sweeps().create_sweep_command_args(
        {"args": {key: {"value": value} for key, value in values.items()}}
    )
    filled |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [tree["program"]]}
    command = []
    for part in wandb_sweeps().create_sweep_command(list(tree["command"])):
        command += filled.get(part[2:-1]) or [] if part.startswith("${") and part.endswith("}") else [part]
    return command


def test_every_corner_of_the_projects_sweep_composes(in_root):
    tree = wandb_sweeps().load_sweep_config("sweep.yaml")
    definition = load_definition(Path("sweep.yaml"))
    seen = {parameter.name: set() for parameter in definition.parameters}
    for values in corners(definition):
        command = as_the_agent_does(tree, values)
        assert command == expand(definition, values, "python")
        assert command[:3] == ["/usr/bin/env", "python", "train.py"]
        check_overrides("train", command[3:])
        with composing():
            config = compose("train", command[3:])
        assert config.encoder.convolution.strides == values["encoder.convolution.strides"]
        assert config.optim.lr == values["optim.lr"]
        assert config.trainer.limit_train_batches == 100
        for name, value in values.items():
            seen[name].add(str(value))
    for name, given_tree in tree["parameters"].items():
        ends = given_tree.get("values") or [given_tree["min"], given_tree["max"]]
        assert {str(end) for end in ends} == seen[name]


def test_what_is_swept_is_what_the_project_promises():
    tree = wandb_sweeps().load_sweep_config(str(ROOT / "sweep.yaml"))
    assert tree["method"] == "bayes"
    assert tree["metric"] == {"name": "val_wer", "goal": "minimize"}
    assert tree["early_terminate"]["type"] == "hyperband"
    assert {"optim.lr", "trainer.max_epochs", "augment"} <= tree["parameters"].keys()
    assert tree["parameters"]["optim.lr"]["distribution"] == "log_uniform_values"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"parameters": {"optim.learning_rat": {"values": [1]}}},
            "no key optim.learning_rat .*optim.lr",
        ),
        ({"parameters": {"encodr": {"values": ["hey_jetson"]}}}, "no key encodr"),
        ({"parameters": {"encoder": {"values": ["hey_jetson", "hey_jetsn"]}}}, "Did you mean hey_jetson"),
        ({"parameters": {"optim.lr": {"values": ["0.1,0.2"]}}}, "sweep.yaml: .*optim.lr=0.1,0.2"),
        ({"command": ["${env}", "${interpreter}", "${program}", "${args}"]}, "args_no_hyphens"),
        ({"command": None}, "args_no_hyphens"),
        ({"command": ["python", "other.py", "${args_no_hyphens}"]}, r"must hold \$\{program\}"),
        ({"command": ["${env}", "${program}", "${args_no_hyphen}"]}, r"\$\{args_no_hyphen\} is not known"),
        ({"program": "trian.py"}, "no program trian.py"),
        ({"parameters": {"optim": {"parameters": {"lr": {"values": [1]}, "beta": {"value": 1}}}}}, "no key optim.beta"),
    ],
)
def test_what_conf_does_not_take_is_refused_before_the_first_trial(in_root, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        check_definition(load_definition(written(tmp_path, **changes)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "bayesian"}, "method must be one of grid, random, bayes"),
        ({"methods": "grid"}, "no key methods. Did you mean method"),
        ({"metric": None}, "metric must be given"),
        ({"metric": {"name": "val_wer", "goal": "minimise"}}, "minimize or maximize"),
        ({"metric": {"name": "val_wer", "target": "5"}}, "metric.target must be a number"),
        ({"parameters": {}}, "parameters must be given"),
        ({"parameters": {"optim.lr": 3}}, r"optim.lr must say what it may be"),
        ({"parameters": {"optim.lr": {"value": None}}}, 'Write "null", in quotes'),
        ({"parameters": {"a": {"values": [[None, 1]]}}}, 'Write "null", in quotes'),
        ({"parameters": {"optim.lr": {"valus": [1]}}}, "no setting valus. Did you mean value"),
        ({"parameters": {"optim.lr": {"values": []}}}, "must be a list with something in it"),
        ({"parameters": {"optim.lr": {"min": 1}}}, "needs value, values, or min and max"),
        ({"parameters": {"optim.lr": {"min": 2, "max": 1}}}, "must not be above"),
        ({"parameters": {"optim.lr": {"min": True, "max": 1}}}, "must be a number, found True"),
        ({"parameters": {"a": {"distribution": "log_uniform_values", "min": 0, "max": 1}}}, "must be above 0"),
        ({"parameters": {"a": {"distribution": "int_uniform", "min": 0.5, "max": 1}}}, "must be whole"),
        ({"parameters": {"a": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}}}, "q must be above 0"),
        ({"parameters": {"a": {"distribution": "normal", "sigma": -1}}}, "sigma must be above 0"),
        ({"parameters": {"a": {"distribution": "beta", "mu": 1}}}, "cannot draw from beta.*log_uniform_values"),
        ({"parameters": {"a": {"values": [1, 2], "probabilities": [0.5]}}}, "one number for each of the 2"),
        ({"parameters": {"a": {"values": [1, 2], "probabilities": [0.5, 0.6]}}}, "add up to 1, found 1.1"),
        (
            {"parameters": {"a": {"value": 1}, "b": {"value": 1}}, "command": "python train.py"},
            "command must be a list",
        ),
        ({"method": "grid", "parameters": {"a": {"min": 0.0, "max": 1.0}}}, "a cannot. Give values"),
        ({"early_terminate": {"type": "envelope"}}, "type: hyperband"),
        ({"early_terminate": {"type": "hyperband", "s": 2}}, "needs min_iter, or max_iter and s"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 0}}, "from 1"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "above 1"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "etta": 1}}, "no setting etta"),
        ({"run_cap": 0}, "run_cap must be a whole number from 1"),
    ],
)
def test_a_wrong_definition_is_a_sentence(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_definition(written(tmp_path, **changes))
    assert "sweep.yaml: " in str(caught.value)


def test_files_that_are_no_definition(tmp_path):
    with pytest.raises(ConfigError, match="no sweep definition"):
        load_definition(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("program: [train.py")
    with pytest.raises(ConfigError, match="a.yaml is not YAML: line 1: expected"):
        load_definition(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("- program")
    with pytest.raises(ConfigError, match="is a mapping"):
        load_definition(tmp_path / "a.yaml")


@pytest.mark.parametrize(("text", "right"), [("1e-4", "1.0e-4"), ("5E3", "5.0e+3"), ("2.5e2", "2.5e+2")])
def test_a_number_that_yaml_reads_as_text_is_explained(text, right):
    settings_of = yaml.safe_load(f"{{min: {text}, max: 9000000.0}}")
    assert isinstance(settings_of["min"], str)
    with pytest.raises(ConfigError, match=right.replace("+", r"\+")):
        parse_parameters({"optim.lr": settings_of})
    assert isinstance(yaml.safe_load(right), float)


def test_values_of_such_text_reach_hydra_as_numbers(in_root, tmp_path):
    definition = load_definition(written(tmp_path, parameters={"optim.lr": {"values": ["1e-4", "1e-3"]}}))
    check_definition(definition)
    with composing():
        assert compose("train", overrides(definition, {"optim.lr": "1e-4"})).optim.lr == 1e-4


def test_null_lists_and_booleans_arrive(in_root, tmp_path):
    swept = {
        "trainer.max_time": {"value": "null"},
        "encoder.convolution.kernels": {"values": [[3, 3, 3], [5, 5, 5]]},
        "trainer.deterministic": {"values": [True, False]},
        "early_stopping.patience": {"values": ["null", 3]},
    }
    definition = load_definition(written(tmp_path, method="grid", parameters=swept))
    check_definition(definition)
    assert definition.grid_size == 8
    values = values_of(
        definition,
        {
            "encoder.convolution.kernels": "[3, 3, 3]",
            "trainer.deterministic": "False",
            "early_stopping.patience": "null",
        },
    )
    with composing():
        config = compose("train", overrides(definition, values))
    assert config.encoder.convolution.kernels == [3, 3, 3]
    assert config.trainer.deterministic is False
    assert config.early_stopping.patience is None
    assert config.trainer.max_time is None


def test_the_number_of_trials(tmp_path, capsys):
    grid = load_definition(written(tmp_path, method="grid", parameters={"a": {"min": 1, "max": 6}}))
    assert trials_in_all(grid, None) == trials_in_all(grid, 99) == 6
    assert "The grid" not in capsys.readouterr().out
    assert trials_in_all(grid, 4) == 4
    assert "The grid has 6 points; 4 of them" in capsys.readouterr().out
    drawn = load_definition(written(tmp_path, run_cap=7))
    assert (trials_in_all(drawn, None), trials_in_all(drawn, 3)) == (7, 3)
    for wrong in (0, -1, 2.5, "many", True):
        with pytest.raises(ConfigError, match="whole number from 1"):
            trials_in_all(drawn, wrong)


positive = st.floats(1e-6, 1e6)
drawable = st.sampled_from(sorted(set(MAKERS) - {"constant", "categorical"}))


@settings(max_examples=60, deadline=None)
@given(kind=drawable, ends=st.tuples(positive, positive), q=st.sampled_from([1, 2, 0.1, 0.25]))
def test_every_distribution_draws_within_its_bounds_and_its_steps(kind, ends, q):
    low, high = sorted(ends)
    exponents = kind.endswith("log_uniform")
    if exponents:
        low, high = math.log(low), math.log(high)
    if kind == "int_uniform":
        low, high = math.floor(low), math.floor(high)
    settings_of = {"distribution": kind, "min": low, "max": high, "mu": 1.0, "sigma": 0.5}
    if quantised := kind.startswith("q_"):
        settings_of["q"] = q
    if kind == "q_uniform" and (high - low) / q > 1e4:
        return
    (parameter,) = parse_parameters({"a": settings_of})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(3):
        trial = study.ask({parameter.drawn: parameter.distribution})
        value = parameter.value(trial.params[parameter.drawn])
        if "normal" not in kind:
            slack = q / 2 if quantised else 0.0
            bottom, top = (math.exp(low), math.exp(high)) if exponents else (low, high)
            if kind == "inv_log_uniform":
                bottom, top = math.exp(-high), math.exp(-low)
            assert bottom * (1 - 1e-9) - slack <= value <= top * (1 + 1e-9) + slack
        if quantised:
            assert value / q == pytest.approx(round(value / q), abs=1e-6)
            assert isinstance(value, type(q))
        if parameter.grid is not None:
            assert value in parameter.grid


def test_probabilities_are_kept():
    (parameter,) = parse_parameters({"a": {"values": ["x", "y", "z"], "probabilities": [0.7, 0.0, 0.3]}})
    drawn = [parameter.value((step + 0.5) / 1000) for step in range(1000)]
    assert (drawn.count("x"), drawn.count("y"), drawn.count("z")) == (700, 0, 300)
    assert parameter.value(1.0) == "z"


scalars = st.one_of(st.integers(), st.booleans(), st.text("ab[],' ", min_size=1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(scalars, st.lists(scalars, max_size=3)), min_size=1, max_size=5))
def test_any_list_of_values_comes_back_from_the_storage_as_it_was(values):
    (parameter,) = parse_parameters({"a": {"values": values}})
    stored = json_to_distribution(distribution_to_json(parameter.distribution))
    assert stored == parameter.distribution
    assert [str(parameter.value(choice)) for choice in stored.choices] == list(dict.fromkeys(map(str, values)))
    assert {str(corner) for corner in parameter.corners} == {str(value) for value in values}


def test_a_grid_is_drawn_from_texts(tmp_path):
    parameters = {"a": {"min": 1, "max": 3}, "b": {"value": 2}}
    definition = load_definition(written(tmp_path, method="grid", parameters=parameters))
    assert distributions(definition) == {"a": CategoricalDistribution(("1", "2", "3"))}
    assert values_of(definition, {"a": "2"}) == {"a": 2, "b": 2}
