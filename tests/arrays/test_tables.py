"""Columns of pandas: nullable ones are numbers where none is missing, and refused with a remedy where some are."""

from __future__ import annotations

import numpy as np
import pytest

from skkeops import Genred, LazyTensor, Pm, Vi, Vj

pd = pytest.importorskip("pandas")
Y = np.array([[1.0, 2.0], [0.5, -1.0]])
VALUES = np.array([[1.0, 4.0], [2.0, 5.0], [3.0, 0.0]])


def frame(*dtypes):
    return pd.DataFrame({name: pd.Series(VALUES[:, k]).astype(d) for k, (name, d) in enumerate(zip("ab", dtypes, strict=True))})


@pytest.mark.parametrize(
    ("dtypes", "result"),
    [
        (("Float64", "Float64"), np.float64), (("Float32", "Float32"), np.float32), (("Int64", "Float64"), np.float64),
        (("Int8", "Int64"), np.float64), (("float64", "Int64"), np.float64), (("Float32", "float32"), np.float32),
        (("UInt16", "boolean"), np.float64),
    ],
)  # fmt: skip
def test_nullable_columns(dtypes, result):
    if "boolean" in dtypes:
        table = pd.DataFrame({"a": pd.array([1, 2, 3], dtype="UInt16"), "b": pd.array([True, True, False], dtype="boolean")})
    else:
        table = frame(*dtypes)
    values = np.array([list(map(float, row)) for row in table.itertuples(index=False)])
    y = Y.astype(result)
    expected = ((values[:, None] - y) ** 2).sum(-1).sum(1)
    found = Genred("SqDist(x,y)", ["x = Vi(2)", "y = Vj(2)"], axis=1)(table, y)
    assert found.dtype == result
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)
    K = ((Vi(table) - Vj(y)) ** 2).sum(-1)
    np.testing.assert_allclose(K.sum(axis=1)[:, 0], expected, rtol=1e-6)
    dense = ((values[:, None] - y) ** 2).sum(-1)
    np.testing.assert_allclose((K * table[["a"]]).dense(), dense * values[:, :1], rtol=1e-6)
    np.testing.assert_allclose((table[["a"]] * K).dense(), dense * values[:, :1], rtol=1e-6)
    np.testing.assert_allclose((table / K).dense(), values / dense, rtol=1e-6)
    np.testing.assert_allclose(K.T @ table["a"], dense.T @ values[:, 0], rtol=1e-6)
    np.testing.assert_allclose((Pm(table["a"]) * K).dense(), dense[..., None] * values[:, 0], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "Float32"])
def test_missing_values(dtype):
    table = frame("float64", dtype)
    table.loc[1, "b"] = pd.NA
    remedies = r"found missing values \(NA\).*: fill them with .fillna\(...\), or write .to_numpy\(float, na_value=numpy.nan\)"
    sqdist = Genred("SqDist(x,y)", ["x = Vi(2)", "y = Vj(2)"], axis=1)
    with pytest.raises(ValueError, match=r"argument 'x' = Vi\(2\): found missing values \(NA\) in column 'b'"):
        sqdist(table, Y)
    K = Vi(VALUES[:, :1]) - Vj(Y[:, :1])
    for make in (
        lambda: sqdist(table, Y), lambda: Vi(table), lambda: LazyTensor(table, axis=0), lambda: K * table[["b"]],
        lambda: table[["b"]] * K, lambda: K.T @ table["b"], lambda: Pm(table["b"]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=remedies):
            make()
    filled, nan = table.fillna(0), table.to_numpy(float, na_value=np.nan)
    np.testing.assert_allclose(sqdist(filled, Y)[1, 0], ((np.array([2.0, 0.0]) - Y) ** 2).sum())
    assert np.isnan(sqdist(nan, Y)[1, 0]) and np.isfinite(sqdist(nan, Y)[[0, 2]]).all()


def test_columns_that_are_no_numbers():
    table = pd.DataFrame({"a": ["x", "y"], "b": pd.array([1, 2], dtype="Int64")})
    with pytest.raises(TypeError, match="found pandas.* expected real numbers"):
        Genred("SqDist(x,y)", ["x = Vi(2)", "y = Vj(2)"], axis=1)(table, Y)
    with pytest.raises(TypeError, match="real numbers: found DataFrame"):
        Vi(table)
