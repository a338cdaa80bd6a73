"""Numbers and settings as the report writes them."""

from quipu.evals.report.scores import Score
from quipu.evals.report.statistics import Estimate
from quipu.evals.task import Decoding

MINUS = "\u2212"


def percent(share: float) -> str:
    """A share as per cent without the sign, one digit after the point."""
    return f"{100 * share:.1f}"


def signed(points: float) -> str:
    """Points of per cent with their sign."""
    text = f"{abs(points):.1f}"
    return text if text == "0.0" else f"{'+' if points > 0 else MINUS}{text}"


def number(count: float) -> str:
    """A count with thin spaces between thousands."""
    return f"{count:,.0f}".replace(",", "\u202f")


def value(score: Score) -> str:
    """A score: per cent of a share, four digits of anything else."""
    return percent(score.estimate.value) if score.share else f"{score.estimate.value:.4g}"


def interval(score: Score) -> str:
    """Where it may lie; nothing where there is one number only."""
    if score.problems < 2:
        return ""
    ends = score.estimate.low, score.estimate.high
    return " – ".join(percent(end) if score.share else f"{end:.4g}" for end in ends)


def points(estimate: Estimate) -> str:
    """A difference with its interval."""
    low, high = signed(100 * estimate.low), signed(100 * estimate.high)
    return f"{signed(100 * estimate.value)} ({low} to {high})"


def probability(p: float) -> str:
    """What a probability equals; never 0."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}" if p < 0.1 else f"= {p:.2f}"


def printed(found: float) -> str:
    """A published percentage with the digits that it has."""
    return f"{found:.2f}" if round(found, 1) != found else f"{found:.1f}"


def decoding(found: Decoding) -> str:
    """How samples were drawn, in words."""
    if found.temperature == 0:
        parts = ["greedy, one sample a problem"]
    else:
        parts = [
            f"{found.samples} sample{'s' if found.samples > 1 else ''} a problem, temperature"
            f" {found.temperature:g}, top-p {found.top_p:g}"
        ]
    parts.append(f"at most {found.max_tokens} tokens")
    parts.append(f"{len(found.stop)} stop strings" if found.stop else "no stop strings")
    if found.heal:
        parts.append("token healing")
    return "; ".join(parts)
