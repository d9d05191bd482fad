"""Where images come from. `get(name)` gives a domain; a new one is a package here with a `DOMAIN` and a line below."""

from core.registry import Registry
from pipelines.domains.churches import DOMAIN as CHURCHES
from pipelines.domains.domain import Batch, Domain
from pipelines.domains.faces import DOMAIN as FACES

_DOMAINS: Registry[Domain] = Registry("domain")
for _domain in (FACES, CHURCHES):
    _DOMAINS.register(_domain.name)(_domain)


def get(name: str) -> Domain:
    """The domain of that name; ReinvertError with the nearest names where there is none."""
    return _DOMAINS.get(name)


def names() -> list[str]:
    """All domains, sorted."""
    return _DOMAINS.names()


__all__ = ["Batch", "Domain", "get", "names"]
