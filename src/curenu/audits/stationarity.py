"""Is the result a second-order stationary point, and of what precision?"""

from __future__ import annotations

import math
from dataclasses import replace

from curenu.audits.finding import Finding
from curenu.erasure import Certificate
from curenu.errors import BadRequest, IllPosed

__all__ = ["stationarity"]


def stationarity(certificate: Certificate, reference: Certificate | None = None) -> list[Finding]:
    """Findings |∇F|, lambda_min and eps, the least that both prove: equation (7).

    An eps-second-order stationary point has |∇F| <= eps and lambda_min >= −√(M eps). The
    intervals of the last two come from the residual of the eigenvalue. `reference` is an
    oracle's certificate of the same objective. It is a certificate of convergence, not of
    privacy, and of a sample unless `certificate.exact`.

    Raises `BadRequest` for a penalty that is not positive or a negative norm, `IllPosed`
    for numbers that are not finite.
    """
    for given in filter(None, (certificate, reference)):
        numbers = (given.gradient_norm, given.lambda_min, given.lambda_min_residual)
        if not all(map(math.isfinite, numbers)):
            raise IllPosed("The certificate is not finite.", "a model that did not diverge.")
        if not given.penalty > 0 or given.gradient_norm < 0 or given.lambda_min_residual < 0:
            raise BadRequest("A negative norm or penalty.", "the certificate of a method.")
    error = certificate.lambda_min_residual
    bounds = tuple(
        replace(certificate, lambda_min=certificate.lambda_min + side * error) for side in (-1, 1)
    )
    lowest, highest = bounds
    return [
        Finding(
            "|∇F|",
            certificate.gradient_norm,
            reference=reference and reference.gradient_norm,
        ),
        Finding(
            "lambda_min",
            certificate.lambda_min,
            (lowest.lambda_min, highest.lambda_min),
            reference and reference.lambda_min,
        ),
        Finding(
            "eps",
            certificate.epsilon,
            (highest.epsilon, lowest.epsilon),
            reference and reference.epsilon,
        ),
    ]
