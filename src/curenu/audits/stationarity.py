"""Is the result a second-order stationary point, and of what precision?"""

from __future__ import annotations

import math

from curenu.audits.finding import Finding
from curenu.erasure import Certificate
from curenu.errors import BadRequest, IllPosed

__all__ = ["stationarity"]

_FAILURE = 0.05  # as the 95 % of other intervals


def stationarity(certificate: Certificate, reference: Certificate | None = None) -> list[Finding]:
    """Findings |∇F|, lambda_min and eps of a certificate: equation (7).

    An eps-second-order stationary point has |∇F| <= eps and lambda_min >= −√(M eps). The value
    of lambda_min is a Ritz value, never below the smallest eigenvalue, which is the upper end
    of its interval; the lower end is a bound that fails for one random start in twenty at most
    (without the recurrence behind it, the value less its residual, where *some* eigenvalue
    lies). eps supposes the eigenvalue found to be the smallest; its interval has what both ends
    give. `reference` is an oracle's certificate of the same objective. It is a certificate of
    convergence, not of privacy, and of a sample unless `certificate.exact`.

    Raises `BadRequest` for a penalty that is not positive or a negative norm, `IllPosed`
    for numbers that are not finite.
    """
    for given in filter(None, (certificate, reference)):
        numbers = (given.gradient_norm, given.lambda_min, given.lambda_min_residual)
        if not all(map(math.isfinite, numbers)):
            raise IllPosed("The certificate is not finite.", "a model that did not diverge.")
        if not given.penalty > 0 or given.gradient_norm < 0 or given.lambda_min_residual < 0:
            raise BadRequest("A negative norm or penalty.", "the certificate of a method.")
    lowest, largest = certificate.lower_bound(_FAILURE), certificate.proved(_FAILURE)
    if certificate.recurrence is None:
        lowest, largest = (
            certificate.lambda_min - certificate.lambda_min_residual,
            certificate.epsilon,
        )
    return [
        Finding(
            "|∇F|",
            certificate.gradient_norm,
            reference=reference and reference.gradient_norm,
        ),
        Finding(
            "lambda_min",
            certificate.lambda_min,
            (lowest, certificate.lambda_min),
            reference and reference.lambda_min,
        ),
        Finding(
            "eps",
            certificate.epsilon,
            (certificate.least_epsilon, max(largest, certificate.epsilon)),
            reference and reference.epsilon,
        ),
    ]
