"""What fails a test that makes a deprecated call, and what does not."""

import warnings

import numpy as np
import pytest
from own_warnings import caller, shown_for_ours
from sklearn.utils import deprecated

TORCH, TRANSFORMERS = ("/v/lib/site-packages/" + name for name in ("torch/nn/modules/module.py", "transformers/a.py"))
OURS = __file__


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ([TRANSFORMERS, TORCH, TORCH, OURS], OURS),  # a network called with an argument of ours
        ([TRANSFORMERS, "/v/lib/site-packages/transformers/b.py", OURS], OURS),
        ([TRANSFORMERS, "/v/lib/site-packages/peft/b.py", OURS], "/v/lib/site-packages/peft/b.py"),
        ([OURS, "/v/lib/site-packages/_pytest/python.py"], "/v/lib/site-packages/_pytest/python.py"),
        ([TRANSFORMERS], ""),
    ],
)
def test_the_caller_is_who_called_the_library_that_warns(stack, expected):
    assert caller(iter(stack)) == expected


def test_a_deprecated_call_fails():
    @deprecated("it is old")  # scikit-learn's, so the warning is a library's and the call is ours
    def old() -> int:
        return 1

    with pytest.raises(FutureWarning, match="it is old"):
        old()


def test_other_warnings_pass():
    with pytest.warns(UserWarning, match="mind the gap"):
        warnings.warn("mind the gap", stacklevel=1)


def test_what_a_library_shows_for_itself_is_not_ours():
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        np.array([1.0]) / 0.0  # shown for this line
        warnings.warn_explicit("theirs", UserWarning, TORCH, 1)
    assert ["divide by zero" in str(one.message) for one in shown_for_ours(warned)] == [True]
