"""PyTorch on the CPU: blocks of rows that fit the memory, derivatives by its automatic differentiation."""

from __future__ import annotations

from .base import Peer, matrix_bytes, row_blocks


class Torch(Peer):
    name = "torch"
    title = "PyTorch"
    modules = ("torch",)
    note = "blocks of rows of the matrix, 64 MB each; `autograd`; `scaled_dot_product_attention`"

    def version(self):
        return super().version().split("+")[0]

    def bytes_needed(self, case, dtype):
        return min(matrix_bytes(case, dtype), 2.0**28) * 4

    def to_numpy(self, result):
        return result.detach().numpy()

    @staticmethod
    def _tensors(arrays, names):
        import torch

        return [torch.from_numpy(arrays[name]) for name in names]

    @staticmethod
    def _by_rows(function, x, y, *more):
        import torch

        blocks = row_blocks(len(x), len(y), x.element_size())
        return torch.cat([function(x[some], *(m[some] for m in more)) for some in blocks])

    @staticmethod
    def _squared_distances(x, y):
        return (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * (x @ y.T)

    def prepare_gauss(self, case, arrays):
        x, y, b = self._tensors(arrays, "xyb")
        return lambda: self._by_rows(lambda x: self._squared_distances(x, y).neg().exp() @ b, x, y)

    def prepare_gauss_gradient(self, case, arrays):
        import torch

        x, y, b, e = self._tensors(arrays, "xybe")

        def of_rows(x, e):
            x = x.clone().requires_grad_(True)
            value = self._squared_distances(x, y).neg().exp() @ b
            return torch.autograd.grad(value, x, e)[0]

        return lambda: self._by_rows(of_rows, x, y, e)

    def prepare_logsumexp(self, case, arrays):
        x, y = self._tensors(arrays, "xy")
        return lambda: self._by_rows(lambda x: self._squared_distances(x, y).neg().logsumexp(1, keepdim=True), x, y)

    def prepare_page(self, case, arrays):
        x, y, a, p = self._tensors(arrays, "xyap")
        return lambda: self._by_rows(lambda x: ((p - a.T) ** 2 * (x + y.T).exp()).logsumexp(1, keepdim=True), x, y)

    def prepare_laplacian(self, case, arrays):
        import torch

        x, y, b = self._tensors(arrays, "xyb")
        return lambda: self._by_rows(lambda x: torch.cdist(x, y, p=1).neg().exp() @ b, x, y)

    def prepare_nearest(self, case, arrays):
        x, y = self._tensors(arrays, "xy")

        def of_rows(x):
            return self._squared_distances(x, y).topk(case.opt_arg, largest=False).indices

        return lambda: self._by_rows(of_rows, x, y)

    def prepare_centres(self, case, arrays):
        x, y = self._tensors(arrays, "xy")
        return lambda: self._by_rows(lambda x: self._squared_distances(x, y).argmin(1), x, y)

    def prepare_attention(self, case, arrays):
        from torch.nn.functional import scaled_dot_product_attention

        q, k, v = self._tensors(arrays, "xyb")
        return lambda: scaled_dot_product_attention(q[None, None], k[None, None], v[None, None], scale=1.0)[0, 0]
