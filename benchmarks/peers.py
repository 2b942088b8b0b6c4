"""One peer's pooled logistic fit in a process of its own: `python -m benchmarks.peers NAME ROWS`.

Prints a line of JSON: seconds of the fit alone (the data stands in memory), the peer's tolerance, the largest entry of the
mean gradient at its answer, and the peak memory of the process. Threads are fixed to the machine's two cores.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "2"

import numpy as np  # noqa: E402 - after the number of threads is fixed

from benchmarks.data import Array, logistic  # noqa: E402


def statsmodels(x: Array, y: Array) -> tuple[Array, str]:
    import statsmodels.api as sm

    fit = sm.GLM(y, x, family=sm.families.Binomial()).fit(tol=1e-8)
    return np.asarray(fit.params), "IRLS, deviance 1e-8"


def sklearn(x: Array, y: Array) -> tuple[Array, str]:
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-8).fit(x, y)
    return fit.coef_[0], "newton-cholesky, gradient 1e-8"


def glum(x: Array, y: Array) -> tuple[Array, str]:
    from glum import GeneralizedLinearRegressor

    fit = GeneralizedLinearRegressor(
        family="binomial", alpha=0, fit_intercept=False, gradient_tol=1e-8, solver="irls-ls"
    ).fit(x, y)
    return np.asarray(fit.coef_), "irls-ls, gradient 1e-8"


PEERS = {"statsmodels": statsmodels, "scikit-learn": sklearn, "glum": glum}


def main() -> None:
    name, rows = sys.argv[1], int(sys.argv[2])
    x, y = logistic(rows)
    design = np.asfortranarray(np.column_stack([np.ones(rows), x]))
    del x
    began = time.perf_counter()
    coefficients, tolerance = PEERS[name](design, y)
    seconds = time.perf_counter() - began
    gradient = design.T @ (y - 1 / (1 + np.exp(-design @ coefficients))) / rows
    print(
        json.dumps(
            {
                "seconds": seconds,
                "tolerance": tolerance,
                "gradient": float(np.abs(gradient).max()),
                "coefficients": coefficients.tolist(),
                "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            }
        )
    )


if __name__ == "__main__":
    main()
