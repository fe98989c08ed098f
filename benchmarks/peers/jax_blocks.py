"""JAX on the CPU: compiled by XLA, blocks of rows by `lax.map`, derivatives by `grad`."""

from __future__ import annotations

import numpy as np

from .base import Peer, matrix_bytes, row_blocks


class Jax(Peer):
    name = "jax"
    title = "JAX"
    modules = ("jax", "jax.numpy")
    compiles_each_shape = True
    note = "`jit`, blocks of rows of the matrix by `lax.map`, 64 MB each; `grad`"

    def missing(self):
        reason = super().missing()
        if reason is None:
            import jax

            jax.config.update("jax_enable_x64", True)
        return reason

    def bytes_needed(self, case, dtype):
        return min(matrix_bytes(case, dtype), 2.0**28) * 4

    @staticmethod
    def _squared_distances(x, y):
        return (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * (x @ y.T)

    def _mapped(self, function, arrays, by_rows, others):
        """`function(*rows, *others)` for blocks of the rows of some arrays; padded, so that all blocks are alike."""
        import jax

        rows = [arrays[name] for name in by_rows]
        rest = [jax.numpy.asarray(arrays[name]) for name in others]
        n = len(rows[0])
        step = row_blocks(n, len(arrays["y"]), rows[0].itemsize)[0].stop
        count = -(-n // step)
        padded = [np.pad(r, ((0, count * step - n), (0, 0)), mode="edge").reshape(count, step, -1) for r in rows]

        @jax.jit
        def run(padded, rest):
            out = jax.lax.map(lambda some: function(*some, *rest), tuple(padded))
            return out.reshape(count * step, *out.shape[2:])[:n]

        padded = tuple(map(jax.numpy.asarray, padded))
        return lambda: run(padded, rest).block_until_ready()

    def prepare_gauss(self, case, arrays):
        import jax.numpy as jnp

        return self._mapped(lambda x, y, b: jnp.exp(-self._squared_distances(x, y)) @ b, arrays, "x", "yb")

    def prepare_gauss_gradient(self, case, arrays):
        import jax
        import jax.numpy as jnp

        def total(x, e, y, b):
            return ((jnp.exp(-self._squared_distances(x, y)) @ b) * e).sum()

        return self._mapped(jax.grad(total), arrays, "xe", "yb")

    def prepare_logsumexp(self, case, arrays):
        from jax.scipy.special import logsumexp

        def function(x, y):
            return logsumexp(-self._squared_distances(x, y), axis=1, keepdims=True)

        return self._mapped(function, arrays, "x", "y")

    def prepare_page(self, case, arrays):
        import jax.numpy as jnp
        from jax.scipy.special import logsumexp

        def function(x, y, a, p):
            return logsumexp((p - a.T) ** 2 * jnp.exp(x + y.T), axis=1, keepdims=True)

        return self._mapped(function, arrays, "x", "yap")

    def prepare_laplacian(self, case, arrays):
        import jax.numpy as jnp

        def function(x, y, b):
            return jnp.exp(-jnp.abs(x[:, None, :] - y).sum(axis=2)) @ b

        return self._mapped(function, arrays, "x", "yb")

    def prepare_nearest(self, case, arrays):
        import jax

        def function(x, y):
            return jax.lax.top_k(-self._squared_distances(x, y), case.opt_arg)[1]

        return self._mapped(function, arrays, "x", "y")

    def prepare_centres(self, case, arrays):
        return self._mapped(lambda x, y: self._squared_distances(x, y).argmin(axis=1), arrays, "x", "y")

    def prepare_attention(self, case, arrays):
        import jax

        return self._mapped(lambda q, k, v: jax.nn.softmax(q @ k.T, axis=1) @ v, arrays, "x", "yb")
