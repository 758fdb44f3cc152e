"""What a policy that MLflow serves refuses: what it could only guess about."""

from __future__ import annotations

import numpy as np
import pytest
from policies import observations

from qexp.errors import InputError
from qexp.placement.features import NODE_FEATURES, TASK_FEATURES
from qexp.policy import load_policy
from qexp.tracking.model import _load_pyfunc, _signature


@pytest.fixture(scope="module")
def served(tmp_path_factory, bundle):
    """The model as MLflow loads it, without a store."""
    import mlflow

    path = str(tmp_path_factory.mktemp("served") / "model")
    mlflow.pyfunc.save_model(
        path,
        loader_module=_load_pyfunc.__module__,
        data_path=str(bundle),
        signature=_signature(observations(2, 5)),
        input_example=observations(2, 5),
        pip_requirements=[],
    )
    return mlflow.pyfunc.load_model(path)


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("column", "at"), [("task", (2, 4)), ("nodes", (3, 1, 6)), ("nodes", (0, 0, 0))])
def test_a_served_policy_refuses_numbers_that_are_not_finite(served, value, column, at):
    seen = observations(4, 5)
    seen[column][at] = value
    where = ", ".join(map(str, at[1:]))
    said = rf"^column {column}, row {at[0]}: {value} at \[{where}\]; all must be finite$"
    with pytest.raises(InputError, match=said) as refused:
        served.predict(seen)
    assert "\n" not in str(refused.value)


def test_a_served_policy_refuses_rows_without_a_choice(served, bundle):
    seen = observations(4, 5)
    seen["action_mask"][2] = 0
    with pytest.raises(InputError, match=r"^column action_mask, row 2: no node may be chosen"):
        served.predict(seen)
    # Padding is no choice either.
    seen = observations(4, 5) | {"present": np.ones((4, 5), dtype=np.int8)}
    seen["action_mask"][1] = [0, 0, 0, 1, 1]
    seen["present"][1, 3:] = 0
    with pytest.raises(InputError, match=r"^column action_mask, row 1: no node may be chosen"):
        _load_pyfunc(str(bundle)).predict(seen)


@pytest.mark.parametrize("column", ["nodes", "action_mask"])
def test_a_served_policy_refuses_columns_of_different_lengths(served, column):
    seen = observations(4, 5)
    seen[column] = seen[column][:3]
    with pytest.raises(InputError, match=r"^column \w+: .* but there are 4 rows of task"):
        served.predict(seen)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("action_mask", np.full((4, 5), 2, np.int8), "row 0: 2 at [0]; it takes 0 and 1"),
        ("action_mask", np.full((4, 5), -1, np.int8), "row 0: -1 at [0]; it takes 0 and 1"),
        ("action_mask", np.full((4, 5), np.nan), "row 0: nan at [0]; all must be finite"),
        ("action_mask", np.full((4, 5), "yes"), "it takes 2 axes of numbers"),
        ("action_mask", np.ones(5, np.int8), "1 axes"),
        ("action_mask", np.zeros((4, 0), np.int8), "4 x 5 rows and nodes"),
        ("action_mask", np.ones((4, 6), np.int8), "4 x 5 rows and nodes"),
        ("action_mask", None, "it is missing"),
        ("task", np.zeros((4, len(TASK_FEATURES) + 1), np.float32), "11 features; the policy takes 10"),
        ("task", np.zeros(len(TASK_FEATURES), np.float32), "1 axes"),
        ("nodes", np.zeros((4, 5, 3), np.float32), "3 features; the policy takes 14"),
        ("nodes", np.zeros((4, len(NODE_FEATURES)), np.float32), "2 axes"),
        ("present", np.full((4, 5), np.inf), "row 0: inf at [0]; all must be finite"),
        ("present", np.ones((4, 4), np.int8), "4 x 4 rows and nodes"),
    ],
)
def test_a_served_policy_refuses_columns_of_other_forms(served, bundle, column, value, words):
    import mlflow

    seen = observations(4, 5) | {column: value}
    if value is None:
        del seen[column]
    with pytest.raises(InputError) as refused:
        _load_pyfunc(str(bundle)).predict(seen)
    said = str(refused.value)
    assert "\n" not in said
    assert said.startswith("column nodes: 4 x 5" if words.startswith("4 x 5") else f"column {column}")
    assert words in said
    if column != "present":  # not in this model's signature: MLflow leaves it out, and says so
        with pytest.raises((InputError, mlflow.MlflowException)):
            served.predict(seen)


@pytest.mark.parametrize("kind", [bool, np.int64, np.float64])
def test_the_kind_of_number_in_a_mask_makes_no_difference(bundle, kind):
    policy, seen = _load_pyfunc(str(bundle)), observations(6, 5)
    other = seen | {"action_mask": seen["action_mask"].astype(kind)}
    assert policy.predict(other).tolist() == policy.predict(seen).tolist()


def test_no_observations_are_no_decisions(served):
    assert served.predict(observations(0, 5)).shape == (0,)


def test_padding_is_never_chosen_even_where_the_mask_allows_it(bundle):
    padded = observations(200, 5) | {"present": np.ones((200, 5), dtype=np.int8)}
    padded["action_mask"][:] = 1
    padded["present"][:, 2:] = 0
    chosen = _load_pyfunc(str(bundle)).predict(padded)
    assert set(chosen.tolist()) <= {0, 1}
    columns = (padded[key] for key in ("task", "nodes", "action_mask", "present"))
    assert load_policy(bundle).decide(*columns).tolist() == chosen.tolist()
